"""The records that the kernel's programs write and this process reads, declared once."""

from __future__ import annotations

import struct
from typing import NamedTuple


class Layout:
    """A C structure: fields in their order, naturally aligned by how they are declared."""

    def __init__(self, *fields: tuple[str, str]) -> None:
        self.struct = struct.Struct("=" + "".join(form for _, form in fields))
        self.size = self.struct.size
        self.offsets: dict[str, int] = {}
        self.sizes: dict[str, int] = {}
        at = 0
        for name, form in fields:
            self.offsets[name] = at
            self.sizes[name] = struct.calcsize("=" + form)
            at += self.sizes[name]


SOCK_DONE = 1
"""enum sock_flags of include/net/sock.h: the other side's FIN was received (tcp_fin())."""
EXITED, FORKED, EXECUTED = 1, 2, 3
"""The first word of a record: a connection that is closed, a process that began, a program that was executed."""


class Connection(NamedTuple):
    """A connection as the kernel's state machine saw it; times in ns of CLOCK_BOOTTIME, 0 for what did not happen.

    `error` is sk_err, `sock` the address of struct sock, `rtt` is srtt_us (µs × 8), `segments` is segs_out. `sent` and
    `received` are bytes_acked and bytes_received of struct tcp_sock, in which a SYN or FIN is a byte as well: see
    `bytes_sent` and `bytes_received`. `flags` is sk_flags, `source_port` in network order, `state_before` the state
    before TCP_CLOSE. `origin` is the rest, which is the same for many connections: an `Origin`, not unpacked.
    """

    kind: int
    error: int
    sock: int
    opened: int
    established: int
    closed: int
    sent: int
    received: int
    flags: int
    retransmits: int
    rtt: int
    segments: int
    source_port: int
    state_before: int
    origin: bytes

    @property
    def bytes_sent(self) -> int:
        """Of the program, that the other side acknowledged."""
        # The FIN was acknowledged: in FIN_WAIT2 and TIME_WAIT, or when LAST_ACK or CLOSING ended in good order.
        finished = self.state_before in (5, 6) or (self.state_before in (9, 11) and not self.error)
        return max(0, self.sent - bool(self.established) - finished)

    @property
    def bytes_received(self) -> int:
        """By the kernel for the program."""
        return max(0, self.received - (self.flags >> SOCK_DONE & 1))


class Origin(NamedTuple):
    """Who opened a connection, and where to.

    `process_started` and `parent_started` are start_boottime of group leaders (struct task_struct), `netns` and
    `cgroup` are inode numbers, `destination_port` is in network order, addresses of IPv4 are the first four bytes.
    """

    process_started: int
    cgroup: int
    parent_started: int
    tgid: int
    pid: int
    uid: int
    euid: int
    gid: int
    egid: int
    loginuid: int
    session: int
    parent: int
    netns: int
    family: int
    destination_port: int
    source: bytes
    destination: bytes
    comm: bytes


CONNECTION = Layout(
    ("kind", "I"), ("error", "I"), ("sock", "Q"), ("opened", "Q"), ("established", "Q"), ("closed", "Q"),
    ("sent", "Q"), ("received", "Q"), ("flags", "Q"), ("retransmits", "I"), ("rtt", "I"), ("segments", "I"),
    ("source_port", "H"), ("state_before", "H"), ("process_started", "Q"), ("cgroup", "Q"), ("parent_started", "Q"),
    ("tgid", "I"), ("pid", "I"), ("uid", "I"), ("euid", "I"), ("gid", "I"), ("egid", "I"), ("loginuid", "I"),
    ("session", "I"), ("parent", "I"), ("netns", "I"), ("family", "H"), ("destination_port", "H"), ("_padding", "4x"),
    ("source", "16s"), ("destination", "16s"), ("comm", "16s"),
)  # fmt: skip
ORIGIN_AT = CONNECTION.offsets["process_started"]
VOLATILE = struct.Struct(f"=IIQQQQQQQIIIHH{CONNECTION.size - ORIGIN_AT}s")
ORIGIN = struct.Struct("=QQQIIIIIIIIIIHH4x16s16s16s")


def connection_of(record: bytes | memoryview, offset: int = 0) -> Connection:
    return Connection._make(VOLATILE.unpack_from(record, offset))


def origin_of(connection: Connection) -> Origin:
    return Origin._make(ORIGIN.unpack(connection.origin))


class Fork(NamedTuple):
    """A new process (not a thread): `started` is its start_boottime."""

    kind: int
    parent: int
    tgid: int
    started: int


FORK = Layout(("kind", "I"), ("parent", "I"), ("tgid", "I"), ("_padding", "4x"), ("started", "Q"))

NAME, ARGUMENTS = 256, 1024


class Execution(NamedTuple):
    """A program that was executed: what was asked for (`filename`), and what runs, for a script its interpreter.

    `arguments` are the first bytes of argv, with zero bytes between; `length` is how many there are in all; `time` is
    in ns of CLOCK_BOOTTIME.
    """

    kind: int
    tgid: int
    started: int
    time: int
    parent: int
    length: int
    filename: bytes
    interpreter: bytes
    arguments: bytes


EXECUTION = Layout(
    ("kind", "I"), ("tgid", "I"), ("started", "Q"), ("time", "Q"), ("parent", "I"), ("length", "I"),
    ("filename", f"{NAME}s"), ("interpreter", f"{NAME}s"), ("arguments", f"{ARGUMENTS}s"),
)  # fmt: skip
