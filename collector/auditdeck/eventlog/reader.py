"""Reading the event log from a position on, while it is written, rotated and compressed."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO, NamedTuple, Self

from isal import igzip

from auditdeck.eventlog.segment import Segment, segments

BLOCK = 1 << 20


class Position(NamedTuple):
    """Before the byte `offset` of the documents in a segment (not of its compressed file)."""

    segment: int = 0
    offset: int = 0


class Reader:
    """`read` gives whole lines, in order, and `position` is where the next ones begin.

    A position in a segment that is no longer there means the first one after it.
    """

    def __init__(self, folder: Path, position: Position | None = None) -> None:
        self.folder = folder
        self.position = position or Position()
        self.file: BinaryIO | None = None
        self.rest = b""

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
            data = self.file.read(limit)
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
            self.file.seek(self.position.offset)
            return True
        return False


def open_segment(segment: Segment) -> BinaryIO:
    """The documents of a segment as bytes, whether it is compressed or not."""
    opened: BinaryIO = igzip.open(segment.path, "rb") if segment.compressed else segment.path.open("rb")
    return opened
