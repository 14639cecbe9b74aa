"""What a descriptor of another process is: its socket's protocol and addresses (pidfd_getfd(2), Linux 5.6).

The socket is seen itself, so this works for a process in any network namespace. Needs CAP_SYS_PTRACE.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from enum import Enum

from auditdeck.libc import libc

PIDFD_GETFD = 438
"""The number of pidfd_getfd on every architecture (asm-generic/unistd.h)."""

PROTOCOLS = {
    socket.IPPROTO_TCP: "tcp",
    socket.IPPROTO_UDP: "udp",
    socket.IPPROTO_ICMP: "icmp",
    socket.IPPROTO_ICMPV6: "ipv6-icmp",
    132: "sctp",
    33: "dccp",
    136: "udp-lite",
    # MPTCP is TCP on the wire.
    262: "tcp",
}


@dataclass(frozen=True, slots=True)
class Descriptor:
    """`transport` as in PROTOCOLS or "" for others; addresses as (ip, port), None where there is none."""

    transport: str
    local: tuple[str, int] | None
    peer: tuple[str, int] | None


TCP_SYN_SENT = 2
TCP_CONNECTED = {1, 4, 5, 6, 8, 9, 10, 11}
"""States of include/net/tcp_states.h that a handshake leads to: not SYN_SENT (2), SYN_RECV (3) or CLOSE (7)."""


def descriptor(pid: int, number: int) -> Descriptor | None:
    """The inet socket behind a descriptor of a process; None if it is gone, no such socket, or out of reach."""
    shared = shared_socket(pid, number)
    if shared is None:
        return None
    with shared:
        if shared.family not in (socket.AF_INET, socket.AF_INET6):
            return None
        transport = PROTOCOLS.get(shared.getsockopt(socket.SOL_SOCKET, socket.SO_PROTOCOL), "")
        return Descriptor(transport, address(shared, peer=False), address(shared, peer=True))


class Progress(Enum):
    """How far a connection is that was under way; `GONE` says that nobody will know any more."""

    UNDER_WAY = 1
    CONNECTED = 2
    GONE = 3


def progress(pid: int, number: int, peer: tuple[str, int]) -> Progress:
    """Of the TCP socket behind a descriptor and its connection to `peer`, as tcp_info says (tcp(7)).

    To ask for it changes nothing for the socket's owner.
    """
    shared = shared_socket(pid, number)
    if shared is None:
        return Progress.GONE
    with shared:
        try:
            state = shared.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 8)[0]
        except OSError:
            return Progress.GONE
        if state == TCP_SYN_SENT:
            return Progress.UNDER_WAY
        connected = state in TCP_CONNECTED and address(shared, peer=True) == peer
        return Progress.CONNECTED if connected else Progress.GONE


def shared_socket(pid: int, number: int) -> socket.socket | None:
    """The socket of another process, to be closed; None if it is gone, no socket, or out of reach."""
    try:
        process = os.pidfd_open(pid)
    except OSError:
        return None
    try:
        copy = libc.syscall(PIDFD_GETFD, process, number, 0)
    finally:
        os.close(process)
    if copy < 0:
        return None
    try:
        return socket.socket(fileno=copy)
    except OSError:
        os.close(copy)
        return None


def address(shared: socket.socket, *, peer: bool) -> tuple[str, int] | None:
    try:
        found = shared.getpeername() if peer else shared.getsockname()
    except OSError:
        return None
    ip = str(found[0]).partition("%")[0]
    return ip.removeprefix("::ffff:") if "." in ip else ip, int(found[1])
