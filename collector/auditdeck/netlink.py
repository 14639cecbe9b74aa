"""Messages of netlink(7), and the dumps that the kernel answers with."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator

HEADER = struct.Struct("=IHHII")
"""`struct nlmsghdr`: length, type, flags, sequence, pid."""
HEADER_SIZE = HEADER.size
NLMSG_ERROR, NLMSG_DONE = 2, 3
NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP = 1, 4, 0x300
ATTRIBUTE = struct.Struct("=HH")
"""`struct nlattr`: length, type."""
PATIENCE = 5.0
"""Seconds."""


def message(kind: int, sequence: int, body: bytes = b"", flags: int = NLM_F_REQUEST | NLM_F_ACK) -> bytes:
    return HEADER.pack(HEADER_SIZE + len(body), kind, flags, sequence, 0) + body


def dump(protocol: int, kind: int, body: bytes) -> Iterator[bytes]:
    """What the kernel has of a kind, message by message without headers. Raises OSError."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol) as asked:
        asked.settimeout(PATIENCE)
        asked.send(message(kind, 1, body, NLM_F_REQUEST | NLM_F_DUMP))
        while True:
            data = asked.recv(1 << 16)
            at = 0
            while at + HEADER_SIZE <= len(data):
                length, found, _, _, _ = HEADER.unpack_from(data, at)
                if found == NLMSG_DONE:
                    return
                if found == NLMSG_ERROR:
                    [code] = struct.unpack_from("=i", data, at + HEADER_SIZE)
                    raise OSError(-code, os.strerror(-code))
                yield data[at + HEADER_SIZE : at + length]
                at += length + 3 & ~3


def attributes(data: bytes, at: int) -> dict[int, bytes]:
    """Those of a message from an offset on, by their type; the last of those that come more than once."""
    found = {}
    while at + ATTRIBUTE.size <= len(data):
        length, kind = ATTRIBUTE.unpack_from(data, at)
        found[kind] = data[at + ATTRIBUTE.size : at + length]
        at += max(length, ATTRIBUTE.size) + 3 & ~3
    return found
