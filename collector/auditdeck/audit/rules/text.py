"""A rule as text, exactly as `auditctl -l` writes it."""

from __future__ import annotations

from auditdeck.audit import architecture
from auditdeck.audit.rules import constants as c
from auditdeck.audit.rules.rule import ALL_SYSCALLS, Field, Rule
from auditdeck.audit.tables.compare import COMPARE
from auditdeck.audit.tables.errors import ERRORS
from auditdeck.audit.tables.io_uring import IO_URING_OPERATIONS
from auditdeck.audit.tables.record_types import RECORD_TYPES
from auditdeck.audit.tables.syscalls import SYSCALLS

WATCH_FIELDS = {c.FIELDS[name] for name in ("perm", "key", "dir", "path")}
WITHOUT_SYSCALLS = {c.USER, c.TASK, c.EXCLUDE, c.FILESYSTEM}
COMPARE_NAMES = {number: name.split("_to_") for name, number in COMPARE.items()}
FILESYSTEM_NAMES = {number: name for name, number in c.FILESYSTEMS.items()}
# auditctl does not look at the last word of the mask, nor does the kernel always set it.
COMPARED_SYSCALLS = ALL_SYSCALLS >> 32


def rule_text(rule: Rule) -> str:
    watch = is_watch(rule)
    parts = [] if watch else head(rule)
    for field in rule.fields:
        if field.field != c.FIELDS["arch"]:
            parts.extend(field_text(field, watch=watch))
    return " ".join(parts)


def is_watch(rule: Rule) -> bool:
    numbers = {field.field for field in rule.fields}
    if not numbers <= WATCH_FIELDS or c.FIELDS["perm"] not in numbers:
        return False
    return rule.list in WITHOUT_SYSCALLS or all_syscalls(rule)


def all_syscalls(rule: Rule) -> bool:
    return rule.syscalls & COMPARED_SYSCALLS == COMPARED_SYSCALLS


def head(rule: Rule) -> list[str]:
    # auditctl prints a prepended rule's list as unknown; the kernel never lists the flag.
    parts = [f"-a {c.ACTION_NAMES.get(rule.action, rule.action)},{c.LIST_NAMES.get(rule.list, rule.list)}"]
    arch = architecture.native()
    for field, operator, value in rule.fields:
        if field == c.FIELDS["arch"] and isinstance(value, int):
            arch = architecture.NAMES.get(value, "")
            bits = "b64" if value & architecture.ARCH_64BIT else "b32"
            parts.append(f"-F arch{c.OPERATOR_NAMES.get(operator, '?')}{bits if arch else f'0x{value:X}'}")
    if rule.list not in WITHOUT_SYSCALLS:
        parts.extend(syscalls_text(rule, arch))
    return parts


def syscalls_text(rule: Rule, arch: str) -> list[str]:
    if all_syscalls(rule):
        return ["-S all"]
    names = IO_URING_OPERATIONS if rule.list == c.IO_URING else SYSCALLS.get(arch, {})
    numbers = [number for number in range(c.SYSCALL_LIMIT) if rule.syscalls >> number & 1]
    return ["-S " + ",".join(names.get(number, str(number)) for number in numbers)] if numbers else []


def field_text(field: Field, *, watch: bool) -> list[str]:
    number, operator, value = field
    name = c.FIELD_NAMES.get(number, f"f{number}")
    symbol = c.OPERATOR_NAMES.get(operator, "?")
    if isinstance(value, str):
        if name == "key":
            return [f"-k {key}" if watch else f"-F key={key}" for key in value.split(c.KEY_SEPARATOR)]
        if name in ("path", "dir"):
            return [f"-w {value}" if watch else f"-F {name}={value}"]
        return [f"-F {name}{'=' if name == 'exe' else symbol}{value}"]
    if name == "perm":
        letters = "".join(letter for letter, bit in c.PERMISSIONS.items() if value & bit)
        return [f"-p {letters}" if watch else f"-F perm={letters}"]
    if name == "field_compare" and value in COMPARE_NAMES:
        left, right = COMPARE_NAMES[value]
        return [f"-C {left}{symbol}{right}"]
    return [f"-F {name}{symbol}{value_text(number, value)}"]


def value_text(field: int, value: int) -> str:
    signed = value - (1 << 32) if value & 0x80000000 else value
    if field in c.ARGUMENT_FIELDS:
        return f"0x{value:X}"
    if field == c.FIELDS["exit"] and signed < 0 and -signed in ERRORS:
        return f"-{ERRORS[-signed]}"
    if field == c.FIELDS["msgtype"]:
        return RECORD_TYPES.get(value, str(signed))
    if field == c.FIELDS["fstype"]:
        return FILESYSTEM_NAMES.get(value, str(signed))
    if field == c.FIELDS["inode"]:
        return str(value)
    return str(signed)
