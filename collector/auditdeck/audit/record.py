"""A record is one line from the kernel or from an audit log: its type, its stamp and its body.

The stamp is `seconds.milliseconds:serial`; all records of an event have the same. In a log a line reads

    node=host type=SYSCALL msg=audit(1700000000.123:456): arch=c000003e syscall=42 ...<0x1d>ARCH=x86_64 ...

where the node is optional and what follows 0x1d are the names that auditd's ENRICHED format adds (auditd.conf(5)). On
the way through syslog and copies 0x1d may become #035, a blank, or nothing.
From netlink the same arrives without `type=` (it is in the header) as `audit(1700000000.123:456): arch=...`.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from auditdeck.audit.tables.record_types import RECORD_TYPES

TYPE_NUMBERS = {name.encode(): number for number, name in RECORD_TYPES.items()}
ENRICHMENT = b"\x1d"

# What auditd's format_enrich names: fields of the types UID, GID, SYSCALL, ARCH and SOCKADDR in auparse/typetab.h.
NAMED = (
    b"AUID|UID|EUID|SUID|FSUID|OUID|OAUID|OLD-AUID|IUID|ID|INODE_UID|SAUID|OBJ_UID|OBJ_GID|GID|EGID|SGID|FSGID|OGID|"
    b"IGID|INODE_GID|NEW_GID|SYSCALL|ARCH|SADDR"
)
NAME = re.compile(rb"""(?: |#035|\\(?:x1d|035|u001d))?((?:%b)=(?:"[^"]*"|\{[^{}]*\}|[^\s"'{}]*))""" % NAMED)

STAMP = re.compile(rb"\d{1,15}\.\d{3}:\d{1,20}")

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
    at the end. Text from outside is in quotes or in hex there, and cannot be taken for them."""
    body, separator, names = text.partition(ENRICHMENT)
    if separator or not may_have_names(text):
        return body, names
    start = end = len(text.rstrip(b"\0\r\n "))
    for match in reversed(list(NAME.finditer(text, 0, end))):
        if match.end() != start:
            break
        start, names = match.start(), text[match.start(1) : end]
    return text[:start], names


def read_line(line: bytes) -> tuple[bytes, int, bytes] | None:
    """One line of an audit log as its node (b"" if none is named), type and payload; None if it is none."""
    node = b""
    if line.startswith(b"node="):
        node, _, line = line[5:].partition(b" ")
    if not line.startswith(b"type="):
        return None
    end = line.find(b" msg=audit(", 5)
    kind = type_number(line[5:end])
    if end < 0 or kind is None:
        return None
    return node, kind, line[end + 5 :]


def type_number(name: bytes) -> int | None:
    kind = TYPE_NUMBERS.get(name)
    if kind is None and name.startswith(b"UNKNOWN[") and name[8:-1].isdigit():
        return int(name[8:-1])
    return kind


def type_name(kind: int) -> str:
    """The name of a record type, as auditd writes it: UNKNOWN[1234] for one without."""
    return RECORD_TYPES.get(kind, f"UNKNOWN[{kind}]")


def serial(stamp: bytes) -> int:
    return int(stamp[stamp.index(b":") + 1 :])


def milliseconds(stamp: bytes) -> int:
    """The time of a stamp in milliseconds since 1970."""
    dot = stamp.index(b".")
    return int(stamp[:dot]) * 1000 + int(stamp[dot + 1 : dot + 4])
