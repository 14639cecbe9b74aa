"""Records to events: grouped by stamp, complete at EOE, at PROCTITLE where no EOE follows, after a timeout, or at the
limit of events in flight; missing serials are counted as gaps."""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass
from itertools import islice

from auditdeck.events.record import STAMP, Payload, Record, record_of, serial
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
    """All records of one stamp, as they came. `complete` is false if a timeout or the limit ended the wait for more;
    `node` is the host that a log of several hosts names, b"" for this one."""

    stamp: bytes
    items: list[Payload]
    complete: bool = True
    node: bytes = b""

    @property
    def records(self) -> list[Record]:
        return [record_of(kind, payload) for kind, payload in self.items]


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

    Call `flush` when nothing more is there to read, and `close` at the end. With `log=True` missing serials are not
    counted (logs may be cut or merged), and a PROCTITLE ends its event when the next one begins (no EOE follows there).
    """

    def __init__(self, *, timeout: float = TIMEOUT, in_flight: int = IN_FLIGHT, log: bool = False) -> None:
        self.timeout = timeout
        self.in_flight = in_flight
        self.log = log
        self.counts = Counts()
        self.damaged: list[Payload] = []
        self.waiting: dict[bytes, list[Payload]] = {}
        self.since: dict[bytes, float] = {}
        self.done: dict[bytes, None] = {}
        self.gaps = None if log else Gaps()
        self.last = b""

    def feed(self, batch: list[Payload], now: float | None = None, node: bytes = b"") -> list[Event]:
        """A batch of one node; payloads that are no records are left in `damaged`."""
        now = time.monotonic() if now is None else now
        waiting = self.waiting
        ready: list[Event] = []
        for item in batch:
            kind, payload = item
            end = payload.find(b"): ")
            if end < 0:
                self.damaged.append(item)
                continue
            key = payload[6:end]
            if node:
                key = node + b" " + key
            found = waiting.get(key)
            if kind == AUDIT_EOE:
                if found is not None:
                    ready.append(self.give_out(key, complete=True))
            elif found is None:
                self.begin(key, item, now, ready)
            elif item in found:
                self.counts.repeated += 1
            else:
                found.append(item)
        return ready

    def begin(self, key: bytes, item: Payload, now: float, ready: list[Event]) -> None:
        payload = item[1]
        if not STAMP.fullmatch(payload, 6, payload.index(b"): ")) or not payload.startswith(b"audit("):
            self.damaged.append(item)
            return
        if self.log:
            if ends_with_title(self.waiting.get(self.last)):
                ready.append(self.give_out(self.last, complete=True))
            self.last = key
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
                ready.append(self.give_out(key, complete=self.log or not expects_more(items)))
        return ready

    def close(self) -> list[Event]:
        """All that still waits."""
        if self.gaps is not None:
            self.counts.gaps = self.gaps.settle(float("inf"))
        return [
            self.give_out(key, complete=self.log or ends_with_title(items) or not expects_more(items))
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
        node, _, stamp = key.rpartition(b" ")
        return Event(stamp, items, complete, node)


def ends_with_title(items: list[Payload] | None) -> bool:
    return items is not None and items[-1][0] == AUDIT_PROCTITLE


def stands_alone(kind: int) -> bool:
    return not (FIRST_COMPOUND <= kind <= LAST_COMPOUND or kind == LOGIN)


def expects_more(items: list[Payload]) -> bool:
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
