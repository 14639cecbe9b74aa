"""Closed segments to Parquet, one file each; run as a child at low priority, so that collecting never waits for it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from auditdeck.eventlog.segment import PARQUET
from auditdeck.query.columns import from_json, quoted


def parquet_path(data_dir: Path, number: int) -> Path:
    return data_dir / PARQUET / f"{number:010d}.parquet"


def compact(segment: Path, target: Path) -> None:
    """Writes one segment's columns to `target`; all of it or nothing."""
    import duckdb

    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    partial = target.with_suffix(".partial")
    with duckdb.connect() as connection:
        connection.execute("SET threads = 1; SET memory_limit = '512MB'; SET preserve_insertion_order = false")
        # A crash can have left a torn line in the middle of a segment that a mended one continued.
        select = from_json([str(segment)], open_segment=True)
        connection.execute(f"COPY ({select}) TO {quoted(str(partial))} (FORMAT parquet, COMPRESSION zstd)")
    with open(partial, "rb") as file:
        os.fsync(file.fileno())
    partial.replace(target)


if __name__ == "__main__":
    os.nice(10)
    compact(Path(sys.argv[1]), Path(sys.argv[2]))
