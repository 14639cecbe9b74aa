"""ECS `user.*`: the real user, and the others where they differ from it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from auditdeck.context.users import UNSET, Users
from auditdeck.ecs.part import Part, Whole
from auditdeck.ecs.syscalls import integer

KEY_SEPARATOR = "\x01"
NO_ACCOUNT = {"?", "(null)"}
OTHERS = {"effective": ("euid", "egid"), "saved": ("suid", "sgid"), "filesystem": ("fsuid", "fsgid")}


def who_part(fields: dict[str, str], names: dict[str, str], users: Users, *, groups: bool, login: bool = False) -> Part:
    """Who did it, with what program, by which rule. `fields` are a record's, `names` auditd's enrichment of it; the
    actor of a `login` is the one who logs in."""
    user = user_of(fields, names, users)
    actor = actor_of(user)
    if target := target_of(fields, names, users):
        user["target"] = target
        if login:
            actor["primary"] = target.get("name") or target.get("id") or actor["primary"]
    if label := selinux_of(fields.get("subj", "")):
        user["selinux"] = label
    summary: Part = {"actor": Whole(actor)}
    auditd: Part = {"summary": summary}
    part: Part = {"process": program_of(fields), "user": Whole(user), "auditd": auditd}
    if how := fields.get("exe", fields.get("comm", "")):
        summary["how"] = how
    if session := fields.get("ses", ""):
        auditd["session"] = "unset" if session == str(UNSET) else session
    if tags := tags_of(fields):
        part["tags"] = tags
    if groups and (known := groups_of(fields, users)):
        part["auditdeck"] = {"groups": known}
    return part


def target_of(fields: dict[str, str], names: dict[str, str], users: Users) -> dict[str, Any]:
    """user.target: the account that a record of user space is about (acct= or id=), which need not exist; the group of
    it where the operation is one on groups."""
    name = fields.get("acct", "")
    if name in NO_ACCOUNT:
        name = ""
    operation = fields.get("op", "")
    if operation.endswith("group") and "user" not in operation:
        group = {"name": name} if name else identity(fields, {}, users, "", "id").get("group", {})
        return {"group": group} if group else {}
    which = "id" if "id" in fields or name else "msg.uid"
    target = {} if fields.get(which) == str(UNSET) else identity(fields, names, users, which, "")
    return {**target, "name": name} if name else target


def selinux_of(label: str) -> dict[str, str]:
    """user.selinux of a label `user:role:domain[:level[:category]]` (selinux(8)); {} for those of other modules."""
    parts = label.split(":", 4)
    return dict(zip(("user", "role", "domain", "level", "category"), parts, strict=False)) if len(parts) > 2 else {}


def program_of(fields: dict[str, str]) -> dict[str, str]:
    """process.name and process.executable."""
    program = {"name": fields.get("comm", ""), "executable": fields.get("exe", "")}
    return {name: value for name, value in program.items() if value}


def tags_of(fields: dict[str, str]) -> list[str]:
    """The keys of the rules."""
    return [key for key in fields.get("key", "").split(KEY_SEPARATOR) if key]


def groups_of(fields: dict[str, str], users: Users) -> list[str]:
    uid, gid = integer(fields.get("uid")), integer(fields.get("gid"))
    return users.groups_of(uid, gid) if uid is not None and gid is not None else []


def actor_of(user: dict[str, Any]) -> dict[str, str]:
    """auditd.summary.actor: who logged in, and as whom it was done."""
    audit = user.get("audit", {})
    actor = {
        "primary": audit.get("name") or audit.get("id") or "unset",
        "secondary": user.get("name") or user.get("id"),
    }
    return {name: value for name, value in actor.items() if value}


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
        if name := name_of(names, uid, fields[uid], users.user):
            found["name"] = name
    if gid and gid in fields:
        found["group"] = {"id": fields[gid]}
        if name := name_of(names, gid, fields[gid], users.group):
            found["group"]["name"] = name
    return found


def name_of(names: dict[str, str], field: str, value: str, known: Callable[[int], str]) -> str:
    """What auditd says that the number of a field means, or else this host; "" where it is nobody's."""
    name = names.get(field.upper())
    if name is None:
        return known(number(value))
    return "" if name in ("unset", "unknown") or name.startswith("unknown(") else name


def number(value: str) -> int:
    found = integer(value)
    return UNSET if found is None else found & UNSET
