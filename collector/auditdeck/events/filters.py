"""Events that are not kept, as go-audit filters them: by system call, record type and the record's text."""

from __future__ import annotations

import re
from dataclasses import dataclass

from auditdeck.config import Filter
from auditdeck.errors import SettingsError
from auditdeck.events.assembler import Event

SYSCALL = 1300
NUMBER = re.compile(rb"syscall=(\d+)")


@dataclass(slots=True)
class Rule:
    """One filter, and how many events it kept out."""

    syscall: bytes
    message_type: int
    regex: re.Pattern[bytes]
    count: int = 0


class Filters:
    """`drops(event)`: whether one of the filters keeps an event out; the first that does counts it."""

    def __init__(self, filters: list[Filter]) -> None:
        self.rules = [compiled(number, entry) for number, entry in enumerate(filters, 1)]

    def drops(self, event: Event) -> bool:
        syscall = b""
        for kind, payload in event.items:
            if kind == SYSCALL and (match := NUMBER.search(payload)):
                syscall = match[1]
        for rule in self.rules:
            if rule.syscall not in (b"", syscall):
                continue
            start = len(event.stamp) + 9
            if any(kind == rule.message_type and rule.regex.search(data[start:]) for kind, data in event.items):
                rule.count += 1
                return True
        return False


def compiled(number: int, entry: Filter) -> Rule:
    try:
        regex = re.compile(entry.regex.encode())
    except re.error as error:
        raise SettingsError(f"filter {number}: {entry.regex!r} is no regular expression: {error}") from error
    return Rule(b"" if entry.syscall is None else str(entry.syscall).encode(), entry.message_type, regex)
