"""Outputs that follow the event log: what they write, and that nothing is lost when they cannot."""

from __future__ import annotations

import base64
import gzip
import json
import os
import random
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from auditdeck.context.users import Users
from auditdeck.errors import SettingsError
from auditdeck.eventlog.writer import Writer
from auditdeck.outputs.file import FileOutput
from auditdeck.outputs.formats.encode import encoder, same
from auditdeck.outputs.formats.fluentd import fluentd
from auditdeck.outputs.formats.goaudit import go_audit
from auditdeck.outputs.gelf import CHUNK, GelfOutput
from auditdeck.outputs.lines import LineOutput
from auditdeck.outputs.syslog import SyslogOutput
from auditdeck.settings.model import FileSettings, GelfSettings, Settings, SyslogSettings
from auditdeck.settings.read import read_settings
from auditdeck.stack.certificates import make_authority
from tests.support.run import auditdeck
from tests.support.waiting import wait_for

ORIGINAL = "\n".join(
    [
        "type=SYSCALL msg=audit(1700000000.123:9): arch=c000003e syscall=42 success=no exit=-115 a0=3 items=0 ppid=1 "
        'pid=2 auid=1000 uid=0 gid=0 euid=0 suid=0 fsuid=0 egid=0 sgid=0 fsgid=0 tty=(none) ses=4 comm="curl" '
        'exe="/usr/bin/curl" key="netconns_out"',
        "type=SOCKADDR msg=audit(1700000000.123:9): saddr=020001BBC00002010000000000000000",
        'type=PATH msg=audit(1700000000.123:9): item=1 name="/x" inode=5 ouid=7 ogid=0',
        "type=PROCTITLE msg=audit(1700000000.123:9): proctitle=6375726C002D73",
    ]
)
DOCUMENT: dict[str, Any] = {
    "@timestamp": "2023-11-14T22:13:20.123Z",
    "event": {"id": "1700000000.123:9", "original": ORIGINAL},
    "host": {"name": "one"},
}


def lines(first: int, last: int, padding: int = 0) -> list[bytes]:
    common = {"@timestamp": "2023-11-14T22:13:20.123Z", "host": {"name": "one"}, "x": "y" * padding}
    return [json.dumps({**common, "n": number}).encode() for number in range(first, last)]


@pytest.fixture
def users(tmp_path: Path) -> Users:
    (tmp_path / "passwd").write_text("root:x:0:0::/:/bin/sh\nada:x:1000:1000::/:/bin/sh\n")
    (tmp_path / "group").write_text("root:x:0:\n")
    return Users(tmp_path / "passwd", tmp_path / "group")


@contextmanager
def running(output: LineOutput) -> Iterator[LineOutput]:
    output.start()
    try:
        yield output
    finally:
        output.stop(5)


def test_go_audits_form(users: Users) -> None:
    made = go_audit(DOCUMENT, users)
    assert made
    assert (made["sequence"], made["timestamp"]) == (9, "1700000000.123")
    assert [message["type"] for message in made["messages"]] == [1300, 1306, 1302, 1327]
    assert made["messages"][1]["data"] == "saddr=020001BBC00002010000000000000000"
    assert made["uid_map"] == {"1000": "ada", "0": "root", "7": "UNKNOWN_USER"}
    assert go_audit({"event": {}}, users) is None


def test_fluentds_form(users: Users) -> None:
    made = fluentd(DOCUMENT, users)
    assert made
    assert made["message_types"] == ["syscall", "sockaddr", "path1", "proctitle"]
    call = made["messages"]["syscall"]
    assert (call["syscall"], call["exit"], call["pid"], call["key"]) == ("connect", -115, 2, "netconns_out")
    assert call["auid"] == {"id": 1000, "name": "ada"}
    assert made["messages"]["sockaddr"]["saddr"] == {
        "family": "inet", "port": 443, "ip": "192.0.2.1", "unknown": "0000000000000000",
    }  # fmt: skip
    assert made["messages"]["proctitle"]["proctitle"] == "curl -s"
    assert made["messages"]["path1"]["ouid"] == {"id": 7, "name": "UNKNOWN_USER"}


