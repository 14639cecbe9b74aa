"""Connections from their records: which are over within a second, which have begun, which have ended."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Iterator
from enum import Enum
from typing import NamedTuple, Protocol

from auditdeck.connections.clock import boottime
from auditdeck.connections.layout import (
    CONNECTION,
    EXECUTED,
    EXECUTION,
    EXITED,
    FORK,
    FORKED,
    ORIGIN,
    ORIGIN_AT,
    Connection,
    Execution,
    Fork,
    Origin,
    connection_of,
)  # fmt: skip

SETTLED_AFTER = 1_000_000_000
"""ns after which a connection that is established is told without waiting for its end."""
KIND = struct.Struct("=I").unpack_from
ESTABLISHED, ESTABLISHED_AT = struct.Struct("=Q").unpack_from, CONNECTION.offsets["established"]


class Phase(Enum):
    """What is told of a connection at once."""

    WHOLE = "whole"
    BEGUN = "begun"
    ENDED = "ended"


class Change(NamedTuple):
    connection: Connection
    phase: Phase


class Records(Protocol):
    """What is read: `Tracepoint`."""

    def records(self) -> list[bytes]: ...

    def still_open(self) -> memoryview: ...


class Processes(Protocol):
    """Who is told of processes: `ProcessTable`."""

    def fork(self, fork: Fork) -> None: ...

    def execute(self, execution: Execution) -> None: ...


class Tracker:
    """`poll()`: what became of connections since the last time; forks and executions go to the process table."""

    def __init__(self, source: Records, processes: Processes, clock: Callable[[], int] = boottime) -> None:
        self.source = source
        self.processes = processes
        self.clock = clock
        self.begun: dict[int, int] = {}
        self.gone: dict[int, int] = {}
        """Of those that have begun: no longer open at the last sweep; the end is in the ring buffer, or was lost."""
        self.drained = False
        self.swept = 0.0

    def poll(self) -> list[Change]:
        changes = []
        begun = self.begun
        records = self.source.records()
        self.drained |= not records
        for record in records:
            [kind] = KIND(record)
            if kind == EXITED:
                connection = connection_of(record)
                told = begun.pop(connection.sock, 0) if begun else 0
                changes.append(Change(connection, Phase.ENDED if told == connection.opened else Phase.WHOLE))
            elif kind == FORKED:
                self.processes.fork(Fork._make(FORK.struct.unpack(record)))
            elif kind == EXECUTED:
                self.processes.execute(Execution._make(EXECUTION.struct.unpack(record)))
        now = time.monotonic()
        if now - self.swept >= 1.0:
            self.swept = now
            changes += self.sweep()
        return changes

    def finish(self) -> list[Change]:
        """What is left before this process ends: also those that have only just been established, and attempts that
        nobody has answered yet."""
        return self.poll() + self.sweep(settled_after=0) + self.attempts()

    def attempts(self) -> list[Change]:
        """Connections that are neither established nor over."""
        data = self.source.still_open()
        return [
            Change(connection_of(data, at), Phase.BEGUN)
            for at in range(0, len(data), CONNECTION.size)
            if not ESTABLISHED(data, at + ESTABLISHED_AT)[0]
        ]

    def established(self) -> Iterator[Origin]:
        """Who opened the connections that are established now."""
        data = self.source.still_open()
        for at in range(0, len(data), CONNECTION.size):
            if ESTABLISHED(data, at + ESTABLISHED_AT)[0]:
                yield Origin._make(ORIGIN.unpack_from(data, at + ORIGIN_AT))

    def sweep(self, settled_after: int = SETTLED_AFTER) -> list[Change]:
        """Connections that have been established for so many ns and were not told yet."""
        data = self.source.still_open()
        words, stride = data.cast("Q"), CONNECTION.size // 8
        socks = words[CONNECTION.offsets["sock"] // 8 :: stride].tolist()
        opened = words[CONNECTION.offsets["opened"] // 8 :: stride].tolist()
        established = words[CONNECTION.offsets["established"] // 8 :: stride].tolist()
        before = self.clock() - settled_after
        begun = self.begun
        changes = []
        still: dict[int, int] = {}
        for place, (sock, began, there) in enumerate(zip(socks, opened, established, strict=True)):
            if not there or began > before:
                continue
            still[sock] = began
            if begun.get(sock) != began:
                changes.append(Change(connection_of(data, place * CONNECTION.size), Phase.BEGUN))
        gone = {sock: began for sock, began in begun.items() if sock not in still}
        if self.drained:
            # The ring buffer had no room for the end of these.
            gone = {sock: began for sock, began in gone.items() if self.gone.get(sock) != began}
        self.begun, self.gone, self.drained = still | gone, gone, False
        return changes
