"""The thread that reads connections from the kernel's tracepoints and hands their documents to the writer."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from auditdeck.collector.filters import Filters
from auditdeck.collector.health import Counters
from auditdeck.collector.session import boot_id
from auditdeck.connections.before import OpenBefore
from auditdeck.connections.clock import Clock
from auditdeck.connections.layout import origin_of
from auditdeck.connections.tracepoint import Tracepoint
from auditdeck.connections.tracker import Change, Phase, Tracker
from auditdeck.context.process_table import ProcessTable
from auditdeck.ecs.connection import ConnectionEncoder, as_event
from auditdeck.ecs.context import Context
from auditdeck.errors import TracepointError
from auditdeck.settings.model import Settings

NAP = 0.09
"""Seconds between two looks: nothing in the kernel wakes this thread up."""

COUNTED = 5.0
"""Seconds between two counts of what is open."""

logger = logging.getLogger("auditdeck")


def open_tracepoint(source: str) -> tuple[Tracepoint | None, str]:
    """As `connections.source` wants it: attached, or None and why not. Raises TracepointError for `tracepoint`."""
    if source == "audit":
        return None, "connections.source is audit"
    try:
        return Tracepoint(), ""
    except TracepointError as error:
        if source == "tracepoint":
            raise
        return None, f"{error}; {error.hint}"


class ConnectionReader:
    """Started and stopped with the collector. `write` takes lines; it is called in this reader's thread alone."""

    def __init__(
        self,
        tracepoint: Tracepoint,
        context: Context,
        settings: Settings,
        filters: Filters,
        counters: Counters,
        write: Callable[[list[bytes]], None],
    ) -> None:
        self.tracepoint = tracepoint
        self.filters = filters
        self.counters = counters
        self.write = write
        self.clock = Clock()
        self.table = ProcessTable(proc=context.processes.proc)
        self.tracker = Tracker(tracepoint, self.table)
        ends = settings.documents.connection_ends
        self.encoder = ConnectionEncoder(context, self.table, self.clock, boot_id(), ends=ends)
        self.stopping = threading.Event()
        self.open: int | None = None
        """Outbound connections that were established at the last count; None if nobody knows."""

    def run(self) -> None:
        self.table.scan()
        before = OpenBefore(self.encoder.context.network.addresses.internal)
        counted = 0.0
        while not self.stopping.wait(NAP):
            self.look()
            now = time.monotonic()
            if now - counted >= COUNTED:
                counted = now
                self.open = before.count() + sum(map(self.encoder.is_outbound, self.tracker.established()))

    def look(self) -> None:
        """Everything that has come, and what is established for long enough to be told."""
        while True:
            self.clock.look()
            changes = self.tracker.poll()
            self.counters.ring_lost = self.tracepoint.lost
            if not changes:
                return
            self.take(changes)

    def take(self, changes: list[Change]) -> None:
        encoder, counters = self.encoder, self.counters
        encoder.check()
        lines = []
        for change in changes:
            if self.filters.rules and self.is_dropped(change):
                counters.filtered += 1
                continue
            if line := encoder.encode(change):
                lines.append(line)
        self.write(lines)
        if encoder.context.first is not None:
            encoder.context.first.save()
        counters.connections += sum(change.phase is not Phase.ENDED for change in changes)
        counters.documents += len(lines)

    def is_dropped(self, change: Change) -> bool:
        origin = origin_of(change.connection)
        process = self.table.of(origin.tgid, origin.process_started, change.connection.opened)
        return self.filters.drops(as_event(change.connection, process.executable if process else ""))

    def stop(self) -> None:
        self.stopping.set()

    def close(self) -> None:
        """What is still to come, then detached. What is open is told as begun; its end will not be known."""
        self.look()
        if changes := self.tracker.finish():
            self.take(changes)
        self.open = None
        self.tracepoint.close()
