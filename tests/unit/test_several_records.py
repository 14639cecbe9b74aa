"""Events with several records of one type: nothing that one of them says is lost, and what was lost is marked."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from auditdeck.audit.event import Event
from auditdeck.audit.log import Reading
from auditdeck.ecs.template import Encoder
from tests.unit.test_documents import context, plainly

# Lines in the form of kernel/auditsc.c (SYSCALL, OBJ_PID, EXECVE), kernel/time/ntp.c (TIME_ADJNTPVAL) and
# security/selinux/avc.c (AVC, AVC_PATH).
SYSCALL = (
    "type=SYSCALL msg=audit(1700000000.123:42): arch=c000003e syscall=%d success=yes exit=0 a0=1 a1=2 a2=3 a3=4 "
    'items=0 ppid=1 pid=7 auid=1000 uid=0 gid=0 euid=0 suid=0 fsuid=0 egid=0 sgid=0 fsgid=0 tty=(none) ses=1 comm="x" '
    'exe="/usr/bin/x" key="k"'
)
ADJTIMEX, KILL, EXECVE, OPENAT = (SYSCALL % number for number in (159, 62, 59, 257))


def line(kind: str, body: str) -> str:
    return f"type={kind} msg=audit(1700000000.123:42): {body}"


@pytest.fixture
def made(tmp_path: Path) -> Any:
    """The event of a log with its document, which both ways agree on, read with and without the compiled part."""

    def made(*lines: str) -> tuple[Event, Any]:
        log = "".join(f"{line}\n" for line in (*lines, line("PROCTITLE", 'proctitle="x"'))).encode()
        [event] = Reading("log").events(io.BytesIO(log))
        [plain] = Reading("log").events(io.BytesIO(log), compiled=False)
        expected = plainly(plain, context(tmp_path))
        encoder = Encoder(context(tmp_path), socket_events=True)
        assert [encoder.encode(event) for _ in range(3)] == [expected] * 3
        return event, json.loads(expected)

    return made


@pytest.mark.parametrize(
    ("lines", "data"),
    [
        (
            [
                ADJTIMEX,
                line("TIME_ADJNTPVAL", "op=status old=64 new=8256"),
                line("TIME_ADJNTPVAL", "op=maxerror old=1 new=8256"),
            ],
            {"op": ["status", "maxerror"], "old": ["64", "1"], "new": "8256"},
        ),
        (
            [
                KILL,
                line("OBJ_PID", 'opid=11 oauid=1000 ouid=1000 oses=1 obj=a:b:c:s0 ocomm="sleep"'),
                line("OBJ_PID", 'opid=12 oauid=1000 ouid=1000 oses=1 obj=a:b:c:s0 ocomm="cat"'),
            ],
            {"opid": ["11", "12"], "ocomm": ["sleep", "cat"], "ouid": "1000"},
        ),
        (
            [
                OPENAT,
                line("AVC", 'avc:  denied  { read } for  pid=7 comm="x" name="a" tcontext=t1 tclass=file permissive=1'),
                line("AVC", 'avc:  denied  { open } for  pid=7 comm="x" name="b" tcontext=t2 tclass=file permissive=1'),
            ],
            {"seperms": ["read", "open"], "tcontext": ["t1", "t2"], "name": ["a", "b"], "tclass": "file"},
        ),
    ],
)
def test_every_value_is_kept(made: Any, lines: list[str], data: dict[str, Any]) -> None:
    found = made(*lines)[1]["auditd"]["data"]
    assert {name: found[name] for name in data} == data


def test_equal_records_stay(made: Any) -> None:
    path = line("AVC_PATH", 'path="/etc/shadow"')
    event, document = made(OPENAT, path, path)
    assert [record.kind for record in event.records] == [1300, 1402, 1402, 1327]
    assert document["auditd"]["data"]["path"] == "/etc/shadow"


@pytest.mark.parametrize(
    ("bodies", "args", "count", "lost"),
    [
        (['argc=2 a0="ls" a1="-l"'], ["ls", "-l"], 2, False),
        (['argc=3 a0="ls" a1="-l"', 'a2="/"'], ["ls", "-l", "/"], 3, False),
        (['a1="-l" a2="/"'], ["-l", "/"], 2, True),
        (['argc=3 a0="ls" a1="-l"'], ["ls", "-l"], 3, True),
        (["a1[1]=6162", 'a2="/"'], ["ab", "/"], 2, True),
    ],
)
def test_a_list_of_arguments_that_is_not_whole_is_marked(
    made: Any, bodies: list[str], args: list[str], count: int, lost: bool
) -> None:
    document = made(EXECVE, *(line("EXECVE", body) for body in bodies))[1]
    assert (document["process"]["args"], document["process"]["args_count"]) == (args, count)
    assert document.get("auditdeck", {}).get("incomplete", False) is lost
    assert document["auditd"]["data"].get("argc") == (str(count) if bodies[0].startswith("argc") else None)
