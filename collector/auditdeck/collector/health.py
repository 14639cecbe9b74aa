"""What the collector counts about itself: for status, for the report's quality line, for dashboards."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from auditdeck import __version__
from auditdeck.audit.assembler import Counts

HEALTH_INTERVAL = 60.0


@dataclass(slots=True)
class Counters(Counts):
    """Since the start of the process, with those of the assembler.

    `connections`: attempts that the tracepoint told; `ring_lost`: those for which it had no room.
    `lost`: records that the kernel dropped (its own count), `overruns`: times that the receive buffer was full,
    `dropped`: documents deleted by the event log's bounds before a consumer had them, `damaged`: records that could not
    be read and torn lines, `absorbed`: socket events that only told a protocol, `filtered`: events that a filter kept
    out, and records of types that are not wanted,
    `lag`: the longest time in seconds, since the last report, from an event to its place in the event log,
    `sent` and `dead_letters`: documents that outputs delivered, and that were refused for good, `behind`: bytes of the
    event log that the slowest output has still to send.
    """

    connections: int = 0
    ring_lost: int = 0
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


def health_document(host: dict[str, Any], counts: dict[str, float], interval: float, source: str = "audit") -> bytes:
    """A line of the event log about the collector itself: `interval` in seconds, `source` of its connections."""
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
            "health": {**counts, "interval": round(interval, 3), "source": source, "version": __version__},
        },
    }
    return orjson.dumps(document)


def write_status(path: Path, counters: Counters, **more: Any) -> None:
    """The status file of a running collector, replaced as a whole."""
    partial = path.with_suffix(".partial")
    partial.write_bytes(orjson.dumps({"pid": os.getpid(), "time": time.time(), "counters": counters, **more}))
    partial.replace(path)


def read_status(path: Path) -> dict[str, Any] | None:
    try:
        status: dict[str, Any] = orjson.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return status
