"""One audit rule and its form in the kernel, `struct audit_rule_data` of linux/audit.h."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from typing import NamedTuple

from auditdeck.audit.messages import AUDIT_RULE_DATA
from auditdeck.audit.rules import constants as c

WORDS = struct.Struct("=64I")
ALL_SYSCALLS = (1 << c.SYSCALL_LIMIT) - 1


class Field(NamedTuple):
    """One condition: numbers are unsigned 32-bit as the kernel has them, strings are text (os.fsdecode)."""

    field: int
    operator: int
    value: int | str


@dataclass(frozen=True, slots=True)
class Rule:
    """`flags` is the list (and FILTER_PREPEND), `syscalls` a bit mask over system call numbers."""

    flags: int
    action: int
    fields: tuple[Field, ...]
    syscalls: int = 0

    @property
    def list(self) -> int:
        return self.flags & c.FILTER_MASK

    def to_bytes(self) -> bytes:
        fields, values, operators, strings = [], [], [], b""
        for field, operator, value in self.fields:
            fields.append(field)
            operators.append(operator)
            if isinstance(value, str):
                encoded = os.fsencode(value)
                strings += encoded
                values.append(len(encoded))
            else:
                values.append(value & c.UNSET)
        data = AUDIT_RULE_DATA.pack(
            flags=self.flags,
            action=self.action,
            field_count=len(fields),
            mask=WORDS.unpack(self.syscalls.to_bytes(WORDS.size, "little")),
            fields=fields,
            values=values,
            fieldflags=operators,
            buflen=len(strings),
        )
        return data + strings

    @classmethod
    def from_bytes(cls, data: bytes) -> Rule:
        raw = AUDIT_RULE_DATA.arrays(data)
        [flags], [action], [count] = (raw[name] for name in ("flags", "action", "field_count"))
        strings = data[AUDIT_RULE_DATA.size :]
        fields = []
        offset = 0
        for number, operator, value in zip(raw["fields"][:count], raw["fieldflags"], raw["values"], strict=False):
            if number in c.STRING_FIELDS:
                text = os.fsdecode(strings[offset : offset + value])
                offset += value
                fields.append(Field(number, operator & c.OPERATOR_MASK, text))
            else:
                fields.append(Field(number, operator & c.OPERATOR_MASK, value))
        syscalls = int.from_bytes(WORDS.pack(*raw["mask"]), "little")
        return cls(flags, action, tuple(fields), syscalls)
