"""TCP connections that were open before the tracepoint was attached (sock_diag(7), linux/inet_diag.h)."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable
from ipaddress import ip_address
from typing import NamedTuple

from auditdeck.netlink import dump

NETLINK_SOCK_DIAG, SOCK_DIAG_BY_FAMILY = 4, 20
REQUEST = struct.Struct("=BBBxI48x")
"""`struct inet_diag_req_v2`: family, protocol, ext, states, and an empty `struct inet_diag_sockid`."""
MESSAGE = struct.Struct("=BBxx2s2s16s16s4xQ")
"""The beginning of `struct inet_diag_msg`: family, state, ports in network order, addresses, cookie."""
ESTABLISHED, CLOSE_WAIT, LISTEN = 1, 8, 10
"""include/net/tcp_states.h."""
STATES = 1 << ESTABLISHED | 1 << CLOSE_WAIT | 1 << LISTEN
AGAIN = 30.0
"""Seconds after which it is looked again which of them are still open."""


class Socket(NamedTuple):
    """Ports and addresses as they are on the wire; `cookie` is the kernel's own number of the socket."""

    family: int
    state: int
    source_port: bytes
    destination_port: bytes
    source: bytes
    destination: bytes
    cookie: int

    @property
    def peer(self) -> str:
        address = ip_address(self.destination[: 4 if self.family == socket.AF_INET else 16])
        return str(getattr(address, "ipv4_mapped", None) or address)


class OpenBefore:
    """`count()`: how many of the outbound connections that were open when this was made still are.

    A connection is taken to be outbound if nobody listens on its own port. Of this process's network namespace.
    """

    def __init__(
        self,
        is_internal: Callable[[str], bool],
        dump: Callable[[], list[Socket]] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.dump = dump or tcp_sockets
        self.clock = clock
        self.looked = clock()
        found = self.sockets()
        listening = {one.source_port for one in found if one.state == LISTEN}
        self.cookies = {
            one.cookie
            for one in found
            if one.state != LISTEN and one.source_port not in listening and not is_internal(one.peer)
        }

    def count(self) -> int:
        now = self.clock()
        if self.cookies and now - self.looked >= AGAIN:
            self.looked = now
            self.cookies &= {one.cookie for one in self.sockets()}
        return len(self.cookies)

    def sockets(self) -> list[Socket]:
        """None where the kernel has no tcp_diag."""
        try:
            return self.dump()
        except OSError:
            return []


def tcp_sockets() -> list[Socket]:
    """Those that listen or are connected. Raises OSError."""
    return [
        Socket._make(MESSAGE.unpack_from(found))
        for family in (socket.AF_INET, socket.AF_INET6)
        for found in dump(NETLINK_SOCK_DIAG, SOCK_DIAG_BY_FAMILY, REQUEST.pack(family, socket.IPPROTO_TCP, 0, STATES))
    ]
