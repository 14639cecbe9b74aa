"""The kernel's tracepoints, loaded and attached: what connections, forks and executions say."""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import struct

from auditdeck.connections import bpf
from auditdeck.connections.btf import TYPEDEF, Btf
from auditdeck.connections.layout import CONNECTION
from auditdeck.connections.programs import COUNTERS, MAP_FULL, PROGRAMS, RING_FULL, Maps, Programs
from auditdeck.connections.ring import Ring

RING_SIZE = 1 << 24
"""Bytes for records that wait to be read: 80,000 connections."""
OPEN = 65_536
"""Connections that may be open at once."""
AT_ONCE = 20_000


class Tracepoint:
    """Attached until `close` or the end of this process, in whatever way it ends. Raises TracepointError."""

    def __init__(
        self,
        btf: Btf | None = None,
        *,
        ring_size: int = RING_SIZE,
        most_open: int = OPEN,
        programs: Programs = PROGRAMS,
    ) -> None:
        btf = btf or Btf()
        self.most_open = most_open
        self.descriptors: list[int] = []
        try:
            self.open = self.keep(bpf.create_map(bpf.MAP_TYPE_HASH, 8, CONNECTION.size, most_open))
            counters = self.keep(bpf.create_map(bpf.MAP_TYPE_ARRAY, 4, 8 * COUNTERS, 1, bpf.F_MMAPABLE))
            ring = self.keep(bpf.create_map(bpf.MAP_TYPE_RINGBUF, 0, 0, ring_size))
            maps = Maps(self.open, counters, ring)
            for name, program in programs:
                loaded = self.keep(bpf.load(name, program(btf, maps), btf.type_id(f"btf_trace_{name}", TYPEDEF)))
                self.keep(bpf.attach(loaded))
            self.ring = Ring(ring, ring_size)
            self.counters = mmap.mmap(counters, mmap.PAGESIZE, mmap.MAP_SHARED, mmap.PROT_READ)
        except BaseException:
            self.close()
            raise
        self.keys = (ctypes.c_uint64 * most_open)()
        self.values = mmap.mmap(-1, most_open * CONNECTION.size)
        self.address = ctypes.addressof(ctypes.c_char.from_buffer(self.values))

    def keep(self, descriptor: int) -> int:
        self.descriptors.append(descriptor)
        return descriptor

    def records(self) -> list[bytes]:
        """What came since the last time, in its order (layout.py)."""
        return self.ring.take(AT_ONCE)

    def still_open(self) -> memoryview:
        """The connections that are not closed, CONNECTION.size bytes each."""
        count = bpf.lookup_batch(self.open, ctypes.addressof(self.keys), self.address, self.most_open)
        return memoryview(self.values)[: count * CONNECTION.size]

    @property
    def lost(self) -> int:
        """Records for which the ring buffer had no room, and connections for which the map had none."""
        numbers = struct.unpack_from(f"={COUNTERS}Q", self.counters)
        return int(numbers[RING_FULL] + numbers[MAP_FULL])

    def close(self) -> None:
        for descriptor in reversed(self.descriptors):
            with contextlib.suppress(OSError):
                os.close(descriptor)
        self.descriptors.clear()
