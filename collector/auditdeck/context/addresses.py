"""The host's own addresses, read through rtnetlink(7) and kept current by its notifications."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import re
import select
import socket
import struct
import time
from pathlib import Path

from auditdeck import netlink
from auditdeck.cache import Cache

RTM_GETADDR, RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR = 22, 0x10, 0x100
"""linux/rtnetlink.h."""
IFADDRMSG = struct.Struct("=BBBBI")
"""`struct ifaddrmsg` of linux/if_addr.h: family, prefix length, flags, scope, index."""
IFA_ADDRESS, IFA_LOCAL = 1, 2
REMEMBERED = 8192
LOCAL = re.compile(r"\|-- (\S+)\n\s+/32 host LOCAL")
NAMESPACES = 1024
LOOKED_AGAIN = 10.0
"""Seconds after which the addresses of other network namespaces are read again; nobody tells of their changes."""
OF_ANY_HOST = {"::1", "::", "0.0.0.0"}


class OwnAddresses:
    """`internal(ip)`: whether a destination is this host itself: loopback, unspecified, or one of its addresses.

    `ip` is in its shortest form (RFC 5952).
    """

    def __init__(self, addresses: set[str] | None = None) -> None:
        self.answers: dict[str, bool] = {}
        self.generation = 0
        self.namespaces: Cache[int, tuple[int, frozenset[str]]] = Cache(NAMESPACES)
        self.others: frozenset[str] = frozenset()
        self.here = own_namespace()
        self.looked = time.monotonic()
        self.poll = select.poll()
        self.news = None
        if addresses is not None:
            self.own = addresses
            return
        self.news = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
        self.news.bind((0, RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR))
        self.news.setblocking(False)
        self.poll.register(self.news, select.POLLIN)
        self.own = own_addresses()

    def internal(self, ip: str) -> bool:
        answers = self.answers
        answer = answers.get(ip)
        if answer is None:
            if len(answers) >= REMEMBERED:
                answers.clear()
            answer = ip.startswith("127.") or ip in OF_ANY_HOST or ip in self.own or ip in self.others
            answers[ip] = answer
        return answer

    def look_into(self, namespace: int, pid: int) -> None:
        """A process in a network namespace connects: the addresses of that one are this host's as well."""
        if namespace == self.here or self.news is None:
            return
        known = self.namespaces.get(namespace)
        if known is not None and known[0] == pid:
            return
        found = addresses_of(pid)
        self.namespaces.keep(namespace, (pid, found or (known[1] if known else found)))
        self.join()

    def look_again(self) -> None:
        for namespace, (pid, before) in list(self.namespaces.items()):
            found = addresses_of(pid)
            if found and found != before:
                self.namespaces[namespace] = (pid, found)
        self.join()

    def join(self) -> None:
        others = frozenset[str]().union(*(found for _, found in list(self.namespaces.values())))
        if others != self.others:
            self.others = others
            self.answers = {}
            self.generation += 1

    def refresh(self) -> None:
        """Reads the addresses again if the kernel said that one came or went. In any thread, as Users.refresh."""
        changed = False
        while self.news is not None and self.poll.poll(0):
            # ENOBUFS: notifications were lost, which is a change as well.
            with contextlib.suppress(OSError):
                self.news.recv(65536)
            changed = True
        if time.monotonic() - self.looked > LOOKED_AGAIN:
            self.looked = time.monotonic()
            self.look_again()
        if changed:
            self.own = own_addresses()
            self.answers = {}
            self.generation += 1

    def close(self) -> None:
        if self.news is not None:
            self.news.close()


def own_namespace() -> int:
    """The inode of this process's network namespace (namespaces(7)); 0 if it cannot be told."""
    try:
        return os.stat("/proc/self/ns/net").st_ino
    except OSError:
        return 0


def own_addresses() -> set[str]:
    """RTM_GETADDR: every local address of this network namespace, IPv4 and IPv6, as text. Raises OSError."""
    own = set()
    for answer in netlink.dump(socket.NETLINK_ROUTE, RTM_GETADDR, IFADDRMSG.pack(0, 0, 0, 0, 0)):
        found = netlink.attributes(answer, IFADDRMSG.size)
        if address := found.get(IFA_LOCAL) or found.get(IFA_ADDRESS):
            own.add(str(ipaddress.ip_address(address)))
    return own


def addresses_of(pid: int) -> frozenset[str]:
    """The local addresses of a process's network namespace, from /proc/PID/net; none if the process is gone."""
    found: set[str] = set()
    try:
        found.update(LOCAL.findall(Path(f"/proc/{pid}/net/fib_trie").read_text()))
        for line in Path(f"/proc/{pid}/net/if_inet6").read_text().splitlines():
            found.add(str(ipaddress.IPv6Address(bytes.fromhex(line[:32]))))
    except (OSError, ValueError):
        pass
    return frozenset(found)
