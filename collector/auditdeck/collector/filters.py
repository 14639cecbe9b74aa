"""Events that are not kept: by system call, record type, text and key, by user, executable, destination and port.

The first filter that matches decides; one with `keep: true` keeps what later ones would drop. Nothing is decoded for
it: what of an event comes again (who, where to) is looked at once and remembered.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field

from auditdeck.audit import sockaddr
from auditdeck.audit.architecture import NAMES
from auditdeck.audit.event import Event
from auditdeck.audit.fields import fields
from auditdeck.audit.record import TYPE_NUMBERS
from auditdeck.audit.tables.syscalls import SYSCALLS
from auditdeck.cache import Cache
from auditdeck.context.users import UID, Users
from auditdeck.errors import SettingsError
from auditdeck.settings.model import Filter

SYSCALL, SOCKADDR = 1300, 1306
HEAD = re.compile(rb"arch=([0-9a-f]{1,16}) syscall=(\d{1,10})")
REMEMBERED = 8192

IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(slots=True)
class Rule:
    """One filter, and for how many events it decided."""

    settings: Filter
    message_type: int | None
    regex: re.Pattern[bytes] | None
    executable: re.Pattern[str] | None
    destination: IpNetwork | None
    count: int = 0

    @property
    def name(self) -> str:
        given = {name: getattr(self.settings, name) for name in Filter.__struct_fields__}
        return ", ".join(f"{name}={value}" for name, value in given.items() if value not in (None, "", False))


@dataclass(frozen=True, slots=True)
class Who:
    """Of the first record with fields: user (id and name), executable and keys."""

    user: frozenset[str]
    executable: str
    keys: frozenset[str]


@dataclass(slots=True)
class Filters:
    """`drops(event)`: whether an event is not to be kept."""

    rules: list[Rule]
    users: Users
    who: Cache[bytes, Who] = field(default_factory=lambda: Cache(REMEMBERED))
    where: Cache[bytes, sockaddr.SocketAddress] = field(default_factory=lambda: Cache(REMEMBERED))
    generation: int = 0

    def drops(self, event: Event) -> bool:
        for rule in self.rules:
            if self.matches(rule, event):
                rule.count += 1
                return not rule.settings.keep
        return False

    def matches(self, rule: Rule, event: Event) -> bool:
        settings, start = rule.settings, len(event.stamp) + 9
        if settings.syscall is not None and settings.syscall not in self.calls(event):
            return False
        if settings.user or settings.key or rule.executable:
            who = self.of(event, start)
            if settings.user and settings.user not in who.user:
                return False
            if settings.key and settings.key not in who.keys:
                return False
            if rule.executable and not rule.executable.search(who.executable):
                return False
        if rule.destination is not None or settings.port is not None:
            to = self.to(event, start)
            if settings.port is not None and to.port != settings.port:
                return False
            if rule.destination is not None and not (to.ip and ipaddress.ip_address(to.ip) in rule.destination):
                return False
        if rule.message_type is not None or rule.regex is not None:
            return any(
                (rule.message_type is None or kind == rule.message_type)
                and (rule.regex is None or rule.regex.search(payload, start))
                for kind, payload in event.items
            )
        return True

    def calls(self, event: Event) -> tuple[int | str, ...]:
        """The system call by number and by name; () if there is none."""
        for kind, payload in event.items:
            if kind == SYSCALL and (found := HEAD.search(payload)):
                number = int(found[2])
                return number, SYSCALLS.get(NAMES.get(int(found[1], 16), ""), {}).get(number, "")
        return ()

    def of(self, event: Event, start: int) -> Who:
        kind, payload = event.items[0]
        # All of a SYSCALL record from auid= on is the same for every call of a program.
        raw = payload[max(start, payload.find(b" auid=", start) if kind == SYSCALL else 0) :]
        if self.generation != self.users.generation:
            self.generation = self.users.generation
            self.who.clear()
        who = self.who.get(raw)
        if who is None:
            found = fields(raw)
            user = found.get("uid", "")
            names = {user, self.users.user(int(user)) if UID.fullmatch(user) else ""} - {""}
            keys = frozenset(filter(None, found.get("key", "").split("\x01")))
            who = self.who.keep(raw, Who(frozenset(names), found.get("exe", ""), keys))
        return who

    def to(self, event: Event, start: int) -> sockaddr.SocketAddress:
        for kind, payload in event.items:
            if kind == SOCKADDR:
                raw = payload[start:]
                found = self.where.get(raw)
                if found is None:
                    try:
                        address = bytes.fromhex(fields(raw).get("saddr", ""))
                    except ValueError:
                        address = b""
                    found = self.where.keep(raw, sockaddr.parse(address))
                return found
        return sockaddr.SocketAddress("unspec")


def make_filters(filters: list[Filter], users: Users) -> Filters:
    """Raises SettingsError that says which filter, and what is wrong."""
    return Filters([compiled(number, entry) for number, entry in enumerate(filters, 1)], users)


def compiled(number: int, entry: Filter) -> Rule:
    where = f"filter {number}"
    asked = [getattr(entry, name) for name in Filter.__struct_fields__ if name != "keep"]
    if all(value in (None, "") for value in asked):
        raise SettingsError(
            f"{where} says nothing about the events that it is for", "use syscall, message_type, regex, …"
        )
    try:
        regex = re.compile(entry.regex.encode()) if entry.regex else None
        executable = re.compile(entry.executable) if entry.executable else None
    except re.error as error:
        raise SettingsError(f"{where}: not a valid regular expression: {error}") from error
    try:
        destination = ipaddress.ip_network(entry.destination, strict=False) if entry.destination else None
    except ValueError as error:
        raise SettingsError(
            f"{where}: destination: {error}", "use a network such as 10.0.0.0/8, or an address"
        ) from error
    kind = entry.message_type
    if isinstance(kind, str):
        known = TYPE_NUMBERS.get(kind.upper().encode())
        if known is None:
            raise SettingsError(f"{where}: {kind!r} is not a record type", "use a name such as SYSCALL, or its number")
        kind = known
    if isinstance(entry.syscall, str) and not any(entry.syscall in table.values() for table in SYSCALLS.values()):
        raise SettingsError(
            f"{where}: {entry.syscall!r} is not a system call", "use a name such as connect, or a number"
        )
    return Rule(entry, kind, regex, executable, destination)
