"""ECS `user.*`: the real user, and the others where they differ from it."""

from __future__ import annotations

from typing import Any

from auditdeck.context.users import UNSET, Users
from auditdeck.ecs.syscalls import integer

OTHERS = {"effective": ("euid", "egid"), "saved": ("suid", "sgid"), "filesystem": ("fsuid", "fsgid")}


def user_of(fields: dict[str, str], names: dict[str, str], users: Users) -> dict[str, Any]:
    """`fields` of a record with uid=, `names` auditd's enrichment of it, which wins over this host's databases.

    effective, saved and filesystem are left out where they are the real ones, audit where no one logged in.
    """
    user = identity(fields, names, users, "uid", "gid")
    for role, (uid, gid) in OTHERS.items():
        if fields.get(uid) != fields.get("uid") or fields.get(gid) != fields.get("gid"):
            other = identity(fields, names, users, uid, gid)
            if other:
                user[role] = other
    audit = identity(fields, names, users, "auid", "")
    if audit and audit["id"] != str(UNSET):
        user["audit"] = audit
    return user


def identity(fields: dict[str, str], names: dict[str, str], users: Users, uid: str, gid: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if uid in fields:
        found["id"] = fields[uid]
        name = names.get(uid.upper()) or users.user(number(fields[uid]))
        if name and name not in ("unset", "unknown"):
            found["name"] = name
    if gid and gid in fields:
        found["group"] = {"id": fields[gid]}
        name = names.get(gid.upper()) or users.group(number(fields[gid]))
        if name and name not in ("unset", "unknown"):
            found["group"]["name"] = name
    return found


def number(value: str) -> int:
    found = integer(value)
    return UNSET if found is None else found & UNSET
