"""The segment that is being written, with its marks."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from auditdeck.eventlog.chain import Marks, marks_path
from auditdeck.eventlog.segment import Segment, blocks_of, segment_path
from auditdeck.private_file import open_shared


class OpenSegment:
    """Goes on behind the lines that are there. Methods raise OSError.

    `size` in bytes, `held` documents that were appended here.
    """

    def __init__(self, folder: Path, number: int) -> None:
        self.number = number
        self.path = segment_path(folder, number)
        self.file = open_shared(self.path, os.O_WRONLY | os.O_APPEND)
        status = os.fstat(self.file)
        self.size = status.st_size
        self.held = 0
        self.torn = False
        self.opened = time.monotonic() - (max(0.0, time.time() - status.st_mtime) if self.size else 0.0)
        self.marks = Marks(self.path)
        for block in blocks_of(Segment(number, compressed=False, path=self.path)):
            self.marks.add(block.removesuffix(b"\n").split(b"\n"))
        self.marks.save(self.marks.take())

    def append(self, lines: list[bytes]) -> None:
        """All of them, or none."""
        data = b"\n".join([*lines, b""])
        if self.torn:
            self.cut()
        self.torn = True
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(self.file, view) :]
        except OSError:
            with contextlib.suppress(OSError):
                self.cut()
            raise
        self.torn = False
        self.size += len(data)
        self.held += len(lines)
        self.marks.add(lines)

    def cut(self) -> None:
        os.ftruncate(self.file, self.size)
        self.torn = False

    @property
    def is_there(self) -> bool:
        """Whether its name still leads to it."""
        try:
            there = os.stat(self.path)
        except FileNotFoundError:
            return False
        mine = os.fstat(self.file)
        return (there.st_dev, there.st_ino) == (mine.st_dev, mine.st_ino)

    def sync(self, *, end: bool = False) -> None:
        """What was written, then the marks of it; `end`: nothing more will be."""
        os.fsync(self.file)
        self.marks.save(self.marks.take(end=end))

    def close(self) -> None:
        os.close(self.file)
        self.marks.close()

    def remove(self) -> None:
        """One that was opened in vain."""
        self.close()
        for path in (self.path, marks_path(self.path)):
            path.unlink(missing_ok=True)
