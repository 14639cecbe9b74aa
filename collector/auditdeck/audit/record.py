"""A record is one line from the kernel or from an audit log: its type, its stamp and its body.

The stamp is `seconds.milliseconds:serial`; all records of an event have the same. In a log a line reads

    node=host type=SYSCALL msg=audit(1700000000.123:456): arch=c000003e syscall=42 ...<0x1d>ARCH=x86_64 ...

where the node is optional and what follows 0x1d are the names that auditd's ENRICHED format adds (auditd.conf(5)). On
the way through syslog and copies 0x1d may become #035, a blank, or nothing.
From netlink the same arrives without `type=` (it is in the header) as `audit(1700000000.123:456): arch=...`.

Logs have it in other forms as well: with what syslog, the kernel log or journald put before it, as an object of
`journalctl -o json`, with `host=` for `node=`, with a number or a name for the type that no table knows, and with less
behind the stamp than `): `.
"""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

from auditdeck.audit.tables.record_types import RECORD_TYPES

TYPE_NUMBERS = {name.encode(): number for number, name in RECORD_TYPES.items()}
UNNUMBERED = (9000, 9999)
"""Numbers that no kernel uses, for names that are newer than the table."""
NEW_TYPES: dict[int, str] = {}
TYPE_FORM = re.compile(rb"[A-Z][A-Z0-9_]{1,63}")
ENRICHMENT = b"\x1d"

WRAPPED = re.compile(rb"(?:^|[\s:>\xbf])(?:(?:node|host)=(\S{1,255}) +)?type=(\S{1,64}) (?:msg=)?(audit\()")
TIME = rb"(?:<\d{1,3}>)?(?:1 )?(?:[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d|\d{4}-\d\d-\d\dT\d\d:\d\d:\S{2,20})"
SYSLOG = re.compile(TIME + rb" ([\w.-]{1,255}) ")
"""RFC 3164, RFC 5424 and rsyslog's own form."""
STAMPLESS = re.compile(rb" audit(?:\[\d{1,10}\])?: [A-Z]")
KERNEL_TIME = rb"(?:<\d{1,3}>)?\[(?: *\d{1,9}\.\d{6}|[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4})\] "
FOREIGN = re.compile(TIME + rb"|" + KERNEL_TIME + rb"|\{|-- ")
"""Also what journalctl says between entries: `-- Boot 1234 --`."""

# What auditd's format_enrich names: fields of the types UID, GID, SYSCALL, ARCH and SOCKADDR in auparse/typetab.h.
NAMED = (
    b"AUID|UID|EUID|SUID|FSUID|OUID|OAUID|OLD-AUID|IUID|ID|INODE_UID|SAUID|OBJ_UID|OBJ_GID|GID|EGID|SGID|FSGID|OGID|"
    b"IGID|INODE_GID|NEW_GID|SYSCALL|ARCH|SADDR"
)
NAME = re.compile(rb"""(?: |#035|\\(?:x1d|035|u001d))?((?:%b)=(?:"[^"]*"|\{[^{}]*\}|[^\s"'{}]*))""" % NAMED)

STAMP = re.compile(rb"\d{1,11}\.\d{3}:\d{1,18}")
"""A time before the year 5138, and a serial that is a number to JSON and Elasticsearch: the kernel's has ten digits."""

Payload = tuple[int, bytes]
"""A record as netlink has it: its type, and `audit(stamp): body`."""


class Record(NamedTuple):
    """`kind` is the number of linux/audit.h, `body` the bytes after the stamp, `names` auditd's enrichment."""

    kind: int
    stamp: bytes
    body: bytes
    names: bytes = b""
    node: str = ""


def record_of(kind: int, payload: bytes) -> Record:
    """A payload read; raises ValueError if it is none."""
    end = payload.find(b"): ")
    stamp = payload[6:end]
    if end < 0 or not STAMP.fullmatch(stamp):
        raise ValueError(f"not an audit record: {payload[:40]!r}")
    body, names = without_names(payload[end + 3 :])
    return Record(kind, stamp, body.rstrip(b"\0\r\n "), names)


def may_have_names(text: bytes) -> bool:
    """Whether auditd's enrichment can be in it, with or without its separator."""
    return ENRICHMENT in text or b"ID=" in text or b"SADDR=" in text or b"ARCH=" in text


def without_names(text: bytes) -> tuple[bytes, bytes]:
    """What stands behind the stamp, and auditd's enrichment of it: what follows 0x1d, or where that was lost the names
    at the end.

    Text from outside is in quotes or in hex there, and cannot be taken for them; what a program wrote into a message of
    its own ends with the quote that the kernel puts behind it.
    """
    body, separator, names = text.partition(ENRICHMENT)
    if b"'" in names:
        return text, b""
    if separator or not may_have_names(text):
        return body, names
    start = end = len(text.rstrip(b"\0\r\n "))
    for match in reversed(list(NAME.finditer(text, 0, end))):
        if match.end() != start:
            break
        start, names = match.start(), text[match.start(1) : end]
    return text[:start], names


