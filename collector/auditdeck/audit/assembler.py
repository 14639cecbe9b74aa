"""Records to events: grouped by stamp, complete at EOE, at PROCTITLE where no EOE follows, after a timeout, or at the
limit of events in flight; missing serials are counted as gaps."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

from auditdeck.audit.event import ENDS, Event, Packed
from auditdeck.audit.messages import AUDIT_EOE, AUDIT_PROCTITLE
from auditdeck.audit.record import STAMP, Payload

TIMEOUT = 2.0
IN_FLIGHT = 4096
GAP_LIMIT = 100_000

# Records that the kernel writes into the event of a system call lie in 1300–1899; LOGIN belongs to one as well.
# All others, above all those of user space, are an event of their own.
FIRST_COMPOUND, LAST_COMPOUND, LOGIN = 1300, 1899, 1006
SYSCALL, URINGOP = 1300, 1336
SETTLED = 0.1
NEW_SHAPE = 6
"""Parts of an entry of `native` that brings a shape and its number."""


@dataclass(slots=True)
class Counts:
    """Since the start: events given out, those given out incomplete, records that came after their event was given
    out, and serials that never came."""

    events: int = 0
    incomplete: int = 0
    late: int = 0
    gaps: int = 0


class Assembler:
    """Feed it records in the order of arrival; it returns the events that became complete.

    Call `flush` when nothing more is there to read, and `close` at the end. With `log=True` missing serials are not
    counted (logs may be cut or merged), and a PROCTITLE ends its event when the next one begins (no EOE follows there).
    With `title_ends=True` the PROCTITLE of a system call ends its event at once: for a kernel that was told to leave
    EOE out, whose last record it then is.
    """

    def __init__(
        self,
        *,
        timeout: float = TIMEOUT,
        in_flight: int = IN_FLIGHT,
        log: bool = False,
        title_ends: bool = False,
        counts: Counts | None = None,
    ) -> None:
        self.title_ends = title_ends
        self.timeout = timeout
        self.in_flight = in_flight
        self.log = log
        self.counts = counts or Counts()
        self.damaged: list[Payload] = []
        self.waiting: dict[bytes, list[Payload]] = {}
        self.fresh: list[bytes] = []
        self.since: dict[bytes, float] = {}
        self.titled: dict[bytes, None] = {}
        self.now = 0.0
        self.shapes: dict[bytes, bytes] = {}
        self.gaps = None if log else Gaps()
        self.last = b""
        self.prefix = b""

    def follow(self, serial: int | None) -> None:
        """What an earlier run saw last: serials between that and the first of this one are missing too."""
        if self.gaps is not None and serial is not None:
            self.gaps.next = serial + 1

    @property
    def unsettled(self) -> bool:
        """Whether something waits for more, so that `flush` may have something to do."""
        return bool(self.waiting) or (self.gaps is not None and bool(self.gaps.missing))

    def feed_records(self, batch: list[Payload], now: float | None = None, node: bytes = b"") -> list[Event]:
        """A batch of records of one node."""
        ready: list[Event] = []
        place, count = 0, len(batch)
        while place < count:
            payload = batch[place][1]
            end = payload.find(b"): ")
            if end < 0 and batch[place][0] == AUDIT_EOE and payload.rstrip(ENDS).endswith(b"):"):
                payload, end = payload + b" ", payload.rindex(b"):")
            if end < 0:
                self.damaged.append(batch[place])
                place += 1
                continue
            # Nearly always the records of an event follow each other, and all of them are there.
            head = payload[: end + 3]
            after = place + 1
            while after < count and batch[after][1].startswith(head):
                after += 1
            items = batch[place:after]
            place = after
            stamp = head[6:-3]
            key = node + b" " + stamp if node else stamp
            if (
                items[0][0] == SYSCALL
                and self.is_whole(items, place < count)
                and key not in self.waiting
                and self.is_new(head, now)
            ):
                if items[-1][0] == AUDIT_EOE:
                    del items[-1]
                if self.last:
                    self.end_last(ready)
                self.counts.events += 1
                ready.append(Event(stamp, items, True, node))
            else:
                for item in items:
                    self.add(key, item, now, ready)
        if now is not None:
            self.mark(now)
        return ready

    def feed(self, batch: Sequence[bytes | Payload], now: float | None = None, node: bytes = b"") -> list[Event]:
        """A batch as `Capture.records` returns it: records, (type, payload), and whole events of the compiled part.

        All batches of one Capture in their order. `now` in seconds, by default the clock's; `node` is the host that a
        log names. Payloads that are not records are left in `damaged`.
        """
        ready: list[Event] = []
        rest: list[Payload] = []
        gaps = self.gaps
        for entry in batch:
            if isinstance(entry, tuple):
                rest.append(entry)
                continue
            if rest:
                ready += self.feed_records(rest, now, node)
                rest = []
            parts = entry.split(b"\x1f")
            if len(parts) == NEW_SHAPE:
                shape = parts.pop(4)
                self.shapes[parts[4]] = shape
            moment, serial, arguments, ids, known = parts
            event = Packed(moment, serial, arguments, ids, self.shapes[known])
            if self.waiting and event.stamp in self.waiting:
                # Begun in an earlier batch.
                ready += self.feed_records(event.items, now)
                continue
            number = int(serial)
            if gaps is not None and number == gaps.next:
                gaps.next = number + 1
            else:
                self.note(number, now)
            if self.last:
                self.end_last(ready)
            self.counts.events += 1
            ready.append(event)
        return ready + self.feed_records(rest, now, node) if rest else ready

    def is_whole(self, items: list[Payload], followed: bool) -> bool:
        """What ends a system call is there, once."""
        last = items[-1][0]
        if last == AUDIT_PROCTITLE and self.title_ends:
            return items[-2][0] != AUDIT_PROCTITLE
        if self.log:
            # Merged logs may have an end in the middle.
            early = AUDIT_EOE in [kind for kind, _ in items[:-1]]
            return not early and (last == AUDIT_EOE or (last == AUDIT_PROCTITLE and followed))
        return last == AUDIT_EOE

    def add(self, key: bytes, item: Payload, now: float | None, ready: list[Event]) -> None:
        """One record, by itself."""
        kind = item[0]
        found = self.waiting.get(key)
        if found is None:
            if kind != AUDIT_EOE:
                self.begin(key, item, now, ready)
        elif kind == AUDIT_EOE:
            ready.append(self.give_out(key, found, complete=True))
        else:
            found.append(item)
            if kind == AUDIT_PROCTITLE:
                self.titled[key] = None
                if self.title_ends and found[0][0] == SYSCALL:
                    ready.append(self.give_out(key, found, complete=True))

    def mark(self, now: float) -> None:
        """Since when what waits has been waiting: of what began since the last look. The clock never goes back."""
        self.now = max(now, self.now)
        for key in self.fresh:
            if key in self.waiting:
                self.since[key] = self.now
        self.fresh.clear()

    def is_new(self, head: bytes, now: float | None) -> bool:
        """Notes the serial of an event that begins with `audit(stamp): `; False if that is no stamp."""
        prefix, _, number = head[:-3].rpartition(b":")
        if prefix != self.prefix or not number.isdigit():
            if not head.startswith(b"audit(") or not STAMP.fullmatch(head, 6, len(head) - 3):
                return False
            self.prefix = prefix
        self.note(int(number), now)
        return True

    def note(self, number: int, now: float | None) -> None:
        """The serial of an event that begins."""
        if self.gaps is not None:
            if not self.gaps.saw(number, now):
                self.counts.late += 1
            self.counts.gaps = self.gaps.count

    def begin(self, key: bytes, item: Payload, now: float | None, ready: list[Event]) -> None:
        if not self.is_new(item[1][: item[1].index(b"): ") + 3], now):
            self.damaged.append(item)
            return
        if self.log:
            self.end_last(ready)
            self.last = key
        items = self.waiting[key] = [item]
        self.fresh.append(key)
        kind = item[0]
        if kind == AUDIT_PROCTITLE:
            self.titled[key] = None
        if not (FIRST_COMPOUND <= kind <= LAST_COMPOUND or kind == LOGIN):
            ready.append(self.give_out(key, items, complete=True))
        elif len(self.waiting) > self.in_flight:
            oldest = next(iter(self.waiting))
            ready.append(self.give_out(oldest, self.waiting[oldest], complete=self.log))

    def flush(self, now: float | None = None) -> list[Event]:
        """Events that wait for nothing but an EOE, and those that waited too long."""
        now = time.monotonic() if now is None else now
        if self.gaps is not None:
            self.counts.gaps = self.gaps.settle(now)
        if not self.waiting:
            return []
        self.mark(now)
        whole = [key for key in self.titled if ends_with_title(self.waiting[key])]
        self.titled.clear()
        if self.title_ends:
            whole += self.settled()
        ready = [self.give_out(key, self.waiting[key], complete=True) for key in whole]
        expired = list(takewhile(lambda key: self.now - self.since[key] >= self.timeout, self.since))
        for key in expired:
            items = self.waiting[key]
            ready.append(self.give_out(key, items, complete=self.log or not expects_more(items)))
        return ready

    def settled(self) -> list[bytes]:
        """io_uring's own threads have no title: without EOE their events are whole when nothing follows for a while."""
        return [
            key
            for key, items in self.waiting.items()
            if items[0][0] == URINGOP and not ends_with_title(items) and self.now - self.since[key] >= SETTLED
        ]

    def close(self) -> list[Event]:
        """All that still waits."""
        if self.gaps is not None:
            self.counts.gaps = self.gaps.settle(float("inf"))
        return [
            self.give_out(key, items, complete=self.log or ends_with_title(items) or not expects_more(items))
            for key, items in list(self.waiting.items())
        ]

    def end_last(self, ready: list[Event]) -> None:
        """In a log the next event has begun: one that has its title is complete."""
        last = self.waiting.get(self.last)
        if last is not None and ends_with_title(last):
            ready.append(self.give_out(self.last, last, complete=True))
        self.last = b""

    def give_out(self, key: bytes, items: list[Payload], *, complete: bool) -> Event:
        del self.waiting[key]
        self.since.pop(key, None)
        self.titled.pop(key, None)
        self.counts.events += 1
        if not complete:
            self.counts.incomplete += 1
        node, _, stamp = key.rpartition(b" ")
        return Event(stamp, items, complete, node)