def test_ecs_has_the_records_only_if_they_are_wanted(users: Users) -> None:
    line = json.dumps(DOCUMENT, separators=(",", ":")).encode()
    assert encoder("ecs", users, original=True)(line) == line
    assert b"original" not in encoder("ecs", users, original=False)(line)
    assert encoder("go-audit", users, original=False)(b'{"event":{}}') == b""


@pytest.mark.parametrize("uid", ["\N{SUPERSCRIPT TWO}", "9" * 5000, "-1", "4294967295"])
def test_ids_that_are_none_have_no_name(users: Users, uid: str) -> None:
    made = go_audit({"event": {"original": f"type=USER_CMD msg=audit(1.000:1): pid=1 uid={uid} ses=1"}}, users)
    assert made
    assert made["uid_map"] == {uid: "UNKNOWN_USER"}


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("-115", -115), ("12x", 12), ("x", 0), ("18446744073709551615", 18446744073709551615),
        ("-9223372036854775808", -9223372036854775808), ("18446744073709551616", 0), ("9" * 5000, 0),
    ],
)  # fmt: skip
def test_numbers_as_ruby_reads_them(users: Users, written: str, read: int) -> None:
    line = json.dumps({"event": {"original": f"type=PATH msg=audit(1.000:1): item=0 inode={written}"}}).encode()
    made = json.loads(encoder("fluentd", users, original=False)(line))
    assert made["messages"]["path0"]["inode"] == read


def test_a_line_that_cannot_be_written_keeps_no_other(tmp_path: Path, users: Users, caplog: Any) -> None:
    target = tmp_path / "events.log"
    good = [json.dumps({**DOCUMENT, "n": number}).encode() for number in range(2)]
    with Writer(tmp_path / "events") as writer:
        output = FileOutput(FileSettings(path=str(target)), tmp_path, encoder("raw", users, original=False))
        with running(output):
            writer.append([good[0], b'{"event":{"original":', b'{"event":{"original":', good[1]])
            wait_for(lambda: output.counts.sent == 2)
        assert output.counts.dead_letters == 2
    assert target.read_text() == (ORIGINAL + "\n") * 2
    assert caplog.text.count("not sent, JSONDecodeError") == 1


def test_a_file_with_mode_and_logrotate(tmp_path: Path) -> None:
    target = tmp_path / "out" / "events.log"
    with Writer(tmp_path / "events") as writer:
        output = FileOutput(FileSettings(path=str(target), mode="0640"), tmp_path, same)
        with running(output):
            writer.append(lines(0, 3))
            wait_for(lambda: target.exists() and target.read_bytes().count(b"\n") == 3)
            assert target.stat().st_mode & 0o777 == 0o640
            target.rename(target.with_suffix(".moved"))
            writer.append(lines(3, 5))
            wait_for(lambda: target.exists() and target.read_bytes().count(b"\n") == 2)
        with running(FileOutput(FileSettings(path=str(target)), tmp_path, same)):
            writer.append(lines(5, 6))
            wait_for(lambda: target.read_bytes().count(b"\n") == 3)
    assert target.read_bytes().splitlines() == lines(3, 6), "a new run goes on where the last one was"


def test_a_file_rotates_itself(tmp_path: Path) -> None:
    target = tmp_path / "events.log"
    settings = FileSettings(path=str(target), max_size=2048, keep=2)
    with Writer(tmp_path / "events") as writer, running(FileOutput(settings, tmp_path, same)) as output:
        for start in range(0, 50, 10):
            writer.append(lines(start, start + 10, padding=300))
            wait_for(lambda done=start + 10: output.counts.sent == done)
    assert target.read_bytes().splitlines() == lines(40, 50, padding=300)
    assert gzip.decompress((tmp_path / "events.log.1.gz").read_bytes()).splitlines() == lines(30, 40, padding=300)
    assert (tmp_path / "events.log.2.gz").exists()
    assert not (tmp_path / "events.log.3.gz").exists()


def test_what_cannot_be_written_waits(tmp_path: Path) -> None:
    target = tmp_path / "there" / "events.log"
    target.parent.write_text("no folder")
    with Writer(tmp_path / "events") as writer:
        output = FileOutput(FileSettings(path=str(target)), tmp_path, same)
        with running(output):
            writer.append(lines(0, 4))
            wait_for(lambda: output.counts.error)
            target.parent.unlink()
            wait_for(lambda: output.counts.sent == 4)
            assert output.counts.error == ""
    assert target.read_bytes().splitlines() == lines(0, 4)


