"""Compressed segments: gzip members of whole lines (RFC 1952, 2.2), each checked before its lines are used.

A member that is damaged is passed over, and what follows it is read: it begins with the ten bytes of HEADER. What 0.1.0
wrote is one member.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

from isal import igzip, isal_zlib

from auditdeck import gz

HEADER = b"\x1f\x8b\x08" + bytes(6) + b"\xff"
"""Of each member that is written here: no name, no time, system unknown."""
TRAILER = 8
"""Bytes at the end of a member: CRC and length of its content."""
CHUNK = 1 << 20
SMALL = 8 << 20
"""Members up to this size are kept while they are checked; larger ones are read a second time."""

OnDamage = Callable[[str], object]


def member(lines: bytes) -> bytes:
    made: bytes = igzip.compress(lines, 1, mtime=0)
    return made


def pieces(path: Path, on_damage: OnDamage | None = None) -> Iterator[tuple[int, bytes]]:
    """The documents of a compressed segment in pieces, each with its offset (in uncompressed bytes).

    With `on_damage`, what is damaged is passed over and told, once for each stretch. Without it raises what
    gz.DAMAGED names.
    """
    with open(path, "rb") as file:
        size = file.seek(0, 2)
        if not size:
            if on_damage is None:
                raise EOFError("the file is empty")
            on_damage("the file is empty")
            return
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as packed:
            yield from pieces_of(packed, on_damage)


def pieces_of(packed: mmap.mmap, on_damage: OnDamage | None) -> Iterator[tuple[int, bytes]]:
    at = offset = 0
    told = False
    while at < len(packed):
        try:
            end, length, kept = check(packed, at)
        except (EOFError, gz.ERROR) as error:
            if on_damage is None:
                raise
            if not told:
                on_damage(str(error))
            told = True
            found = packed.find(HEADER, at + 1)
            if found < 0:
                return
            offset += int.from_bytes(packed[found - 4 : found], "little")
            at = found
            continue
        told = False
        if kept:
            yield offset, kept
        elif length:
            for place, piece in inflated(packed, at):
                yield offset + place, piece
        at, offset = end, offset + length


def check(packed: mmap.mmap, at: int) -> tuple[int, int, bytes | None]:
    """Where a member ends, how long its content is, and the content itself if it is small."""
    kept: bytearray | None = bytearray()
    length = 0
    reading = inflated(packed, at)
    while True:
        try:
            _, piece = next(reading)
        except StopIteration as done:
            end: int = done.value
            return end, length, bytes(kept) if kept is not None else None
        length += len(piece)
        if kept is not None:
            kept += piece
            kept = kept if length <= SMALL else None


def inflated(packed: mmap.mmap, at: int) -> Generator[tuple[int, bytes], None, int]:
    """The content of one member; returns where it ends."""
    engine = isal_zlib.decompressobj(wbits=31)
    length = 0
    data = packed[at : at + CHUNK]
    at += len(data)
    while True:
        piece = engine.decompress(data, CHUNK)
        if piece:
            yield length, piece
            length += len(piece)
        if engine.eof:
            return at - len(engine.unused_data)
        data = engine.unconsumed_tail
        if not data and not piece:
            data = packed[at : at + CHUNK]
            at += len(data)
            if not data:
                raise EOFError("it ends within a compressed block")
