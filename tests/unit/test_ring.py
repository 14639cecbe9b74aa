"""The ring buffer as the kernel writes it (kernel/bpf/ringbuf.c), played by a file in memory."""

from __future__ import annotations

import mmap
import os
import random
import struct
from collections.abc import Iterator

import pytest

from auditdeck.connections.ring import BUSY, DISCARDED, HEADER, Ring

PAGE = mmap.PAGESIZE


class Kernel:
    """Writes records behind each other, over the edge as well."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.descriptor = os.memfd_create("ring")
        os.ftruncate(self.descriptor, 2 * PAGE + size)
        self.at = 0

    def put(self, offset: int, data: bytes) -> None:
        for number, byte in enumerate(data):
            os.pwrite(self.descriptor, bytes([byte]), 2 * PAGE + (offset + number) % self.size)

    def write(self, record: bytes, flags: int = 0) -> None:
        self.put(self.at, struct.pack("=II", len(record) | flags, 0) + record)
        self.at += (len(record) + HEADER + 7) & ~7
        os.pwrite(self.descriptor, struct.pack("=Q", self.at), PAGE)


@pytest.fixture
def kernel() -> Iterator[Kernel]:
    made = Kernel(PAGE)
    yield made
    os.close(made.descriptor)


def test_records_over_the_edge_are_whole(kernel: Kernel) -> None:
    ring = Ring(kernel.descriptor, kernel.size)
    chance = random.Random(7)
    for _ in range(60):
        written = [chance.randbytes(chance.randrange(1, 400)) for _ in range(chance.randrange(1, 9))]
        for record in written:
            kernel.write(record)
        assert ring.take(1000) == written
    assert kernel.at > 10 * kernel.size


def test_what_is_not_finished_waits_and_what_is_discarded_is_passed_over(kernel: Kernel) -> None:
    ring = Ring(kernel.descriptor, kernel.size)
    kernel.write(b"first")
    kernel.write(b"never mind", DISCARDED)
    kernel.write(b"second")
    unfinished = kernel.at
    kernel.write(b"third", BUSY)
    kernel.write(b"fourth")
    assert ring.take(1000) == [b"first", b"second"]
    assert ring.take(1000) == []
    kernel.put(unfinished, struct.pack("=I", 5))
    assert ring.take(1000) == [b"third", b"fourth"]


def test_at_most_so_many(kernel: Kernel) -> None:
    ring = Ring(kernel.descriptor, kernel.size)
    for number in range(5):
        kernel.write(b"%d" % number)
    assert [ring.take(2) for _ in range(3)] == [[b"0", b"1"], [b"2", b"3"], [b"4"]]
