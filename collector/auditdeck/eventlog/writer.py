"""Writing the event log: documents in, one write a batch, fsync by the clock, torn ends mended at the start."""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from isal import igzip

from auditdeck.errors import StoreError
from auditdeck.eventlog.segment import PARQUET, segment_path, segments


@dataclass(slots=True)
class Limits:
    """Bytes and seconds; 0 is no bound."""

    segment_size: int = 64 << 20
    segment_age: float = 3600.0
    fsync_interval: float = 1.0


class Writer:
    """Appends to the event log of one data directory; only one writer at a time.

    `damaged` counts bytes of torn lines that a crash left and that were put aside (`*.torn`).
    Closed segments are handed to `on_close` (their number) after they have been compressed.
    """

    def __init__(self, folder: Path, limits: Limits | None = None) -> None:
        self.folder = folder
        self.limits = limits or Limits()
        self.damaged = 0
        self.written = 0
        self.lock = threading.Lock()
        self.dirty = False
        try:
            folder.mkdir(parents=True, exist_ok=True)
            os.chmod(folder, 0o700)
            self.guard = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self.guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreError(
                f"another auditdeck is writing {folder}", "stop it, or give this one its own --data-dir"
            ) from None
        except OSError as error:
            raise StoreError(f"cannot write the event log in {folder}: {error.strerror}", "see --data-dir") from error
        existing = segments(folder)
        # A number is never used twice: what was compacted from a segment that is gone keeps its own.
        compacted = [int(path.stem) for path in (folder.parent / PARQUET).glob("[0-9]*.parquet") if path.stem.isdigit()]
        self.number = max([segment.number for segment in existing] + compacted, default=0)
        if existing and not existing[-1].compressed and existing[-1].number == self.number:
            self.mend(existing[-1].path)
            self.open_segment(self.number)
        else:
            self.open_segment(self.number + 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def mend(self, path: Path) -> None:
        """Cuts off what stands behind the last newline, and keeps it beside the segment."""
        with open(path, "rb+") as file:
            end = file.seek(0, os.SEEK_END)
            good = end
            while good > 0:
                start = max(0, good - 65536)
                file.seek(start)
                newline = file.read(good - start).rfind(b"\n")
                if newline >= 0:
                    good = start + newline + 1
                    break
                good = start
            if good < end:
                file.seek(good)
                torn = file.read()
                path.with_suffix(".torn").write_bytes(torn)
                self.damaged += 1
                file.truncate(good)
                os.fsync(file.fileno())

    def open_segment(self, number: int) -> None:
        self.number = number
        path = segment_path(self.folder, number)
        self.file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        status = os.fstat(self.file)
        self.size = status.st_size
        self.held = 0
        self.opened = time.monotonic() - (max(0.0, time.time() - status.st_mtime) if self.size else 0.0)

    def append(self, lines: list[bytes]) -> None:
        """Writes documents, each a line of JSON without its newline: all of them, or none. Raises StoreError."""
        if not lines:
            return
        data = b"\n".join([*lines, b""])
        with self.lock:
            view = memoryview(data)
            while view:
                try:
                    done = os.write(self.file, view)
                except OSError as error:
                    with contextlib.suppress(OSError):
                        os.ftruncate(self.file, self.size)
                    raise StoreError(f"cannot write the event log: {error.strerror}", "see the disk") from error
                view = view[done:]
            self.size += len(data)
            self.written += len(lines)
            self.held += len(lines)
            self.dirty = True

    def look(self) -> int:
        """Whether the open segment is still where it was written: how many documents are gone with it, if not.

        The next one is then opened, in a folder that is made anew if it has to be. Raises StoreError.
        """
        with self.lock:
            path = segment_path(self.folder, self.number)
            try:
                there = os.stat(path)
                mine = os.fstat(self.file)
                if (there.st_dev, there.st_ino) == (mine.st_dev, mine.st_ino):
                    return 0
            except FileNotFoundError:
                pass
            gone = self.held
            try:
                self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                before = self.file
                self.open_segment(self.number + 1)
            except OSError as error:
                raise StoreError(f"cannot open a segment in {self.folder}: {error.strerror}", "see the disk") from error
            os.close(before)
            return gone

    def sync(self) -> None:
        """fsync of what was written since the last one."""
        with self.lock:
            if not self.dirty:
                return
            self.dirty = False
            copy = os.dup(self.file)
        try:
            os.fsync(copy)
        finally:
            os.close(copy)

    def due(self) -> bool:
        """Whether the open segment is to be closed."""
        age = time.monotonic() - self.opened
        return self.size >= self.limits.segment_size or (self.size > 0 and age >= self.limits.segment_age)

    def rotate(self) -> int:
        """Closes the open segment and opens the next; the number of the closed one."""
        with self.lock:
            os.fsync(self.file)
            os.close(self.file)
            closed = self.number
            self.open_segment(closed + 1)
            self.dirty = False
        return closed

    def close(self) -> None:
        self.sync()
        os.close(self.file)
        os.close(self.guard)


def compress(folder: Path, number: int) -> None:
    """Replaces a closed segment by its compressed form, so that there is always one of the two in full."""
    source = segment_path(folder, number)
    target = source.with_name(source.name + ".gz")
    partial = target.with_suffix(".partial")
    with open(source, "rb") as plain, open(partial, "wb") as raw:
        os.chmod(partial, 0o600)
        with igzip.open(raw, "wb", compresslevel=1) as packed:
            while block := plain.read(1 << 20):
                packed.write(block)
        raw.flush()
        os.fsync(raw.fileno())
    partial.replace(target)
    source.unlink()
