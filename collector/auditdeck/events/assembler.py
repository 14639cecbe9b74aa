"""Records to events: grouped by stamp, complete at EOE, at PROCTITLE where no EOE follows, after a timeout, or at the
limit of events in flight; missing serials are counted as gaps."""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass, field

from auditdeck.events.record import Record, serial
from auditdeck.kernel.messages import AUDIT_EOE, AUDIT_PROCTITLE

TIMEOUT = 2.0
IN_FLIGHT = 4096
REMEMBERED = 8192
GAP_LIMIT = 100_000

# Records that the kernel writes into the event of a system call lie in 1300–1899; LOGIN belongs to one as well.
# All others, above all those of user space, are an event of their own.
FIRST_COMPOUND, LAST_COMPOUND, LOGIN = 1300, 1899, 1006
KERNEL = 2000


@dataclass(slots=True)
class Event:
    """All records of one stamp. `complete` is false if a timeout or the limit ended the wait for more."""

    stamp: bytes
    records: list[Record]
    complete: bool = True

    @property
    def node(self) -> str:
        return self.records[0].node


@dataclass(slots=True)
class Counts:
    """Since the start: events given out, those given out incomplete, records that came after their event was given
    out, records that came twice, and serials that never came."""

    events: int = 0
    incomplete: int = 0
    late: int = 0
    repeated: int = 0
    gaps: int = 0


@dataclass(slots=True)
class Waiting:
    records: list[Record]
    since: float
    ripe: bool = False
    seen: set[Record] = field(default_factory=set)


class Assembler:
    """Feed it records in the order of arrival; it returns the events that became complete.

    Call `flush` when nothing more is there to read, and `close` at the end. With `gaps=False` (files, which may be cut
    or merged) missing serials are not counted.
    """

    def __init__(self, *, timeout: float = TIMEOUT, in_flight: int = IN_FLIGHT, gaps: bool = True) -> None:
        self.timeout = timeout
        self.in_flight = in_flight
        self.counts = Counts()
        self.waiting: OrderedDict[tuple[str, bytes], Waiting] = OrderedDict()
        self.done: OrderedDict[tuple[str, bytes], None] = OrderedDict()
        self.gaps = Gaps() if gaps else None
        self.current: tuple[str, bytes] | None = None

    def feed(self, record: Record, now: float | None = None) -> list[Event]:
        key = (record.node, record.stamp)
        ready: list[Event] = []
        if key != self.current:
            if self.current and (previous := self.waiting.get(self.current)) and previous.ripe:
                ready.append(self.give_out(self.current, complete=True))
            self.current = key
        if record.kind == AUDIT_EOE:
            if key in self.waiting:
                ready.append(self.give_out(key, complete=True))
            return ready
        waiting = self.waiting.get(key)
        if waiting is None:
            if key in self.done:
                self.counts.late += 1
            elif self.gaps:
                self.gaps.saw(serial(record.stamp), time.monotonic() if now is None else now)
            if stands_alone(record.kind):
                self.counts.events += 1
                self.remember(key)
                ready.append(Event(record.stamp, [record]))
                return ready
            if len(self.waiting) >= self.in_flight:
                ready.append(self.give_out(next(iter(self.waiting)), complete=False))
            waiting = self.waiting[key] = Waiting([], time.monotonic() if now is None else now)
        if record in waiting.seen:
            self.counts.repeated += 1
            return ready
        waiting.seen.add(record)
        waiting.records.append(record)
        waiting.ripe = waiting.ripe or record.kind == AUDIT_PROCTITLE
        return ready

    def flush(self, now: float | None = None) -> list[Event]:
        """Events that wait for nothing but an EOE, and those that waited too long."""
        now = time.monotonic() if now is None else now
        if self.gaps:
            self.counts.gaps = self.gaps.settle(now)
        ready = []
        for key, waiting in list(self.waiting.items()):
            if waiting.ripe:
                ready.append(self.give_out(key, complete=True))
            elif now - waiting.since >= self.timeout:
                ready.append(self.give_out(key, complete=not expects_more(waiting.records)))
        return ready

    def close(self) -> list[Event]:
        """All that still waits."""
        if self.gaps:
            self.counts.gaps = self.gaps.settle(float("inf"))
        return [
            self.give_out(key, complete=waiting.ripe or not expects_more(waiting.records))
            for key, waiting in list(self.waiting.items())
        ]

    def give_out(self, key: tuple[str, bytes], *, complete: bool) -> Event:
        waiting = self.waiting.pop(key)
        self.counts.events += 1
        self.counts.incomplete += not complete
        self.remember(key)
        return Event(key[1], waiting.records, complete)

    def remember(self, key: tuple[str, bytes]) -> None:
        self.done[key] = None
        if len(self.done) > REMEMBERED:
            self.done.popitem(last=False)


def stands_alone(kind: int) -> bool:
    return not (FIRST_COMPOUND <= kind <= LAST_COMPOUND or kind == LOGIN)


def expects_more(records: list[Record]) -> bool:
    """A system call's event always ends with PROCTITLE or EOE; other kernel records may stand alone."""
    return any(record.kind in (1300, 1336) for record in records)


class Gaps:
    """Serials that never came. Records of different processors may overtake each other, so a missing serial is
    waited for as long as an event is."""

    def __init__(self, patience: float = TIMEOUT) -> None:
        self.patience = patience
        self.last: int | None = None
        self.missing: OrderedDict[int, float] = OrderedDict()
        self.count = 0

    def saw(self, number: int, now: float) -> None:
        if self.last is None or number == self.last + 1:
            self.last = number
        elif number > self.last:
            width = number - self.last - 1
            if width + len(self.missing) > GAP_LIMIT:
                # More than can be waited for one by one (or a reboot under a running clock): lost at once.
                self.count += width
            else:
                for absent in range(self.last + 1, number):
                    self.missing[absent] = now
            self.last = number
        elif number in self.missing:
            del self.missing[number]

    def settle(self, now: float) -> int:
        """The count, after what has been missing too long is given up."""
        while self.missing:
            number, since = next(iter(self.missing.items()))
            if now - since < self.patience:
                break
            del self.missing[number]
            self.count += 1
        return self.count
