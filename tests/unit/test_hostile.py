"""Records that somebody wrote to be in the way: none ends a thread, none takes longer than its length is worth."""

from __future__ import annotations

import io
import time

import pytest

from auditdeck.audit.event import Event
from auditdeck.audit.fields import raw_fields
from auditdeck.audit.log import Reading
from auditdeck.context.users import Users
from auditdeck.ecs.context import offline_context
from auditdeck.ecs.document import document
from auditdeck.ecs.lines import interpreted_lines
from auditdeck.ecs.redaction import Redactor

HEAD = b"audit(1700000000.123:9): "
USER_CMD, SYSCALL, AVC, EXECVE, PROCTITLE = 1123, 1300, 1400, 1309, 1327
PIECES = [
    b"a", b"a-", b"a=", b"a='b ", b"msg='", b"msg='x ", b"a=\"b ", b"a={", b"a={b ", b"x='a='", b"{", b"'", b"' ", b"=",
    b"avc:  denied  { a } for ", b"key=\x1d", b"\x1d", b"a1[0]=", b"a0=", b"proctitle=", b"cmd=", b"subj=a:b:", b"\xff",
]  # fmt: skip


def spent(kind: int, body: bytes) -> float:
    """CPU seconds for everything that is done with a record."""
    event = Event(HEAD[6:-3], [(kind, HEAD + body)])
    began = time.process_time()
    raw_fields(body)
    document(event, offline_context(), original=True)
    list(interpreted_lines(event, Users()))
    Redactor().record(kind, body)
    return time.process_time() - began


@pytest.mark.parametrize("kind", [USER_CMD, SYSCALL, AVC, EXECVE, PROCTITLE])
@pytest.mark.parametrize("piece", PIECES)
def test_no_record_takes_longer_than_it_is(kind: int, piece: bytes) -> None:
    assert spent(kind, piece * (64_000 // len(piece))) < 1.0


@pytest.mark.parametrize("levels", [5, 50, 1100, 10_000])
def test_nested_messages_end_nothing(levels: int) -> None:
    """CAP_AUDIT_WRITE, which Docker gives by default, is enough to send one."""
    spent(USER_CMD, b"pid=1 uid=0 " + b"msg='" * levels + b"cmd=6C73" + b"'" * levels)


def lines(nodes: int, count: int, *, skew: int = 0) -> bytes:
    """Events without PROCTITLE and EOE of several hosts, their records in turn; clocks `skew` ms apart."""
    made = []
    for serial in range(count // nodes):
        for kind, body in ((b"SYSCALL", b"arch=c000003e syscall=42 a0=3"), (b"SOCKADDR", b"saddr=020001BB08080808")):
            for node in range(nodes):
                time_of = 1_700_000_000_000 + serial + node * skew
                stamp = b"%d.%03d:%d" % (time_of // 1000, time_of % 1000, serial)
                name = b"node=n%d " % node if nodes > 1 else b""
                made.append(b"%btype=%b msg=audit(%b): %b\n" % (name, kind, stamp, body))
    return b"".join(made)


def reading_time(log: bytes) -> float:
    began = time.process_time()
    events = list(Reading("log").events(io.BytesIO(log), compiled=False))
    assert {len(event.items) for event in events} == {2}
    assert sum(len(event.items) for event in events) == log.count(b"\n")
    return time.process_time() - began


@pytest.mark.parametrize(("nodes", "skew"), [(2, 0), (20, 0), (300, 0), (2, 3_600_000), (20, -5_000)])
def test_hosts_in_turn_cost_no_more_than_one(nodes: int, skew: int) -> None:
    count = 6000
    assert reading_time(lines(nodes, count, skew=skew)) < 10 * reading_time(lines(1, count))


@pytest.mark.parametrize(
    "body",
    [
        b"avc:  denied  { a%d } for  path=%d",
        b'item=%d name="/%d" nametype=NORMAL',
        b"a%d=4142 a%d=43",
        b"opid=%d ocomm=%d",
        b"saddr=%d x=%d",
    ],
)
@pytest.mark.parametrize("kind", [AVC, EXECVE, 1302, 1318, 1306])
def test_an_event_of_many_records_costs_what_they_cost(kind: int, body: bytes) -> None:
    event = Event(HEAD[6:-3], [(kind, HEAD + body % (number, number)) for number in range(5000)])
    began = time.process_time()
    document(event, offline_context(), original=True)
    list(interpreted_lines(event, Users()))
    assert time.process_time() - began < 2.0


def test_ordinary_records_read_as_before() -> None:
    body = b'pid=1 uid=0 msg=\'op=login acct="ada" exe="/usr/sbin/sshd" addr=192.0.2.1 res=success\''
    assert raw_fields(body) == {
        "pid": b"1", "uid": b"0", "op": b"login", "acct": b"ada", "exe": b"/usr/sbin/sshd", "addr": b"192.0.2.1",
        "res": b"success",
    }  # fmt: skip
