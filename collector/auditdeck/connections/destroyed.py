"""TCP sockets that the kernel has destroyed, as it tells listeners of sock_diag(7) (SKNLGRP_INET_TCP_DESTROY)."""

from __future__ import annotations

import contextlib
import errno
import socket
import struct
from typing import NamedTuple

from auditdeck.connections.before import MESSAGE, NETLINK_SOCK_DIAG, Socket
from auditdeck.connections.state import State
from auditdeck.netlink import HEADER_SIZE, attributes

GROUPS = 1 << 0 | 1 << 2
"""SKNLGRP_INET_TCP_DESTROY and SKNLGRP_INET6_TCP_DESTROY of linux/sock_diag.h."""
SO_RCVBUFFORCE, BUFFER = 33, 1 << 22
ATTRIBUTES_AT = HEADER_SIZE + 72
"""Behind struct nlmsghdr and struct inet_diag_msg."""
INET_DIAG_INFO = 2
BYTES_ACKED, SEGMENTS_IN = (struct.Struct("=Q"), 120), (struct.Struct("=I"), 140)
"""Where they are in struct tcp_info (linux/tcp.h, since Linux 4.2)."""
AT_ONCE = 20_000


class Ended(NamedTuple):
    """A connection to `peer` (ip, port) whose socket is gone; `state` is None if it was not told."""

    peer: tuple[str, int]
    state: State | None


class Destroyed:
    """Of this process's network namespace, from now on. Raises OSError where the kernel does not tell."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_SOCK_DIAG)
        try:
            with contextlib.suppress(OSError):
                self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
            self.socket.bind((0, GROUPS))
            self.socket.setblocking(False)
        except OSError:
            self.socket.close()
            raise

    def take(self) -> list[Ended]:
        """Those since the last time. What the buffer had no room for is missing."""
        found = []
        for _ in range(AT_ONCE):
            try:
                message = self.socket.recv(4096)
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                continue
            if ended := ended_of(message):
                found.append(ended)
        return found

    def close(self) -> None:
        self.socket.close()


def ended_of(message: bytes) -> Ended | None:
    """None for a socket that never had a peer, and for a message without struct tcp_info."""
    one = Socket._make(MESSAGE.unpack_from(message, HEADER_SIZE))
    info = attributes(message, ATTRIBUTES_AT).get(INET_DIAG_INFO)
    port = int.from_bytes(one.destination_port)
    return Ended((one.peer, port), state_of_info(info)) if port and info is not None else None


def state_of_info(info: bytes) -> State | None:
    """What the counters of a closed socket (struct tcp_info) say of its handshake.

    The other side has acknowledged the SYN, or it has answered and yet not done so: that was a reset. Without any
    answer nobody knows whether there was no time for it.
    """
    if len(info) < SEGMENTS_IN[1] + 4:
        return None
    [acked], [segments] = (struct_.unpack_from(info, at) for struct_, at in (BYTES_ACKED, SEGMENTS_IN))
    if acked:
        return "established"
    return "refused" if segments else None
