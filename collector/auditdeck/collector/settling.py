"""Connections from audit that were under way when connect(2) returned: looked at again for up to a second.

Only the document waits; the event itself was decoded in its order.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import NamedTuple

import orjson

from auditdeck.audit.event import Event
from auditdeck.context.sockets import Progress, progress

UNRESOLVED, ESTABLISHED = b'"state":"unresolved"', b'"state":"established"'
# Within a string of JSON these quotes would be escaped, so none of it is a text of the event.
UNKNOWN = re.compile(rb'"(outcome|result)":"unknown"')
SOCKETCALL = 1304
FIRST = re.compile(rb" a0=([0-9a-f]{1,16})")
PATIENCE, AGAIN = 1.0, 0.1
"""Seconds for which an answer is waited for, and between two looks."""
MOST = 5_000
"""Connections that are waited for at a time; what comes beyond is looked at once."""


class Waiting(NamedTuple):
    line: bytes
    pid: int
    descriptor: int
    peer: tuple[str, int]
    until: float


class Settling:
    """`hold` a document of a connect, and take what is `due`, in one thread."""

    def __init__(
        self,
        look: Callable[[int, int, tuple[str, int]], Progress] = progress,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.look = look
        self.clock = clock
        self.waiting: list[Waiting] = []
        self.looked = 0.0

    def hold(self, event: Event, line: bytes) -> bool:
        """Whether it is waited for: it is of a connection under way, and its socket can still be looked at."""
        if UNRESOLVED not in line:
            return False
        descriptor, ids = descriptor_of(event), event.ids.split()
        if descriptor is None or not ids:
            return False
        to = orjson.loads(line).get("destination", {})
        pid, peer = int(ids[1][4:]), (to.get("ip", ""), to.get("port", 0))
        found = self.look(pid, descriptor, peer)
        if found is Progress.GONE or (found is Progress.UNDER_WAY and len(self.waiting) >= MOST):
            return False
        self.waiting.append(Waiting(line, pid, descriptor, peer, self.clock() + PATIENCE))
        return True

    def due(self) -> list[bytes]:
        """The documents that wait no longer."""
        now = self.clock()
        if not self.waiting or now - self.looked < AGAIN:
            return []
        self.looked = now
        ready, waiting = [], []
        for one in self.waiting:
            found = self.look(*one[1:4])
            if found is Progress.CONNECTED:
                ready.append(settled(one.line))
            elif found is Progress.GONE or now >= one.until:
                ready.append(one.line)
            else:
                waiting.append(one)
        self.waiting = waiting
        return ready

    def finish(self) -> list[bytes]:
        """All that wait."""
        self.looked = 0.0
        ready = self.due()
        ready += [one.line for one in self.waiting]
        self.waiting = []
        return ready


def descriptor_of(event: Event) -> int | None:
    """The first argument of connect(2), on i386 also by way of socketcall(2); None if the event does not tell it."""
    for kind, payload in event.items:
        if kind == SOCKETCALL:
            return int(match[1], 16) if (match := FIRST.search(payload)) else None
    match = FIRST.match(event.arguments)
    return int(match[1], 16) if match else None


def settled(line: bytes) -> bytes:
    """The document of a connection that was established after all."""
    return UNKNOWN.sub(rb'"\1":"success"', line.replace(UNRESOLVED, ESTABLISHED, 1))
