"""Connections under way, from audit's rules: what becomes of them within a second is told, and nothing is guessed."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time

import pytest

from auditdeck import Encoder, Event, offline_context
from auditdeck.collector.endings import Endings
from auditdeck.collector.settling import MOST, Settling
from auditdeck.connections.destroyed import Destroyed, Ended
from auditdeck.connections.state import State
from auditdeck.context.sockets import Progress, progress
from tests.support.waiting import wait_for


def event(serial: int = 42) -> Event:
    stamp = b"1700000000.123:%d" % serial
    head = b"audit(" + stamp + b"): "
    call = (
        b"arch=c000003e syscall=42 success=no exit=-115 a0=7 a1=7ffd a2=10 a3=0 items=0 ppid=1 pid=9 auid=1000 "
        b"uid=1000 "
        b'gid=0 euid=1000 suid=0 fsuid=0 egid=0 sgid=0 fsgid=0 tty=(none) ses=4 comm="curl" '
        b'exe="/tmp/\\"state\\":\\"unresolved\\"" key="netconns_out"'
    )
    found = Event(stamp, [(1300, head + call), (1306, head + b"saddr=020001BBC00002010000000000000000")])
    found.split()
    return found


LINE = Encoder(offline_context()).encode(event())


class Sockets:
    def __init__(self) -> None:
        self.now = 100.0
        self.found = Progress.UNDER_WAY
        self.asked: list[tuple[int, int, tuple[str, int]]] = []

    def look(self, pid: int, number: int, peer: tuple[str, int]) -> Progress:
        self.asked.append((pid, number, peer))
        return self.found

    def clock(self) -> float:
        return self.now


def test_one_that_is_answered_in_time_is_established() -> None:
    sockets = Sockets()
    settling = Settling(sockets.look, clock=sockets.clock)
    assert settling.hold(event(), LINE)
    assert sockets.asked == [(9, 7, ("192.0.2.1", 443))]
    assert settling.due() == []
    sockets.now += 0.3
    sockets.found = Progress.CONNECTED
    [line] = settling.due()
    document = json.loads(line)
    assert document["auditdeck"]["connection"] == {"state": "established", "source": "audit"}
    assert (document["event"]["outcome"], document["auditd"]["result"]) == ("success", "success")
    before = json.loads(LINE)
    before["auditdeck"]["connection"]["state"] = "established"
    before["event"]["outcome"] = before["auditd"]["result"] = "success"
    assert document == before, "nothing else changed"
    assert settling.waiting == []


def test_after_a_second_it_stays_unresolved() -> None:
    sockets = Sockets()
    settling = Settling(sockets.look, clock=sockets.clock)
    assert settling.hold(event(), LINE)
    for _ in range(9):
        sockets.now += 0.11
        assert settling.due() == []
    sockets.now += 0.11
    assert settling.due() == [LINE]


def test_a_socket_that_is_gone_is_not_waited_for() -> None:
    sockets = Sockets()
    settling = Settling(sockets.look, clock=sockets.clock)
    assert settling.hold(event(), LINE)
    sockets.found = Progress.GONE
    assert not settling.hold(event(43), LINE)
    sockets.now += 0.2
    assert settling.due() == [LINE]


def test_the_descriptor_of_a_socketcall_is_in_a_record_of_its_own() -> None:
    sockets = Sockets()
    [call, address] = event().items
    call = (call[0], call[1].replace(b"c000003e syscall=42", b"40000003 syscall=102").replace(b" a0=7", b" a0=3"))
    more = (1304, call[1][:26] + b"nargs=3 a0=1b a1=ffe a2=10")
    made = Event(b"1700000000.123:42", [call, more, address])
    made.split()
    assert Settling(sockets.look).hold(made, LINE)
    assert sockets.asked == [(9, 0x1B, ("192.0.2.1", 443))]


def test_it_looks_seldom_and_holds_a_bounded_number() -> None:
    sockets = Sockets()
    settling = Settling(sockets.look, clock=sockets.clock)
    held = sum(settling.hold(event(), LINE) for _ in range(MOST + 10))
    assert held == MOST
    sockets.asked.clear()
    sockets.now += 0.2
    for _ in range(5):
        settling.due()
    assert len(sockets.asked) == MOST
    sockets.now += 0.01
    assert len(settling.finish()) == MOST, "at the end nothing is kept back"
    assert not settling.waiting


def test_other_documents_are_not_held() -> None:
    settling = Settling(Sockets().look)
    established = LINE.replace(b'"state":"unresolved"', b'"state":"established"')
    assert not settling.hold(event(), established)


class Ends:
    """Ends of sockets that a test chooses."""

    def __init__(self) -> None:
        self.told: list[Ended] = []
        self.closed = False

    def take(self) -> list[Ended]:
        found, self.told = self.told, []
        return found

    def close(self) -> None:
        self.closed = True


def settling_of_gone() -> tuple[Sockets, Ends, Settling]:
    """Whose sockets cannot be looked at any more, so that only their ends may tell."""
    sockets, told = Sockets(), Ends()
    sockets.found = Progress.GONE
    return sockets, told, Settling(sockets.look, Endings(told, sockets.clock), sockets.clock)


PEER, OTHER = ("192.0.2.1", 443), ("192.0.2.1", 80)
CONTAINED = LINE.replace(b'"process":{', b'"container":{"id":"c"},"process":{', 1)


@pytest.mark.parametrize(
    ("ends", "lines", "states"),
    [
        ([(PEER, "established")], [LINE], ["established"]),
        ([(PEER, "refused")], [LINE], ["refused"]),
        ([(PEER, None)], [LINE], ["unresolved"]),
        ([(OTHER, "established")], [LINE], ["unresolved"]),
        ([(PEER, "established")] * 2, [LINE] * 2, ["established"] * 2),
        ([(PEER, "established")], [LINE] * 2, ["unresolved"] * 2),
        ([(PEER, "established"), (PEER, "refused")], [LINE] * 2, ["unresolved"] * 2),
        ([(PEER, "established"), (OTHER, "refused")], [LINE], ["established"]),
        ([(PEER, "established")], [CONTAINED], ["unresolved"]),
    ],
)
@pytest.mark.parametrize("ahead", [False, True])
def test_ends_that_are_told_settle_what_is_certain(
    ends: list[tuple[tuple[str, int], State | None]], lines: list[bytes], states: list[str], ahead: bool
) -> None:
    """An end says to which peer, and not whose: all that were under way must have ended, and alike."""
    sockets, told, settling = settling_of_gone()
    if ahead:
        told.told = [Ended(*one) for one in ends]
        settling.look()
        sockets.now += 0.09
    found = [line for line in lines if not settling.hold(event(), line)]
    if not ahead:
        sockets.now += 0.04
        told.told = [Ended(*one) for one in ends]
    for _ in range(11):
        settling.look()
        sockets.now += 0.11
        found += settling.due()
    documents = [json.loads(line) for line in found]
    assert [document["auditdeck"]["connection"]["state"] for document in documents] == states
    outcomes = {"established": ("success", "success"), "refused": ("failure", "fail"), "unresolved": ("unknown",) * 2}
    for document, state in zip(documents, states, strict=True):
        assert (document["event"]["outcome"], document["auditd"]["result"]) == outcomes[state]
    assert not settling.waiting
    settling.finish()
    assert told.closed


def test_an_end_from_long_before_belongs_to_nobody() -> None:
    sockets, told, settling = settling_of_gone()
    told.told = [Ended(PEER, "established")]
    settling.look()
    sockets.now += 0.6
    assert settling.hold(event(), LINE)
    sockets.now += 1.1
    assert settling.due() == [LINE]


def test_an_attempt_of_which_the_result_is_known_has_an_end_as_well() -> None:
    """Its end is not taken for that of the one under way."""
    sockets, told, settling = settling_of_gone()
    assert settling.hold(event(), LINE)
    assert not settling.hold(event(43), LINE.replace(b'"state":"unresolved"', b'"state":"established"'))
    told.told = [Ended(PEER, "established")]
    settling.look()
    sockets.now += 1.1
    assert settling.due() == [LINE]


def test_one_that_stays_open_is_of_no_concern_to_those_that_come_later() -> None:
    sockets, told, settling = settling_of_gone()
    settling.hold(event(), LINE.replace(b'"state":"unresolved"', b'"state":"established"'))
    sockets.now += 1.6
    settling.hold(event(), LINE)
    told.told = [Ended(PEER, "established")]
    settling.look()
    sockets.now += 0.2
    [line] = settling.due()
    assert json.loads(line)["auditdeck"]["connection"]["state"] == "established"


def test_what_is_not_heard_of_any_more_is_forgotten() -> None:
    sockets, told = Sockets(), Ends()
    endings = Endings(told, sockets.clock)
    endings.attempt(PEER)
    told.told = [Ended(OTHER, "established")]
    endings.look()
    sockets.now += 10
    endings.look()
    assert endings.peers == {}


def test_the_kernel_tells_the_end_of_a_real_socket() -> None:
    try:
        destroyed = Destroyed()
    except OSError as error:
        pytest.skip(f"this kernel does not tell: {error}")
    with contextlib.closing(destroyed), socket.create_server(("127.0.0.1", 0)) as server:
        there = server.getsockname()
        socket.create_connection(there).close()
        server.accept()[0].close()
        closed = socket.socket()
        closed.bind(("127.0.0.1", 0))
        nobody = closed.getsockname()
        with socket.socket() as refused:
            refused.setblocking(False)
            refused.connect_ex(nobody)
            time.sleep(0.05)
        closed.close()
        found: list[Ended] = []

        def both_are_told() -> bool:
            found.extend(destroyed.take())
            return {one.peer for one in found} >= {there, nobody}

        wait_for(both_are_told, 5)
    assert {one.peer: one.state for one in found if one.peer in (there, nobody)} == {
        there: "established",
        nobody: "refused",
    }


def test_the_progress_of_a_real_socket() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        there = server.getsockname()
        assert progress(os.getpid(), client.fileno(), there) is Progress.CONNECTED
        assert progress(os.getpid(), client.fileno(), ("127.0.0.1", 1)) is Progress.GONE
        assert progress(os.getpid(), server.fileno(), there) is Progress.GONE
        assert progress(os.getpid(), 9999, there) is Progress.GONE
