"""Closed segments to Parquet, one file each; run as a child at low priority, so that collecting never waits for it.

The Parquet file holds the number of lines and the SHA-256 of the segment that it was made from (`auditdeck.lines`,
`auditdeck.sha256` of its metadata). A line that is damaged is a row without time, and so is each damaged place.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

from auditdeck.eventlog.segment import NAME, PARQUET, Segment, blocks_of
from auditdeck.private_file import open_shared
from auditdeck.query.columns import LARGEST, from_json, quoted

MAGIC = b"PAR1"
"""At both ends of the file; before the last one stands the length of the footer (parquet.apache.org)."""
PLACE = b"{}\n"
"""Stands for a damaged place."""


def parquet_path(data_dir: Path, number: int) -> Path:
    return data_dir / PARQUET / f"{number:010d}.parquet"


def compact(segment: Path, target: Path) -> None:
    """Writes one segment's columns to `target`; all of it or nothing."""
    import duckdb

    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    partial, mended = target.with_suffix(".partial"), target.with_suffix(".ndjson")
    try:
        found = digest(segment)
        if not found.whole:
            mend(segment, mended)
        with duckdb.connect() as connection:
            connection.execute("SET threads = 1; SET memory_limit = '512MB'; SET preserve_insertion_order = false")
            os.close(open_shared(partial, os.O_WRONLY))
            select = from_json([str(segment if found.whole else mended)], found.largest)
            connection.execute(
                f"COPY ({select}) TO {quoted(str(partial))} (FORMAT parquet, COMPRESSION zstd, USE_TMP_FILE false, "
                f"KV_METADATA {{'auditdeck.lines': '{found.lines}', 'auditdeck.sha256': '{found.sha256}'}})"
            )
    finally:
        mended.unlink(missing_ok=True)
    with open(partial, "rb") as file:
        os.fsync(file.fileno())
    partial.replace(target)


def segment_of(path: Path) -> Segment:
    match = NAME.match(path.name)
    assert match is not None
    return Segment(int(match[1]), bool(match[2]), path)


class Digest(NamedTuple):
    """Of a segment: how many lines it has, and their hash; bytes that no line has more of; whether all can be read."""

    lines: int
    sha256: str
    largest: int
    whole: bool


def digest(segment: Path) -> Digest:
    damaged: list[str] = []
    found, lines, largest = hashlib.sha256(), 0, 1 << 20
    for block in blocks_of(segment_of(segment), damaged.append):
        found.update(block)
        lines += block.count(b"\n")
        largest = max(largest, len(block))
    return Digest(lines, found.hexdigest(), min(largest, LARGEST), whole=not damaged and largest <= LARGEST)


def mend(segment: Path, target: Path) -> None:
    """What can be read of a segment, with a line for each damaged place."""
    with open(target, "wb", opener=private) as file:
        told: Callable[[str], object] = lambda _: file.write(PLACE)  # noqa: E731
        for block in blocks_of(segment_of(segment), told):
            if len(block) <= LARGEST:
                file.write(block)
            else:
                file.writelines(line if len(line) <= LARGEST else PLACE for line in BytesIO(block))


def private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def footer(path: Path) -> bytes | None:
    """Of a Parquet file: its schema and metadata; None if it is not one, or not whole."""
    try:
        with open(path, "rb") as file:
            head, size = file.read(4), file.seek(0, os.SEEK_END)
            file.seek(max(0, size - 8))
            end = file.read(8)
            length = int.from_bytes(end[:4], "little")
            if head != MAGIC or end[4:] != MAGIC or not 0 < length <= size - 12:
                return None
            file.seek(size - 8 - length)
            return file.read(length)
    except OSError:
        return None


def is_made_from(path: Path, sha256: str) -> bool:
    """Whether this is the Parquet file of a segment with that hash ("" if it is not known)."""
    found = footer(path)
    return found is not None and sha256.encode() in found


if __name__ == "__main__":
    os.nice(10)
    compact(Path(sys.argv[1]), Path(sys.argv[2]))
