"""What is looked for: the conditions of ausearch(8) on documents; all that are given must hold."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from auditdeck.audit.record import TYPE_NUMBERS
from auditdeck.errors import did_you_mean

Document = dict[str, Any]
LINE_TYPE = re.compile(r"^(?:node=\S+ )?type=(\S+) msg=audit\(", re.MULTILINE)
LOGIN_USER = re.compile(r"\b(?:a|login)uid=")
ROLES = ("effective", "saved", "filesystem")


class FoundEvent:
    """A document with what conditions ask of it."""

    def __init__(self, document: Document) -> None:
        self.document = document

    def get(self, path: str, default: Any = "") -> Any:
        found: Any = self.document
        for name in path.split("."):
            if not isinstance(found, dict) or name not in found:
                return default
            found = found[name]
        return found

    def values(self, path: str) -> list[str]:
        """All of a field that may be a list, or in each of a list of objects."""
        found = self.get(path, None)
        if found is None and "." in path:
            outer, _, name = path.rpartition(".")
            several = self.get(outer, None)
            found = [item.get(name) for item in several] if isinstance(several, list) else None
        return [str(value) for value in (found if isinstance(found, list) else [found]) if value not in (None, "")]

    @property
    def time(self) -> datetime:
        return datetime.fromisoformat(self.document["@timestamp"])

    @cached_property
    def types(self) -> set[str]:
        """Types of its records: of those that were kept, or as far as the document tells."""
        original = self.get("event.original")
        if original:
            return set(LINE_TYPE.findall(original))
        found = {str(self.get("auditd.message_type")).upper()}
        for path, kind in (
            ("process.args", "EXECVE"), ("auditd.paths", "PATH"), ("process.working_directory", "CWD"),
            ("process.title", "PROCTITLE"), ("auditd.data.socket", "SOCKADDR"),
        ):  # fmt: skip
            if self.get(path, None) is not None:
                found.add(kind)
        return found

    def users(self, *roles: str) -> Iterator[str]:
        """Ids and names of the user in these roles ("" is the real one).

        A record of user space may have another id in its own text: as for ausearch it is that one's.
        """
        if "" in roles and (own := self.values("auditd.data.uid")):
            target = self.get("user.target", {})
            yield from own
            yield from [target["name"]] if target.get("id") in own and "name" in target else []
            roles = tuple(role for role in roles if role)
        yield from self.people("", *roles)

    def groups(self, *roles: str) -> Iterator[str]:
        yield from self.people(".group", *roles)

    def people(self, suffix: str, *roles: str) -> Iterator[str]:
        for role in roles:
            # Roles that are the real one's are left out of documents.
            found = self.get(f"user.{role}{suffix}" if role else f"user{suffix}", None)
            if found is None and role in ROLES and self.get("auditd.data.syscall") and not self.is_seccomp:
                found = self.get(f"user{suffix}", None)
            if isinstance(found, dict):
                yield from (str(found[name]) for name in ("id", "name") if name in found)

    @property
    def is_seccomp(self) -> bool:
        """Whether it is what seccomp says alone, which has only the real user and group."""
        return bool(self.get("auditd.message_type") == "seccomp")

    @property
    def is_without_login(self) -> bool:
        """Whether it says that nobody had logged in; what says nothing of logins does not say that."""
        says = self.get("auditd.session") or LOGIN_USER.search(str(self.get("event.original")))
        return bool(says) and not self.get("user.audit", None)

    def keys(self) -> Iterator[str]:
        """Of the rule that the event matched, or that it is about; that of an IPC record is none."""
        if "IPC" in self.types:
            yield from self.get("tags", [])
            return
        about = [key for value in self.values("auditd.data.key") for key in value.split("\x01")]
        yield from dict.fromkeys([*self.get("tags", []), *filter(None, about)])

    def files(self) -> Iterator[str]:
        """As ausearch has them: names that begin with a dot behind the working directory, and what a denial names."""
        cwd = self.get("process.working_directory")
        for name in self.values("auditd.paths.name"):
            yield f"{cwd}/{name}" if cwd and name.startswith(("./", "..")) else name
        yield from self.values("auditd.data.path")
        if "AVC" in self.types:
            yield from self.values("auditd.data.name")

    def names(self) -> Iterator[str]:
        """Of files and unix sockets."""
        yield from self.files()
        for path in ("file.path", "auditd.data.path", "process.working_directory"):
            yield from self.values(path)


Condition = Callable[[FoundEvent], bool]


@dataclass(slots=True)
class Query:
    """`matches(event)`; `since` and `until` (None: no bound) are looked at before a document is parsed.

    `until` without a fraction is the whole of its second, as ausearch has it.
    """

    since: datetime | None = None
    until: datetime | None = None
    conditions: list[Condition] = field(default_factory=list)
    first: bytes = field(init=False)
    last: bytes = field(init=False)

    def __post_init__(self) -> None:
        self.first = b"" if self.since is None else bound(self.since)
        end = self.until and self.until.replace(microsecond=self.until.microsecond or 999_999)
        self.last = b"\xff" if end is None else bound(end)

    def in_time(self, stamp: bytes) -> bool:
        """For an RFC 3339 time in UTC with milliseconds, as it begins every document."""
        return self.first <= stamp <= self.last

    def matches(self, event: FoundEvent) -> bool:
        return all(condition(event) for condition in self.conditions)


def bound(moment: datetime) -> bytes:
    moment = moment.astimezone(UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z".encode()


def text_condition(value: str, whole: bool, found: Callable[[FoundEvent], Iterator[str]]) -> Condition:
    """A part of one of the texts, or with `whole` all of it."""
    return lambda event: any(value == text if whole else value in text for text in found(event))


def exact(value: str, path: str) -> Condition:
    return lambda event: str(event.get(path)) == value


def one_of(wanted: tuple[str, ...], path: str) -> Condition:
    return lambda event: event.get(path) in wanted


def message_types(given: str) -> Condition:
    """Names or numbers, with commas; ALL. Raises ValueError."""
    wanted = set()
    for name in given.upper().split(","):
        if name == "ALL":
            return bool
        number = int(name) if name.isdecimal() and len(name) <= 5 else TYPE_NUMBERS.get(name.encode())
        if number is None:
            advice = did_you_mean(name, (known.decode() for known in TYPE_NUMBERS))
            raise ValueError(f"{name!r} is not a record type{advice or '; use a name such as SYSCALL, or its number'}")
        wanted |= {kind.decode() for kind, known in TYPE_NUMBERS.items() if known == number} or {f"UNKNOWN[{number}]"}
    return lambda event: bool(event.types & wanted)


def user(value: str, *roles: str) -> Condition:
    if value == "4294967295" and roles == ("audit",):
        return lambda event: event.is_without_login
    return lambda event: value in event.users(*roles)


def group(value: str, *roles: str) -> Condition:
    return lambda event: value in event.groups(*roles)


def outcome(value: str) -> Condition:
    """yes or no, as the record itself has it: for the kernel a connection that is under way did not succeed yet."""

    def condition(event: FoundEvent) -> bool:
        result = str(event.get("auditd.result"))
        if str(event.get("auditd.data.exit")).startswith("E"):
            result = "fail"
        return result == {"yes": "success", "no": "fail"}[value]

    return condition
