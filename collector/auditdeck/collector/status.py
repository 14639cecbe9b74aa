"""The status file of a running collector: what `auditdeck status` shows."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import orjson

from auditdeck.collector.health import Counters


def write_status(path: Path, counters: Counters, **more: Any) -> None:
    """Replaces the file as a whole. Raises OSError."""
    partial = path.with_suffix(".partial")
    partial.write_bytes(orjson.dumps({"pid": os.getpid(), "time": time.time(), "counters": counters, **more}))
    partial.replace(path)


def read_status(path: Path) -> dict[str, Any] | None:
    """None if there is none that can be read."""
    try:
        status: dict[str, Any] = orjson.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return status
