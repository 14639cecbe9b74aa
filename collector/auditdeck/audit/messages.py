"""The structures of linux/audit.h as netlink messages, declared once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pyroute2.netlink import nlmsg

NETLINK_AUDIT = 9
NLMSG_ERROR = 2
NLMSG_DONE = 3
NLM_F_REQUEST = 1
NLM_F_ACK = 4
HEADER_SIZE = 16

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
    "enabled": STATUS_ENABLED,
    "failure": STATUS_FAILURE,
    "pid": STATUS_PID,
    "rate_limit": STATUS_RATE_LIMIT,
    "backlog_limit": STATUS_BACKLOG_LIMIT,
    "backlog_wait_time": STATUS_BACKLOG_WAIT_TIME,
}


class AuditMessage(nlmsg):  # type: ignore[misc]
    """A netlink message whose fields are read up to where the kernel's (maybe older, shorter) struct ends."""

    __slots__ = ()

    def read(self, payload: bytes) -> dict[str, Any]:
        """The fields of a bare payload, without its netlink header; what is missing at the end is 0."""
        values: dict[str, Any] = {}
        size = sum(4 * count(form) for _, form in self.fields)
        padded = payload.ljust(size, b"\0")
        offset = 0
        for name, form in self.fields:
            values[name], offset = self.decode_field(form, padded, offset)
        return values

    def pack(self, kind: int, sequence: int, flags: int = NLM_F_REQUEST | NLM_F_ACK) -> bytes:
        self["header"] = {"type": kind, "flags": flags, "sequence_number": sequence, "pid": 0}
        self.encode()
        return bytes(self.data)


def count(form: str) -> int:
    return int(form[:-1] or 1)


class audit_status(AuditMessage):  # noqa: N801 (the kernel's name)
    """`struct audit_status`."""

    __slots__ = ()
    fields = (
        ("mask", "I"),
        ("enabled", "I"),
        ("failure", "I"),
        ("pid", "I"),
        ("rate_limit", "I"),
        ("backlog_limit", "I"),
        ("lost", "I"),
        ("backlog", "I"),
        ("feature_bitmap", "I"),
        ("backlog_wait_time", "I"),
        ("backlog_wait_time_actual", "I"),
    )


class audit_features(AuditMessage):  # noqa: N801
    """`struct audit_features`."""

    __slots__ = ()
    fields = (("vers", "I"), ("mask", "I"), ("features", "I"), ("lock", "I"))


class audit_rule_data(AuditMessage):  # noqa: N801
    """`struct audit_rule_data` up to `buflen`; the strings follow it."""

    __slots__ = ()
    fields = (
        ("flags", "I"),
        ("action", "I"),
        ("field_count", "I"),
        ("mask", "64I"),
        ("fields", "64I"),
        ("values", "64I"),
        ("fieldflags", "64I"),
        ("buflen", "I"),
    )
    SIZE = 4 * (4 + 4 * 64)


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
