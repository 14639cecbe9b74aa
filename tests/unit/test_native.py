"""The compiled part gives the same events as the plain way, whatever arrives."""

from __future__ import annotations

import io
import random
import shutil
import socket
import struct
from pathlib import Path

import pytest

from auditdeck.audit.assembler import Assembler
from auditdeck.audit.capture import Slots
from auditdeck.audit.event import Event, Packed
from auditdeck.audit.ext import LIBRARY, Native, native
from auditdeck.audit.log import Reading
from auditdeck.audit.record import Payload
from auditdeck.libc import libc

FIXTURES = Path(__file__).parent.parent / "fixtures"
LOGS = sorted(FIXTURES.glob("*.log"))
SYSCALL, PATH, CONFIG, SOCKADDR, EOE, PROCTITLE, USER, AVC = 1300, 1302, 1305, 1306, 1320, 1327, 1112, 1400
KINDS = [SYSCALL, PATH, SOCKADDR, PROCTITLE, EOE]
HEADER = struct.Struct("=IHHII")


@pytest.fixture
def compiled() -> Native:
    found = native()
    if found is None:
        compiler = shutil.which("cc") or shutil.which("gcc")
        assert not compiler, f"there is a compiler, but no {LIBRARY.name}: make setup"
        pytest.skip("no C compiler was there")
    return found


def content(events: list[Event]) -> list[tuple[bytes, bool, bytes, list[Payload]]]:
    trimmed = [[(kind, payload.rstrip(b"\0\r\n ")) for kind, payload in event.items] for event in events]
    return [(event.stamp, event.complete, event.node, items) for event, items in zip(events, trimmed, strict=True)]


def parts(events: list[Event]) -> set[tuple[bytes, bytes, bytes, bytes, bytes]]:
    """Of those that went the quick way, or can be written as a text."""
    return {(event.stamp, event.text, event.arguments, event.ids, event.shape or b"") for event in events if event.text}


def test_it_is_loaded_where_a_compiler_is(compiled: Native) -> None:
    assert compiled.read_log(b"nonsense\n")[1].items == [(0, 0, b"nonsense\n")]


CALLS = [
    b"arch=c000003e syscall=42 success=yes exit=0 a0=3 a1=7ffd00 a2=10 a3=0 items=0 ppid=1 pid=2 auid=0 uid=0",
    b"arch=c000003e per=8 syscall=1 a0=0 a1=f a2=0123456789abcdef a3=0 items=12 ppid=4194304 pid=1 auid=",
    b"a0=3 a1=7 a2=1 a3=0 items=0 ppid=1 pid=2 auid=0",
    b"x a0=3 a1=7 a2=1 a3=0 items=0 ppid=1 pid=2 auid=0 a0=3 a1=7 a2=1 a3=0 items=0 ppid=1 pid=2 auid=0",
    b"x items=1 a0=3 a1=7 a2=1 a3=0 items=0 ppid=1 pid=2 auid=0",
    b"x a0=3 a1=7 a2=1 a3=0 ppid=1 pid=2 auid=0",
    b"x a0=3 a1=7 a2=1 a3=G items=0 ppid=1 pid=2 auid=0",
    b"x a0= a1=7 a2=1 a3=0 items=0 ppid=1 pid=2 auid=0",
    b"x a0=0123456789abcdef0 a1=7 a2=1 a3=0 items=0 ppid=1 pid=2 auid=0",
    b"x a0=1 a1=7 a2=1 a3=0 items=0 ppid=12345678901 pid=2 auid=0",
    b"x a0=1 a1=7 a2=1 a3=0 items=0 ppid=1 pid=2 auid",
    b"x a0=1 a1=7 a2=1 a3=0 items=0 ppid=1 pid=2",
]
"""SYSCALL records of the usual form, and others that nearly are."""

ENDINGS = [b"\n", b"\0", b" \n", b"\x1f x", b" x\ny", b"\0\0"]


