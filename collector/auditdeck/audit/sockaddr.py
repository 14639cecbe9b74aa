"""`struct sockaddr` as a SOCKADDR record has it: hex of what the program passed (socket(7), ip(7), unix(7) …)."""

from __future__ import annotations

import ipaddress
import socket
import struct
from typing import Literal, NamedTuple

from auditdeck.audit.fields import text
from auditdeck.audit.tables.families import FAMILIES

AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, AF_VSOCK = 1, 2, 10, 16, 17, 40

Order = Literal["little", "big"]
UNSIGNED: dict[Order, str] = {"little": "<II", "big": ">II"}


class SocketAddress(NamedTuple):
    """`ip` is text in its shortest form, an IPv4-mapped IPv6 address as IPv4; `path` that of a unix socket,
    abstract names with a leading '@'; `detail` whatever else the family has."""

    family: str
    ip: str = ""
    port: int | None = None
    path: str = ""
    detail: str = ""
    scope: int = 0


def parse(raw: bytes) -> SocketAddress:
    """An address of any family; one too short for its family has only the family. Never raises."""
    if len(raw) < 2:
        return SocketAddress("unspec")
    order = byte_order(raw)
    family = int.from_bytes(raw[:2], order)
    name = FAMILIES.get(family, str(family))
    if family == AF_INET and len(raw) >= 8:
        return SocketAddress(name, socket.inet_ntoa(raw[4:8]), port(raw))
    if family == AF_INET6 and len(raw) >= 24:
        address = ipaddress.IPv6Address(raw[8:24])
        scope = int.from_bytes(raw[24:28], order)
        return SocketAddress(name, str(address.ipv4_mapped or address), port(raw), scope=scope)
    if family == AF_UNIX:
        return SocketAddress(name, path=unix_path(raw[2:]))
    if family == AF_NETLINK and len(raw) >= 12:
        pid, groups = struct.unpack_from(UNSIGNED[order], raw, 4)
        return SocketAddress(name, detail=f"pid:{pid} groups:{groups}")
    if family == AF_VSOCK and len(raw) >= 12:
        vsock_port, cid = struct.unpack_from(UNSIGNED[order], raw, 4)
        return SocketAddress(name, port=vsock_port, detail=f"cid:{cid}")
    if family == AF_PACKET and len(raw) >= 8:
        return SocketAddress(name, detail=f"interface:{int.from_bytes(raw[4:8], order)}")
    return SocketAddress(name)


def byte_order(raw: bytes) -> Order:
    """Of the machine that wrote it: families are numbers below 256, so the first byte is 0 where it is big-endian."""
    return "big" if raw[0] == 0 and raw[1] else "little"


def port(raw: bytes) -> int:
    return int.from_bytes(raw[2:4], "big")


def unix_path(raw: bytes) -> str:
    if raw[:1] == b"\0":
        return "@" + text(raw[1:].rstrip(b"\0")) if raw.strip(b"\0") else ""
    return text(raw.partition(b"\0")[0])