def test_syslog_datagrams(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server, Writer(tmp_path / "events") as writer:
        server.bind(str(path))
        server.settimeout(5)
        settings = SyslogSettings(address=str(path), tag="watch", priority=132)
        with running(SyslogOutput(settings, tmp_path, same)):
            writer.append(lines(7, 8))
            message = server.recv(65536)
    header, _, body = message.partition(b"{")
    assert header == f"<132>1 2023-11-14T22:13:20.123Z one watch {os.getpid()} - - ".encode()
    assert b"{" + body == lines(7, 8)[0]


@pytest.mark.parametrize("network", ["tcp", "tls"])
def test_syslog_streams_survive_a_broken_connection(tmp_path: Path, network: str) -> None:
    context = None
    authority = make_authority()
    (tmp_path / "ca.crt").write_bytes(authority.pem)
    if network == "tls":
        certificate, key = authority.issue("localhost", ["localhost"])
        (tmp_path / "server.crt").write_bytes(certificate)
        (tmp_path / "server.key").write_bytes(key)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tmp_path / "server.crt", tmp_path / "server.key")
    received: list[bytes] = []

    def take(server: socket.socket) -> None:
        for _ in range(2):
            connection, _ = server.accept()
            if context is not None:
                connection = context.wrap_socket(connection, server_side=True)
            with connection, connection.makefile("rb") as stream:
                size = int(b"".join(iter(lambda: stream.read(1), b" ")))
                received.append(stream.read(size))

    with socket.create_server(("127.0.0.1", 0)) as server, Writer(tmp_path / "events") as writer:
        thread = threading.Thread(target=take, args=(server,), daemon=True)
        thread.start()
        address = f"localhost:{server.getsockname()[1]}"
        settings = SyslogSettings(network=network, address=address, ca=str(tmp_path / "ca.crt"))  # type: ignore[arg-type]
        with running(SyslogOutput(settings, tmp_path, same)):
            for number in range(2):
                writer.append(lines(number, number + 1))
                wait_for(lambda at_least=number + 1: len(received) == at_least)
                # The server closes: what is sent into that connection would be lost unsaid.
                time.sleep(0.1)
        thread.join(5)
    assert [message.partition(b"{")[2] for message in received] == [line[1:] for line in lines(0, 2)]


LONG: dict[str, dict[str, Any]] = {
    "many arguments": {"args": ["A" * 8] * 60_000},
    "one long argument": {"command_line": "/bin/true " + "A" * 400_000},
    "both": {"args": ["B" * 100_000] * 5, "title": "C" * 300_000},
}


@pytest.mark.parametrize("long", LONG)
@pytest.mark.parametrize("network", ["unixgram", "udp"])
def test_what_is_too_long_for_a_datagram_is_shortened_and_keeps_no_other_back(
    tmp_path: Path, long: str, network: str
) -> None:
    """An unprivileged user could silence the log for good by `/bin/true $(100,000 × A)`."""
    document = {**json.loads(lines(1, 2)[0]), "process": LONG[long]}
    family = socket.AF_UNIX if network == "unixgram" else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as server, Writer(tmp_path / "events") as writer:
        server.bind(str(tmp_path / "log") if network == "unixgram" else ("127.0.0.1", 0))
        server.settimeout(5)
        address = str(tmp_path / "log") if network == "unixgram" else f"127.0.0.1:{server.getsockname()[1]}"
        settings = SyslogSettings(network=network, address=address)  # type: ignore[arg-type]
        output = SyslogOutput(settings, tmp_path, same)
        with running(output):
            writer.append([json.dumps(document).encode(), *lines(2, 3)])
            messages = [server.recv(1 << 20) for _ in range(2)]
    first, second = (json.loads(message[message.index(b"{") :]) for message in messages)
    assert (first["n"], second["n"]) == (1, 2)
    assert "left out]" in json.dumps(first["process"])
    assert (output.counts.sent, output.counts.shortened, output.counts.dead_letters) == (2, 1, 0)