def read_line(line: bytes) -> tuple[bytes, int, bytes] | None:
    """A line as auditd writes it as its node (b"" if none is named), type and payload; None if it is none."""
    node = b""
    if line.startswith(b"node="):
        node, _, line = line[5:].partition(b" ")
    end = line.find(b" msg=audit(", 5)
    if end < 0 or not line.startswith(b"type="):
        return None
    name = line[5:end]
    kind = TYPE_NUMBERS.get(name) or type_number(name)
    if kind is None:
        return None
    payload = line[end + 5 :]
    return node, kind, payload if payload.startswith(b"): ", payload.find(b")", 6)) else with_head(payload)


def read_any_line(line: bytes) -> tuple[bytes, int, bytes] | None:
    """As `read_line`, also with something before it: the node is then the host that syslog names, unless the record
    has one."""
    return read_line(line) or (read_journal(line) if line.startswith(b"{") else read_wrapped(line))


def read_wrapped(line: bytes) -> tuple[bytes, int, bytes] | None:
    """A line of syslog or the kernel log. One that begins like a record and is none was cut; another may follow it."""
    match = (WRAPPED.match if line.startswith((b"type=", b"node=")) else WRAPPED.search)(line)
    kind = type_number(match[2]) if match else None
    if match is None or kind is None:
        return None
    host = SYSLOG.match(line)
    return match[1] or (host[1] if host else b""), kind, with_head(line[match.start(3) :])


def read_journal(line: bytes) -> tuple[bytes, int, bytes] | None:
    """An entry of `journalctl -o json`: journald made `TYPE body` of a record, with its stamp in other fields
    (systemd.journal-fields(7), src/journal/journald-audit.c); entries of the kernel and of syslog have the record."""
    try:
        entry: dict[str, Any] = json.loads(line)
        message, host = entry["MESSAGE"], str(entry.get("_HOSTNAME", "")).encode()
        text = bytes(message) if isinstance(message, list) else message.encode()
        if "_AUDIT_ID" not in entry:
            found = read_wrapped(text)
            return found and (found[0] or host, *found[1:])
        number, time, kind = (int(entry[name]) for name in ("_AUDIT_ID", "_SOURCE_REALTIME_TIMESTAMP", "_AUDIT_TYPE"))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    stamp = b"%d.%03d:%d" % (time // 1_000_000, time // 1000 % 1000, number)
    if not STAMP.fullmatch(stamp) or not 1000 <= kind <= 9999:
        return None
    return host, kind, b"audit(%b): %b" % (stamp, text.partition(b" ")[2])


def with_head(payload: bytes) -> bytes:
    """With `): ` behind the stamp where there is less: `audit(1.000:1):` of an EOE, `audit(1.000:1) config changed`."""
    end = payload.find(b")", 6)
    if payload.startswith(b"): ", end) or not STAMP.fullmatch(payload, 6, max(end, 6)):
        return payload
    return payload[:end] + b"): " + payload[end + 1 :].removeprefix(b":").lstrip(b" ")


def is_foreign(line: bytes) -> bool:
    """Whether a line that is no record was written by another program, to syslog, the kernel log or the journal.

    What journald itself shows of a record (`audit[123]: SYSCALL arch=…`) has no stamp: -o json is needed.
    """
    return b"audit(" not in line and FOREIGN.match(line) is not None and not STAMPLESS.search(line)


def type_number(name: bytes) -> int | None:
    """By name, UNKNOWN[1234] or number; a name of the usual form that is not known gets a number that is free."""
    kind = TYPE_NUMBERS.get(name)
    if kind is not None:
        return kind
    digits = name[8:-1] if name.startswith(b"UNKNOWN[") else name
    if digits.isdigit() and len(digits) == 4 and digits >= b"1000":
        return int(digits)
    if not TYPE_FORM.fullmatch(name) or len(NEW_TYPES) >= UNNUMBERED[1] - UNNUMBERED[0]:
        return None
    number = UNNUMBERED[0] + len(NEW_TYPES)
    NEW_TYPES[number] = name.decode()
    TYPE_NUMBERS[name] = number
    return number


def type_name(kind: int) -> str:
    """The name of a record type, as auditd writes it: UNKNOWN[1234] for one without."""
    return RECORD_TYPES.get(kind) or NEW_TYPES.get(kind) or f"UNKNOWN[{kind}]"


def serial(stamp: bytes) -> int:
    return int(stamp[stamp.index(b":") + 1 :])


def milliseconds(stamp: bytes) -> int:
    """The time of a stamp in milliseconds since 1970."""
    dot = stamp.index(b".")
    return int(stamp[:dot]) * 1000 + int(stamp[dot + 1 : dot + 4])
