"""Imports, all or none: written apart, and moved into the event log when they are complete.

import/                 segments that are being written; what an import that was cut off left is deleted
import/complete         what was read, as lines of imports.ndjson: from then on the next import finishes it
imports.ndjson          what was imported: a line for each log, with its hash
"""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path
from typing import NamedTuple

import orjson

from auditdeck.eventlog.segment import EVENTS, segments
from auditdeck.eventlog.writer import Writer, compress
from auditdeck.private_file import append

STAGED, COMPLETE, IMPORTS = "import", "complete", "imports.ndjson"


class Imported(NamedTuple):
    """`sha256` of the bytes of the log, `time` of the import in seconds since the epoch."""

    file: str
    sha256: str
    events: int
    time: float


def imported(data_dir: Path) -> dict[str, Imported]:
    """What was imported before, by its hash; lines that cannot be read are passed over. Raises OSError."""
    found = {}
    with contextlib.suppress(FileNotFoundError):
        for line in (data_dir / IMPORTS).read_bytes().splitlines():
            with contextlib.suppress(ValueError, TypeError):
                one = Imported(**orjson.loads(line))
                found[one.sha256] = one
    return found


def begin(data_dir: Path) -> Path:
    """The folder to write segments in, empty. Raises OSError."""
    folder = data_dir / STAGED
    discard(data_dir)
    folder.mkdir(mode=0o700)
    return folder


def discard(data_dir: Path) -> None:
    """Raises OSError."""
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(data_dir / STAGED)


def complete(data_dir: Path, logs: list[Imported]) -> None:
    """All segments are written and compressed. Raises OSError."""
    partial = data_dir / STAGED / f"{COMPLETE}.partial"
    append(partial, b"".join(orjson.dumps(log._asdict()) + b"\n" for log in logs))
    with open(partial, "rb") as file:
        os.fsync(file.fileno())
    partial.replace(partial.with_suffix(""))


def finish(data_dir: Path, writer: Writer) -> list[int]:
    """Moves what is complete into the event log, also that of an import that was cut off: the numbers of its segments.

    Raises OSError.
    """
    folder = data_dir / STAGED
    try:
        told = (folder / COMPLETE).read_bytes()
    except FileNotFoundError:
        return []
    if writer.size:
        compress(data_dir / EVENTS, writer.rotate())
    numbers = [writer.adopt(segment.path) for segment in segments(folder) if segment.compressed]
    known = imported(data_dir)
    new = [line for line in told.splitlines() if Imported(**orjson.loads(line)) not in known.values()]
    append(data_dir / IMPORTS, b"".join(line + b"\n" for line in new))
    # Last of all: until then it is known that this import is complete.
    for path in folder.iterdir():
        if path.name != COMPLETE:
            path.unlink()
    shutil.rmtree(folder)
    return numbers
