"""EVENT_KIND and SUBJ_KIND of ausearch's csv, by record type and user id (audit-userspace's auparse/normalize.c)."""

from __future__ import annotations

from auditdeck.audit.record import type_number
from auditdeck.context.users import UID

RANGES = (
    (1100, 1101, "user-login"), (1103, 1106, "user-login"), (1108, 1108, "user-login"), (1110, 1110, "user-login"),
    (1112, 1113, "user-login"), (1006, 1006, "user-login"), (1126, 1126, "group-change"), (1119, 1119, "group-change"),
    (1102, 1102, "user-account"), (1114, 1117, "user-account"), (1132, 1133, "user-account"),
    (1134, 1135, "user-account"), (1127, 1131, "system-services"), (2000, 2000, "system-services"),
    (1111, 1111, "configuration"), (1305, 1305, "configuration"), (1325, 1325, "configuration"),
    (1328, 1328, "configuration"), (1332, 1333, "configuration"), (1137, 1138, "configuration"),
    (1326, 1326, "dac-decision"), (1120, 1121, "user-space"), (1123, 1123, "user-space"), (1125, 1125, "user-space"),
    (1124, 1124, "TTY"), (1319, 1319, "TTY"), (1335, 1335, "audit-daemon"), (1200, 1299, "audit-daemon"),
    (1107, 1107, "mac-decision"), (1122, 1122, "mac-decision"), (1502, 1503, "mac-decision"),
    (1506, 1506, "mac-decision"), (1400, 1402, "mac-decision"), (1800, 1899, "integrity"), (2109, 2109, "integrity"),
    (1700, 1799, "anomaly"), (2100, 2108, "anomaly"), (2110, 2199, "anomaly"), (2200, 2299, "anomaly-response"),
    (1403, 1499, "mac"), (1500, 1501, "mac"), (1504, 1505, "mac"), (2300, 2399, "mac"), (1600, 1699, "crypto"),
    (2400, 2499, "crypto"), (2500, 2599, "virt"), (1300, 1304, "audit-rule"), (1306, 1315, "audit-rule"),
    (1317, 1318, "audit-rule"), (1321, 1324, "audit-rule"), (1331, 1331, "av-decision"), (1334, 1334, "bpf-program"),
)  # fmt: skip
LEAST_USER = 1000
"""UID_MIN of login.defs(5) where nobody changed it."""


def event_kind(record: str) -> str:
    """Of the type of an event's first record."""
    number = type_number(record.encode()) or 0
    return next((kind for low, high, kind in RANGES if low <= number <= high), "unknown")


def subject_kind(uid: str) -> str:
    if not UID.fullmatch(uid):
        return ""
    return "privileged-acct" if int(uid) == 0 else "service-acct" if int(uid) < LEAST_USER else "user-acct"
