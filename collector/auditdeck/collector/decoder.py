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
from auditdeck.collector.sink import Sink
from auditdeck.ecs.first import FirstMarker
from auditdeck.ecs.template import Encoder

ALL_TYPES = 65535

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
        self.clock = clock

    @property
    def unsettled(self) -> bool:
        """Whether an event waits for more of its records."""
        return self.assembler.unsettled

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
            if line:
                lines.append(line if self.marker is None else self.marker.marked(line))
            else:
                self.counters.absorbed += 1
        self.sink.keep(lines)
        if self.marker is not None:
            self.marker.seen.save()
        # Records of the kernel's own threads have nothing that ends them: they are waited for on purpose.
        if call := next((event for event in events if event.is_call), None):
            self.counters.lag = max(self.counters.lag, round(self.clock() - float(call.moment), 3))
        self.counters.documents += len(lines)
