"""How far a consumer of the event log has come, kept on disk: saved only after it was acknowledged."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import orjson

from auditdeck.eventlog.reader import Position
from auditdeck.eventlog.segment import EVENTS, segment_path

CURSORS = "cursors"


class Cursor:
    """The position of one consumer, `cursors/NAME.json` in the data directory."""

    def __init__(self, data_dir: Path, name: str) -> None:
        self.path = data_dir / CURSORS / f"{name}.json"
        self.events = data_dir / EVENTS
        self.position = read_position(self.path)
        self.more = read_more(self.path)

    def save(self, position: Position, more: Mapping[str, int] = MappingProxyType({})) -> None:
        """Replaces the file as a whole, so that a crash leaves the old position or the new one, with what its consumer
        wants to know of it.

        What was read is synced before: after a power cut no cursor is ahead of its log.
        """
        if position == self.position and more == self.more:
            return
        with contextlib.suppress(FileNotFoundError):
            segment = os.open(segment_path(self.events, position.segment), os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fdatasync(segment)
            finally:
                os.close(segment)
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        partial = self.path.with_suffix(".partial")
        with open(partial, "wb") as file:
            file.write(orjson.dumps({**position._asdict(), **more}))
            file.flush()
            os.fdatasync(file.fileno())
        partial.replace(self.path)
        self.position, self.more = position, dict(more)


def read_position(path: Path) -> Position:
    """The saved position; the beginning if there is none or it cannot be read (what is sent twice is there once)."""
    try:
        saved = orjson.loads(path.read_bytes())
        return Position(max(0, int(saved["segment"])), max(0, int(saved["offset"])))
    except (OSError, ValueError, KeyError, TypeError):
        return Position()


def read_more(path: Path) -> dict[str, int]:
    """What was saved with a position."""
    try:
        saved = orjson.loads(path.read_bytes()).items()
        return {name: value for name, value in saved if isinstance(value, int) and name not in Position._fields}
    except (OSError, ValueError, AttributeError):
        return {}


def first_needed(data_dir: Path, names: list[str]) -> int | None:
    """The first segment that some of these consumers has not read to its end; None without consumers."""
    positions = [read_position(data_dir / CURSORS / f"{name}.json").segment for name in names]
    return min(positions) if positions else None
