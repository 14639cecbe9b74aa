"""A line of the event log: a document, or damaged."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import orjson


def document(line: bytes) -> dict[str, Any] | None:
    """None if it is not a document with a time that can be read."""
    try:
        found = orjson.loads(line)
        datetime.fromisoformat(found["@timestamp"])
    except (ValueError, TypeError, KeyError):
        return None
    return found if isinstance(found, dict) else None
