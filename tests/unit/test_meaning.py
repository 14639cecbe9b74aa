"""What documents say of an event beyond its fields."""

from __future__ import annotations

from pathlib import Path

import pytest

from auditdeck.audit.event import Event
from auditdeck.ecs.document import document
from auditdeck.ecs.people import program_of
from tests.unit.test_documents import context

OPENAT = (
    b"arch=c000003e syscall=257 success=yes exit=3 a0=ffffff9c a1=1 a2=241 a3=1b6 items=2 ppid=1 pid=7 auid=0 uid=0 "
    b'gid=0 euid=0 suid=0 fsuid=0 egid=0 sgid=0 fsgid=0 tty=(none) ses=1 comm="sh" exe="/usr/bin/dash" key="k"'
)


@pytest.mark.parametrize(("nametype", "types"), [(b"CREATE", ["access", "creation"]), (b"NORMAL", ["access"])])
def test_an_open_that_made_the_file_is_a_creation(tmp_path: Path, nametype: bytes, types: list[str]) -> None:
    """open(2) with O_CREAT: the kernel's PATH record says which of both it was (audit_inode_child)."""
    lines = [
        (1300, OPENAT),
        (1307, b'cwd="/tmp"'),
        (1302, b'item=0 name="/tmp/" inode=1 dev=fe:00 mode=041777 ouid=0 ogid=0 rdev=00:00 nametype=PARENT'),
        (1302, b'item=1 name="x" inode=2 dev=fe:00 mode=0100644 ouid=0 ogid=0 rdev=00:00 nametype=' + nametype),
    ]
    event = Event(b"1.000:1", [(kind, b"audit(1.000:1): " + body) for kind, body in lines])
    made = document(event, context(tmp_path))
    assert (made["event"]["type"], made["file"]["path"]) == (types, "/tmp/x")


@pytest.mark.parametrize(
    ("fields", "program"),
    [
        ({"exe": "/usr/sbin/sshd"}, {"executable": "/usr/sbin/sshd"}),
        ({"exe": "/usr/bin/python3.11", "comm": "web"}, {"name": "web", "executable": "/usr/bin/python3.11"}),
        ({"comm": "kworker/0:1"}, {"name": "kworker/0:1"}),
        ({}, {}),
    ],
)
def test_the_name_of_a_program(fields: dict[str, str], program: dict[str, str]) -> None:
    assert program_of(fields) == program
