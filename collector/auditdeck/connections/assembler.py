"""BPF instructions (Documentation/bpf/standardization/instruction-set.rst), and labels for jumps."""

from __future__ import annotations

import struct

INSTRUCTION = struct.Struct("=BBhi")
"""`struct bpf_insn`: code, registers (source << 4 | destination), offset, immediate."""
R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, FP = range(11)
LOAD = {1: 0x71, 2: 0x69, 4: 0x61, 8: 0x79}
STORE = {1: 0x73, 2: 0x6B, 4: 0x63, 8: 0x7B}
STORE_IMMEDIATE = {1: 0x72, 2: 0x6A, 4: 0x62, 8: 0x7A}
PSEUDO_MAP_FD = 1


class Assembler:
    """Writes a program, instruction by instruction; `bytes()` is its code with all jumps resolved."""

    def __init__(self) -> None:
        self.code: list[list[int]] = []
        self.labels: dict[str, int] = {}
        self.jumps: list[tuple[int, str]] = []

    def emit(self, code: int, destination: int = 0, source: int = 0, offset: int = 0, immediate: int = 0) -> None:
        self.code.append([code, destination | source << 4, offset, immediate])

    def move(self, destination: int, source: int) -> None:
        self.emit(0xBF, destination, source)

    def set(self, destination: int, value: int) -> None:
        self.emit(0xB7, destination, immediate=value)

    def add(self, destination: int, value: int) -> None:
        self.emit(0x07, destination, immediate=value)

    def subtract(self, destination: int, source: int) -> None:
        self.emit(0x1F, destination, source)

    def load(self, size: int, destination: int, source: int, offset: int) -> None:
        """destination = *(source + offset), of `size` bytes."""
        self.emit(LOAD[size], destination, source, offset)

    def store(self, size: int, destination: int, offset: int, source: int) -> None:
        """*(destination + offset) = source, of `size` bytes."""
        self.emit(STORE[size], destination, source, offset)

    def store_value(self, size: int, destination: int, offset: int, value: int) -> None:
        self.emit(STORE_IMMEDIATE[size], destination, 0, offset, value)

    def count(self, destination: int, offset: int, source: int) -> None:
        """*(u64 *)(destination + offset) += source, atomically."""
        self.emit(0xDB, destination, source, offset)

    def to_network_order(self, register: int) -> None:
        """htons() of its lower 16 bits."""
        self.emit(0xDC, register, immediate=16)

    def call(self, helper: int) -> None:
        self.emit(0x85, immediate=helper)

    def map(self, destination: int, descriptor: int) -> None:
        """destination = the map, in the two instructions that a 64-bit value takes."""
        self.emit(0x18, destination, PSEUDO_MAP_FD, 0, descriptor)
        self.emit(0)

    def stack(self, destination: int, offset: int) -> None:
        """destination = an address on the stack."""
        self.move(destination, FP)
        self.add(destination, offset)

    def label(self, name: str) -> None:
        self.labels[name] = len(self.code)

    def jump(self, label: str) -> None:
        self.branch(0x05, label)

    def if_equal(self, register: int, value: int, label: str) -> None:
        self.branch(0x15, label, register, value)

    def if_not_equal(self, register: int, value: int, label: str) -> None:
        self.branch(0x55, label, register, value)

    def if_other(self, register: int, other: int, label: str) -> None:
        """If two registers differ."""
        self.branch(0x5D, label, register, source=other)

    def if_greater(self, register: int, value: int, label: str) -> None:
        """Unsigned."""
        self.branch(0x25, label, register, value)

    def branch(self, code: int, label: str, register: int = 0, value: int = 0, source: int = 0) -> None:
        self.jumps.append((len(self.code), label))
        self.emit(code, register, source, immediate=value)

    def leave(self) -> None:
        self.set(R0, 0)
        self.emit(0x95)

    def bytes(self) -> bytes:
        for at, label in self.jumps:
            self.code[at][2] = self.labels[label] - at - 1
        return b"".join(INSTRUCTION.pack(*instruction) for instruction in self.code)
