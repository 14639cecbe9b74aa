"""Records to events."""

from __future__ import annotations

from auditdeck.audit.assembler import GAP_LIMIT, Assembler, Gaps
from auditdeck.audit.event import Event
from auditdeck.audit.record import Payload

SYSCALL, PATH, CWD, PROCTITLE, EOE, USER_LOGIN = 1300, 1302, 1307, 1327, 1320, 1112


def record(kind: int, serial: int, body: bytes = b"x=1", seconds: int = 1700000000) -> Payload:
    return kind, b"audit(%d.123:%d): %s" % (seconds, serial, body)


def serials(events: list[Event]) -> list[int]:
    return [int(event.stamp.partition(b":")[2]) for event in events]


def test_an_event_is_complete_at_its_eoe() -> None:
    assembler = Assembler()
    assert assembler.feed([record(SYSCALL, 1), record(PATH, 1)]) == []
    [event] = assembler.feed([record(EOE, 1)])
    assert event.complete
    assert [found.kind for found in event.records] == [SYSCALL, PATH]
    assert event.records[0].body == b"x=1"


def test_records_of_several_events_may_be_mixed() -> None:
    assembler = Assembler()
    batch = [record(SYSCALL, 1), record(SYSCALL, 2), record(CWD, 1), record(EOE, 2), record(PATH, 1), record(EOE, 1)]
    events = assembler.feed(batch)
    assert serials(events) == [2, 1]
    assert len(events[1].items) == 3


def test_a_title_ends_an_event_when_nothing_more_is_there() -> None:
    assembler = Assembler()
    assert assembler.feed([record(SYSCALL, 1), record(PROCTITLE, 1)]) == []
    assert serials(assembler.flush()) == [1]


def test_in_a_log_a_title_ends_an_event_when_the_next_begins() -> None:
    assembler = Assembler(log=True)
    events = assembler.feed([record(SYSCALL, 1), record(PROCTITLE, 1), record(SYSCALL, 2)])
    assert serials(events) == [1]
    assert serials(assembler.close()) == [2]


def test_user_space_records_stand_alone() -> None:
    assert serials(Assembler().feed([record(USER_LOGIN, 7)])) == [7]


def test_what_waits_too_long_is_given_out_incomplete() -> None:
    assembler = Assembler(timeout=2)
    assembler.feed([record(SYSCALL, 1)], now=10.0)
    assert assembler.flush(now=11.9) == []
    [event] = assembler.flush(now=12.0)
    assert not event.complete
    assert assembler.counts.incomplete == 1


def test_not_more_than_so_many_wait() -> None:
    assembler = Assembler(in_flight=3)
    events = assembler.feed([record(SYSCALL, serial) for serial in range(1, 6)])
    assert serials(events) == [1, 2]
    assert not events[0].complete


def test_late_records_are_counted() -> None:
    assembler = Assembler()
    assembler.feed([record(SYSCALL, 1), record(EOE, 1), record(PATH, 1)])
    assert assembler.counts.late == 1
    assert serials(assembler.close()) == [1], "a late record is not thrown away"


def test_missing_serials_are_gaps_unless_they_come_late() -> None:
    assembler = Assembler()
    for serial in (1, 2, 5, 3, 9):
        assembler.feed([record(USER_LOGIN, serial)], now=1.0)
    assembler.flush(now=2.0)
    assert assembler.counts.gaps == 0, "they may still come"
    assembler.flush(now=4.0)
    assert assembler.counts.gaps == 4, "4, 6, 7 and 8"


def test_a_log_has_no_gaps() -> None:
    assembler = Assembler(log=True)
    assembler.feed([record(USER_LOGIN, 1), record(USER_LOGIN, 100)])
    assembler.close()
    assert assembler.counts.gaps == 0


def test_hosts_in_one_log_are_kept_apart() -> None:
    assembler = Assembler(log=True)
    events = assembler.feed([record(SYSCALL, 1)], node=b"a") + assembler.feed([record(SYSCALL, 1)], node=b"b")
    events += assembler.close()
    assert [(event.node, len(event.items)) for event in events] == [(b"a", 1), (b"b", 1)]


def test_what_is_no_record_is_kept_as_damaged() -> None:
    assembler = Assembler()
    bad = [
        (SYSCALL, b"nonsense"),
        (SYSCALL, b"audit(12:x): a=1"),
        (SYSCALL, b"audit(1700000000.1:2): a=1"),
        (SYSCALL, b""),
    ]
    assert assembler.feed(bad) == []
    assert assembler.damaged == bad


def test_a_clock_that_goes_back_ends_no_event_early() -> None:
    assembler = Assembler(log=True)
    assembler.feed([record(SYSCALL, 1)], now=100.0)
    assembler.feed([record(SYSCALL, 2)], now=50.0)
    assert assembler.flush(now=51.0) == []
    assert serials(assembler.flush(now=102.0)) == [1, 2]


def test_an_event_that_goes_on_behind_its_title_is_waited_for() -> None:
    assembler = Assembler(log=True)
    assembler.feed([record(SYSCALL, 1), record(PROCTITLE, 1), record(PATH, 1)], now=1.0)
    assert assembler.flush(now=1.0) == []
    assert [len(event.items) for event in assembler.close()] == [3]


def test_a_gap_that_is_too_wide_to_wait_for_is_lost_at_once() -> None:
    """As after a reboot of a machine whose clock went on."""
    gaps = Gaps()
    assert gaps.saw(1, 0.0)
    assert gaps.saw(GAP_LIMIT + 2, 0.0)
    assert gaps.count == 0, "so many may still come"
    assert gaps.saw(3 * GAP_LIMIT + 3, 0.0)
    assert gaps.count == 2 * GAP_LIMIT
    assert gaps.settle(100.0) == 3 * GAP_LIMIT
