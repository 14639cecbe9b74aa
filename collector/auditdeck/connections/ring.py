"""BPF_MAP_TYPE_RINGBUF as its reader sees it (Documentation/bpf/ringbuf.rst)."""

from __future__ import annotations

import mmap
import struct

POSITION = struct.Struct("=Q")
LENGTH = struct.Struct("=I")
BUSY, DISCARDED = 1 << 31, 1 << 30
HEADER = 8


class Ring:
    """Records in their order; `size` in bytes, a power of two of at least a page."""

    def __init__(self, descriptor: int, size: int) -> None:
        self.size, self.mask = size, size - 1
        page = mmap.PAGESIZE
        self.consumer = mmap.mmap(descriptor, page, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE, offset=0)
        # The producer's position, then the data. The kernel would map the data twice, one behind the other, so that no
        # record is in two pieces; that would count as memory of this process, and few records are.
        self.data = mmap.mmap(descriptor, page + size, mmap.MAP_SHARED, mmap.PROT_READ, offset=page)

    def take(self, most: int) -> list[bytes]:
        """What is there, at most so many records."""
        [at] = POSITION.unpack_from(self.consumer)
        [end] = POSITION.unpack_from(self.data)
        data, mask, page, unpack = self.data, self.mask, mmap.PAGESIZE, LENGTH.unpack_from
        found: list[bytes] = []
        while at < end and len(found) < most:
            start = page + (at & mask)
            [length] = unpack(data, start)
            if length & BUSY:
                break
            size = length & ~DISCARDED
            if not length & DISCARDED:
                # A header is never in two pieces: records begin at multiples of its size.
                record = data[start + HEADER : start + HEADER + size]
                found.append(record if len(record) == size else record + data[page : page + size - len(record)])
            at += (size + HEADER + 7) & ~7
        POSITION.pack_into(self.consumer, 0, at)
        return found

    def close(self) -> None:
        self.consumer.close()
        self.data.close()
