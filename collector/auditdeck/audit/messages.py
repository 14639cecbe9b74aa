"""The structures of linux/audit.h, declared once."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from auditdeck.netlink import message

NETLINK_AUDIT = 9

AUDIT_GET = 1000
AUDIT_SET = 1001
AUDIT_ADD_RULE = 1011
AUDIT_DEL_RULE = 1012
AUDIT_LIST_RULES = 1013
AUDIT_TRIM = 1014
AUDIT_MAKE_EQUIV = 1015
AUDIT_SET_FEATURE = 1018
AUDIT_GET_FEATURE = 1019
AUDIT_FIRST_RECORD = 1100
AUDIT_EOE = 1320
AUDIT_PROCTITLE = 1327
AUDIT_REPLACE = 1329

AUDIT_NLGRP_READLOG = 1
LOGINUID_IMMUTABLE = 1 << 1

STATUS_ENABLED = 0x01
STATUS_FAILURE = 0x02
STATUS_PID = 0x04
STATUS_RATE_LIMIT = 0x08
STATUS_BACKLOG_LIMIT = 0x10
STATUS_BACKLOG_WAIT_TIME = 0x20
STATUS_LOST = 0x40
STATUS_BACKLOG_WAIT_TIME_ACTUAL = 0x80

STATUS_MASKS = {
    "lost": STATUS_LOST,
    "enabled": STATUS_ENABLED,
    "failure": STATUS_FAILURE,
    "pid": STATUS_PID,
    "rate_limit": STATUS_RATE_LIMIT,
    "backlog_limit": STATUS_BACKLOG_LIMIT,
    "backlog_wait_time": STATUS_BACKLOG_WAIT_TIME,
}


Words = int | Sequence[int]


class Structure:
    """A structure of unsigned 32-bit words: the name of each member, and of how many words it is."""

    def __init__(self, **members: int) -> None:
        self.members = members
        self.struct = struct.Struct(f"={sum(members.values())}I")
        self.size = self.struct.size

    def pack(self, **values: Words) -> bytes:
        """What is not given is 0. An array may be shorter than its member."""
        words: list[int] = []
        for name, count in self.members.items():
            value = values.pop(name, 0)
            given = [value] if isinstance(value, int) else list(value)
            words += given + [0] * (count - len(given))
        assert not values, values
        return self.struct.pack(*words)

    def arrays(self, payload: bytes) -> dict[str, tuple[int, ...]]:
        """The words of each member; 0 where an older kernel's structure is shorter."""
        words = iter(self.struct.unpack(payload[: self.size].ljust(self.size, b"\0")))
        return {name: tuple(islice(words, count)) for name, count in self.members.items()}

    def read(self, payload: bytes) -> dict[str, int]:
        """The first word of each member."""
        return {name: words[0] for name, words in self.arrays(payload).items()}


AUDIT_STATUS = Structure(
    mask=1, enabled=1, failure=1, pid=1, rate_limit=1, backlog_limit=1, lost=1, backlog=1, feature_bitmap=1,
    backlog_wait_time=1, backlog_wait_time_actual=1,
)  # fmt: skip
AUDIT_FEATURES = Structure(vers=1, mask=1, features=1, lock=1)
AUDIT_RULE_DATA = Structure(
    flags=1, action=1, field_count=1, mask=64, fields=64, values=64, fieldflags=64, buflen=1
)  # fmt: skip
"""Up to `buflen`; the strings follow it."""


def status_request(values: dict[str, int], sequence: int) -> bytes:
    """AUDIT_SET for the named members of `struct audit_status`."""
    mask = sum(STATUS_MASKS[name] for name in values)
    return message(AUDIT_SET, sequence, AUDIT_STATUS.pack(mask=mask, **values))


@dataclass(frozen=True, slots=True)
class Status:
    """What AUDIT_GET answers; times in jiffies of the kernel (`backlog_wait_time`), counts otherwise."""

    enabled: int
    failure: int
    pid: int
    rate_limit: int
    backlog_limit: int
    lost: int
    backlog: int
    feature_bitmap: int
    backlog_wait_time: int
    backlog_wait_time_actual: int

    @property
    def locked(self) -> bool:
        """Rules and settings are immutable until the next boot (`auditctl -e 2`)."""
        return self.enabled == 2