def traffic(chance: random.Random, count: int, *, title_ends: bool) -> list[Payload]:
    """Events of all kinds, as several processors send them: their records mixed, some lost, doubled, damaged, long."""
    waiting: list[list[Payload]] = []
    sent: list[Payload] = []
    for serial in range(1, count + 1):
        head = b"audit(1700000000.%03d:%d): " % (serial % 1000, serial)
        first = chance.choices([SYSCALL, CONFIG, USER, AVC], [20, 1, 1, 1])[0]
        kinds = [first, *chance.choices([PATH, SOCKADDR], k=chance.randrange(5)), PROCTITLE, EOE]
        if title_ends:
            del kinds[-1]
        items = [(kind, head + b"a=%d b=%d" % (place, chance.randrange(3))) for place, kind in enumerate(kinds)]
        if first == USER:
            items = items[:1]
        if first == SYSCALL and chance.random() < 0.7:
            items[0] = (SYSCALL, head + chance.choice(CALLS))
        at = chance.randrange(len(items))
        kind, payload = items[at]
        match chance.randrange(12):
            case 0:
                del items[at]
            case 1 if len(items) > 5:
                items.insert(at, items[at])
            case 2:
                items[at] = (kind, payload[: chance.randrange(len(payload))])
            case 3:
                items[at] = (kind, payload + chance.choice(ENDINGS))
            case 4:
                items[at] = (kind, payload + b"x" * chance.randrange(8000))
        waiting.append(items)
        while len(waiting) > chance.choice([0, 0, 0, 1, 3, 20]):
            chosen = chance.choice(waiting[:2])
            take = chance.randrange(1, len(chosen) + 1) if chosen else 0
            sent += chosen[:take]
            del chosen[:take]
            if not chosen:
                waiting.remove(chosen)
    return sent + [item for items in waiting for item in items]


@pytest.mark.parametrize("title_ends", [False, True])
@pytest.mark.parametrize("seed", range(25))
def test_received_the_same(compiled: Native, seed: int, title_ends: bool) -> None:
    """Over a socket with messages, as from the kernel; batches end anywhere."""
    chance = random.Random(seed)
    items = traffic(chance, 150, title_ends=title_ends)
    plain, quick = Assembler(title_ends=title_ends), Assembler(title_ends=title_ends)
    slots = Slots()
    expected: list[Event] = []
    found: list[Event] = []
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, theirs:
        while items:
            size = chance.randrange(1, 9)
            batch, items = items[:size], items[size:]
            for receive in (True, False):
                for kind, payload in batch:
                    theirs.send(HEADER.pack(len(payload), kind, 0, 0, 0) + payload)
                if receive:
                    taken = compiled.receive(ours.fileno(), title_ends=title_ends)
                    assert (taken.records, taken.failed, taken.more) == (len(batch), 0, False)
                    mixed = [item if isinstance(item, bytes) else (item[0], item[2]) for item in taken.items]
                    found += quick.feed(mixed, 1.0)
                else:
                    count = libc.recvmmsg(ours.fileno(), slots.messages, 64, socket.MSG_DONTWAIT, None)
                    received = slots.take(count)
                    assert received == batch
                    expected += plain.feed(received, 1.0)
    found += quick.close()
    expected += plain.close()
    assert sorted(content(found)) == sorted(content(expected))
    assert parts(found) == parts(expected)
    assert any(event.arguments for event in found)
    assert sorted(quick.damaged) == sorted(plain.damaged)
    # Where a record that came twice stands in the order decides whether it is late.
    quick.counts.late = plain.counts.late
    assert (quick.counts, quick.gaps and quick.gaps.next) == (plain.counts, plain.gaps and plain.gaps.next)
    assert any(isinstance(event, Packed) for event in found), "nothing went the quick way"


def test_more_shapes_than_are_remembered(compiled: Native) -> None:
    """Some come again at once, some when their number has long been another's; some are too long to be remembered."""
    chance = random.Random(1)
    shapes = [b'exe="%d" comm="%b"' % (n, b"x" * chance.choice([1, 20, 1000, 2000, 3000])) for n in range(1500)]
    order = [*range(600), *range(600), *chance.choices(range(1500), k=3000), *chance.choices(range(50), k=500)]
    plain, quick = Assembler(title_ends=True), Assembler(title_ends=True)
    expected, found, sizes = list[Event](), list[Event](), dict[bool, int]()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, theirs:
        for serial, number in enumerate(order, 1):
            call = CALLS[serial % 2] + b" " + shapes[number]
            items = [(SYSCALL, call), (PROCTITLE, b"proctitle=61")]
            batch = [(kind, b"audit(1700000000.000:%d): " % serial + text) for kind, text in items]
            for kind, payload in batch:
                theirs.send(HEADER.pack(len(payload), kind, 0, 0, 0) + payload)
            (entry,) = compiled.receive(ours.fileno(), title_ends=True).items
            assert isinstance(entry, bytes)
            sizes[shapes[number] in entry] = sizes.get(shapes[number] in entry, 0) + 1
            found += quick.feed([entry], 1.0)
            expected += plain.feed(batch, 1.0)
    assert [event.text for event in found] == [event.text for event in expected]
    assert content(found) == content(expected)
    assert sizes[False] > 500, "numbers are sent for what comes again"
    assert len(quick.shapes) <= 513


