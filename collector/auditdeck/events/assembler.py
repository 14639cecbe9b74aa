"""Records to events: grouped by stamp, complete at EOE, at PROCTITLE where no EOE follows, after a timeout, or at the
limit of events in flight; missing serials are counted as gaps."""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass
from itertools import islice
from typing import Any

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


Payload = tuple[int, bytes]
"""A record as netlink has it: its type, and `audit(stamp): body`."""


@dataclass(slots=True)
class Event:
    """All records of one stamp, as they came: records of a log, or payloads of netlink.

    `complete` is false if a timeout or the limit ended the wait for more.
    """

    stamp: bytes
    items: list[Record] | list[Payload]
    complete: bool = True

    @property
    def records(self) -> list[Record]:
        # "audit(" before and "): " behind the stamp.
        start = len(self.stamp) + 9
        return [
            item if isinstance(item, Record) else Record(item[0], self.stamp, item[1][start:].rstrip(b"\0\n "))
            for item in self.items
        ]

    @property
    def node(self) -> str:
        first = self.items[0]
        return first.node if isinstance(first, Record) else ""


@dataclass(slots=True)
class Counts:
    """Since the start: events given out, those given out incomplete, records that came after their event was given
    out, records that came twice, and serials that never came."""

    events: int = 0
    incomplete: int = 0
    late: int = 0
    repeated: int = 0
    gaps: int = 0


class Assembler:
    """Feed it records in the order of arrival; it returns the events that became complete.

    Call `flush` when nothing more is there to read, and `close` at the end. With `gaps=False` (files, which may be cut
    or merged) missing serials are not counted.
    """

    def __init__(self, *, timeout: float = TIMEOUT, in_flight: int = IN_FLIGHT, gaps: bool = True) -> None:
        self.timeout = timeout
        self.in_flight = in_flight
        self.counts = Counts()
        self.damaged: list[Payload] = []
        self.waiting: dict[bytes, list[Any]] = {}
        self.since: dict[bytes, float] = {}
        self.done: dict[bytes, None] = {}
        self.gaps = Gaps() if gaps else None
        self.current = b""

    def feed_payloads(self, batch: list[Payload], now: float | None = None) -> list[Event]:
        """A batch from netlink; payloads that are no records are left in `damaged`."""
        now = time.monotonic() if now is None else now
        waiting = self.waiting
        ready: list[Event] = []
        for item in batch:
            kind, payload = item
            end = payload.find(b"): ")
            if end < 0 or not payload.startswith(b"audit("):
                self.damaged.append(item)
                continue
            stamp = payload[6:end]
            found = waiting.get(stamp)
            if kind == AUDIT_EOE:
                if found is not None:
                    ready.append(self.give_out(stamp, complete=True))
            elif found is None:
                self.begin(stamp, item, now, ready)
            elif item in found:
                self.counts.repeated += 1
            else:
                found.append(item)
        return ready

    def feed(self, record: Record, now: float | None = None) -> list[Event]:
        """One record of a log. There no EOE follows: a PROCTITLE ends its event when the next one begins."""
        key = record.node.encode() + b" " + record.stamp if record.node else record.stamp
        ready: list[Event] = []
        if key != self.current:
            if ends_with_title(self.waiting.get(self.current)):
                ready.append(self.give_out(self.current, complete=True))
            self.current = key
        found = self.waiting.get(key)
        if record.kind == AUDIT_EOE:
            if found is not None:
                ready.append(self.give_out(key, complete=True))
        elif found is None:
            self.begin(key, record, time.monotonic() if now is None else now, ready)
        elif record in found:
            self.counts.repeated += 1
        else:
            found.append(record)
        return ready

    def begin(self, key: bytes, item: Any, now: float, ready: list[Event]) -> None:
        if key in self.done:
            self.counts.late += 1
        elif self.gaps is not None:
            self.gaps.saw(serial(key), now)
        self.waiting[key] = [item]
        self.since[key] = now
        if stands_alone(item[0]):
            ready.append(self.give_out(key, complete=True))
        elif len(self.waiting) > self.in_flight:
            ready.append(self.give_out(next(iter(self.waiting)), complete=False))

    def flush(self, now: float | None = None) -> list[Event]:
        """Events that wait for nothing but an EOE, and those that waited too long."""
        now = time.monotonic() if now is None else now
        if self.gaps is not None:
            self.counts.gaps = self.gaps.settle(now)
        ready = []
        for key, items in list(self.waiting.items()):
            if ends_with_title(items):
                ready.append(self.give_out(key, complete=True))
            elif now - self.since[key] >= self.timeout:
                ready.append(self.give_out(key, complete=not expects_more(items)))
        return ready

    def close(self) -> list[Event]:
        """All that still waits."""
        if self.gaps is not None:
            self.counts.gaps = self.gaps.settle(float("inf"))
        return [
            self.give_out(key, complete=ends_with_title(items) or not expects_more(items))
            for key, items in list(self.waiting.items())
        ]

    def give_out(self, key: bytes, *, complete: bool) -> Event:
        items = self.waiting.pop(key)
        del self.since[key]
        self.counts.events += 1
        if not complete:
            self.counts.incomplete += 1
        done = self.done
        done[key] = None
        if len(done) > 2 * REMEMBERED:
            for oldest in list(islice(done, REMEMBERED)):
                del done[oldest]
        return Event(key.rpartition(b" ")[2], items, complete)


def ends_with_title(items: list[Any] | None) -> bool:
    return items is not None and items[-1][0] == AUDIT_PROCTITLE


def stands_alone(kind: int) -> bool:
    return not (FIRST_COMPOUND <= kind <= LAST_COMPOUND or kind == LOGIN)


def expects_more(items: list[Any]) -> bool:
    """A system call's event always ends with PROCTITLE or EOE; other kernel records may stand alone."""
    return any(item[0] in (1300, 1336) for item in items)


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
