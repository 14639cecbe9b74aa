"""Reading the event log from a position on, while it is written, rotated and compressed."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import BinaryIO, NamedTuple, Self

from auditdeck.eventlog.segment import DAMAGED, Segment, open_segment, segments

BLOCK = 1 << 20

logger = logging.getLogger("auditdeck")


class Position(NamedTuple):
    """Before the byte `offset` of the documents in a segment (not of its compressed file)."""

    segment: int = 0
    offset: int = 0


class Reader:
    """`read` gives whole lines, in order, and `position` is where the next ones begin.

    A position in a segment that is no longer there means the first one after it; one behind the end of the open
    segment, as a power cut may leave it, its beginning: then some lines are read twice, and none is missing. Of a
    compressed segment that is damaged the rest is passed over: `damaged` counts such places.
    """

    def __init__(self, folder: Path, position: Position | None = None) -> None:
        self.folder = folder
        self.position = position or Position()
        self.file: BinaryIO | None = None
        self.compressed = False
        self.rest = b""
        self.damaged = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self.file is not None:
            self.file.close()
        self.file, self.rest = None, b""

    def read(self, limit: int = BLOCK) -> list[bytes]:
        """Up to about `limit` bytes of lines, without their newlines; [] if there is nothing new."""
        while True:
            if self.file is None and not self.open():
                return []
            assert self.file is not None
            # Looked for first: what was written before the next segment began is then surely read.
            following = self.following()
            data = self.read_block(limit)
            if data:
                head, newline, self.rest = (self.rest + data).rpartition(b"\n")
                if newline:
                    self.position = Position(self.position.segment, self.position.offset + len(head) + 1)
                    return head.split(b"\n")
            elif following is None:
                return []
            else:
                # A torn line at the end of a closed segment is left; the writer has put it aside.
                self.close()
                self.position = Position(following.number, 0)

    def read_block(self, limit: int) -> bytes:
        """b"" at the end, and where a compressed segment cannot be read any further."""
        assert self.file is not None
        if not self.compressed:
            return self.file.read(limit)
        try:
            return self.file.read(limit)
        except DAMAGED as error:
            self.damaged += 1
            where = f"segment {self.position.segment} of the event log, after byte {self.position.offset}"
            logger.error("%s: damaged, the rest of it is passed over: %s", where, error)
            return b""

    def following(self) -> Segment | None:
        return next((segment for segment in segments(self.folder) if segment.number > self.position.segment), None)

    def open(self) -> bool:
        """Opens the segment of the position, or the first one after it; False if there is none."""
        for segment in segments(self.folder):
            if segment.number < self.position.segment:
                continue
            if segment.number > self.position.segment:
                self.position = Position(segment.number, 0)
            try:
                self.file = open_segment(segment)
            except FileNotFoundError:
                # Compressed or deleted in this moment.
                return self.open()
            self.compressed = segment.compressed
            if not segment.compressed and (size := os.fstat(self.file.fileno()).st_size) < self.position.offset:
                logger.warning(
                    "segment %d is %d bytes shorter than what was read of it: it is read from its beginning again",
                    segment.number,
                    self.position.offset - size,
                )
                self.position = Position(segment.number, 0)
            try:
                self.file.seek(self.position.offset)
            except DAMAGED:
                # Where it is damaged, reading will find it again.
                self.file.seek(0)
                self.position = Position(segment.number, 0)
            return True
        return False
