"""The local store: Parquet of closed segments and the open segment together, read without a lock while others write."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Self, TypeVar

from auditdeck.errors import StoreError
from auditdeck.eventlog.chain import read_chain
from auditdeck.eventlog.segment import EVENTS, PARQUET, Segment, blocks_of, segments
from auditdeck.private_file import require_readable
from auditdeck.query.columns import EMPTY, LARGEST, NO_TIME, from_json, from_parquet, kinds_of_parquet
from auditdeck.query.compaction import digest, is_made_from, mend, parquet_path
from auditdeck.query.line import document

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

MEMORY = "700MB"
ATTEMPTS = 5
Found = TypeVar("Found")


class Store:
    """Read access to one data directory through DuckDB; `events` is the table, `columns.FLAT` its columns."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        require_readable(data_dir, data_dir / EVENTS, data_dir / PARQUET)
        if not os.path.isdir(data_dir):
            raise StoreError(f"there is no data directory {data_dir}", "run `auditdeck run` first, or see --data-dir")

    def __enter__(self) -> Self:
        import duckdb

        self.connection = duckdb.connect()
        self.connection.execute(
            f"SET memory_limit = '{MEMORY}'; SET TimeZone = 'UTC'; SET preserve_insertion_order = false"
        )
        self.mended = TemporaryDirectory(prefix="auditdeck-")
        self.whole: set[Path] = set()
        """Compressed segments that were looked through."""
        self.unreadable: set[int] = set()
        """Numbers of Parquet files that turned out not to be readable."""
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()
        self.mended.cleanup()

    def snapshot(self) -> DuckDBPyConnection:
        """Defines the view `events` over what is there now."""
        sources = self.sources()
        self.connection.execute(f"CREATE OR REPLACE TEMP VIEW events AS {' UNION ALL BY NAME '.join(sources)}")
        return self.connection

    def read(self, function: Callable[[DuckDBPyConnection], Found]) -> Found:
        """What `function` finds in `events`; it reads again if files were replaced, or turned out to be damaged.

        Raises StoreError.
        """
        import duckdb

        for attempt in range(ATTEMPTS):
            try:
                return function(self.snapshot())
            except duckdb.Error as error:
                found = {number for number in self.compacted() if not self.can_be_read(number)}
                again = found > self.unreadable or isinstance(error, duckdb.IOException)
                self.unreadable = found
                if attempt == ATTEMPTS - 1 or not again:
                    raise StoreError(f"cannot read {self.data_dir}: {error}", "see `auditdeck verify`") from error
        raise AssertionError("unreachable")

    def sources(self) -> list[str]:
        """A SELECT for each kind of file; a segment that has its Parquet file is read from that.

        A Parquet file that is damaged, or was not made from its segment, is left out where the segment is there, and
        counts as a row without time where it is not.
        """
        # The order matters: a segment that is compacted in between is then seen twice or once, and taken once.
        listed = {segment.number: segment for segment in segments(self.data_dir / EVENTS)}
        compacted = self.compacted()
        hashes = {entry.segment: entry.sha256 for entry in read_chain(self.data_dir / EVENTS)}
        old = self.of_events(
            {
                number
                for number in compacted - self.unreadable
                if is_made_from(parquet_path(self.data_dir, number), hashes.get(number, "") if number in listed else "")
            }
        )
        # What 0.1.0 compacted lacks what is asked for today; its segment has all, where it is still there.
        used = {number for number, is_old in old.items() if not (is_old and number in listed)}
        sources = [EMPTY, *[NO_TIME] * len(compacted - used - listed.keys())]
        files = {False: list[str](), True: list[str]()}
        for number in sorted(used):
            files[old[number]].append(str(parquet_path(self.data_dir, number)))
        sources += [from_parquet(those, old=is_old) for is_old, those in files.items() if those]
        rest = [segment for number, segment in listed.items() if number not in used]
        if packed := [str(self.readable(segment)) for segment in rest if segment.compressed]:
            sources.append(from_json(packed))
        if plain := [segment for segment in rest if not segment.compressed]:
            sources += self.plain(plain)
        return sources

    def plain(self, open_segments: list[Segment]) -> list[str]:
        """Segments that may just be written to: damaged lines are counted without the one that is not whole yet."""
        # Read once: to parse JSON costs more than to count, and an answer is many queries.
        lines = from_json([str(self.readable(segment)) for segment in open_segments])
        self.connection.execute(f"CREATE OR REPLACE TEMP TABLE plain AS {lines}")
        [(found,)] = self.connection.execute("SELECT count(*) FROM plain WHERE time IS NULL").fetchall()
        damaged = sum(damaged_lines(segment) for segment in open_segments) if found else 0
        return ["SELECT * FROM plain WHERE time IS NOT NULL", *[NO_TIME] * damaged]

    def compacted(self) -> set[int]:
        return {int(path.stem) for path in (self.data_dir / PARQUET).glob("*.parquet") if path.stem.isdecimal()}

    def of_events(self, numbers: set[int]) -> dict[int, bool]:
        """Of these Parquet files those that hold events, and whether 0.1.0 wrote them."""
        import duckdb

        if not numbers:
            return {}
        files = [str(parquet_path(self.data_dir, number)) for number in sorted(numbers)]
        try:
            rows = self.connection.execute(kinds_of_parquet(files)).fetchall()
        except duckdb.Error:
            if len(numbers) == 1:
                return {}
            return {number: old for one in numbers for number, old in self.of_events({one}).items()}
        return {int(Path(name).stem): old for name, has_events, old in rows if has_events}

    def can_be_read(self, number: int) -> bool:
        import duckdb

        try:
            file = str(parquet_path(self.data_dir, number))
            self.connection.execute(f"SELECT bit_xor(hash(events)) FROM ({from_parquet([file])}) events").fetchall()
        except duckdb.Error:
            return False
        return True

    def readable(self, segment: Segment) -> Path:
        """A segment itself if it is whole, or what can be read of it."""
        try:
            if segment.path in self.whole or (not segment.compressed and segment.path.stat().st_size <= LARGEST):
                return segment.path
            if digest(segment.path).whole:
                if segment.compressed:
                    self.whole.add(segment.path)
                return segment.path
            mended = Path(self.mended.name) / f"{segment.number:010d}.ndjson"
            mend(segment.path, mended)
        except FileNotFoundError:
            # Compressed or deleted in this moment: DuckDB will not find it either.
            return segment.path
        return mended


def damaged_lines(segment: Segment) -> int:
    """Whole lines of a segment that are not documents."""
    try:
        return sum(document(line) is None for block in blocks_of(segment) for line in block.split(b"\n")[:-1])
    except FileNotFoundError:
        return 0
