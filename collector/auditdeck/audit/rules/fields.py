"""`-F field op value` and `-C field op field`: which values a field takes, and in which list it may stand."""

from __future__ import annotations

import grp
import os
import pwd
import re
from collections.abc import Callable

from auditdeck.audit import architecture
from auditdeck.audit.rules import constants as c
from auditdeck.audit.rules.rule import Field
from auditdeck.audit.tables.compare import COMPARE
from auditdeck.audit.tables.errors import ERRORS
from auditdeck.audit.tables.families import FAMILIES
from auditdeck.audit.tables.record_types import RECORD_TYPES
from auditdeck.errors import RuleError

# auditctl looks for these in this order, anywhere in the pair.
OPERATOR_ORDER = ("!=", ">=", "<=", "&=", "=", ">", "<", "&")
NUMBER = re.compile(r"-?(0[xX][0-9a-fA-F]{1,16}|0[0-7]{0,20}|[1-9][0-9]{0,18})\Z")

ERROR_NUMBERS = {name: number for number, name in ERRORS.items()} | {"EWOULDBLOCK": 11, "EDEADLOCK": 35, "ENOTSUP": 95}
RECORD_NUMBERS = {name: number for number, name in RECORD_TYPES.items()}
FAMILY_NUMBERS = {name: number for number, name in FAMILIES.items()}


def parse_field(pair: str, filter_list: int) -> Field:
    """One `-F` option; raises RuleError."""
    name, symbol, value = split(pair)
    operator = c.OPERATORS[symbol]
    field = c.FIELDS.get(name)
    if field is None:
        raise RuleError(f"field {name!r} is unknown")
    check_list(name, field, filter_list)
    if field in c.EQUALITY_FIELDS and operator not in c.EQUALITY:
        raise RuleError(f"field {name} can be compared with = and != only")
    if field in c.STRING_FIELDS:
        return Field(field, operator, checked_string(name, value))
    return Field(field, operator, parser(field)(name, value, operator) & c.UNSET)


def split(pair: str, symbols: tuple[str, ...] = OPERATOR_ORDER) -> tuple[str, str, str]:
    for symbol in symbols:
        name, found, value = pair.partition(symbol)
        if found:
            if not name:
                raise RuleError(f"{pair!r} has no field name before {symbol}")
            if not value:
                raise RuleError(f"{pair!r} has no value after {symbol}")
            return name, symbol, value
    raise RuleError(f"{pair!r} has no operator (one of {' '.join(symbols)})")


def check_list(name: str, field: int, filter_list: int) -> None:
    where = c.LIST_NAMES[filter_list]
    if filter_list == c.EXCLUDE and field not in c.EXCLUDE_FIELDS:
        raise RuleError(
            f"field {name} cannot be used in the exclude list (msgtype, exe, pid, uid, gid, auid, subj_* can)"
        )
    if field in c.EXIT_ONLY_FIELDS and filter_list not in (c.EXIT, c.IO_URING):
        raise RuleError(f"field {name} can be used in the exit list only, not in {where}")
    if name == "msgtype" and filter_list not in (c.EXCLUDE, c.USER):
        raise RuleError(f"field msgtype can be used in the exclude and user lists only, not in {where}")
    if name == "fstype" and filter_list != c.FILESYSTEM:
        raise RuleError(f"field fstype can be used in the filesystem list only, not in {where}")
    if name == "sessionid" and filter_list not in (c.EXCLUDE, c.USER, c.EXIT, c.IO_URING):
        raise RuleError(f"field sessionid cannot be used in the {where} list")


def checked_string(name: str, value: str) -> str:
    length = len(os.fsencode(value))
    limit = c.MAX_KEY_LENGTH if name == "key" else c.PATH_MAX
    if length > limit:
        raise RuleError(f"{name} is {length} bytes long, {limit} are allowed")
    return value


def number(name: str, value: str, operator: int = 0) -> int:  # noqa: ARG001 (all value parsers look alike)
    if not NUMBER.match(value):
        raise RuleError(f"field {name} takes a number, not {value!r}")
    sign, digits = (-1, value[1:]) if value[0] == "-" else (1, value)
    base = 16 if digits[:2] in ("0x", "0X") else 8 if digits[0] == "0" and len(digits) > 1 else 10
    result = sign * int(digits, base)
    if not -(1 << 31) <= result <= c.UNSET:
        raise RuleError(f"field {name}: {value} does not fit into 32 bits")
    return result


def unsigned(name: str, value: str, operator: int) -> int:
    if value.startswith("-"):
        raise RuleError(f"field {name} takes a number that is not negative, not {value!r}")
    return number(name, value, operator)


def user(name: str, value: str, operator: int) -> int:
    if value == "unset":
        return c.UNSET
    if value.lstrip("-")[:1].isdigit():
        return number(name, value, operator)
    try:
        return pwd.getpwnam(value).pw_uid
    except KeyError:
        raise RuleError(f"user {value!r} is unknown on this host") from None


