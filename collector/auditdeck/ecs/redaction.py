"""Passwords and tokens in command lines, taken out before anything is written.

What is looked at: the arguments of programs (EXECVE), their titles (PROCTITLE), and the commands of sudo (USER_CMD).
What was typed on terminals (TTY, USER_TTY) is kept: who audits that wants it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from auditdeck.audit.event import Event
from auditdeck.audit.fields import argument_count, raw_arguments, raw_fields, raw_title
from auditdeck.audit.record import ENRICHMENT, Payload
from auditdeck.ecs.secret_text import hide_cut
from auditdeck.ecs.secrets import hide, hide_joined
from auditdeck.ecs.token_shapes import REDACTED
from auditdeck.errors import SettingsError

EXECVE, PROCTITLE, USER_CMD = 1309, 1327, 1123
KINDS = {EXECVE, PROCTITLE, USER_CMD}
MAX_PROCTITLE = 128
"""MAX_PROCTITLE_AUDIT_LEN of kernel/audit.h: a title of that length was cut."""


@dataclass(slots=True)
class Redactor:
    """`event` and `record` with secrets replaced by [redacted]; the same object if there is nothing to replace.

    `patterns` are the user's regular expressions; of a match the group `secret` is replaced, or all of it. `count` is
    that of the events written with something replaced; who writes them counts.
    """

    defaults: bool = True
    patterns: tuple[re.Pattern[bytes], ...] = ()
    count: int = field(default=0)

    @property
    def active(self) -> bool:
        return self.defaults or bool(self.patterns)

    def event(self, event: Event) -> Event:
        """Arguments that come over several EXECVE records are looked at together."""
        if not self.active or KINDS.isdisjoint(kind for kind, _ in event.items):
            return event
        start = len(event.stamp) + 9
        items = list(event.items)
        places = [place for place, (kind, _) in enumerate(items) if kind == EXECVE]
        changed = False
        if len(places) > 1:
            bodies = [items[place][1][start:].partition(ENRICHMENT)[0] for place in places]
            made = self.execve(bodies)
            if made is not None:
                changed = True
                items[places[0]] = (EXECVE, items[places[0]][1][:start] + made)
                for place in reversed(places[1:]):
                    del items[place]
        written: list[Payload] = []
        for kind, payload in items:
            body = payload[start:]
            replaced = self.record(kind, body) if kind in KINDS else body
            changed |= replaced is not body
            written.append((kind, payload[:start] + replaced))
        return Event(event.stamp, written, event.complete, event.node) if changed else event

    def record(self, kind: int, body: bytes) -> bytes:
        """A record's text behind its stamp; the same object if nothing is to be hidden."""
        if not self.active:
            return body
        plain, mark, names = body.partition(ENRICHMENT)
        if kind == EXECVE:
            arguments = self.execve([plain])
            return body if arguments is None else arguments + mark + names
        if kind == PROCTITLE:
            words = raw_title(plain).split(b"\0")
        elif kind == USER_CMD:
            words = [raw_fields(plain).get("cmd", b"")]
        else:
            return body
        hidden = [self.command(words[0])] if kind == USER_CMD else self.arguments(words)
        if kind == PROCTITLE and self.defaults and len(b"\0".join(words)) >= MAX_PROCTITLE:
            hidden = [*hidden[:-1], hide_cut(hidden[-1])]
        if hidden == words:
            return body
        if kind == PROCTITLE:
            made = b"proctitle=" + encoded(b"\0".join(hidden))
        else:
            command = b"cmd=" + encoded(hidden[0])
            made = re.sub(rb"(?<![\w])cmd=(?:\"[^\"]*\"|[^\s']*)", lambda _: command, plain, count=1)
        return made + mark + names

    def execve(self, bodies: list[bytes]) -> bytes | None:
        """The bodies of an event's EXECVE records as one; None if nothing is to be hidden."""
        found = raw_arguments(bodies)
        # Where the beginning was lost the first of them is not the program.
        words = list(found.values()) if 0 in found else [b"", *found.values()]
        hidden = self.arguments(words)
        if hidden == words:
            return None
        hidden = hidden[-len(found) :]
        return encoded_arguments(dict(zip(found, hidden, strict=True)), argument_count(bodies))

    def arguments(self, arguments: list[bytes]) -> list[bytes]:
        """A command's arguments, the first being the program."""
        hidden = hide(arguments) if self.defaults else arguments
        for pattern in self.patterns:
            hidden = [pattern.sub(without_secret, argument) for argument in hidden]
        return hidden

    def command(self, text: bytes) -> bytes:
        """The command of sudo, in which blanks of the words cannot be told from those between them (sudo(8))."""
        hidden = hide_joined(text) if self.defaults else text
        for pattern in self.patterns:
            hidden = pattern.sub(without_secret, hidden)
        return hidden


def without_secret(match: re.Match[bytes]) -> bytes:
    if "secret" not in match.re.groupindex or match.start("secret") < 0:
        return REDACTED
    start = match.start()
    return match[0][: match.start("secret") - start] + REDACTED + match[0][match.end("secret") - start :]


def encoded(value: bytes) -> bytes:
    """As the kernel writes text (audit_log_untrustedstring): in quotes, or in hex."""
    plain = all(0x21 <= byte <= 0x7E and byte != 0x22 for byte in value)
    return b'"' + value + b'"' if plain else value.hex().upper().encode()


def encoded_arguments(arguments: Mapping[int, bytes], count: int | None) -> bytes:
    """An EXECVE record of arguments by their number; `count` is what it says that there are."""
    parts = [b"a%d=%s" % (number, encoded(argument)) for number, argument in arguments.items()]
    return b" ".join(parts if count is None else [b"argc=%d" % count, *parts])


def redactor(*, defaults: bool, patterns: list[str]) -> Redactor:
    """Raises SettingsError for a pattern that is no regular expression."""
    made = []
    for number, pattern in enumerate(patterns, 1):
        try:
            made.append(re.compile(pattern.encode()))
        except re.error as error:
            raise SettingsError(f"redact.patterns: {pattern!r} (number {number}): {error}") from error
    return Redactor(defaults, tuple(made))
