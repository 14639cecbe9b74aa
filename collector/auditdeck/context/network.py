"""What audit does not say of a connect(2): its transport protocol, and whether it repeats an earlier one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from auditdeck.cache import Cache
from auditdeck.context.addresses import OwnAddresses
from auditdeck.context.sockets import PROTOCOLS, Descriptor, descriptor

SOCKETS_REMEMBERED = 16384
SOCKET_TYPE_MASK = 0xF
AF_INET, AF_INET6 = 2, 10
STREAM, DATAGRAM, RAW = 1, 2, 3
DEFAULTS = {STREAM: "tcp", DATAGRAM: "udp"}

EINTR, EAGAIN, EINPROGRESS, EALREADY, EISCONN, ERESTARTSYS = 4, 11, 115, 114, 106, 512
ECONNREFUSED, ECONNRESET, ETIMEDOUT = 111, 104, 110
# What only the connect of a stream socket can return, since only it waits for an answer of the other side.
STREAM_ERRORS = {EINPROGRESS, EALREADY, ECONNREFUSED, ECONNRESET, ETIMEDOUT, EINTR, ERESTARTSYS}
# The network refused: an attempt that failed. 64 ENONET, 100 ENETDOWN, 101 ENETUNREACH, 103 ECONNABORTED,
# 112 EHOSTDOWN, 113 EHOSTUNREACH.
NETWORK_ERRORS = {ECONNREFUSED, ECONNRESET, ETIMEDOUT, 64, 100, 101, 103, 112, 113}
UNDER_WAY = {EINPROGRESS, EINTR, ERESTARTSYS}
REPEATS = {EALREADY, EISCONN}


@dataclass(slots=True)
class Socket:
    """A descriptor that was seen being made; `pending` is the destination of a connect that is under way."""

    transport: str
    pending: tuple[str, int] | None = None


class Connect(NamedTuple):
    """What a connect was. `transport` "" and `source` "unknown" go together."""

    transport: str
    source: str
    repeat: bool
    failed: bool
    under_way: bool


BEGUN = Connect("tcp", "result", repeat=False, failed=False, under_way=True)


@dataclass(slots=True)
class Network:
    """Remembers sockets by (pid, descriptor). `live` allows a look at descriptors of running processes; `told` says
    that the tracepoint tells TCP connections, so that their connects are only repeats of that."""

    addresses: OwnAddresses
    live: bool = True
    told: bool = False
    sockets: Cache[tuple[int, int], Socket] = field(default_factory=lambda: Cache(SOCKETS_REMEMBERED))

    def made(self, pid: int, number: int, domain: int, kind: int, protocol: int) -> str:
        """socket(2) gave a process a descriptor; its transport."""
        transport = transport_of(domain, kind, protocol)
        if transport:
            self.sockets.keep((pid, number), Socket(transport))
        return transport

    def connected(self, pid: int, number: int, destination: tuple[str, int], result: int) -> Connect:
        """connect(2) returned `result`, 0 or a negative errno."""
        found = self.called(pid, number, destination, result)
        if self.told and found.transport != "udp":
            return found._replace(repeat=True)
        return found

    def called(self, pid: int, number: int, destination: tuple[str, int], result: int) -> Connect:
        error = -result
        seen = self.sockets.get((pid, number))
        if seen is None and error == EINPROGRESS:
            return BEGUN
        # What is in progress now was not before: then it would have been EALREADY. The descriptor is another socket's.
        again = seen is not None and seen.pending == destination and error != EINPROGRESS
        repeat = error in REPEATS or again
        if seen is not None and error not in REPEATS:
            seen.pending = destination if error in UNDER_WAY else None
        transport, source = self.transport(pid, number, destination, error, seen)
        return Connect(transport, source, repeat, error in NETWORK_ERRORS, error in UNDER_WAY)

    def transport(
        self, pid: int, number: int, destination: tuple[str, int], error: int, seen: Socket | None
    ) -> tuple[str, str]:
        if seen is not None and seen.transport not in ("tcp", "udp"):
            return seen.transport, "socket"
        if error in STREAM_ERRORS:
            return "tcp", "result"
        if seen is not None:
            return seen.transport, "socket"
        if self.live:
            found = descriptor(pid, number)
            # Another peer: the descriptor was closed and used again since.
            if found and found.transport and (found.peer is None or found.peer == destination):
                return found.transport, "descriptor"
        return "", "unknown"

    def listening(self, pid: int, number: int) -> Descriptor | None:
        return descriptor(pid, number) if self.live else None


def transport_of(domain: int, kind: int, protocol: int) -> str:
    """The transport of socket(domain, type, protocol); "" if it is no inet socket."""
    if domain not in (AF_INET, AF_INET6):
        return ""
    base = kind & SOCKET_TYPE_MASK
    if base == RAW:
        return "raw"
    return PROTOCOLS.get(protocol, "") if protocol else DEFAULTS.get(base, "")
