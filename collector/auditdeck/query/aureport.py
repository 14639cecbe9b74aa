"""The summaries of aureport(8): events counted by what they are about, and the totals of everything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from auditdeck.audit.record import TYPE_NUMBERS
from auditdeck.query.search import FoundEvent, outcome

NUMBERS = {name.decode(): number for name, number in TYPE_NUMBERS.items()}
CONFIGURATION = {
    "CONFIG_CHANGE", "DAEMON_CONFIG", "USYS_CONFIG", "NETFILTER_CFG", "FEATURE_CHANGE", "USER_MAC_CONFIG_CHANGE",
}  # fmt: skip
MAC_POLICY = (1403, 1417)
ACCOUNTS = {"USER_CHAUTHTOK", "USER_MGMT", "GRP_MGMT", "ADD_USER", "DEL_USER", "ADD_GROUP", "DEL_GROUP", "ROLE_ASSIGN",
            "ROLE_REMOVE"}  # fmt: skip
AVCS = {"AVC", "USER_AVC"}
ABSENT = {"", "?", "(none)"}

failed = outcome("no")
succeeded = outcome("yes")


def within(event: FoundEvent, *ranges: tuple[int, int]) -> bool:
    """Whether a record's type lies in one of the ranges of linux/audit.h."""
    return any(low <= NUMBERS.get(kind, 0) <= high for kind in event.types for low, high in ranges)


def first_type(event: FoundEvent) -> list[str]:
    return [str(event.get("auditd.message_type")).upper()]


def login(event: FoundEvent) -> list[str]:
    """The login user; unset if the event says that there is none, and nothing if it does not say."""
    if event.is_without_login:
        return ["unset"]
    return list(event.users("audit"))[-1:]


def account(event: FoundEvent) -> list[str]:
    """Who logged in: by the session, or by the name that was given."""
    if event.get("user.audit", None):
        return login(event)
    return event.values("auditd.data.acct")[:1] or ["unset"]


def authenticated(event: FoundEvent) -> list[str]:
    """Whose authentication it was, whoever asked for it."""
    return event.values("auditd.data.acct")[:1] or login(event)


def is_authentication(event: FoundEvent) -> bool:
    return "USER_AUTH" in event.types or ("USER_MGMT" in event.types and failed(event))


def hosts(event: FoundEvent) -> list[str]:
    for path in ("auditd.data.hostname", "source.ip", "source.address", "destination.ip", "server.ip"):
        if found := [value for value in event.values(path) if value not in ABSENT]:
            return found[:1]
    return []


def terminals(event: FoundEvent) -> list[str]:
    paths = ("auditd.data.terminal", "auditd.data.tty")
    return [value for path in paths for value in event.values(path) if value not in ABSENT]


def files(event: FoundEvent) -> list[str]:
    return list(event.files())


def value_at(path: str) -> Callable[[FoundEvent], list[str]]:
    return lambda event: event.values(path)


@dataclass(frozen=True, slots=True)
class Kind:
    """One report: which events it is about, and what they are counted by."""

    title: str
    label: str
    keys: Callable[[FoundEvent], list[str]]
    about: Callable[[FoundEvent], bool] = bool


KINDS = {
    "auth": Kind("Authentications", "account", authenticated, is_authentication),
    "login": Kind("Logins", "account", account, lambda event: "USER_LOGIN" in event.types),
    "executable": Kind("Executables", "executable", value_at("process.executable")),
    "comm": Kind("Process names", "process", value_at("process.name")),
    "syscall": Kind("System calls", "system call", value_at("auditd.data.syscall")),
    "user": Kind("Login users", "user", login),
    "key": Kind("Keys", "key", lambda event: list(event.keys())),
    "file": Kind("Files", "file", files),
    "host": Kind("Hosts", "host", hosts),
    "terminal": Kind("Terminals", "terminal", terminals),
    "pid": Kind("Processes", "pid", value_at("process.pid")),
    "event": Kind("Events", "type", first_type),
    "anomaly": Kind(
        "Anomalies", "type", first_type, lambda event: within(event, (2100, 2199), (1700, 1799), (1326, 1326))
    ),
    "response": Kind("Responses to anomalies", "type", first_type, lambda event: within(event, (2200, 2299))),
    "avc": Kind(
        "Access vector caches",
        "target",
        value_at("auditd.data.tcontext"),
        lambda event: bool(AVCS & event.types),
    ),
    "mac": Kind("Mandatory access control", "type", first_type, lambda event: within(event, MAC_POLICY, (2300, 2399))),
    "mods": Kind("Account changes", "type", first_type, lambda event: bool(ACCOUNTS & event.types)),
    "config": Kind(
        "Configuration changes", "type", first_type, lambda e: bool(CONFIGURATION & e.types) or within(e, MAC_POLICY)
    ),
    "crypto": Kind("Cryptography", "type", first_type, lambda event: within(event, (1600, 1699), (2400, 2499))),
    "integrity": Kind("Integrity", "type", first_type, lambda event: within(event, (1800, 1899))),
    "tty": Kind(
        "Keystrokes", "data", value_at("auditd.data.data"), lambda event: bool({"TTY", "USER_TTY"} & event.types)
    ),
    "virt": Kind("Virtual machines", "type", first_type, lambda event: within(event, (2500, 2599))),
}


