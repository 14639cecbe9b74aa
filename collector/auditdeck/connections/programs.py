"""The programs that run in the kernel: two follow TCP sockets, two follow processes.

They use the kernel's own names; offsets come from its type information (`Btf`). A socket that this host opens enters
the map `open` when its state becomes TCP_SYN_SENT, with the task that opened it; it gets its source when it becomes
TCP_ESTABLISHED, and goes to the ring buffer as one record when it becomes TCP_CLOSE. Nothing wakes this process up.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from auditdeck.connections.assembler import FP, R0, R1, R2, R3, R4, R6, R7, R8, R9, Assembler
from auditdeck.connections.btf import Btf
from auditdeck.connections.layout import (
    ARGUMENTS,
    CONNECTION,
    EXECUTED,
    EXECUTION,
    EXITED,
    FORK,
    FORKED,
    NAME,
)  # fmt: skip

# enum bpf_func_id of include/uapi/linux/bpf.h
MAP_LOOKUP_ELEM, MAP_UPDATE_ELEM, MAP_DELETE_ELEM = 1, 2, 3
GET_CURRENT_CGROUP_ID, PROBE_READ_USER, PROBE_READ_KERNEL_STR = 80, 112, 115
KTIME_GET_BOOT_NS, RINGBUF_OUTPUT, RINGBUF_RESERVE, RINGBUF_SUBMIT = 125, 130, 131, 132
SKC_TO_TCP_SOCK, GET_CURRENT_TASK_BTF = 137, 158
RB_NO_WAKEUP = 1

IPPROTO_TCP, AF_INET, AF_INET6 = 6, 2, 10
TCP_ESTABLISHED, TCP_SYN_SENT, TCP_CLOSE = 1, 2, 7

ATTEMPTS = 4
"""To take a place in the ring buffer, whose lock may be refused for a moment (rqspinlock, Linux 6.15)."""
RING_FULL, MAP_FULL, COUNTERS = 0, 1, 2
"""Places in the map of counters."""


@dataclass(frozen=True, slots=True)
class Maps:
    """Descriptors: `open` by the address of struct sock, `counters` an array of one element, `ring` for records."""

    open: int
    counters: int
    ring: int


def count(a: Assembler, maps: Maps, counter: int, done: str) -> None:
    """Adds one to a counter and goes to `done`; the first word of the stack is overwritten."""
    a.store_value(4, FP, -8, 0)
    a.map(R1, maps.counters)
    a.stack(R2, -8)
    a.call(MAP_LOOKUP_ELEM)
    a.if_equal(R0, 0, done)
    a.set(R1, 1)
    a.count(R0, 8 * counter, R1)
    a.jump(done)


def output(a: Assembler, maps: Maps, record: Callable[[], None], size: int) -> None:
    """What `record` lets R2 point at, to the ring buffer; R0 is 0 if it was taken."""
    for attempt in range(ATTEMPTS):
        if attempt:
            a.if_equal(R0, 0, "taken")
        a.map(R1, maps.ring)
        record()
        a.set(R3, size)
        a.set(R4, RB_NO_WAKEUP)
        a.call(RINGBUF_OUTPUT)
    a.label("taken")


SOURCE, DESTINATION = ("skc_rcv_saddr", "skc_v6_rcv_saddr"), ("skc_daddr", "skc_v6_daddr")
"""Members of struct sock_common that hold an address of IPv4, of IPv6."""


def address(a: Assembler, btf: Btf, members: tuple[str, str], base: int, offset: int, label: str) -> None:
    """An address of the socket in R6, as its family says, to `offset` of what register `base` points at.

    `label` is to be one that nothing else has.
    """
    four, six = (btf.offset("sock", f"__sk_common.{name}") for name in members)
    a.load(2, R1, R6, btf.offset("sock", "__sk_common.skc_family"))
    a.if_not_equal(R1, AF_INET, f"{label} of IPv6")
    a.load(4, R1, R6, four)
    a.store(4, base, offset, R1)
    a.jump(f"{label} is copied")
    a.label(f"{label} of IPv6")
    for half in (0, 8):
        a.load(8, R1, R6, six + half)
        a.store(8, base, offset + half, R1)
    a.label(f"{label} is copied")


def sockets(btf: Btf, maps: Maps, *, again: bool = False) -> bytes:
    """inet_sock_set_state(const struct sock *sk, const int oldstate, const int newstate).

    The kernel leaves a program out that it has interrupted on the same processor, as an answer of the network may
    interrupt a connect(2). So there is a second one, `again`, that does what the first one has not done.
    """
    place = CONNECTION.offsets
    sock, task = partial(btf.offset, "sock"), partial(btf.offset, "task_struct")
    cred, tcp = partial(btf.offset, "cred"), partial(btf.offset, "tcp_sock")
    a = Assembler()
    key, value = -16, -16 - CONNECTION.size

    a.load(8, R7, R1, 8)
    a.load(8, R8, R1, 16)
    a.load(8, R6, R1, 0)
    a.if_equal(R8, TCP_SYN_SENT, "is it TCP")
    a.if_equal(R8, TCP_ESTABLISHED, "is it TCP")
    a.if_not_equal(R8, TCP_CLOSE, "out")
    a.label("is it TCP")
    a.load(2, R1, R6, sock("sk_protocol"))
    a.if_not_equal(R1, IPPROTO_TCP, "out")
    a.store(8, FP, key, R6)
    if not again:
        a.if_equal(R8, TCP_SYN_SENT, "opened")
    a.map(R1, maps.open)
    a.stack(R2, key)
    a.call(MAP_LOOKUP_ELEM)
    if again:
        a.if_not_equal(R8, TCP_SYN_SENT, "is it known")
        a.if_equal(R0, 0, "opened")
        a.jump("out")
        a.label("is it known")

    # TCP_ESTABLISHED or TCP_CLOSE: of a socket that this host opened?
    a.if_equal(R0, 0, "out")
    a.move(R9, R0)
    if again:
        a.if_equal(R8, TCP_CLOSE, "when")
        a.load(8, R1, R9, place["established"])
        a.if_not_equal(R1, 0, "out")
        a.label("when")
    a.call(KTIME_GET_BOOT_NS)
    a.if_equal(R8, TCP_CLOSE, "closed")
    a.store(8, R9, place["established"], R0)
    address(a, btf, SOURCE, R9, place["source"], "source")
    a.load(2, R1, R6, sock("__sk_common.skc_num"))
    a.to_network_order(R1)
    a.store(2, R9, place["source_port"], R1)
    a.jump("out")

    a.label("closed")
    a.store(8, R9, place["closed"], R0)
    a.store(2, R9, place["state_before"], R7)
    a.load(4, R1, R6, sock("sk_err"))
    a.store(4, R9, place["error"], R1)
    a.load(8, R1, R6, sock("__sk_common.skc_flags"))
    a.store(8, R9, place["flags"], R1)
    a.move(R1, R6)
    a.call(SKC_TO_TCP_SOCK)
    a.if_equal(R0, 0, "send")
    for size, name, path in (
        (8, "sent", "bytes_acked"),
        (8, "received", "bytes_received"),
        (4, "retransmits", "total_retrans"),
        (4, "rtt", "srtt_us"),
        (4, "segments", "segs_out"),
    ):
        a.load(size, R1, R0, tcp(path))
        a.store(size, R9, place[name], R1)
    # skc_num is 0 again; the port in the header stays.
    a.load(2, R1, R9, place["source_port"])
    a.if_not_equal(R1, 0, "send")
    a.load(2, R1, R0, tcp("inet_conn.icsk_inet.inet_sport"))
    a.store(2, R9, place["source_port"], R1)
    address(a, btf, SOURCE, R9, place["source"], "last source")
    a.label("send")
    output(a, maps, partial(a.move, R2, R9), CONNECTION.size)
    a.move(R7, R0)
    a.map(R1, maps.open)
    a.stack(R2, key)
    a.call(MAP_DELETE_ELEM)
    a.if_equal(R7, 0, "out")
    count(a, maps, RING_FULL, "out")

    a.label("opened")
    a.set(R0, 0)
    for offset in range(0, CONNECTION.size, 8):
        a.store(8, FP, value + offset, R0)
    a.store_value(4, FP, value + place["kind"], EXITED)
    a.store(8, FP, value + place["sock"], R6)
    a.call(KTIME_GET_BOOT_NS)
    a.store(8, FP, value + place["opened"], R0)
    a.load(2, R1, R6, sock("__sk_common.skc_family"))
    a.store(2, FP, value + place["family"], R1)
    a.load(2, R2, R6, sock("__sk_common.skc_dport"))
    a.store(2, FP, value + place["destination_port"], R2)
    address(a, btf, DESTINATION, FP, value + place["destination"], "destination")
    a.load(8, R1, R6, sock("__sk_common.skc_net.net"))
    a.load(4, R1, R1, btf.offset("net", "ns.inum"))
    a.store(4, FP, value + place["netns"], R1)
    a.call(GET_CURRENT_TASK_BTF)
    a.move(R9, R0)
    for name, path in (("tgid", "tgid"), ("pid", "pid"), ("loginuid", "loginuid"), ("session", "sessionid")):
        a.load(4, R1, R9, task(path))
        a.store(4, FP, value + place[name], R1)
    for half in (0, 8):
        a.load(8, R1, R9, task("comm") + half)
        a.store(8, FP, value + place["comm"] + half, R1)
    a.load(8, R1, R9, task("group_leader"))
    a.load(8, R2, R1, task("start_boottime"))
    a.store(8, FP, value + place["process_started"], R2)
    a.load(8, R1, R9, task("real_parent"))
    a.load(4, R2, R1, task("tgid"))
    a.store(4, FP, value + place["parent"], R2)
    a.load(8, R1, R1, task("group_leader"))
    a.load(8, R2, R1, task("start_boottime"))
    a.store(8, FP, value + place["parent_started"], R2)
    a.load(8, R1, R9, task("cred"))
    for name in ("uid", "euid", "gid", "egid"):
        a.load(4, R2, R1, cred(name))
        a.store(4, FP, value + place[name], R2)
    a.call(GET_CURRENT_CGROUP_ID)
    a.store(8, FP, value + place["cgroup"], R0)
    a.map(R1, maps.open)
    a.stack(R2, key)
    a.stack(R3, value)
    a.set(R4, 0)
    a.call(MAP_UPDATE_ELEM)
    a.if_equal(R0, 0, "out")
    count(a, maps, MAP_FULL, "out")

    a.label("out")
    a.leave()
    return a.bytes()


def forks(btf: Btf, maps: Maps) -> bytes:
    """sched_process_fork(struct task_struct *parent, struct task_struct *child), for processes, not threads."""
    task = partial(btf.offset, "task_struct")
    place = FORK.offsets
    a = Assembler()
    record = -8 - FORK.size
    a.load(8, R6, R1, 0)
    a.load(8, R7, R1, 8)
    a.load(4, R1, R7, task("pid"))
    a.load(4, R2, R7, task("tgid"))
    a.if_other(R1, R2, "out")
    a.store_value(8, FP, record + 8, 0)
    a.store_value(4, FP, record + place["kind"], FORKED)
    a.store(4, FP, record + place["tgid"], R2)
    a.load(4, R1, R6, task("tgid"))
    a.store(4, FP, record + place["parent"], R1)
    a.store_value(4, FP, record + place["tgid"] + 4, 0)
    a.load(8, R1, R7, task("start_boottime"))
    a.store(8, FP, record + place["started"], R1)
    output(a, maps, partial(a.stack, R2, record), FORK.size)
    a.if_equal(R0, 0, "out")
    count(a, maps, RING_FULL, "out")
    a.label("out")
    a.leave()
    return a.bytes()


def executions(btf: Btf, maps: Maps) -> bytes:
    """sched_process_exec(struct task_struct *p, pid_t old_pid, struct linux_binprm *bprm)."""
    task, bprm, mm = (partial(btf.offset, name) for name in ("task_struct", "linux_binprm", "mm_struct"))
    place = EXECUTION.offsets
    a = Assembler()
    a.load(8, R6, R1, 0)
    a.load(8, R7, R1, 16)
    for _ in range(ATTEMPTS):
        a.map(R1, maps.ring)
        a.set(R2, EXECUTION.size)
        a.set(R3, 0)
        a.call(RINGBUF_RESERVE)
        a.if_not_equal(R0, 0, "reserved")
    a.jump("full")
    a.label("reserved")
    a.move(R8, R0)
    a.store_value(4, R8, place["kind"], EXECUTED)
    a.load(4, R1, R6, task("tgid"))
    a.store(4, R8, place["tgid"], R1)
    a.load(8, R1, R6, task("start_boottime"))
    a.store(8, R8, place["started"], R1)
    a.load(8, R1, R6, task("real_parent"))
    a.load(4, R1, R1, task("tgid"))
    a.store(4, R8, place["parent"], R1)
    a.call(KTIME_GET_BOOT_NS)
    a.store(8, R8, place["time"], R0)
    for name, path in (("filename", "filename"), ("interpreter", "interp")):
        a.move(R1, R8)
        a.add(R1, place[name])
        a.set(R2, NAME)
        a.load(8, R3, R7, bprm(path))
        a.call(PROBE_READ_KERNEL_STR)
    a.load(8, R1, R6, task("mm"))
    a.load(8, R3, R1, mm("arg_start"))
    a.load(8, R2, R1, mm("arg_end"))
    a.subtract(R2, R3)
    a.store(4, R8, place["length"], R2)
    a.if_greater(R2, ARGUMENTS, "long")
    a.jump("read")
    a.label("long")
    a.set(R2, ARGUMENTS)
    a.label("read")
    a.move(R1, R8)
    a.add(R1, place["arguments"])
    a.call(PROBE_READ_USER)
    a.move(R1, R8)
    a.set(R2, RB_NO_WAKEUP)
    a.call(RINGBUF_SUBMIT)
    a.jump("out")
    a.label("full")
    count(a, maps, RING_FULL, "out")
    a.label("out")
    a.leave()
    return a.bytes()


Programs = tuple[tuple[str, Callable[[Btf, Maps], bytes]], ...]
"""Each with the tracepoint that it is attached to, in their order."""
PROGRAMS: Programs = (
    ("inet_sock_set_state", sockets),
    ("inet_sock_set_state", partial(sockets, again=True)),
    ("sched_process_fork", forks),
    ("sched_process_exec", executions),
)
