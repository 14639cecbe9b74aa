"""Writing the event log: documents in, one write a batch, fsync by the clock, torn ends mended at the start."""

from __future__ import annotations

import fcntl
import logging
import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from isal import igzip

from auditdeck.errors import StoreError
from auditdeck.eventlog.chain import Chain, Compared, compare, linked, read_marks
from auditdeck.eventlog.open_segment import OpenSegment
from auditdeck.eventlog.segment import DAMAGED, PARQUET, Segment, blocks_of, segment_path, segments

logger = logging.getLogger("auditdeck")


@dataclass(slots=True)
class Limits:
    """Bytes and seconds; 0 is no bound."""

    segment_size: int = 64 << 20
    segment_age: float = 3600.0
    fsync_interval: float = 1.0


class Writer:
    """Appends to the event log of one data directory; only one writer at a time.

    `damaged` counts bytes of torn lines that a crash left and that were put aside (`*.torn`).
    What is written is hashed (chain.py), with `key` signed. A segment that is not as its marks say is not written any
    further: it is closed as the marks have it, for `auditdeck verify` to find.
    """

    def __init__(self, folder: Path, limits: Limits | None = None, key: bytes | None = None) -> None:
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
        try:
            self.begin(key)
        except OSError as error:
            os.close(self.guard)
            raise StoreError(f"cannot write the event log in {folder}: {error.strerror}", "see the disk") from error

    def begin(self, key: bytes | None) -> None:
        """Goes on where an earlier run ended."""
        existing = segments(self.folder)
        self.chain = Chain(self.folder, key)
        # A number is never used twice: what was compacted from a segment that is gone keeps its own.
        parquet = (self.folder.parent / PARQUET).glob("[0-9]*.parquet")
        compacted = [int(path.stem) for path in parquet if path.stem.isdigit()]
        last = max([segment.number for segment in existing] + compacted + [self.chain.segment], default=0)
        resumed = False
        for segment in existing:
            if segment.number > self.chain.segment:
                is_last = segment.number == last and not segment.compressed
                resumed = self.take_up(segment, is_last=is_last)
        if not resumed:
            self.open = OpenSegment(self.folder, last + 1)
        self.chain.begin()

    def take_up(self, segment: Segment, *, is_last: bool) -> bool:
        """A segment that an earlier run did not close: whether it is written further."""
        if is_last:
            self.mend(segment.path)
        marks = read_marks(segment.path)
        if marks is None:
            # Written by an earlier version; if there is a chain, its marks were taken away.
            if is_last and (not self.chain.began or not segment.path.stat().st_size):
                self.open = OpenSegment(self.folder, segment.number)
                return True
            if self.chain.began:
                logger.error("segment %d of the event log has no marks: see `auditdeck verify`", segment.number)
            return False
        if not is_last and not self.chain.began:
            logger.error("%s is missing: see `auditdeck verify`", self.chain.path)
            return False
        try:
            found = compare(blocks_of(segment), marks)
        except DAMAGED as error:
            found = Compared(0, "", bad=(1, 1))
            logger.error("segment %d of the event log cannot be read: %s", segment.number, error)
        if found.bad and marks:
            logger.error("segment %d of the event log was changed: see `auditdeck verify`", segment.number)
            self.chain.close(segment.number, marks[-1].lines, marks[-1].sha256)
        elif is_last:
            self.open = OpenSegment(self.folder, segment.number)
            return True
        elif not found.bad:
            self.chain.close(segment.number, found.lines, found.sha256)
        return False

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

    @property
    def number(self) -> int:
        """Of the open segment."""
        return self.open.number

    @property
    def size(self) -> int:
        return self.open.size

    def append(self, lines: list[bytes]) -> None:
        """Writes documents, each a line of JSON without its newline: all of them, or none. Raises StoreError."""
        if not lines:
            return
        with self.lock:
            try:
                self.open.append(lines)
            except OSError as error:
                raise StoreError(f"cannot write the event log: {error.strerror}", "see the disk") from error
            self.written += len(lines)
            self.dirty = True

    def look(self) -> int:
        """Whether the open segment is still where it was written: how many documents are gone with it, if not.

        The next one is then opened, in a folder that is made anew if it has to be. Raises StoreError.
        """
        with self.lock:
            if self.open.is_there:
                return 0
            gone = self.open.held
            try:
                self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                self.begin_next()
            except OSError as error:
                raise StoreError(f"cannot open a segment in {self.folder}: {error.strerror}", "see the disk") from error
            return gone

    def begin_next(self) -> int:
        """Opens the next segment and gives this one its entry in the chain; its number. Raises OSError."""
        before, following = self.open, OpenSegment(self.folder, self.open.number + 1)
        mark = before.marks.digest.mark()
        try:
            self.chain.close(before.number, mark.lines, mark.sha256)
        except OSError:
            following.remove()
            raise
        self.open = following
        before.close()
        return before.number

    @property
    def head(self) -> str:
        """`SEGMENT:LINES:HASH`: the chain's hash with what is written of the open segment at its end."""
        with self.lock:
            mark = self.open.marks.digest.mark()
            chain = linked(self.chain.head, self.number, mark.lines, mark.sha256)
            return f"{self.number}:{mark.lines}:{chain}"

    def expire(self, number: int) -> None:
        """Notes in the chain that all segments up to this one are about to be deleted. Raises OSError."""
        with self.lock:
            self.chain.expire(number)

    def sync(self) -> None:
        """fsync of what was written since the last one, and its marks. Raises OSError.

        Not in two threads at once, nor beside `rotate` and `close`.
        """
        with self.lock:
            if not self.dirty:
                return
            self.dirty = False
            marks = self.open.marks.take()
        os.fsync(self.open.file)
        self.open.marks.save(marks)

    def due(self) -> bool:
        """Whether the open segment is to be closed."""
        age = time.monotonic() - self.open.opened
        return self.size >= self.limits.segment_size or (self.size > 0 and age >= self.limits.segment_age)

    def rotate(self) -> int:
        """Closes the open segment and opens the next; the number of the closed one. Raises OSError."""
        with self.lock:
            self.open.sync(end=True)
            closed = self.begin_next()
            self.dirty = False
        return closed

    def close(self) -> None:
        self.open.sync(end=True)
        self.open.close()
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
