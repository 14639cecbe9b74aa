"""Targets that hang, close, accept slowly or fill: what arrives, and that nothing else is held up."""

from __future__ import annotations

import fcntl
import json
import os
import resource
import select
import socket
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from auditdeck.eventlog.writer import Writer
from auditdeck.outputs.elasticsearch import ElasticsearchOutput
from auditdeck.outputs.file import FileOutput
from auditdeck.outputs.formats.encode import same
from auditdeck.outputs.gelf import GelfOutput
from auditdeck.outputs.output import Output
from auditdeck.outputs.outputs import stop_outputs
from auditdeck.outputs.shorten import shortened
from auditdeck.outputs.syslog import SyslogOutput
from auditdeck.settings.model import ElasticsearchSettings, FileSettings, GelfSettings, SyslogSettings
from tests.support.waiting import wait_for


def lines(first: int, last: int, padding: int = 1000) -> list[bytes]:
    common = {"@timestamp": "2023-11-14T22:13:20.123Z", "event": {"id": "17.000:1"}, "host": {"name": "one"}}
    return [json.dumps({**common, "n": number, "x": "y" * padding}).encode() for number in range(first, last)]


def log(folder: Path, count: int) -> None:
    with Writer(folder / "events") as writer:
        for first in range(0, count, 1000):
            writer.append(lines(first, min(count, first + 1000)))


@contextmanager
def listener(receive: int = 0) -> Iterator[tuple[socket.socket, str]]:
    """A socket that listens on loopback, and its address; `receive`: bytes of a connection's buffer."""
    with socket.socket() as server:
        if receive:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
        server.bind(("127.0.0.1", 0))
        server.listen()
        server.settimeout(10)
        yield server, f"127.0.0.1:{server.getsockname()[1]}"


def frames(data: bytes) -> list[int]:
    """The numbers of the messages in octet counting (RFC 6587), also if the last one is cut."""
    found = []
    while data:
        size, _, data = data.partition(b" ")
        message, data = data[: int(size)], data[int(size) :]
        if len(message) == int(size):
            found.append(json.loads(message[message.index(b"{") :])["n"])
    return found


def read_until_idle(connection: socket.socket, pause: float = 0, at_once: int = 1 << 20) -> bytes:
    data = b""
    while select.select([connection], [], [], 1.5)[0] and (part := connection.recv(at_once)):
        data += part
        time.sleep(pause)
    return data


def outputs_of(folder: Path, address: str) -> dict[str, Output]:
    host, port = address.split(":")
    elasticsearch = ElasticsearchSettings(hosts=[f"http://{host}:{port}"], compression="off", timeout=60)
    return {
        "elasticsearch": ElasticsearchOutput(elasticsearch, folder, same),
        "syslog": SyslogOutput(SyslogSettings(network="tcp", address=address), folder, same),
        "gelf": GelfOutput(GelfSettings(network="tcp", address=address), folder, same),
    }


@pytest.mark.parametrize("accepts", [False, True])
def test_targets_that_hang_hold_nothing_up_and_memory_stays(tmp_path: Path, *, accepts: bool) -> None:
    log(tmp_path, 30_000)
    target = tmp_path / "events.log"
    with listener() as (server, address):
        taken: list[socket.socket] = []
        if accepts:
            threading.Thread(target=lambda: [taken.append(server.accept()[0]) for _ in range(4)], daemon=True).start()
        hanging = list(outputs_of(tmp_path, address).values())
        file = FileOutput(FileSettings(path=str(target)), tmp_path, same)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for output in [*hanging, file]:
            output.start()
        wait_for(lambda: file.counts.sent == 30_000)
        began = time.monotonic()
        stop_outputs([*hanging, file], 0.5)
        took = time.monotonic() - began
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        assert all(output.counts.sent == 0 and output.behind() for output in hanging)
        for connection in taken:
            connection.close()
    assert took < 6
    assert grown < 100, "MB; the log is 33, and there are three that hang"


HANG = """
import sys
from pathlib import Path
from auditdeck.outputs.file import StdoutOutput
from auditdeck.outputs.formats.encode import same
from tests.unit.test_targets import outputs_of
outputs = [*outputs_of(Path(sys.argv[1]), sys.argv[2]).values(), StdoutOutput(Path(sys.argv[1]), same)]
for output in outputs:
    output.start()
sys.stdin.readline()
from auditdeck.outputs.outputs import stop_outputs
stop_outputs(outputs, 0.1)
"""


