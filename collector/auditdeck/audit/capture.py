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
from collections.abc import Iterator

from auditdeck.audit import messages as m
from auditdeck.audit.assembler import Assembler
from auditdeck.audit.client import ANSWER_TIMEOUT, AuditSocket, daemon_running, explain
from auditdeck.audit.event import Event
from auditdeck.audit.ext import Native, native
from auditdeck.audit.record import Payload
from auditdeck.errors import KernelError
from auditdeck.libc import libc
from auditdeck.netlink import HEADER_SIZE, NLMSG_ERROR

SLOT = 9216
"""MAX_AUDIT_MESSAGE_LENGTH (8970) and a netlink header, rounded up."""
SHORT = 512
"""What of a message lies in one block with the others; few records are longer."""
LONG = SLOT - SHORT
SLOTS = 128
LONGEST_NAP = 0.09
BUSY, IDLE = 1500, 400
SO_RCVBUFFORCE = 33
AUDIT_LOGIN = 1006
AT_MOST = 50_000
"""Records that are taken at once, about a second's worth, so that what follows is fed steadily."""


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


class Capture:
    """Records from the kernel, as the audit daemon (unicast) or beside one (multicast, AUDIT_NLGRP_READLOG).

    `overruns` counts how often the kernel said ENOBUFS: records that did not fit into the receive buffer. With
    `compiled` what C can do is left to `native`; `title_ends` as in Assembler.
    """

    def __init__(self, *, receive_buffer: int, multicast: bool, compiled: bool = True) -> None:
        self.multicast = multicast
        self.title_ends = False
        self.native = native() if compiled else None
        self.count = self.overruns = 0
        self.answered = False
        self.nap = self.taken = 0.0
        self.busy = False
        self.early: list[bytes | Payload] = []
        try:
            self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, m.NETLINK_AUDIT)
            self.socket.bind((0, 1 << (m.AUDIT_NLGRP_READLOG - 1) if multicast else 0))
        except OSError as error:
            raise explain(error.errno or 0, "receive audit records") from error
        self.receive_buffer = set_receive_buffer(self.socket, receive_buffer)
        self.socket.setblocking(False)
        self.poll = select.poll()
        self.poll.register(self.socket, select.POLLIN)
        self.descriptor = self.socket.fileno()
        self.slots = None if self.native else Slots()

    def close(self) -> None:
        self.socket.close()

    def register(self, control: AuditSocket, **settings: int) -> None:
        """Becomes the audit daemon, with the settings of `AuditSocket.set`; a dead one's registration is replaced.

        Raises DaemonRunning if another one is alive. Records that come before the answer are kept.
        """
        self.socket.send(m.status_request({"pid": os.getpid(), **settings}, 1))
        deadline = time.monotonic() + ANSWER_TIMEOUT
        while time.monotonic() < deadline:
            for item in self.receive(0.1, nap=0):
                if isinstance(item, bytes) or item[0] != NLMSG_ERROR:
                    self.early.append(item)
                    continue
                (code,) = struct.unpack_from("=i", item[1])
                if -code == errno.EEXIST:
                    raise daemon_running(control.status().pid)
                if code:
                    raise explain(-code, "become the audit daemon")
                return
        raise KernelError("the kernel did not answer the registration as audit daemon", "see the kernel log (dmesg)")

    def register_again(self) -> None:
        """After the kernel dropped the registration; in any thread. The answer comes among the records, where it is
        left out."""
        try:
            self.socket.send(m.status_request({"pid": os.getpid()}, 1))
        except OSError as error:
            raise explain(error.errno or 0, "become the audit daemon") from error

    def unregister(self) -> None:
        """Ends being the audit daemon; the kernel accepts that only from the daemon itself."""
        with contextlib.suppress(OSError):
            self.socket.send(m.status_request({"pid": 0}, 2))

    def events(self, seconds: float | None = None) -> Iterator[Event]:
        """The events of the kernel as they become complete, for so many seconds, or until `close`.

        Counts of what was lost are in `overruns`, and in those of an `Assembler` for who feeds one itself. Raises
        KernelError.
        """
        assembler = Assembler(title_ends=self.title_ends)
        end = None if seconds is None else time.monotonic() + seconds
        while self.socket.fileno() >= 0 and (end is None or time.monotonic() < end):
            batch = self.records(0.25 if end is None else min(0.25, max(0.0, end - time.monotonic())))
            yield from assembler.feed(batch)
            yield from assembler.flush()
        yield from assembler.close()

    def records(self, timeout: float) -> list[bytes | Payload]:
        """What has arrived, as (record type, payload), and whole events as `native` gives them; [] after `timeout`
        seconds without any. `count` is then the number of records.

        Sleeps a while after the first sign of life, longer when little comes, so that one wake-up serves many records.
        """
        found = self.receive(timeout, self.nap)
        if self.count > BUSY:
            self.nap /= 2
        elif self.count < IDLE:
            self.nap = min(LONGEST_NAP, self.nap + LONGEST_NAP / 8)
        if self.early:
            found = self.early + found
            self.count += len(self.early)
            self.early = []
        if self.answered:
            self.answered = False
            found = [item for item in found if isinstance(item, bytes) or is_record(item[0])]
        return found

    def receive(self, timeout: float, nap: float) -> list[bytes | Payload]:
        found: list[bytes | Payload] = []
        self.count = 0
        if self.busy and nap > 0:
            # More is to be expected: one sleep since the last look, without being woken by the first record.
            time.sleep(max(0.0, self.taken + nap - time.monotonic()))
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

    def take_all(self) -> list[bytes | Payload]:
        """What is there, without waiting."""
        self.taken = time.monotonic()
        if self.native is not None:
            return self.take_packed(self.native)
        assert self.slots is not None
        return self.take_plain(self.slots)

    def take_packed(self, native: Native) -> list[bytes | Payload]:
        found: list[bytes | Payload] = []
        while True:
            taken = native.receive(self.descriptor, title_ends=self.title_ends)
            self.count += taken.records
            self.overruns += taken.overruns
            if taken.failed:
                raise explain(taken.failed, "receive audit records")
            for item in taken.items:
                if isinstance(item, tuple):
                    self.answered |= not is_record(item[0])
                    found.append((item[0], item[2]))
                else:
                    found.append(item)
            if not taken.more or self.count > AT_MOST:
                return found

    def take_plain(self, slots: Slots) -> list[bytes | Payload]:
        found: list[bytes | Payload] = []
        while True:
            got = libc.recvmmsg(self.descriptor, slots.messages, SLOTS, socket.MSG_DONTWAIT, None)
            if got < 0:
                code = ctypes.get_errno()
                if code in (errno.EAGAIN, errno.EINTR):
                    return found
                if code == errno.ENOBUFS:
                    self.overruns += 1
                    continue
                raise explain(code, "receive audit records")
            found += slots.take(got)
            self.answered |= slots.answers
            self.count += got
            if got < SLOTS or self.count > AT_MOST:
                return found


def is_record(kind: int) -> bool:
    """The kernel's answers to requests are none."""
    return kind >= m.AUDIT_FIRST_RECORD or kind == AUDIT_LOGIN


class Slots:
    """The memory for one recvmmsg(2): of each message the beginning lies in a block that is copied out at once.

    `answers` is true if something came that is no record, such as the kernel's answer to a request.
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

    def take(self, count: int) -> list[Payload]:
        """The messages of the last call, as (type, payload).

        The length in an audit record's own header leaves the header out; the length of the datagram is right.
        """
        block = bytes(memoryview(self.short)[: count * SHORT])
        lengths, kinds = self.lengths[:count].tolist(), self.kinds[:count].tolist()
        self.answers = min(kinds) < m.AUDIT_FIRST_RECORD
        if max(lengths) <= SHORT:
            return [
                (kind, block[start + HEADER_SIZE : start + length])
                for kind, start, length in zip(kinds, self.starts, lengths, strict=False)
            ]
        found = []
        for slot, (kind, length) in enumerate(zip(kinds, lengths, strict=True)):
            start, rest = slot * SHORT, slot * LONG
            data = block[start + HEADER_SIZE : start + min(length, SHORT)]
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
