"""An audit log as blocks of whole lines, however large or damaged it is."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from typing import BinaryIO, cast

from isal import isal_zlib

from auditdeck.errors import AuditdeckError
from auditdeck.gz import DAMAGED

BLOCK, LONGEST = 1 << 20, 8 << 20
"""Bytes of a block, and of the longest line: the kernel's records have 8,970 at most (linux/audit.h)."""
PACKED = 16 << 10
"""Compressed bytes at a time: what is lost before a place that is damaged."""


class Inflated(io.RawIOBase):
    """A .gz file (one member or several) as it was before; up to a place that is damaged, where `read` raises."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.engine = isal_zlib.decompressobj(wbits=31)
        self.data = file.read(PACKED)

    def read(self, size: int = BLOCK) -> bytes:
        """Up to `size` bytes; b"" at the end. Raises what gz.DAMAGED names."""
        while True:
            if self.engine.eof:
                # Zeros may follow, to fill a tape's block (gzip(1)).
                self.data = (self.engine.unused_data or self.file.read(PACKED)).lstrip(b"\0")
                if not self.data:
                    return b""
                self.engine = isal_zlib.decompressobj(wbits=31)
            piece: bytes = self.engine.decompress(self.data, size)
            self.data = self.engine.unconsumed_tail
            if piece:
                return piece
            if not self.data and not self.engine.eof:
                self.data = self.file.read(PACKED)
                if not self.data:
                    raise EOFError("it ends too early")

    def close(self) -> None:
        self.file.close()
        super().close()


def open_log(name: str) -> BinaryIO:
    """Plain or .gz; - is standard input. Raises AuditdeckError."""
    if name == "-":
        return sys.stdin.buffer
    try:
        file: BinaryIO = open(name, "rb")  # noqa: SIM115
        return cast("BinaryIO", Inflated(file)) if name.endswith(".gz") else file
    except OSError as error:
        raise AuditdeckError(f"cannot read {name}: {error.strerror}") from error


class Blocks:
    """Whole lines, in blocks of about 1 MiB. `cut` is why it ended before the end of the log, "" if it did not."""

    def __init__(self, lines: BinaryIO) -> None:
        self.lines = lines
        self.cut = ""

    def __iter__(self) -> Iterator[tuple[bytes, bool]]:
        """A block, and False; or the beginning of a line that is too long, and True."""
        rest, skipping = b"", False
        while piece := self.read():
            if skipping:
                _, newline, piece = piece.partition(b"\n")
                skipping = not newline
            head, newline, tail = piece.rpartition(b"\n")
            if newline:
                yield rest + head + newline, False
                rest = tail
            else:
                rest += tail
            if len(rest) > LONGEST:
                yield rest[:BLOCK], True
                rest, skipping = b"", True
        if rest:
            yield rest, False

    def read(self) -> bytes:
        try:
            return self.lines.read(BLOCK)
        except DAMAGED as error:
            self.cut = str(error)
            return b""
