"""Names of users and groups, asked for once each, failures included; asked again when the databases change."""

from __future__ import annotations

import grp
import os
import pwd
import re
import time
from collections.abc import Callable
from pathlib import Path

UNSET = 0xFFFFFFFF
CHECK_INTERVAL = 5.0
LIFETIME = 600.0
LIMIT = 65536
UID = re.compile("[0-9]{1,10}")
"""The number of a user or a group, as text."""


class Users:
    """`user(uid)` and `group(gid)`: the name, or "" where no database knows the number.

    Without arguments the system's databases are asked (nsswitch.conf(5)); with `passwd` and `group`, files of that
    form alone, as a container does that has the host's mounted. `generation` grows whenever names may have changed.
    """

    def __init__(self, passwd: Path | None = None, group: Path | None = None) -> None:
        self.passwd = passwd or Path("/etc/passwd")
        self.group_file = group or Path("/etc/group")
        self.from_files = passwd is not None
        self.generation = 0
        self.users: dict[int, str] = {}
        self.groups: dict[int, str] = {}
        self.memberships: dict[tuple[int, int], list[str]] = {}
        self.members: dict[str, list[int]] = {}
        self.signature = self.sign()
        self.checked = self.filled = time.monotonic()
        if self.from_files:
            self.read_files()

    def user(self, uid: int) -> str:
        return self.ask(self.users, uid, user_name)

    def group(self, gid: int) -> str:
        return self.ask(self.groups, gid, group_name)

    def groups_of(self, uid: int, gid: int) -> list[str]:
        """The names of all groups that the user is in by the database, the given one first."""
        known = self.memberships
        found = known.get((uid, gid))
        if found is None:
            if len(known) >= LIMIT:
                known.clear()
            name = self.user(uid)
            numbers = self.members.get(name, []) if self.from_files else group_list(name, gid)
            names = [self.group(number) or str(number) for number in dict.fromkeys([gid, *numbers])]
            found = known[uid, gid] = names
        return found

    def ask(self, known: dict[int, str], number: int, database: Callable[[int], str]) -> str:
        name = known.get(number)
        if name is None:
            if len(known) >= LIMIT:
                known.clear()
            name = "" if self.from_files or number == UNSET else database(number)
            known[number] = name
        return name

    def refresh(self) -> None:
        """Forgets what it knows if a database changed. In any thread: an answer that another one is just waiting for
        goes where nobody looks any more."""
        now = time.monotonic()
        if now - self.checked < CHECK_INTERVAL:
            return
        self.checked = now
        signature = self.sign()
        if signature == self.signature and now - self.filled < LIFETIME:
            return
        self.signature = signature
        self.filled = now
        if self.from_files:
            self.read_files()
        else:
            self.users, self.groups = {}, {}
        self.memberships = {}
        self.generation += 1

    def sign(self) -> tuple[object, ...]:
        return tuple(file_signature(path) for path in (self.passwd, self.group_file))

    def read_files(self) -> None:
        self.users = names_of(self.passwd)
        self.groups = names_of(self.group_file)
        self.members = members_of(self.group_file)


def file_signature(path: Path) -> object:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return (status.st_mtime_ns, status.st_ino, status.st_size)


def entries(path: Path) -> list[list[str]]:
    """The lines of a file in the form of passwd(5) or group(5), each in its parts; none if it cannot be read."""
    try:
        lines = path.read_text(errors="backslashreplace").splitlines()
    except OSError:
        return []
    return [line.split(":") for line in lines]


def names_of(path: Path) -> dict[int, str]:
    """The names of a file in the form of passwd(5) or group(5); of several with one number the first."""
    names: dict[int, str] = {}
    for parts in entries(path):
        if len(parts) >= 3 and UID.fullmatch(parts[2]):
            names.setdefault(int(parts[2]), parts[0])
    return names


def members_of(path: Path) -> dict[str, list[int]]:
    """The groups (group(5)) in which each user is named."""
    members: dict[str, list[int]] = {}
    for parts in entries(path):
        if len(parts) == 4 and UID.fullmatch(parts[2]):
            for name in filter(None, parts[3].split(",")):
                members.setdefault(name, []).append(int(parts[2]))
    return members


def group_list(user: str, gid: int) -> list[int]:
    try:
        return os.getgrouplist(user, gid) if user else []
    except (OSError, OverflowError):
        return []


def user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except (KeyError, OverflowError):
        return ""


def group_name(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except (KeyError, OverflowError):
        return ""