def ends_with_title(items: list[Payload]) -> bool:
    return items[-1][0] == AUDIT_PROCTITLE


def expects_more(items: list[Payload]) -> bool:
    """A system call's event always ends with PROCTITLE or EOE; other kernel records may stand alone."""
    return any(item[0] in (SYSCALL, URINGOP) for item in items)


class Gaps:
    """Serials that never came. Records of different processors may overtake each other, so a missing serial is
    waited for as long as an event is."""

    def __init__(self, patience: float = TIMEOUT) -> None:
        self.patience = patience
        self.next: int | None = None
        self.missing: OrderedDict[int, float] = OrderedDict()
        self.count = 0

    def saw(self, number: int, now: float | None) -> bool:
        """Whether it is the first time."""
        following = self.next
        if number == following or following is None:
            self.next = number + 1
            return True
        if number < following:
            return self.missing.pop(number, None) is not None
        now = time.monotonic() if now is None else now
        width = number - following
        if width + len(self.missing) > GAP_LIMIT:
            # More than can be waited for one by one (or a reboot under a running clock): lost at once.
            self.count += width
        else:
            for absent in range(following, number):
                self.missing[absent] = now
        self.next = number + 1
        return True

    def settle(self, now: float) -> int:
        """The count, after what has been missing too long is given up."""
        while self.missing:
            number, since = next(iter(self.missing.items()))
            if now - since < self.patience:
                break
            del self.missing[number]
            self.count += 1
        return self.count