def summarise(kind: Kind, events: Iterable[FoundEvent]) -> list[tuple[str, int]]:
    """What events are about, with counts, the commonest first."""
    counted: Counter[str] = Counter()
    for event in events:
        if kind.about(event):
            counted.update(kind.keys(event))
    return sorted(counted.items(), key=lambda item: (-item[1], item[0]))


@dataclass(frozen=True, slots=True)
class Row:
    """One event in a detailed report."""

    time: str
    what: str
    host: str
    terminal: str
    executable: str
    result: str
    user: str
    event: int


def detail(kind: Kind, events: Iterable[FoundEvent]) -> Iterable[Row]:
    """The events that a report is about, one after the other."""
    for event in events:
        keys = kind.keys(event) if kind.about(event) else []
        if keys:
            result = "yes" if succeeded(event) else "no" if failed(event) else "?"
            exe, number = str(event.get("process.executable")), int(event.get("auditd.sequence", 0))
            yield Row(
                written(event.time),
                ", ".join(keys),
                first(hosts(event)),
                first(terminals(event)),
                exe,
                result,
                first(login(event)),
                number,
            )


def written(time: datetime) -> str:
    """Local, with its offset."""
    return time.astimezone().isoformat(" ", "seconds")


def time_range(events: Iterable[FoundEvent]) -> tuple[datetime, datetime] | None:
    """The first and the last time of events, which need not be in order; None if there is none."""
    found: tuple[datetime, datetime] | None = None
    for event in events:
        found = (min(found[0], event.time), max(found[1], event.time)) if found else (event.time, event.time)
    return found


def first(values: list[str]) -> str:
    return values[0] if values else "?"


def totals(events: Iterable[FoundEvent]) -> dict[str, int]:
    """The totals of `aureport --summary`, under its names."""
    counts = dict.fromkeys(TOTALS, 0)
    different: dict[str, set[str]] = {name: set() for name in DIFFERENT}
    for event in events:
        for name, counts_it in TOTALS.items():
            counts[name] += counts_it(event)
        for name, kind in DIFFERENT.items():
            different[name].update(KINDS[kind].keys(event))
    return counts | {name: len(found) for name, found in different.items()}


def is_good_authentication(event: FoundEvent) -> bool:
    return bool({"USER_AUTH", "GRP_AUTH"} & event.types) and succeeded(event)


def is_bad_authentication(event: FoundEvent) -> bool:
    return bool({"USER_AUTH", "GRP_AUTH", "USER_MGMT"} & event.types) and failed(event)


TOTALS: dict[str, Callable[[FoundEvent], bool]] = {
    "changes in configuration": KINDS["config"].about,
    "changes to accounts, groups, or roles": KINDS["mods"].about,
    "logins": lambda event: KINDS["login"].about(event) and succeeded(event),
    "failed logins": lambda event: KINDS["login"].about(event) and failed(event),
    "authentications": is_good_authentication,
    "failed authentications": is_bad_authentication,
    "AVC's": KINDS["avc"].about,
    "MAC events": KINDS["mac"].about,
    "failed syscalls": lambda event: bool(event.get("auditd.data.syscall")) and failed(event),
    "anomaly events": lambda event: within(event, (2100, 2199), (1700, 1799)),
    "responses to anomaly events": KINDS["response"].about,
    "crypto events": KINDS["crypto"].about,
    "integrity events": KINDS["integrity"].about,
    "virt events": KINDS["virt"].about,
    "events": lambda event: True,  # noqa: ARG005
}
DIFFERENT = {
    "users": "user", "terminals": "terminal", "host names": "host", "executables": "executable", "commands": "comm",
    "files": "file", "keys": "key", "process IDs": "pid",
}  # fmt: skip