def same_hash() -> tuple[bytes, bytes]:
    """Two texts of SYSCALL records, sixteen bytes with `1300 `, that `hash_of` in records.c has no other hash for."""

    def mixed(text: bytes, length: int) -> int:
        made = (length ^ int.from_bytes(text, "little")) * 0x9E3779B97F4A7C15 % 2**64
        return made ^ made >> 32

    length = 16 + len(b"\n1327 t=6")
    for number in range(100, 1000):
        starts = [b"%03d" % text for text in (number, number + 1)]
        difference = (mixed(b"1300 " + starts[0], length) ^ mixed(b"1300 " + starts[1], length)).to_bytes(8, "little")
        ends = [[c for c in range(0x30, 0x7F) if 0x30 <= c ^ byte < 0x7F] for byte in difference]
        if all(ends):
            first = bytes(found[0] for found in ends)
            return starts[0] + first, starts[1] + bytes(a ^ b for a, b in zip(first, difference, strict=True))
    raise AssertionError("none found")


def test_shapes_of_one_hash_are_told_apart(compiled: Native) -> None:
    texts, quick = same_hash(), Assembler(title_ends=True)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, theirs:
        for serial, text in enumerate(texts * 2, 1):
            for kind, body in ((SYSCALL, text), (PROCTITLE, b"t=6")):
                payload = b"audit(1700000000.000:%d): " % serial + body
                theirs.send(HEADER.pack(len(payload), kind, 0, 0, 0) + payload)
        found = quick.feed(compiled.receive(ours.fileno(), title_ends=True).items)
    assert [event.text for event in found] == [b"1300 %b\n1327 t=6" % text for text in texts * 2]
    assert len(quick.shapes) == 2


def test_more_than_there_is_room_for(compiled: Native) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, theirs:
        assert compiled.receive(ours.fileno(), title_ends=True).records == 0
        theirs.send(b"short")
        theirs.send(HEADER.pack(20, 2, 0, 0, 0) + b"\0\0\0\0")
        assert compiled.receive(ours.fileno(), title_ends=True).items == [(2, 0, b"\0\0\0\0")]


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("log", LOGS, ids=[log.name for log in LOGS])
def test_logs_are_read_the_same(log: Path) -> None:
    text = log.read_bytes()
    quick, plain = Reading("quick"), Reading("plain")
    found = list(quick.events(io.BytesIO(text)))
    expected = list(plain.events(io.BytesIO(text), compiled=False))
    assert content(found) == content(expected)
    assert (quick.damaged, quick.first) == (plain.damaged, [line.replace("plain", "quick") for line in plain.first])


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("seed", range(30))
def test_damaged_logs_are_read_the_same(seed: int) -> None:
    chance = random.Random(seed)
    lines = (FIXTURES / "audit.log").read_bytes().splitlines(keepends=True)
    for _ in range(40):
        at = chance.randrange(len(lines))
        match chance.randrange(7):
            case 0:
                del lines[at]
            case 5:
                lines[at] = lines[at].replace(b"): ", chance.choice([b"):", b") ", b")", b"):\t", b"): : "]))
            case 6:
                end = lines[at].find(b")")
                head = lines[at][: max(end, 0)].replace(lines[at].partition(b" ")[0], b"type=EOE")
                lines.insert(at + 1, head + chance.choice([b"):\n", b"): \n", b")\n", b"):x\n", b"):", b"):\r\n"]))
            case 1:
                lines.insert(at, b"node=other " + lines[at])
            case 2:
                lines[at] = lines[at][: chance.randrange(len(lines[at]))]
            case 3:
                lines[at] = lines[at].replace(
                    b"type=PATH", chance.choice([b"type=AVC", b"type=UNKNOWN[1399]", b"type="])
                )
            case _:
                lines.insert(
                    at, chance.choice([b"\n", b"garbage\n", b"type=USER_LOGIN msg=audit(1700000000.000:7): x\n"])
                )
    text = b"".join(lines)
    quick, plain = Reading("x"), Reading("x")
    found, expected = list(quick.events(io.BytesIO(text))), list(plain.events(io.BytesIO(text), compiled=False))
    assert sorted(content(found)) == sorted(content(expected))
    assert quick.damaged == plain.damaged


def test_a_line_longer_than_the_room(compiled: Native) -> None:
    text = b"type=SYSCALL msg=audit(1700000000.000:1): a=" + b"x" * (3 << 20) + b"\n"
    text += b"type=PROCTITLE msg=audit(1700000000.000:1): proctitle=61\n"
    [event] = list(Reading("x").events(io.BytesIO(text)))
    assert [kind for kind, _ in event.items] == [SYSCALL, PROCTITLE]
    assert compiled.read_log(text)[0] == 0
