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
from auditdeck.kernel.netlink import ANSWER_TIMEOUT, AuditSocket, daemon_running, explain, status_message

SLOT = 9216
"""MAX_AUDIT_MESSAGE_LENGTH (8970) and a netlink header, rounded up."""
SHORT = 512
"""What of a message lies in one block with the others; few records are longer."""
LONG = SLOT - SHORT
SLOTS = 128
LONGEST_NAP = 0.075
BUSY, IDLE = 1500, 400
SO_RCVBUFFORCE = 33
AUDIT_LOGIN = 1006


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
        self.busy = False
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
        self.slots = Slots()

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
        found = self.receive(timeout, self.nap)
        if self.early:
            found = self.early + found
        self.early = []
        if self.slots.answers:
            self.slots.answers = False
            found = [(kind, data) for kind, data in found if kind >= m.AUDIT_FIRST_RECORD or kind == AUDIT_LOGIN]
        if len(found) > BUSY:
            self.nap /= 2
        elif len(found) < IDLE:
            self.nap = min(LONGEST_NAP, self.nap + LONGEST_NAP / 8)
        return found

    def receive(self, timeout: float, nap: float) -> list[tuple[int, bytes]]:
        found: list[tuple[int, bytes]] = []
        if self.busy and nap > 0:
            # More is to be expected: one sleep, without being woken by the first record.
            time.sleep(nap)
            found = self.take_all()
        if not found:
            if not self.poll.poll(timeout * 1000):
                self.busy = False
                return []
            if nap > 0:
                time.sleep(nap)
            found = self.take_all()
        self.busy = True
        return found

    def take_all(self) -> list[tuple[int, bytes]]:
        """What is there, without waiting."""
        found: list[tuple[int, bytes]] = []
        while True:
            count = libc.recvmmsg(self.socket.fileno(), self.slots.messages, SLOTS, socket.MSG_DONTWAIT, None)
            if count < 0:
                code = ctypes.get_errno()
                if code in (errno.EAGAIN, errno.EINTR):
                    return found
                if code == errno.ENOBUFS:
                    self.overruns += 1
                    continue
                raise explain(code, "receive audit records")
            found += self.slots.take(count)
            # Not more than about a second's worth at once, so that what follows is fed steadily.
            if count < SLOTS or len(found) > 50_000:
                return found


class Slots:
    """The memory for one recvmmsg(2): of each message the beginning lies in a block that is copied out at once.

    `answers` becomes true when something came that is no record, such as the kernel's answer to a request.
    """

    def __init__(self) -> None:
        self.short = bytearray(SHORT * SLOTS)
        self.long = bytearray(LONG * SLOTS)
        headers = bytearray(ctypes.sizeof(Mmsghdr) * SLOTS)
        self.messages = (Mmsghdr * SLOTS).from_buffer(headers)
        self.vectors = (Iovec * (2 * SLOTS))()
        short, long = (ctypes.addressof(ctypes.c_char.from_buffer(memory)) for memory in (self.short, self.long))
        for slot, message in enumerate(self.messages):
            self.vectors[2 * slot] = Iovec(short + slot * SHORT, SHORT)
            self.vectors[2 * slot + 1] = Iovec(long + slot * LONG, LONG)
            message.header.iov = ctypes.pointer(self.vectors[2 * slot])
            message.header.iovlen = 2
        # Views on the length and on the type (struct nlmsghdr) of every message.
        words = ctypes.sizeof(Mmsghdr) // 4
        self.lengths = memoryview(headers).cast("I")[Mmsghdr.length.offset // 4 :: words]
        self.kinds = memoryview(self.short).cast("H")[2 :: SHORT // 2]
        self.starts = range(0, SHORT * SLOTS, SHORT)
        self.answers = False

    def take(self, count: int) -> list[tuple[int, bytes]]:
        """The messages of the last call, as (type, payload).

        The length in an audit record's own header leaves the header out; the length of the datagram is right.
        """
        block = bytes(memoryview(self.short)[: count * SHORT])
        lengths, kinds = self.lengths[:count].tolist(), self.kinds[:count].tolist()
        if min(kinds) < m.AUDIT_FIRST_RECORD:
            self.answers = True
        if max(lengths) <= SHORT:
            return [
                (kind, block[start + m.HEADER_SIZE : start + length])
                for kind, start, length in zip(kinds, self.starts, lengths, strict=False)
            ]
        found = []
        for slot, (kind, length) in enumerate(zip(kinds, lengths, strict=True)):
            start, rest = slot * SHORT, slot * LONG
            data = block[start + m.HEADER_SIZE : start + min(length, SHORT)]
            found.append((kind, data + self.long[rest : rest + length - SHORT] if length > SHORT else data))
        return found


def set_receive_buffer(audit: socket.socket, size: int) -> int:
    """SO_RCVBUFFORCE, or what net.core.rmem_max allows without CAP_NET_ADMIN; the size that the kernel gave."""
    try:
        audit.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, size)
    except PermissionError:
        audit.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
    # The kernel doubles what it is asked for, for its own bookkeeping (socket(7)).
    return audit.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2
