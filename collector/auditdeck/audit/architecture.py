"""Audit architectures: the AUDIT_ARCH_* number of a record, and the names that rules use for it."""

from __future__ import annotations

import platform

from auditdeck.audit.tables.syscalls import SYSCALLS

ARCH_64BIT = 0x80000000

NUMBERS = {"x86_64": 0xC000003E, "i386": 0x40000003, "aarch64": 0xC00000B7, "arm": 0x40000028}
NAMES = {number: name for name, number in NUMBERS.items()}

# AUDIT_ARCH_* of linux/audit.h whose system calls have no table here, under the names of libaudit.
OTHERS = {
    0x14: "ppc", 0x80000015: "ppc64", 0xC0000015: "ppc64le", 0x16: "s390", 0x80000016: "s390x", 0xC0000032: "ia64",
    0xC00000F3: "riscv64", 0x400000F3: "riscv32", 0xC0000102: "loongarch64", 0x28: "armeb", 0x80000008: "mips64",
    0xC0000008: "mips64le", 0x8: "mips", 0x40000008: "mipsle", 0x2: "sparc", 0x8000002B: "sparc64", 0xF: "parisc",
    0x8000000F: "parisc64", 0x4: "m68k", 0xC0009026: "alpha", 0xBABA: "microblaze",
}  # fmt: skip
ALL_NAMES = OTHERS | NAMES

# uname -m and what people write in rules, to the names of the tables.
ALIASES = {
    "amd64": "x86_64",
    "i486": "i386",
    "i586": "i386",
    "i686": "i386",
    "arm64": "aarch64",
    "armv5tejl": "arm",
    "armv6l": "arm",
    "armv7l": "arm",
    "armv8l": "arm",
    "armeb": "arm",
}
NARROW = {"x86_64": "i386", "aarch64": "arm"}

NUMBER_BY_SYSCALL = {arch: {name: number for number, name in table.items()} for arch, table in SYSCALLS.items()}


def native() -> str:
    """This machine's architecture, under the name that the tables have for it."""
    machine = platform.machine()
    return ALIASES.get(machine, machine)


def by_name(name: str) -> str | None:
    """The architecture that a rule means by `b64`, `b32`, a name or a number in hex; None if there is none."""
    lowered = name.lower()
    if lowered == "b64":
        return native() if native() in NARROW else None
    if lowered == "b32":
        return NARROW.get(native(), native())
    known = ALIASES.get(lowered, lowered)
    if known in NUMBERS:
        return known
    try:
        return NAMES.get(int(lowered, 16))
    except ValueError:
        return None
