"""The local store: Parquet of closed segments and the open segment together, read without a lock while others write."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeVar

from auditdeck.errors import StoreError
from auditdeck.eventlog.segment import EVENTS, PARQUET, segments
from auditdeck.query.columns import EMPTY, from_json, from_parquet, old_parquet
from auditdeck.query.compaction import parquet_path

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

MEMORY = "700MB"
ATTEMPTS = 5
Found = TypeVar("Found")


class Store:
    """Read access to one data directory through DuckDB; `events` is the table, `columns.FLAT` its columns."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        if not data_dir.is_dir():
            raise StoreError(f"there is no data directory {data_dir}", "run `auditdeck run` first, or see --data-dir")

    def __enter__(self) -> Self:
        import duckdb

        self.connection = duckdb.connect()
        self.connection.execute(
            f"SET memory_limit = '{MEMORY}'; SET TimeZone = 'UTC'; SET preserve_insertion_order = false"
        )
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def snapshot(self) -> DuckDBPyConnection:
        """Defines the view `events` over what is there now."""
        sources = self.sources()
        self.connection.execute(f"CREATE OR REPLACE TEMP VIEW events AS {' UNION ALL BY NAME '.join(sources)}")
        return self.connection

    def read(self, function: Callable[[DuckDBPyConnection], Found]) -> Found:
        """What `function` finds in `events`; it reads again if files were replaced while it read."""
        import duckdb

        for attempt in range(ATTEMPTS):
            try:
                return function(self.snapshot())
            except duckdb.IOException:
                if attempt == ATTEMPTS - 1:
                    raise
        raise AssertionError("unreachable")

    def sources(self) -> list[str]:
        """A SELECT for each kind of file; a segment that has its Parquet file is read from that."""
        # The order matters: a segment that is compacted in between is then seen twice or once, and taken once.
        listed = segments(self.data_dir / EVENTS)
        compacted = {int(path.stem) for path in (self.data_dir / PARQUET).glob("*.parquet")}
        old = self.old(compacted)
        # What 0.1.0 compacted lacks what is asked for today; its segment has all, where it is still there.
        compacted -= old & {segment.number for segment in listed}
        rest = [segment for segment in listed if segment.number not in compacted]
        sources = [EMPTY]
        for numbers, is_old in ((compacted - old, False), (compacted & old, True)):
            if numbers:
                files = [str(parquet_path(self.data_dir, number)) for number in sorted(numbers)]
                sources.append(from_parquet(files, old=is_old))
        if rest:
            sources.append(from_json([str(segment.path) for segment in rest], open_segment=True))
        return sources

    def old(self, numbers: set[int]) -> set[int]:
        """Of the Parquet files with these numbers those that 0.1.0 wrote."""
        if not numbers:
            return set()
        files = [str(parquet_path(self.data_dir, number)) for number in sorted(numbers)]
        return {int(Path(name).stem) for (name,) in self.connection.execute(old_parquet(files)).fetchall()}
