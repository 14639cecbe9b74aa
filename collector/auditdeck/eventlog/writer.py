"""Writing the event log: documents in, one write a batch, fsync by the clock, torn ends mended at the start."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from auditdeck.errors import StoreError
from auditdeck.eventlog.chain import Chain, Compared, compare, linked, marks_path, read_marks
from auditdeck.eventlog.open_segment import OpenSegment
from auditdeck.eventlog.packed import member, pieces
from auditdeck.eventlog.segment import PARQUET, Segment, blocks_of, segment_path, segments
from auditdeck.gz import DAMAGED
from auditdeck.private_file import append, make_folder, open_shared, share

logger = logging.getLogger("auditdeck")
LATER = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO}
"""What a disk may refuse for a while."""


@dataclass(slots=True)
class Limits:
    """Bytes and seconds; 0 is no bound."""

    segment_size: int = 64 << 20
    segment_age: float = 3600.0
    fsync_interval: float = 1.0


class Writer:
    """Appends to the event log of one data directory; only one writer at a time.

    `damaged` counts bytes of torn lines that a crash left and that were put aside (`*.torn`). `group` (a number) may
    read what is written. It is hashed (chain.py), with `key` signed. A segment that is not as its marks say is not
    written any further: it is closed as the marks have it, for `auditdeck verify` to find. Where the disk is full or
    read-only it begins without a file, and opens one when it can.
    """

    def __init__(
        self, folder: Path, limits: Limits | None = None, key: bytes | None = None, group: int | None = None
    ) -> None:
        self.folder = folder
        self.group = group
        self.limits = limits or Limits()
        self.damaged = 0
        self.written = 0
        self.key = key
        self.lock = threading.Lock()
        self.dirty = False
        self.guard = -1
        self.current: OpenSegment | None = None
        try:
            self.begin()
        except BlockingIOError:
            raise StoreError(
                f"another auditdeck is writing {folder}", "stop it, or give this one its own --data-dir"
            ) from None
        except OSError as error:
            if error.errno not in LATER:
                self.close()
                text = f"cannot write the event log in {folder}: {error.strerror}"
                raise StoreError(text, "see --data-dir") from error

    def begin(self) -> None:
        """Takes the folder and goes on where an earlier run ended. Raises OSError; append then tries it again."""
        self.folder.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
        make_folder(self.folder, self.group)
        if self.guard < 0:
            guard = os.open(self.folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(guard)
                raise
            self.guard = guard
        existing = segments(self.folder)
        self.chain = Chain(self.folder, self.key)
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
            self.current = OpenSegment(self.folder, last + 1)
        self.chain.begin()

    def take_up(self, segment: Segment, *, is_last: bool) -> bool:
        """A segment that an earlier run did not close: whether it is written further."""
        if is_last:
            self.mend(segment.path)
        marks = read_marks(segment.path)
        if marks is None:
            # Written by an earlier version; if there is a chain, its marks were taken away.
            if is_last and (not self.chain.began or not segment.path.stat().st_size):
                self.current = OpenSegment(self.folder, segment.number)
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
            self.current = OpenSegment(self.folder, segment.number)
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
                append(path.with_suffix(".torn"), torn)
                self.damaged += 1
                file.truncate(good)
                os.fsync(file.fileno())

    @property
    def open(self) -> OpenSegment:
        """The open segment, where there is one."""
        assert self.current is not None
        return self.current

    @property
    def number(self) -> int:
        """Of the open segment; 0 if none could be opened yet."""
        return self.current.number if self.current else 0

    @property
    def size(self) -> int:
        return self.current.size if self.current else 0

    def append(self, lines: list[bytes]) -> None:
        """Writes documents, each a line of JSON without its newline: all of them, or none. Raises StoreError."""
        if not lines:
            return
        with self.lock:
            try:
                if self.current is None:
                    self.begin()
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
            if self.current is None or self.current.is_there:
                return 0
            gone = self.open.held
            try:
                self.folder.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
                make_folder(self.folder, self.group)
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
        self.current = following
        before.close()
        return before.number

    def adopt(self, source: Path) -> int:
        """Takes a compressed segment from elsewhere, with its marks, in the place of the open one, which is empty.

        Its number. At any moment it is in one of the two places, and verifies. Raises OSError.
        """
        with self.lock:
            before, number = self.open, self.open.number
            found = compare((piece for _, piece in pieces(source)), [])
            self.take_in(source, before.path.with_suffix(".ndjson.gz"))
            self.take_in(marks_path(source), marks_path(before.path))
            following = OpenSegment(self.folder, number + 1)
            self.chain.close(number, found.lines, found.sha256)
            self.current = following
            before.close()
            before.path.unlink()
        return number

    def take_in(self, source: Path, target: Path) -> None:
        """Moves a file into the folder, as one of its own."""
        with open(source, "rb") as file:
            share(file.fileno(), self.folder)
        source.replace(target)

    @property
    def head(self) -> str:
        """`SEGMENT:LINES:HASH`: the chain's hash with what is written of the open segment at its end; "" if there is
        none yet."""
        with self.lock:
            if self.current is None:
                return ""
            mark = self.open.marks.digest.mark()
            chain = linked(self.chain.head, self.number, mark.lines, mark.sha256)
            return f"{self.number}:{mark.lines}:{chain}"

    def expire(self, number: int) -> None:
        """Notes in the chain that all segments up to this one are about to be deleted. Raises OSError."""
        with self.lock:
            if self.current is not None:
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
        age = time.monotonic() - self.current.opened if self.current else 0.0
        return self.size >= self.limits.segment_size or (self.size > 0 and age >= self.limits.segment_age)

    def rotate(self) -> int:
        """Closes the open segment and opens the next; the number of the closed one. Raises OSError."""
        with self.lock:
            self.open.sync(end=True)
            closed = self.begin_next()
            self.dirty = False
        return closed

    def close(self) -> None:
        if self.current is not None:
            self.current.sync(end=True)
            self.current.close()
        if self.guard >= 0:
            os.close(self.guard)


def compress(folder: Path, number: int) -> None:
    """Replaces a closed segment by its compressed form, so that there is always one of the two in full."""
    source = segment_path(folder, number)
    target = source.with_name(source.name + ".gz")
    partial = target.with_suffix(".partial")
    with open(open_shared(partial, os.O_WRONLY | os.O_TRUNC), "wb") as raw:
        for block in blocks_of(Segment(number, compressed=False, path=source)):
            raw.write(member(block))
        if not raw.tell():
            raw.write(member(b""))
        raw.flush()
        os.fsync(raw.fileno())
    partial.replace(target)
    source.unlink()
