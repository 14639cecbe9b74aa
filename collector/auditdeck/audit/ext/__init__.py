"""The compiled part: records.c, where a C compiler was there when auditdeck was installed.

Without it everything works the same through audit/assembler.py and audit/capture.py, and costs more.
"""

from __future__ import annotations

import ctypes
import logging
import mmap
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LIBRARY = Path(__file__).with_name("records.so")
LEFT = struct.Struct("=IIII")
RESULT = struct.Struct("@PPQPQIIiI")
"""`struct result` of records.c."""
MARK = 0x1E
ABI = 2
"""abi_version() of records.c."""

logger = logging.getLogger("auditdeck")

Left = tuple[int, int, bytes]
"""A record that was left over: its type (0 in a log), its place among all, and its bytes."""


@dataclass(slots=True)
class Taken:
    """What one call gave: whole events and records that were left over, in their order; how many records in all.

    `failed` is an errno, 0 for none; `more` says that there was no room for all that is there.
    """

    items: list[bytes | Left]
    records: int
    overruns: int
    failed: int
    more: bool


class Native:
    """The functions of records.c with the memory that they write to; for one thread and one Assembler; there
    may be several."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self.receive_records = library.receive_records
        self.read_log_lines = library.read_log
        self.read_log_lines.restype = ctypes.c_uint64
        library.out_size.restype = library.state_size.restype = ctypes.c_uint64
        size = library.out_size()
        # Mapped: only the pages that are written to cost memory.
        self.out, self.left = mmap.mmap(-1, size), mmap.mmap(-1, size)
        self.state = mmap.mmap(-1, library.state_size())
        state, out, left = address_of(self.state), address_of(self.out), address_of(self.left)
        self.result = bytearray(RESULT.pack(state, out, 0, left, 0, 0, 0, 0, 0))
        self.reference = ctypes.c_void_p(address_of(self.result))

    def receive(self, descriptor: int, *, title_ends: bool) -> Taken:
        """What an audit socket has, without waiting."""
        self.receive_records(descriptor, title_ends, self.reference)
        return self.taken()

    def read_log(self, text: bytes, start: int = 0) -> tuple[int, Taken]:
        """Whole lines of an audit log, from a position on; where the next call is to begin (`start` if a line is
        longer than there is room for)."""
        address = ctypes.cast(ctypes.c_char_p(text), ctypes.c_void_p).value or 0
        size = ctypes.c_uint64(len(text) - start)
        done = self.read_log_lines(ctypes.c_void_p(address + start), size, self.reference)
        return start + done, self.taken()

    def taken(self) -> Taken:
        _, _, written, _, left_written, records, overruns, failed, more = RESULT.unpack(self.result)
        entries: list[Any] = self.out[:written].split(b"\0")
        del entries[-1]
        if left_written:
            entries = with_left(entries, self.left[:left_written])
        return Taken(entries, records, overruns, failed, bool(more))


def with_left(entries: list[bytes], left: bytes) -> list[bytes | Left]:
    """Entries with the records that were left over in their places."""
    items: list[bytes | Left] = []
    at = 0
    for entry in entries:
        if entry[0] != MARK:
            items.append(entry)
            continue
        for _ in range(int(entry[1:])):
            kind, length, place, _ = LEFT.unpack_from(left, at)
            at += LEFT.size + length
            items.append((kind, place, left[at - length : at]))
    return items


def address_of(memory: mmap.mmap | bytearray) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(memory))


def native() -> Native | None:
    """None, and the same in Python, where it was not compiled, or is one of another machine or version."""
    if not LIBRARY.exists():
        return None
    try:
        library = ctypes.CDLL(str(LIBRARY))
        version = library.abi_version()
    except (OSError, AttributeError) as error:
        version, reason = 0, str(error)
    else:
        reason = f"it is of version {version}, not {ABI}"
    if version != ABI:
        logger.warning("%s cannot be used, so records are put together in Python: %s", LIBRARY, reason)
        return None
    return Native(library)
