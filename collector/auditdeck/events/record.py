"""A record is one line from the kernel or from an audit log: its type, its stamp and its body.

The stamp is `seconds.milliseconds:serial`; all records of an event have the same. In a log a line reads

    node=host type=SYSCALL msg=audit(1700000000.123:456): arch=c000003e syscall=42 ...<0x1d>ARCH=x86_64 ...

where the node is optional and what follows 0x1d are the names that auditd's ENRICHED format adds (auditd.conf(5)).
From netlink the same arrives without `type=` (it is in the header) as `audit(1700000000.123:456): arch=...`.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from auditdeck.kernel.tables.record_types import RECORD_TYPES

TYPE_NUMBERS = {name.encode(): number for number, name in RECORD_TYPES.items()}
ENRICHMENT = b"\x1d"

LINE = re.compile(
    rb"(?:node=(?P<node>\S+) )?type=(?P<type>\w+(?:\[\d+\])?) msg=audit\((?P<stamp>\d+\.\d{3}:\d+)\): ?(?P<body>.*)",
    re.DOTALL,
)


class Record(NamedTuple):
    """`kind` is the number of linux/audit.h, `body` the bytes after the stamp, `names` auditd's enrichment."""

    kind: int
    stamp: bytes
    body: bytes
    names: bytes = b""
    node: str = ""


def parse_line(line: bytes) -> Record | None:
    """One line of an audit log; None if it is none."""
    match = LINE.match(line.rstrip(b"\r\n"))
    if not match:
        return None
    kind = type_number(match["type"])
    if kind is None:
        return None
    body, _, names = match["body"].partition(ENRICHMENT)
    node = (match["node"] or b"").decode("utf-8", "backslashreplace")
    return Record(kind, match["stamp"], body.rstrip(), names, node)


def type_number(name: bytes) -> int | None:
    if name.startswith(b"UNKNOWN["):
        return int(name[8:-1])
    return TYPE_NUMBERS.get(name)


def type_name(kind: int) -> str:
    """The name of a record type, as auditd writes it: UNKNOWN[1234] for one without."""
    return RECORD_TYPES.get(kind, f"UNKNOWN[{kind}]")


def serial(stamp: bytes) -> int:
    return int(stamp[stamp.index(b":") + 1 :])


def milliseconds(stamp: bytes) -> int:
    """The time of a stamp in milliseconds since 1970."""
    dot = stamp.index(b".")
    return int(stamp[:dot]) * 1000 + int(stamp[dot + 1 : dot + 4])
