"""status.json of a data directory: what the collector that runs says of itself, every few seconds."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import orjson

from auditdeck.private_file import share

Status = dict[str, Any]
STATUS = "status.json"
FRESH = 30.0
"""Seconds for which it is believed."""


def write_status(path: Path, state: dict[str, Any]) -> None:
    """Replaces the file as a whole. Raises OSError."""
    partial = path.with_suffix(".partial")
    with open(partial, "wb") as file:
        share(file.fileno(), path.parent)
        file.write(orjson.dumps({"pid": os.getpid(), "time": time.time(), **state}))
    partial.replace(path)


def read_status(path: Path) -> Status | None:
    """None if there is none that can be read; `time` in seconds since the epoch."""
    try:
        status: Status = orjson.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return status if isinstance(status, dict) and isinstance(status.get("time"), float) else None


def is_fresh(status: Status) -> bool:
    """Whether it was written lately enough to be believed."""
    age: float = time.time() - status["time"]
    return age < FRESH


def troubles(status: Status) -> list[str]:
    """What is not watched, and what is not written, as sentences; none if all is."""
    return [*status.get("not_watched", ()), *(f"cannot {what}" for what in status.get("failing", ()))]
