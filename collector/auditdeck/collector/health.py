"""What the collector counts about itself, and the documents that tell it: for reports and dashboards."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from typing import Any, Literal

import orjson

from auditdeck import __version__
from auditdeck.audit.assembler import Counts
from auditdeck.eventlog.writer import Writer

State = Literal["started", "running", "stopped"]
HEALTH_INTERVAL = 60.0
LOSSES = ("lost", "ring_lost", "gaps", "overruns", "dropped", "damaged", "dead_letters", "shortened")
"""Counters of what is missing somewhere."""
URGENT = ("lost", "gaps", "dropped", "damaged", "ring_lost", "unwatched")


@dataclass(slots=True)
class Counters(Counts):
    """Since the start of the process, with those of the assembler.

    `connections`: attempts that the tracepoint told; `ring_lost`: those for which it had no room.
    `unwatched`: seconds in which the kernel did not record what it was asked to (watch.py).
    `lost`: records that the kernel dropped (its own count), `overruns`: times that the receive buffer was full,
    `dropped`: documents deleted by the event log's bounds before a consumer had them, `damaged`: records that could not
    be read and torn lines, `absorbed`: socket events that only told a protocol, `filtered`: events that a filter kept
    out, and records of types that are not wanted,
    `lag`: the longest time in seconds, since the last report, from an event to its place in the event log,
    `sent`, `dead_letters`, `shortened` and `doubled`: documents of all outputs (outputs/output.py), `behind`: bytes of
    the event log that the slowest output has still to send.
    """

    connections: int = 0
    ring_lost: int = 0
    unwatched: float = 0.0
    records: int = 0
    documents: int = 0
    absorbed: int = 0
    filtered: int = 0
    lost: int = 0
    overruns: int = 0
    dropped: int = 0
    damaged: int = 0
    segments: int = 0
    backlog: int = 0
    queued: int = 0
    sent: int = 0
    dead_letters: int = 0
    shortened: int = 0
    doubled: int = 0
    behind: int = 0
    lag: float = 0.0


GAUGES = {"backlog", "queued", "segments", "behind", "lag"}


def changes(now: Counters, before: Counters) -> dict[str, float]:
    """What a health document holds: counts since the last one, gauges as they are."""
    values = {}
    for field in fields(Counters):
        current = getattr(now, field.name)
        values[field.name] = current if field.name in GAUGES else current - getattr(before, field.name)
    return values


def health_document(
    host: dict[str, Any],
    counts: dict[str, float],
    interval: float,
    source: str = "audit",
    state: State = "running",
    chain: str = "",
) -> bytes:
    """A line of the event log about the collector itself: `interval` in seconds, `source` of its connections, `chain`
    the head of the event log before it (docs/integrity.md)."""
    now = time.time()
    document = {
        "@timestamp": f"{datetime.fromtimestamp(now, UTC):%Y-%m-%dT%H:%M:%S}.{int(now * 1000) % 1000:03d}Z",
        "ecs": {"version": "9.0.0"},
        "event": {
            "id": f"health-{now:.3f}:{os.getpid()}",
            "kind": "metric",
            "module": "auditdeck",
            "dataset": "auditdeck.health",
            "action": "reported-health",
            "category": ["process"],
            "type": ["info"],
        },
        "host": host,
        "auditdeck": {
            "health": {
                **counts,
                "interval": round(interval, 3),
                "source": source,
                "state": state,
                "chain": chain,
                "version": __version__,
            },
        },
    }
    return orjson.dumps(document)


class Health:
    """Reports what happened since the last report, or the start, as a document of the event log."""

    def __init__(
        self,
        counters: Counters,
        host: Callable[[], dict[str, Any]],
        source: str,
        writer: Writer,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.counters = counters
        self.host = host
        self.source = source
        self.writer = writer
        self.clock = clock
        self.reported = replace(counters)
        self.reported_at = clock()

    @property
    def due(self) -> bool:
        """Every minute, and at once when something was lost."""
        lost = any(getattr(self.counters, name) != getattr(self.reported, name) for name in URGENT)
        return lost or self.clock() - self.reported_at >= HEALTH_INTERVAL

    @property
    def unreported(self) -> dict[str, Any]:
        """Seconds since the last report, and how many of them were not watched."""
        return {
            "host": self.host()["name"],
            "seconds": self.clock() - self.reported_at,
            "unwatched": self.counters.unwatched - self.reported.unwatched,
        }

    def report(self, state: State = "running") -> None:
        """Raises StoreError; what could not be reported is in the next report."""
        now, moment = replace(self.counters), self.clock()
        counts = changes(now, self.reported)
        interval = moment - self.reported_at
        document = health_document(self.host(), counts, interval, self.source, state, self.writer.head)
        self.writer.append([document])
        self.reported, self.reported_at = now, moment
        self.counters.lag = 0.0
