"""The bounds of the event log and the store: by size and by age, oldest first, and what was dropped is counted."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

from auditdeck.eventlog.chain import marks_path
from auditdeck.eventlog.packed import pieces

FILE = re.compile(r"(\d{10})\.(ndjson\.gz|parquet)\Z")


def expire(
    folder: Path,
    *,
    max_size: int,
    max_age: float,
    keep_from: int | None = None,
    note: Callable[[int], None] | None = None,
) -> tuple[int, int]:
    """Deletes closed files beyond the bounds; how many, and how many documents a consumer had not read yet.

    `keep_from` is the first segment that some consumer still needs: the size bound goes before it, the age does not.
    0 is no bound. `note` is told, before, the number of the last one that is about to be deleted.
    """
    found = []
    try:
        for path in folder.iterdir():
            if match := FILE.match(path.name):
                status = path.stat()
                found.append((int(match[1]), path, status.st_size, status.st_mtime))
    except FileNotFoundError:
        return 0, 0
    found.sort()
    total = sum(size for _, _, size, _ in found)
    now = time.time()
    leaving: list[tuple[int, Path, bool]] = []
    for number, path, size, modified in found:
        needed = keep_from is not None and number >= keep_from
        too_big = max_size > 0 and total > max_size
        too_old = max_age > 0 and now - modified > max_age and not needed
        if not (too_big or too_old):
            break
        leaving.append((number, path, needed))
        total -= size
    if leaving and note is not None:
        note(leaving[-1][0])
    unread = 0
    for _, path, needed in leaving:
        unread += lines_in(path) if needed else 0
        path.unlink(missing_ok=True)
        marks_path(path).unlink(missing_ok=True)
    return len(leaving), unread


def lines_in(segment: Path) -> int:
    """As far as it can be read."""
    return sum(piece.count(b"\n") for _, piece in pieces(segment, lambda _: None))