def test_a_process_ends_though_all_its_targets_hang(tmp_path: Path) -> None:
    log(tmp_path, 2000)
    with listener() as (_, address):
        process = subprocess.Popen(
            [sys.executable, "-c", HANG, str(tmp_path), address],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        time.sleep(1)
        began = time.monotonic()
        assert process.stdin
        process.stdin.write(b"\n")
        process.stdin.flush()
        assert process.wait(10) == 0
        assert time.monotonic() - began < 8
        assert process.stderr
        assert process.stderr.read() == b""
        for stream in (process.stdin, process.stdout, process.stderr):
            assert stream
            stream.close()


def test_a_slow_reader_gets_everything_once(tmp_path: Path) -> None:
    log(tmp_path, 1500)
    with listener(receive=4096) as (server, address):
        output = SyslogOutput(SyslogSettings(network="tcp", address=address), tmp_path, same)
        output.start()
        connection, _ = server.accept()
        with connection:
            data = read_until_idle(connection, 0.005, 16384)
        output.stop(0)
    assert frames(data) == list(range(1500))
    assert output.counts.sent == 1500


def test_what_a_closing_server_had_not_acknowledged_is_sent_again(tmp_path: Path) -> None:
    log(tmp_path, 1000)
    with listener(receive=4096) as (server, address):
        output = SyslogOutput(SyslogSettings(network="tcp", address=address), tmp_path, same)
        output.start()
        first, _ = server.accept()
        time.sleep(0.5)
        unread = int.from_bytes(fcntl.ioctl(first.fileno(), termios.FIONREAD, b"\0" * 4), sys.byteorder)
        first.close()
        second, _ = server.accept()
        with second:
            found = frames(read_until_idle(second))
        output.stop(0)
    assert unread > 0
    assert found[0] <= unread // 1000, "no more is lost than lay unread in the server"
    assert found == list(range(found[0], 1000))


def test_a_server_that_closes_at_once_gets_everything_when_it_no_longer_does(tmp_path: Path) -> None:
    log(tmp_path, 200)
    folder = tmp_path / "server"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(folder))
        server.listen()
        server.settimeout(10)
        output = SyslogOutput(SyslogSettings(network="unix", address=str(folder)), tmp_path, same)
        output.start()
        for _ in range(3):
            server.accept()[0].close()
        connection, _ = server.accept()
        with connection:
            found = frames(read_until_idle(connection))
        wait_for(lambda: output.counts.sent == 200)
        output.stop(0)
    assert found == list(range(200))


def test_a_datagram_socket_that_nobody_reads_loses_nothing(tmp_path: Path) -> None:
    log(tmp_path, 500)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(tmp_path / "log"))
        server.settimeout(10)
        settings = SyslogSettings(address=str(tmp_path / "log"))
        output = SyslogOutput(settings, tmp_path, same)
        output.start()
        time.sleep(0.5)
        assert output.counts.sent == 0
        messages = [server.recv(65536) for _ in range(500)]
        wait_for(lambda: output.counts.sent == 500)
        output.stop(0)
    assert [json.loads(message[message.index(b"{") :])["n"] for message in messages] == list(range(500))


@pytest.mark.parametrize("path", ["/dev/null", "fifo"])
def test_a_file_that_is_none_can_be_written(tmp_path: Path, path: str, caplog: pytest.LogCaptureFixture) -> None:
    log(tmp_path, 20)
    target = tmp_path / path
    mode = os.stat("/dev/null").st_mode
    if path == "fifo":
        os.mkfifo(target)
    output = FileOutput(FileSettings(path=str(target)), tmp_path, same)
    output.start()
    wait_for(lambda: output.counts.sent == 20 and not output.behind())
    if path == "fifo":
        with open(os.open(target, os.O_RDONLY | os.O_NONBLOCK), "rb", buffering=0) as fifo:
            assert fifo.read(1 << 16) == b"".join(line + b"\n" for line in lines(0, 20))
    output.stop(0)
    assert not caplog.records
    assert os.stat("/dev/null").st_mode == mode


def test_what_is_in_a_file_that_its_cursor_does_not_know_is_not_doubled(tmp_path: Path) -> None:
    """A new file, begun after the cursor was saved: whoever moved the old one away, and whatever ended the run."""
    log(tmp_path, 30)
    target = tmp_path / "events.log"
    target.write_bytes(b"".join(line + b"\n" for line in lines(0, 20)) + lines(20, 21)[0][:100])
    output = FileOutput(FileSettings(path=str(target)), tmp_path, same)
    output.start()
    wait_for(lambda: output.counts.sent == 30)
    output.stop(0)
    assert target.read_bytes() == b"".join(line + b"\n" for line in lines(0, 30))


def test_a_file_of_somebody_else_gets_nothing_where_others_may_write(tmp_path: Path) -> None:
    log(tmp_path, 3)
    folder = tmp_path / "shared"
    folder.mkdir()
    os.chmod(folder, 0o1777)
    target = folder / "events.log"
    target.touch()
    os.chown(target, 1234, 1234)
    output = FileOutput(FileSettings(path=str(target)), tmp_path, same)
    output.start()
    wait_for(lambda: "belongs to somebody else" in output.counts.error)
    assert target.read_bytes() == b""
    target.unlink()
    wait_for(lambda: output.counts.sent == 3)
    output.stop(0)


def test_any_document_fits_a_datagram_in_the_end() -> None:
    fields = {f"field{number}": "v" * 50 for number in range(20_000)}
    document = {"@timestamp": "2023-11-14T22:13:20.123Z", "auditd": {"data": fields}, "args": [fields, fields]}
    made = list(shortened(b"<14>1 - - " + json.dumps(document).encode()))
    last = json.loads(made[-1].removeprefix(b"<14>1 - - "))
    assert len(made[-1]) < 8192
    assert last["@timestamp"] == document["@timestamp"]
    assert last["auditd"]["data"]["shortened"] == "19992 members left out"