def group(name: str, value: str, operator: int) -> int:
    if value[:1].isdigit():
        return number(name, value, operator)
    try:
        return grp.getgrnam(value).gr_gid
    except KeyError:
        raise RuleError(f"group {value!r} is unknown on this host") from None


def session(name: str, value: str, operator: int) -> int:
    return c.UNSET if value == "unset" else number(name, value, operator)


def exit_code(name: str, value: str, operator: int) -> int:
    if value.lstrip("-")[:1].isdigit():
        return number(name, value, operator)
    sign, error = (-1, value[1:]) if value.startswith("-") else (1, value)
    if error not in ERROR_NUMBERS:
        raise RuleError(f"errno {value!r} is unknown (-EACCES, for example)")
    return sign * ERROR_NUMBERS[error]


def record_type(name: str, value: str, operator: int) -> int:
    if value[:1].isdigit():
        return number(name, value, operator)
    if value.upper() not in RECORD_NUMBERS:
        raise RuleError(f"record type {value!r} is unknown")
    return RECORD_NUMBERS[value.upper()]


def arch(name: str, value: str, operator: int) -> int:
    if value[:1].isdigit():
        number_ = number(name, value, operator)
        if number_ not in architecture.NAMES:
            raise RuleError(f"architecture {value!r} is unknown")
        return number_
    known = architecture.by_name(value)
    if known is None:
        raise RuleError(
            f"architecture {value!r} is unknown on this machine (b64, b32, {', '.join(architecture.NUMBERS)})"
        )
    return architecture.NUMBERS[known]


def permission(name: str, value: str, operator: int = c.OPERATORS["="]) -> int:
    """`rwxa` in any order, as bits."""
    if operator != c.OPERATORS["="]:
        raise RuleError(f"field {name} can be compared with = only")
    if len(value) > 4:
        raise RuleError(f"permission {value!r} is too long (up to four of r, w, x, a)")
    bits = 0
    for letter in value.lower():
        if letter not in c.PERMISSIONS:
            raise RuleError(f"permission {letter!r} is unknown ; use r, w, x or a")
        bits |= c.PERMISSIONS[letter]
    return bits


def named(table: dict[str, int], what: str) -> Callable[[str, str, int], int]:
    def parse(name: str, value: str, operator: int) -> int:
        if value[:1].isdigit():
            return number(name, value, operator)
        if value not in table:
            raise RuleError(f"{what} {value!r} is unknown ({', '.join(table)})")
        return table[value]

    return parse


def file_type(name: str, value: str, operator: int) -> int:  # noqa: ARG001
    if value not in c.FILE_TYPES:
        raise RuleError(f"file type {value!r} is unknown ({', '.join(c.FILE_TYPES)})")
    return c.FILE_TYPES[value]


def family(name: str, value: str, operator: int) -> int:
    if not value[:1].isdigit():
        if value.lower() not in FAMILY_NUMBERS:
            raise RuleError(f"address family {value!r} is unknown (inet, inet6, unix …, or a number)")
        return FAMILY_NUMBERS[value.lower()]
    result = number(name, value, operator)
    if result >= c.AF_MAX:
        raise RuleError(f"field {name}: {value} is too big, {c.AF_MAX - 1} is the highest address family")
    return result


PARSERS: dict[int, Callable[[str, str, int], int]] = {
    **dict.fromkeys(c.UID_FIELDS, user),
    **dict.fromkeys(c.GID_FIELDS, group),
    **dict.fromkeys(c.ARGUMENT_FIELDS, number),
    c.FIELDS["exit"]: exit_code,
    c.FIELDS["msgtype"]: record_type,
    c.FIELDS["arch"]: arch,
    c.FIELDS["perm"]: permission,
    c.FIELDS["filetype"]: file_type,
    c.FIELDS["fstype"]: named(c.FILESYSTEMS, "filesystem"),
    c.FIELDS["sessionid"]: session,
    c.FIELDS["saddr_fam"]: family,
}


def parser(field: int) -> Callable[[str, str, int], int]:
    return PARSERS.get(field, unsigned)


def parse_comparison(pair: str, filter_list: int) -> Field:
    """One `-C` option; either order of the two fields; raises RuleError."""
    first, symbol, second = split(pair, ("!=", "="))
    for name in (first, second):
        if name not in c.FIELDS:
            raise RuleError(f"field {name!r} is unknown")
    if filter_list not in (c.EXIT, c.IO_URING):
        raise RuleError(f"-C can be used in the exit list only, not in {c.LIST_NAMES[filter_list]}")
    left, right = (c.FIELD_NAMES[c.FIELDS[name]] for name in (first, second))
    value = COMPARE.get(f"{left}_to_{right}") or COMPARE.get(f"{right}_to_{left}")
    if value is None:
        raise RuleError(f"the kernel cannot compare {first} with {second}")
    return Field(c.FIELDS["field_compare"], c.OPERATORS[symbol], value)
