"""Whether Parquet files say the same as the segments that they were made from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auditdeck.eventlog.chain import Entry, read_chain
from auditdeck.eventlog.segment import EVENTS, PARQUET, segments
from auditdeck.eventlog.verification import Problem
from auditdeck.query.columns import TYPES, from_json, from_parquet, quoted
from auditdeck.query.compaction import parquet_path

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


def disagreements(data_dir: Path, bad: set[int | None]) -> Iterator[Problem]:
    """For the Parquet of every segment that has an entry in the chain: also if the segment itself was deleted by now.

    Those of `bad` segments are not compared line by line.
    """
    import duckdb

    entries = {entry.segment: entry for entry in read_chain(data_dir / EVENTS) if not entry.expired}
    there = {segment.number: segment for segment in segments(data_dir / EVENTS) if segment.number not in bad}
    numbers = sorted(int(path.stem) for path in (data_dir / PARQUET).glob("*.parquet") if path.stem.isdecimal())
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'; SET preserve_insertion_order = false")
        for number in numbers:
            if number not in entries:
                continue
            path = str(parquet_path(data_dir, number))
            try:
                problem = stated(connection, path, entries[number])
                if problem is None and number in there:
                    problem = compared(connection, path, str(there[number].path))
            except duckdb.Error as error:
                if not Path(path).exists() or (number in there and not there[number].path.exists()):
                    continue
                problem = f"cannot be read ({str(error).splitlines()[0]}); a collector makes it anew at its start"
            if problem is not None:
                yield Problem(f"the Parquet file of segment {number} {problem}", number)


def stated(connection: DuckDBPyConnection, path: str, entry: Entry) -> str | None:
    """What is wrong with the number of its rows, and the hash of the segment that it was made from."""
    [(rows,)] = connection.execute(f"SELECT num_rows FROM parquet_file_metadata({quoted(path)})").fetchall()
    told = dict(connection.execute(f"SELECT key, value FROM parquet_kv_metadata({quoted(path)})").fetchall())
    if told.get(b"auditdeck.sha256") != entry.sha256.encode():
        return "was not made from it as it was written"
    if rows != entry.lines:
        return f"has {rows:,} rows, and the segment {entry.lines:,} lines"
    return None


def compared(connection: DuckDBPyConnection, path: str, segment: str) -> str | None:
    """Their rows, in any order; only if the file has the columns of today."""
    columns = connection.execute(f"DESCRIBE {from_parquet([path])}").fetchall()
    if {name: kind for name, kind, *_ in columns} != TYPES:
        return None
    names = ", ".join(f'"{name}"' for name in TYPES)
    sums: list[Any] = [
        connection.execute(f"SELECT sum(hash(rows)) FROM (SELECT {names} FROM ({source})) rows").fetchall()
        for source in (from_parquet([path]), from_json([segment]))
    ]
    return "has other values than the segment" if sums[0] != sums[1] else None
