"""Reading the event log from a position on, while it is written, rotated and compressed."""

from __future__ import annotations

import logging
import os
import time
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple, Self

from auditdeck.eventlog.packed import pieces
from auditdeck.eventlog.segment import Segment, segments
from auditdeck.gz import DAMAGED

BLOCK = 1 << 20
SETTLED = 0.1
"""Seconds after which a folder's time of change is later than any change that was seen (its clock ticks in steps)."""

logger = logging.getLogger("auditdeck")


class Position(NamedTuple):
    """Before the byte `offset` of the documents in a segment (not of its compressed file)."""

    segment: int = 0
    offset: int = 0


class Listing:
    """The segments of a folder, listed again only when it has changed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.found: list[Segment] = []
        self.changed = -1
        self.times = 0

    def segments(self) -> list[Segment]:
        try:
            changed = os.stat(self.folder).st_mtime_ns
        except FileNotFoundError:
            changed = -1
        if changed < 0 or changed != self.changed:
            self.times += 1
            self.found = segments(self.folder)
            self.changed = changed if time.time() - changed / 1e9 > SETTLED else -1
        return self.found

    def after(self, number: int) -> Segment | None:
        """The first one with a higher number."""
        found = self.segments()
        place = bisect_right(found, number, key=lambda segment: segment.number)
        return found[place] if place < len(found) else None


class Plain:
    """The bytes of a segment as they are."""

    def __init__(self, path: Path) -> None:
        self.file: BinaryIO = open(path, "rb")  # noqa: SIM115

    def read(self, limit: int) -> tuple[int, bytes]:
        """The offset of what is given."""
        data = self.file.read(limit)
        return self.file.tell() - len(data), data

    def close(self) -> None:
        self.file.close()


class Packed:
    """The documents of a compressed segment that are whole; `damaged` counts the places that are not."""

    def __init__(self, segment: Segment, position: Position) -> None:
        self.segment = segment
        self.start = position.offset
        self.damaged = 0
        os.stat(segment.path)
        self.pieces: Iterator[tuple[int, bytes]] = pieces(segment.path, self.damage)
        self.offset, self.rest = 0, b""

    def damage(self, text: str) -> None:
        self.damaged += 1
        logger.error("segment %d of the event log: damaged, a part is passed over: %s", self.segment.number, text)

    def read(self, limit: int) -> tuple[int, bytes]:
        while not self.rest:
            try:
                self.offset, self.rest = next(self.pieces, (self.offset, b""))
            except DAMAGED as error:
                self.damage(str(error))
                return self.offset, b""
            if not self.rest:
                return self.offset, b""
            done = min(len(self.rest), max(0, self.start - self.offset))
            self.offset, self.rest = self.offset + done, self.rest[done:]
        data, self.rest = self.rest[:limit], self.rest[limit:]
        self.offset += len(data)
        return self.offset - len(data), data

    def close(self) -> None:
        self.pieces = iter(())


class Reader:
    """`read` gives whole lines, in order, and `position` is where the next ones begin.

    A position in a segment that is no longer there means the first one after it; one behind the end of the open
    segment, as a power cut may leave it, its beginning: then some lines are read twice, and none is missing. What is
    damaged in a compressed segment is passed over: `damaged` counts such places.
    """

    def __init__(self, folder: Path, position: Position | None = None) -> None:
        self.listing = Listing(folder)
        self.position = position or Position()
        self.file: Plain | Packed | None = None
        self.rest = b""
        self.before = 0
        """Damaged places of segments that were read."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def damaged(self) -> int:
        return self.before + (self.file.damaged if isinstance(self.file, Packed) else 0)

    def close(self) -> None:
        if self.file is not None:
            self.before = self.damaged
            self.file.close()
        self.file, self.rest = None, b""

    def read(self, limit: int = BLOCK) -> list[bytes]:
        """Up to about `limit` bytes of lines, without their newlines; [] if there is nothing new."""
        following: Segment | None = None
        while True:
            if self.file is None and not self.open():
                return []
            assert self.file is not None
            offset, data = self.file.read(limit)
            if data:
                if not self.rest:
                    self.position = Position(self.position.segment, offset)
                head, newline, self.rest = (self.rest + data).rpartition(b"\n")
                if newline:
                    self.position = Position(self.position.segment, self.position.offset + len(head) + 1)
                    return head.split(b"\n")
            elif following is not None:
                # A torn line at the end of a closed segment is left; the writer has put it aside.
                self.close()
                self.position = Position(following.number, 0)
                following = None
            else:
                # When there is one, this is read to its end once more: it was written until the next one began.
                following = self.listing.after(self.position.segment)
                if following is None:
                    return []

    def open(self) -> bool:
        """Opens the segment of the position, or the first one after it; False if there is none."""
        while (segment := self.listing.after(self.position.segment - 1)) is not None:
            if segment.number > self.position.segment:
                self.position = Position(segment.number, 0)
            try:
                self.file = self.opened(segment)
            except FileNotFoundError:
                # Compressed or deleted in this moment.
                self.listing.changed = -1
            else:
                return True
        return False

    def opened(self, segment: Segment) -> Plain | Packed:
        if segment.compressed:
            return Packed(segment, self.position)
        file = Plain(segment.path)
        if (size := os.fstat(file.file.fileno()).st_size) < self.position.offset:
            logger.warning(
                "segment %d is %d bytes shorter than what was read of it: it is read from its beginning again",
                segment.number,
                self.position.offset - size,
            )
            self.position = Position(segment.number, 0)
        file.file.seek(self.position.offset)
        return file
