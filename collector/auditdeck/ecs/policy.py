"""What a Linux security module said beside an event: SELinux, AppArmor, Landlock, IPE.

The call's own meaning stays; this is added to it. A record without a call is about nothing else, and takes its meaning
from here.

SELinux: `avc:  denied  { name_connect } for … permissive=1` (security/selinux/avc.c); AppArmor: `apparmor="DENIED"
operation="open" …` in a record of the same type (security/apparmor/audit.c); Landlock: `domain=… blockers=…`
(security/landlock/audit.c); IPE: `ipe_op=… enforcing=1 …` (security/ipe/audit.c).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

AVC, IPE_ACCESS, IPE_CONFIG_CHANGE, LANDLOCK_ACCESS = 1400, 1420, 1421, 1423
MAC_TASK_CONTEXTS, MAC_OBJ_CONTEXTS = 1425, 1426
APPARMOR = range(1501, 1508)
CONTEXTS = {
    IPE_ACCESS: (re.compile(rb"(?:^| )subj_\w+="), MAC_TASK_CONTEXTS),
    IPE_CONFIG_CHANGE: (re.compile(rb"(?:^| )obj_\w+="), MAC_OBJ_CONTEXTS),
}
"""Numbers that kernels with stacked security modules (Ubuntu's) use for other records: told by their fields."""

DECISIONS = {"DENIED": "denied", "KILLED": "denied", "KILL": "denied", "ALLOWED": "allowed", "AUDIT": "allowed"}
"""Of apparmor=: ALLOWED is a denial that complain mode did not enforce, AUDIT an access that is logged."""


class Opinion(NamedTuple):
    """`decision`: denied, allowed or info; `enforced`: whether a denial ended the access."""

    module: str
    decision: str
    enforced: bool

    @property
    def outcome(self) -> str:
        return "failure" if self.decision == "denied" and self.enforced else "success"

    @property
    def action(self) -> str:
        """The name in normalization.yaml of what it means alone."""
        if self.decision == "denied":
            return f"violated-{self.module}-policy"
        return "reported-by-apparmor" if self.module == "apparmor" else f"granted-by-{self.module}"


def told(line: bytes) -> bytes:
    """The type of a line of an event's text (`Event.text`)."""
    kind = line[:4]
    return b"%d" % told_kind(int(kind), line[5:]) if kind.startswith(b"142") else kind


def told_kind(kind: int, body: bytes) -> int:
    """The type of a record whose number means different things to different kernels."""
    if kind not in CONTEXTS:
        return kind
    pattern, other = CONTEXTS[kind]
    return other if pattern.search(body) else kind


def opinion_of(records: Iterable[tuple[int, dict[str, str]]]) -> Opinion | None:
    """Of the records of an event, by their types as `told_kind` has them: a denial, or else the first."""
    found = [opinion for kind, fields in records if (opinion := one_opinion(kind, fields)) is not None]
    return min(found, key=lambda opinion: opinion.decision != "denied", default=None)


def one_opinion(kind: int, fields: dict[str, str]) -> Opinion | None:
    if "apparmor" in fields and (kind == AVC or kind in APPARMOR):
        decision = DECISIONS.get(fields["apparmor"], "info")
        if decision == "info" and fields.get("error", "0") not in ("0", ""):
            return Opinion("apparmor", "denied", enforced=True)
        return Opinion("apparmor", decision, enforced=decision == "denied")
    if kind == AVC and "seresult" in fields:
        denied = fields["seresult"] == "denied"
        enforced = denied and fields.get("permissive") != "1"
        return Opinion("selinux", "denied" if denied else "allowed", enforced)
    if kind == LANDLOCK_ACCESS:
        return Opinion("landlock", "denied", enforced=True)
    if kind == IPE_ACCESS:
        return Opinion("ipe", "denied", enforced=fields.get("enforcing") != "0")
    return None
