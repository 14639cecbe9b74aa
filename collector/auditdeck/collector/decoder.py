"""From records to documents: assembled, filtered, decoded, and handed on."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import NamedTuple

from auditdeck.audit.assembler import Assembler
from auditdeck.audit.event import Event
from auditdeck.audit.messages import AUDIT_EOE
from auditdeck.audit.record import Payload
from auditdeck.collector.attempts import Attempts
from auditdeck.collector.damaged import DamagedLog
from auditdeck.collector.filters import Filters
from auditdeck.collector.health import Counters
from auditdeck.collector.lag import Lag
from auditdeck.collector.settling import AGAIN, Settling
from auditdeck.collector.sink import Sink
from auditdeck.ecs.first import FirstMarker
from auditdeck.ecs.template import Encoder

ALL_TYPES = 65535
SETTLED = 0.25
"""Seconds after which what waits for more of its records is looked at again."""

Batch = list[bytes | Payload]
logger = logging.getLogger("auditdeck")


class Types(NamedTuple):
    """The record types that are wanted."""

    first: int = 0
    last: int = ALL_TYPES

    @property
    def are_all(self) -> bool:
        return (self.first, self.last) == (0, ALL_TYPES)

    def has(self, kind: int) -> bool:
        return self.first <= kind <= self.last or kind == AUDIT_EOE


ALL = Types()


class Decoder:
    """In one thread at a time, and batches in their order. What cannot be decoded is kept in damaged.log."""

    def __init__(
        self,
        assembler: Assembler,
        encoder: Encoder,
        filters: Filters,
        damaged: DamagedLog,
        sink: Sink,
        counters: Counters,
        *,
        attempts: Attempts,
        types: Types = ALL,
        marker: FirstMarker | None = None,
        settling: Settling | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.assembler = assembler
        self.encoder = encoder
        self.filters = filters
        self.damaged = damaged
        self.sink = sink
        self.counters = counters
        self.attempts = attempts
        self.types = types
        self.marker = marker
        self.settling = settling
        self.clock = clock
        self.lag = Lag()

    @property
    def patience(self) -> float:
        """Seconds after which it wants to be called, also without anything new, as something waits for more of its
        records, or for what becomes of it; 0 if nothing does."""
        if self.settling is not None and self.settling.waiting:
            return AGAIN
        return SETTLED if self.assembler.unsettled else 0.0

    def take(self, batch: Batch, count: int, *, last: bool) -> None:
        """A batch of `count` records, the `last` that is there now."""
        self.counters.records += count
        ready = self.assemble(batch)
        if last and self.assembler.unsettled:
            ready += self.assembler.flush()
        self.write(ready)

    def finish(self) -> None:
        """Events that still wait are written as they are."""
        self.write(self.assembler.close())
        if self.settling is not None:
            self.keep(self.settling.finish())

    def assemble(self, batch: Batch) -> list[Event]:
        if not self.types.are_all:
            kept = [item for item in batch if isinstance(item, bytes) or self.types.has(item[0])]
            self.counters.filtered += len(batch) - len(kept)
            batch = kept
        ready = self.assembler.feed(batch)
        if self.assembler.damaged:
            self.keep_damaged(self.assembler.damaged)
            self.assembler.damaged.clear()
        return ready

    def keep_damaged(self, items: list[Payload]) -> None:
        self.counters.damaged += len(items)
        self.attempts.attempt("keep damaged records", lambda: self.damaged.append(items))

    def write(self, events: list[Event]) -> None:
        lines = []
        self.encoder.check()
        if self.settling is not None:
            self.settling.look()
        for event in events:
            if self.filters.rules and self.filters.drops(event):
                self.counters.filtered += 1
                continue
            try:
                line = self.encoder.encode_checked(event)
            except Exception:
                logger.exception("event %s could not be decoded; its records are in damaged.log", event.stamp.decode())
                self.keep_damaged(event.items)
                continue
            if not line:
                self.counters.absorbed += 1
            elif self.settling is None or not self.settling.hold(event, line):
                lines.append(line)
        if self.settling is not None:
            lines += self.settling.due()
        self.keep(lines)
        # Records of the kernel's own threads have nothing that ends them: they are waited for on purpose.
        if call := next((event for event in events if event.is_call), None):
            lag = max(0.0, self.clock() - float(call.moment))
            self.lag.add(lag, len(events))
            self.counters.lag = max(self.counters.lag, round(lag, 3))

    def keep(self, lines: list[bytes]) -> None:
        if self.marker is not None:
            lines = [self.marker.marked(line) for line in lines]
        self.sink.keep(lines)
        if self.marker is not None:
            self.marker.seen.save()
        self.counters.documents += len(lines)
