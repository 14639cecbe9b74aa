"""Where the fields of the kernel's structures lie, from its own type information (Documentation/bpf/btf.rst)."""

from __future__ import annotations

import struct
from array import array
from pathlib import Path

from auditdeck.errors import TracepointError

VMLINUX = Path("/sys/kernel/btf/vmlinux")
MAGIC = 0xEB9F
HEADER = struct.Struct("=HBBIIIII")
"""`struct btf_header`: magic, version, flags, hdr_len, type_off, type_len, str_off, str_len."""
TYPE = struct.Struct("=III")
"""`struct btf_type`: name_off, info, size or type."""
MEMBER = struct.Struct("=III")
"""`struct btf_member`: name_off, type, offset."""
INT, ARRAY, STRUCT, UNION, ENUM, TYPEDEF, VOLATILE, CONST, RESTRICT = 1, 3, 4, 5, 6, 8, 9, 10, 11
FUNC_PROTO, VAR, DATASEC, DECL_TAG, TYPE_TAG, ENUM64 = 13, 14, 15, 17, 18, 19
TRAILING = {
    INT: (4, 0), ARRAY: (12, 0), STRUCT: (0, 12), UNION: (0, 12), ENUM: (0, 8), FUNC_PROTO: (0, 8), VAR: (4, 0),
    DATASEC: (0, 12), DECL_TAG: (4, 0), ENUM64: (0, 12),
}  # fmt: skip
"""Bytes behind a type of this kind, and for each of its vlen members."""
NAMES_OF_OTHERS = {TYPEDEF, VOLATILE, CONST, RESTRICT, TYPE_TAG}


class Btf:
    """`offset("sock", "__sk_common.skc_family")` in bytes, and ids of types. Raises TracepointError."""

    def __init__(self, path: Path = VMLINUX) -> None:
        try:
            self.data = data = path.read_bytes()
        except OSError as error:
            raise TracepointError(
                f"the kernel does not tell where its structures' fields are ({path}: {error.strerror})",
                "it needs a kernel built with CONFIG_DEBUG_INFO_BTF, as those of distributions since 2021 are",
            ) from error
        magic, _, _, length, types_at, types_length, strings_at, strings_length = HEADER.unpack_from(data)
        if magic != MAGIC:
            raise TracepointError(f"{path} is not the type information of a kernel", "it must begin with 0xeb9f")
        self.strings_at = length + strings_at
        self.strings_end = self.strings_at + strings_length
        self.places = array("I", [0])
        at, end = length + types_at, length + types_at + types_length
        self.structs: dict[int, int] = {}
        self.typedefs: dict[int, int] = {}
        unpack, places = TYPE.unpack_from, self.places
        fixed, each = [TRAILING.get(kind, (0, 0))[0] + 12 for kind in range(32)], [0] * 32
        for kind, sizes in TRAILING.items():
            each[kind] = sizes[1]
        number = 0
        while at < end:
            places.append(at)
            number += 1
            name, info, _ = unpack(data, at)
            kind = info >> 24 & 31
            if kind == STRUCT:
                self.structs.setdefault(name, number)
            elif kind == TYPEDEF:
                self.typedefs.setdefault(name, number)
            at += fixed[kind] + each[kind] * (info & 0xFFFF)

    def type_id(self, name: str, kind: int) -> int:
        """The id of a struct or typedef by its name."""
        named = self.structs if kind == STRUCT else self.typedefs
        wanted = b"\0" + name.encode() + b"\0"
        at = self.strings_at - 1
        while (at := self.data.find(wanted, at + 1, self.strings_end)) >= 0:
            if number := named.get(at + 1 - self.strings_at):
                return number
        raise TracepointError(f"this kernel has no type {name}", "it may be too old: Linux 5.11 is needed")

    def offset(self, structure: str, path: str) -> int:
        """Of a member, or a member's member: `offset("file", "f_path.dentry")`, in bytes."""
        number, offset = self.type_id(structure, STRUCT), 0
        for part in path.split("."):
            found = self.member(self.resolved(number), part)
            if found is None:
                raise TracepointError(f"this kernel's struct {structure} has no {path}", "please report its version")
            offset, number = offset + found[0], found[1]
        return offset

    def resolved(self, number: int) -> int:
        """Through typedefs and qualifiers."""
        while True:
            _, info, other = TYPE.unpack_from(self.data, self.places[number])
            if info >> 24 & 31 not in NAMES_OF_OTHERS:
                return number
            number = other

    def member(self, number: int, name: str) -> tuple[int, int] | None:
        """Offset in bytes and type of a member, also one of an anonymous struct or union within."""
        place = self.places[number]
        _, info, _ = TYPE.unpack_from(self.data, place)
        # With kind_flag the upper eight bits are the size of a bit field.
        mask = 0xFFFFFF if info >> 31 else 0xFFFFFFFF
        for index in range(info & 0xFFFF):
            name_offset, type_id, bits = MEMBER.unpack_from(self.data, place + 12 + 12 * index)
            if name_offset == 0:
                inside = self.member(self.resolved(type_id), name)
                if inside is not None:
                    return (bits & mask) // 8 + inside[0], inside[1]
            elif self.name(name_offset) == name:
                return (bits & mask) // 8, type_id
        return None

    def name(self, offset: int) -> str:
        start = self.strings_at + offset
        return self.data[start : self.data.index(b"\0", start)].decode()
