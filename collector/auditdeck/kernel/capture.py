"""The receiving end of the audit socket: many records a wake-up, into one buffer that is used again and again."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import select
import socket
import struct
import time

from auditdeck.errors import KernelError
from auditdeck.kernel import messages as m
from auditdeck.kernel.netlink import ANSWER_TIMEOUT, HEADER, AuditSocket, daemon_running, explain, status_message

SLOT = 9216
"""MAX_AUDIT_MESSAGE_LENGTH (8970) and a netlink header, rounded up."""
SLOTS = 128
LONGEST_NAP = 0.05
BUSY, IDLE = 1500, 400
SO_RCVBUFFORCE = 33


class Iovec(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class Msghdr(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_void_p),
        ("namelen", ctypes.c_uint32),
        ("iov", ctypes.POINTER(Iovec)),
        ("iovlen", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("controllen", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class Mmsghdr(ctypes.Structure):
    """`struct mmsghdr` of recvmmsg(2)."""

    _fields_ = (("header", Msghdr), ("length", ctypes.c_uint32))


libc = ctypes.CDLL(None, use_errno=True)


class Capture:
    """Records from the kernel, as the audit daemon (unicast) or beside one (multicast, AUDIT_NLGRP_READLOG).

    `overruns` counts how often the kernel said ENOBUFS: records that did not fit into the receive buffer.
    """

    def __init__(self, *, receive_buffer: int, multicast: bool) -> None:
        self.multicast = multicast
        self.overruns = 0
        self.nap = 0.0
        self.early: list[tuple[int, bytes]] = []
        try:
            self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, m.NETLINK_AUDIT)
            self.socket.bind((0, 1 << (m.AUDIT_NLGRP_READLOG - 1) if multicast else 0))
        except OSError as error:
            raise explain(error.errno or 0, "receive audit records") from error
        self.receive_buffer = set_receive_buffer(self.socket, receive_buffer)
        self.socket.setblocking(False)
        self.poll = select.poll()
        self.poll.register(self.socket, select.POLLIN)
        self.buffer = bytearray(SLOT * SLOTS)
        self.view = memoryview(self.buffer)
        self.messages = slots_in(self.buffer)

    def close(self) -> None:
        self.socket.close()

    def register(self, control: AuditSocket, **settings: int) -> None:
        """Becomes the audit daemon, with the settings of `AuditSocket.set`; a dead one's registration is replaced.

        Raises DaemonRunning if another one is alive. Records that come before the answer are kept.
        """
        self.socket.send(status_message({"pid": os.getpid(), **settings}, 1))
        deadline = time.monotonic() + ANSWER_TIMEOUT
        while time.monotonic() < deadline:
            for kind, data in self.receive(0.1, nap=0):
                if kind != m.NLMSG_ERROR:
                    self.early.append((kind, data))
                    continue
                (code,) = struct.unpack_from("=i", data)
                if -code == errno.EEXIST:
                    raise daemon_running(control.status().pid)
                if code:
                    raise explain(-code, "become the audit daemon")
                return
        raise KernelError("the kernel did not answer the registration as audit daemon", "see the kernel log (dmesg)")

    def unregister(self) -> None:
        """Ends being the audit daemon; the kernel accepts that only from the daemon itself."""
        with contextlib.suppress(OSError):
            self.socket.send(status_message({"pid": 0}, 2))

    def records(self, timeout: float) -> list[tuple[int, bytes]]:
        """What has arrived, as (record type, payload); [] after `timeout` seconds without any.

        Sleeps a while after the first sign of life, longer when little comes, so that one wake-up serves many records.
        """
        found = self.early + self.receive(timeout, self.nap)
        self.early = []
        if len(found) > BUSY:
            self.nap /= 2
        elif len(found) < IDLE:
            self.nap = min(LONGEST_NAP, self.nap + LONGEST_NAP / 8)
        return [(kind, data) for kind, data in found if kind >= m.AUDIT_FIRST_RECORD or kind == 1006]

    def receive(self, timeout: float, nap: float) -> list[tuple[int, bytes]]:
        if not self.poll.poll(timeout * 1000):
            return []
        if nap > 0:
            time.sleep(nap)
        found: list[tuple[int, bytes]] = []
        while True:
            count = libc.recvmmsg(self.socket.fileno(), self.messages, SLOTS, socket.MSG_DONTWAIT, None)
            if count < 0:
                code = ctypes.get_errno()
                if code in (errno.EAGAIN, errno.EINTR):
                    return found
                if code == errno.ENOBUFS:
                    self.overruns += 1
                    continue
                raise explain(code, "receive audit records")
            self.take(count, found)
            # Not more than about a second's worth at once, so that what follows is fed steadily.
            if count < SLOTS or len(found) > 50_000:
                return found

    def take(self, count: int, found: list[tuple[int, bytes]]) -> None:
        # The length in an audit record's own header leaves the header out; the length of the datagram is right.
        view = self.view
        unpack = HEADER.unpack_from
        messages = self.messages
        for slot in range(count):
            start = slot * SLOT
            length = messages[slot].length
            if length >= m.HEADER_SIZE:
                kind = unpack(view, start)[1]
                found.append((kind, bytes(view[start + m.HEADER_SIZE : start + length])))


def set_receive_buffer(audit: socket.socket, size: int) -> int:
    """SO_RCVBUFFORCE, or what net.core.rmem_max allows without CAP_NET_ADMIN; the size that the kernel gave."""
    try:
        audit.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, size)
    except PermissionError:
        audit.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
    # The kernel doubles what it is asked for, for its own bookkeeping (socket(7)).
    return audit.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2


def slots_in(buffer: bytearray) -> ctypes.Array[Mmsghdr]:
    base = ctypes.addressof(ctypes.c_char.from_buffer(buffer))
    messages = (Mmsghdr * SLOTS)()
    vectors = (Iovec * SLOTS)()
    for slot in range(SLOTS):
        vectors[slot].base = base + slot * SLOT
        vectors[slot].length = SLOT
        messages[slot].header.iov = ctypes.pointer(vectors[slot])
        messages[slot].header.iovlen = 1
    return messages