def test_text_that_is_too_long_is_cut(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server, Writer(tmp_path / "events") as writer:
        server.bind(str(tmp_path / "log"))
        server.settimeout(5)
        output = SyslogOutput(SyslogSettings(address=str(tmp_path / "log")), tmp_path, lambda _: b"type=X " * 60_000)
        with running(output):
            writer.append(lines(1, 2))
            message = server.recv(1 << 20)
    assert message.endswith(b"bytes left out]")
    assert output.counts.shortened == 1


def test_a_message_that_gelf_cannot_carry_is_shortened(tmp_path: Path) -> None:
    noise = base64.b85encode(random.Random(5).randbytes(400_000)).decode()
    document = {**json.loads(lines(1, 2)[0]), "process": {"command_line": noise}}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server, Writer(tmp_path / "events") as writer:
        server.bind(("127.0.0.1", 0))
        server.settimeout(5)
        output = GelfOutput(GelfSettings(address=f"127.0.0.1:{server.getsockname()[1]}"), tmp_path, same)
        with running(output):
            writer.append([json.dumps(document).encode(), *lines(2, 3)])
            parts = [server.recv(65536)]
            while len(parts) < parts[0][11]:
                parts.append(server.recv(65536))
            following = json.loads(zlib.decompress(server.recv(65536), 31))
    whole = zlib.decompress(b"".join(part[12:] for part in sorted(parts, key=lambda part: part[10])), 31)
    assert json.loads(json.loads(whole)["short_message"])["process"]["command_line"].endswith("characters left out]")
    assert json.loads(following["short_message"])["n"] == 2
    assert output.counts.shortened == 1


def test_gelf_in_chunks(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server, Writer(tmp_path / "events") as writer:
        server.bind(("127.0.0.1", 0))
        server.settimeout(5)
        settings = GelfSettings(address=f"127.0.0.1:{server.getsockname()[1]}", compression="none")
        with running(GelfOutput(settings, tmp_path, same)):
            writer.append(lines(1, 2, padding=3000))
            parts = [server.recv(65536)]
            while len(parts) < parts[0][11]:
                parts.append(server.recv(65536))
    assert all(len(part) <= CHUNK + 12 and part[:2] == b"\x1e\x0f" for part in parts)
    assert len({part[2:10] for part in parts}) == 1
    message = json.loads(b"".join(part[12:] for part in sorted(parts, key=lambda part: part[10])))
    assert message["version"] == "1.1"
    assert message["timestamp"] == pytest.approx(1700000000.123)
    assert message["short_message"].encode() == lines(1, 2, padding=3000)[0]


def test_gelf_compressed_and_by_tcp(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server, Writer(tmp_path / "events") as writer:
        server.bind(("127.0.0.1", 0))
        server.settimeout(5)
        with running(GelfOutput(GelfSettings(address=f"127.0.0.1:{server.getsockname()[1]}"), tmp_path, same)):
            writer.append(lines(1, 2))
            assert json.loads(zlib.decompress(server.recv(65536), 31))["host"] == "one"
    with socket.create_server(("127.0.0.1", 0)) as listener, Writer(tmp_path / "more" / "events") as writer:
        settings = GelfSettings(network="tcp", address=f"127.0.0.1:{listener.getsockname()[1]}")
        with running(GelfOutput(settings, tmp_path / "more", same)):
            writer.append(lines(1, 3))
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(5)
                data = b""
                while data.count(b"\0") < 2:
                    data += connection.recv(65536)
    assert [json.loads(part)["level"] for part in data.split(b"\0")[:2]] == [6, 6]


GO_AUDIT = """
socket_buffer: {receive: 1048576}
events: {min: 1300, max: 1399}
message_tracking: {enabled: true, log_out_of_order: false, max_out_of_order: 500}
output:
  stdout: {enabled: false, attempts: 2}
  syslog: {enabled: false, attempts: 5, network: unixgram, address: /dev/log, priority: 129, tag: audit-thing}
  file: {enabled: true, attempts: 2, path: /var/log/go-audit.log, mode: 0600, user: root, group: root}
  gelf: {enabled: false, attempts: 3, network: udp, address: "localhost:12201", compression: {level: 1, type: 0}}
log: {flags: 0}
rules:
  - -a exit,always -F arch=b64 -S execve
  - -e 1
filters:
  - {syscall: 49, message_type: 1306, regex: "saddr=(10..|0A..)"}
extras: {containers: {enabled: false}}
"""


def test_a_go_audit_yaml_is_taken_as_it_is(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "go-audit.yaml"
    path.write_text(GO_AUDIT)
    caplog.set_level("INFO")
    settings = read_settings(path, {})
    assert settings.kernel.receive_buffer == 1048576
    assert settings.rules.lines == ["-a exit,always -F arch=b64 -S execve", "-e 1"]
    assert not settings.rules.default
    assert (settings.documents.min_type, settings.documents.max_type) == (1300, 1399)
    assert settings.outputs.file == FileSettings(
        enabled=True, form="go-audit", path="/var/log/go-audit.log", mode="0600", user="root", group="root"
    )
    assert settings.outputs.syslog.priority == 129
    assert settings.outputs.gelf.address == "localhost:12201"
    assert settings.outputs.needs_original
    assert [entry.syscall for entry in settings.filters] == [49]
    assert "go-audit.yaml is a go-audit.yaml" in caplog.text
    assert "message_tracking.enabled has no meaning here" in caplog.text


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (("stdout: {enabled: false", "stdout: {enabled: true"), "only one output"),
        (("output:\n", "output:\n  kafka: {enabled: true}\n"), "output.kafka"),
        (("message_type: 1306, ", ""), "filter 1 needs"),
        (("network: udp", "network: smoke"), "outputs.gelf.network"),
        (("path: /var", "pth: /var"), "unknown key `output.file.pth` in a go-audit.yaml; did you mean path?"),
        (("type: 0", "type: 7"), "outputs.gelf.compression: '7' is not valid"),
        (("type: 0", "type: [0]"), r"outputs.gelf.compression: '\[0\]' is not valid"),
        (("filters:\n  -", "filters: 5\nother:\n  -"), "unknown key `other`"),
        (("extras:", "kernel: {mode: auto}\nextras:"), "unknown key `kernel` in a go-audit.yaml"),
    ],
)
def test_errors_in_a_go_audit_yaml_name_the_key(tmp_path: Path, change: tuple[str, str], error: str) -> None:
    path = tmp_path / "go-audit.yaml"
    path.write_text(GO_AUDIT.replace(*change))
    with pytest.raises(SettingsError, match=error):
        read_settings(path, {}, go_audit=True)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("log: {flags: 0}\n", "log"),
        ("events: {min: 1300}\n", "events"),
        ("kernel: {mode: auto}\nextras: {}\n", "extras"),
        ("output: {stdout: {enabled: true}}\n", "output"),
        ("rules: [-e 1]\n", "rules"),
    ],
)
def test_a_stray_key_of_go_audit_does_not_make_a_file_one(tmp_path: Path, text: str, key: str) -> None:
    path = tmp_path / "auditdeck.yaml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=key) as raised:
        read_settings(path, {})
    assert key == "rules" or "--go-audit" in str(raised.value)


def test_what_go_audit_has_beside_its_outputs_of_today(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "go-audit.yaml"
    path.write_text(
        "canary: true\nrules: [-e 1]\noutput: {syslog: {enabled: true, attempts: 15}, http: {enabled: false}}\n"
    )
    syslog = read_settings(path, {}).outputs.syslog
    assert (syslog.enabled, syslog.tag, syslog.priority) == (True, "go-audit", 132)
    assert "go-audit.yaml:1: canary has no meaning here" in caplog.text
    assert "go-audit.yaml:3: output.syslog.attempts has no meaning here" in caplog.text


def test_a_file_named_with_go_audit_is_one(tmp_path: Path) -> None:
    path = tmp_path / "some.yaml"
    path.write_text("rules: [-e 1]\n")
    assert read_settings(path, {}, go_audit=True).rules.lines == ["-e 1"]
    both = auditdeck("run", "--config", path, "--go-audit", path)
    assert (both.status, both.stderr) == (2, "--config and --go-audit both name the settings; use one of them")


def test_defaults_send_nothing_anywhere() -> None:
    outputs = Settings().outputs
    sections = (outputs.elasticsearch, outputs.file, outputs.stdout, outputs.syslog, outputs.gelf)
    assert not any(section.enabled for section in sections)
