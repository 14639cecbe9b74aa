"""Connections from audit that were under way when connect(2) returned: looked at again for up to a second.

Only the document waits; the event itself was decoded in its order.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass

import orjson

from auditdeck.audit.event import Event
from auditdeck.collector.endings import Endings, Peer
from auditdeck.connections.state import State
from auditdeck.context.sockets import Progress, progress

CONNECT = b'"action":"connected-to"'
UNRESOLVED, ESTABLISHED = b'"state":"unresolved"', b'"state":"established"'
# Within a string of JSON these quotes would be escaped, so none of it is a text of the event.
UNKNOWN = re.compile(rb'"(outcome|result)":"unknown"')
RESULTS: dict[State, tuple[bytes, bytes]] = {"established": (b"success", b"success"), "refused": (b"failure", b"fail")}
"""event.outcome and auditd.result."""
SOCKETCALL = 1304
FIRST = re.compile(rb" a0=([0-9a-f]{1,16})")
PATIENCE, AGAIN = 1.0, 0.1
"""Seconds for which an answer is waited for, and between two looks."""
MOST = 5_000
"""Connections that are waited for at a time; what comes beyond is looked at once."""


@dataclass(slots=True)
class Waiting:
    """`socket` is pid and descriptor, None once it cannot be looked at any more; `ends` whether ends may tell of it."""

    line: bytes
    came: float
    peer: Peer
    socket: tuple[int, int] | None
    ends: bool


class Settling:
    """`hold` a document of a connect, and take what is `due`, in one thread."""

    def __init__(
        self,
        look: Callable[[int, int, Peer], Progress] = progress,
        endings: Endings | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.sockets = look
        self.endings = endings
        self.clock = clock
        self.waiting: list[Waiting] = []
        self.looked = 0.0

    def look(self) -> None:
        """Before the events of a batch, also if there are none."""
        if self.endings is not None:
            self.endings.look()

    def hold(self, event: Event, line: bytes) -> bool:
        """Whether it is waited for: it is of a connection under way, and there is a way to know what becomes of it."""
        under_way = UNRESOLVED in line
        # What connect(2) itself was refused leaves no peer in its socket, and so no end that is told.
        ends = self.endings is not None and CONNECT in line and (under_way or ESTABLISHED in line)
        if not under_way and not ends:
            return False
        document = orjson.loads(line)
        to = document.get("destination", {})
        peer = (to.get("ip", ""), to.get("port", 0))
        if self.endings is not None:
            self.endings.attempt(peer)
        if not under_way:
            return False
        # The sockets of a container may be in a network namespace of which no end is told.
        ends = ends and "container" not in document
        descriptor, ids = descriptor_of(event), event.ids.split()
        at = None if descriptor is None or not ids else (int(ids[1][4:]), descriptor)
        found = Progress.GONE if at is None else self.sockets(*at, peer)
        if found is Progress.GONE and not ends:
            return False
        if found is not Progress.CONNECTED and len(self.waiting) >= MOST:
            return False
        self.waiting.append(Waiting(line, self.clock(), peer, at, ends))
        return True

    def due(self) -> list[bytes]:
        """The documents that wait no longer."""
        now = self.clock()
        if not self.waiting or now - self.looked < AGAIN:
            return []
        self.looked = now
        ready, waiting = [], []
        for one in self.waiting:
            state = self.state(one)
            if state is not None:
                ready.append(settled(one.line, state))
            elif now - one.came >= PATIENCE or not (one.socket or one.ends):
                ready.append(one.line)
            else:
                waiting.append(one)
        self.waiting = waiting
        return ready

    def state(self, one: Waiting) -> State | None:
        if one.socket is not None:
            found = self.sockets(*one.socket, one.peer)
            if found is Progress.CONNECTED:
                return "established"
            if found is Progress.GONE:
                one.socket = None
        if one.socket is None and one.ends and self.endings is not None:
            return self.endings.state(one.peer, one.came)
        return None

    def finish(self) -> list[bytes]:
        """All that wait."""
        self.looked = 0.0
        self.look()
        ready = self.due()
        ready += [one.line for one in self.waiting]
        self.waiting = []
        if self.endings is not None:
            self.endings.source.close()
        return ready


def descriptor_of(event: Event) -> int | None:
    """The first argument of connect(2), on i386 also by way of socketcall(2); None if the event does not tell it."""
    for kind, payload in event.items:
        if kind == SOCKETCALL:
            return int(match[1], 16) if (match := FIRST.search(payload)) else None
    match = FIRST.match(event.arguments)
    return int(match[1], 16) if match else None


def settled(line: bytes, state: State) -> bytes:
    """The document of a connection of which it is known after all."""
    outcome, result = RESULTS[state]
    line = UNKNOWN.sub(lambda found: b'"%b":"%b"' % (found[1], outcome if found[1] == b"outcome" else result), line)
    return line.replace(UNRESOLVED, b'"state":"%b"' % state.encode(), 1)
