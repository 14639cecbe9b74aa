"""auditd's ENRICHED format: its names are shown and not this host's, also where its separator was lost on the way."""

from __future__ import annotations

import io
import json
import time
from pathlib import Path
from typing import Any

import pytest

from auditdeck.audit.log import Reading
from auditdeck.audit.record import without_names
from auditdeck.ecs.template import Encoder
from tests.support.run import auditdeck
from tests.unit.test_documents import context, plainly

# As format_enrich of audit-userspace's src/auditd-event.c writes them: uid 0 is root here, and toor there.
BODIES = [
    ("SYSCALL", "arch=c000003e syscall=59 success=yes exit=0 a0=1 a1=2 a2=3 a3=4 items=1 ppid=1 pid=7 auid=1000 "
     "uid=1000 gid=1000 euid=0 suid=0 fsuid=0 egid=0 sgid=0 fsgid=0 tty=(none) ses=1 "
     'comm="x" exe="/usr/bin/x" key=(null)',
     'ARCH=x86_64 SYSCALL=execve AUID="alice" UID="alice" GID="staff" EUID="toor" SUID="toor" FSUID="toor" '
     'EGID="wheel" SGID="wheel" FSGID="wheel"'),
    ("EXECVE", 'argc=2 a0="x" a1="UID=0"', ""),
    ("PATH", 'item=0 name="/etc/x" inode=1 dev=fe:00 mode=0100644 ouid=0 ogid=1000 rdev=00:00 nametype=NORMAL',
     'OUID="toor" OGID="staff"'),
    ("SOCKADDR", "saddr=020001BB08080808", "SADDR={ saddr_fam=inet laddr=8.8.8.8 lport=443 }"),
    ("PROCTITLE", 'proctitle="x"', ""),
]  # fmt: skip
LOGIN = (
    'pid=9 uid=0 auid=1000 ses=2 msg=\'op=login id=1000 exe="/usr/sbin/sshd" hostname=? addr=192.0.2.9 terminal=ssh '
    "res=success'",
    'UID="toor" AUID="alice" ID="alice"',
)


def log_of(separator: str) -> str:
    made = [
        f"node=web type={kind} msg=audit(1700000000.123:42): {body}{separator if names else ''}{names}\n"
        for kind, body, names in BODIES
    ]
    return "".join(made) + f"node=web type=USER_LOGIN msg=audit(1700000001.123:43): {LOGIN[0]}{separator}{LOGIN[1]}\n"


@pytest.fixture(params=["\x1d", " ", "", "#035", "\\x1d"], ids=["kept", "blank", "nothing", "syslog", "escaped"])
def log(request: pytest.FixtureRequest) -> str:
    return log_of(request.param)


def test_documents_have_auditd_s_names(tmp_path: Path, log: str) -> None:
    events = list(Reading("log").events(io.BytesIO(log.encode())))
    lines = [plainly(event, context(tmp_path)) for event in events]
    encoder = Encoder(context(tmp_path), socket_events=True)
    assert [encoder.encode(event) for event in events] == lines
    call, login = map(json.loads, lines)
    assert call["user"]["name"] == call["user"]["audit"]["name"] == "alice"
    assert call["user"]["effective"] == {"id": "0", "name": "toor", "group": {"id": "0", "name": "wheel"}}
    assert call["auditd"]["paths"][0]["ouid_name"] == "toor"
    assert call["process"]["args"] == ["x", "UID=0"]
    assert "tags" not in call
    assert (login["user"]["name"], login["user"]["target"]["name"]) == ("toor", "alice")
    assert login["event"]["outcome"] == "success"
    for document in (call, login):
        assert not [name for name in document["auditd"]["data"] if name.isupper()]


def shown(tmp_path: Path, log: str, *options: str) -> list[str]:
    file = tmp_path / "audit.log"
    file.write_text(log)
    return auditdeck("search", "-if", file, *options).stdout.splitlines()


def test_a_search_shows_auditd_s_names(tmp_path: Path, log: str) -> None:
    lines = shown(tmp_path, log, "-i", "-m", "SYSCALL")
    assert lines[0] == "----"
    assert [line.partition(" msg=")[0] for line in lines[1:]] == [
        f"node=web type={kind}" for kind, _, _ in reversed(BODIES)
    ]
    assert " auid=alice uid=alice gid=staff euid=toor suid=toor fsuid=toor egid=wheel " in lines[-1]
    assert " ouid=toor ogid=staff " in lines[3]
    login = shown(tmp_path, log, "-i", "-m", "USER_LOGIN")[-1]
    assert "uid=toor auid=alice" in login
    assert "id=alice exe=" in login


def test_raw_is_what_was_there(tmp_path: Path, log: str) -> None:
    assert shown(tmp_path, log, "-r") == log.splitlines()


def test_the_default_form_keeps_the_node(tmp_path: Path) -> None:
    lines = shown(tmp_path, log_of("\x1d"), "-m", "PATH")
    assert lines[-1] == f"node=web type=SYSCALL msg=audit(1700000000.123:42): {BODIES[0][1]}"
    assert lines[0] == "----"


@pytest.mark.parametrize(
    "body",
    [
        'argc=2 a0="env" a1="UID=0"',
        'argc=2 a0=414141 a1="UID="',
        'argc=3 a0="UID=" a1="ARCH=" a2="x"',
        "pid=1 uid=0 msg='op=x UID=\"root\" res=success'",
        "pid=1 uid=0 msg='op=x UID=0'",
        'item=0 name="/x/UID=0" nametype=NORMAL',
        "pid=1 uid=0 msg='op=x \x1dUID=\"root\"'",
        "pid=1 uid=0 msg='op=x' UID=\"root\" '",
    ],
)
def test_what_programs_wrote_is_not_taken_for_names(body: str) -> None:
    assert without_names(body.encode()) == (body.encode(), b"")


def test_a_name_that_auditd_did_not_know_is_not_looked_up_here(tmp_path: Path) -> None:
    log = log_of("\x1d").replace('EUID="toor"', 'EUID="unknown(0)"').replace('OUID="toor"', 'OUID="unknown(0)"')
    [event, _] = Reading("log").events(io.BytesIO(log.encode()))
    made: Any = json.loads(plainly(event, context(tmp_path)))
    assert made["user"]["effective"] == {"id": "0", "group": {"id": "0", "name": "wheel"}}
    assert "ouid_name" not in made["auditd"]["paths"][0]


def test_names_are_found_in_linear_time() -> None:
    began = time.process_time()
    for piece in (b"UID=", b"UID=a ", b'UID="', b"UID={", b'UID="a" ', b"#035UID=x"):
        for end in (b"", b"'"):
            without_names(piece * (1 << 15) + end)
    assert time.process_time() - began < 2.0
