"""What became of attempts that audit saw, from the ends of sockets that the kernel tells: only where it is certain."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from auditdeck.connections.destroyed import Ended
from auditdeck.connections.state import State

Peer = tuple[str, int]
"""IP address and port."""
AHEAD = 0.5
"""Seconds that an end may come before its attempt, which audit's records tell and the reader naps over."""
TOGETHER = 0.2
"""Seconds within which nobody knows whose end it is that comes first."""
LONG = 1.5
"""Seconds after which nobody waits for the end of an attempt any more (more than Settling does)."""
REMEMBERED = 3.0
"""Seconds for which ends are remembered."""


@dataclass(slots=True)
class Known:
    """Of one peer: when attempts came that have not ended, when ends came that are ahead of theirs, and all ends."""

    open: deque[float] = field(default_factory=deque)
    ahead: deque[float] = field(default_factory=deque)
    ends: deque[tuple[float, State | None]] = field(default_factory=deque)

    def forget(self, now: float) -> None:
        for times, age in ((self.open, LONG), (self.ahead, AHEAD)):
            while times and now - times[0] > age:
                times.popleft()
        while self.ends and now - self.ends[0][0] > REMEMBERED:
            self.ends.popleft()


class Ends(Protocol):
    """What is read: `Destroyed`."""

    def take(self) -> list[Ended]: ...

    def close(self) -> None: ...


class Endings:
    """Puts ends of sockets to attempts by the peer alone: they do not say whose they were."""

    def __init__(self, source: Ends, clock: Callable[[], float] = time.monotonic) -> None:
        self.source = source
        self.clock = clock
        self.peers: dict[Peer, Known] = {}
        self.swept = clock()

    def attempt(self, peer: Peer) -> None:
        now = self.clock()
        known = self.known(peer, now)
        if known.ahead:
            known.ahead.popleft()
        else:
            known.open.append(now)

    def look(self) -> None:
        """Takes what the kernel has told; to be called often, as its messages have no time of their own."""
        now = self.clock()
        for peer, state in self.source.take():
            known = self.known(peer, now)
            known.ends.append((now, state))
            if known.open:
                known.open.popleft()
            else:
                known.ahead.append(now)
        if now - self.swept >= REMEMBERED:
            self.swept = now
            for known in self.peers.values():
                known.forget(now)
            self.peers = {peer: known for peer, known in self.peers.items() if known.open or known.ends}

    def state(self, peer: Peer, came: float) -> State | None:
        """Of an attempt that came then: if all to its peer that came before or together with it have ended, and
        whatever ended meanwhile ended alike. None if that is not so."""
        known = self.known(peer, self.clock())
        if known.open and known.open[0] <= came + TOGETHER:
            return None
        states = {state for ended, state in known.ends if ended >= came - AHEAD}
        return states.pop() if len(states) == 1 else None

    def known(self, peer: Peer, now: float) -> Known:
        known = self.peers.get(peer)
        if known is None:
            known = self.peers[peer] = Known()
        known.forget(now)
        return known
