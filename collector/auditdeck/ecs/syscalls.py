"""The SYSCALL (or URINGOP, or SOCKETCALL) record of an event, read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from auditdeck.audit.architecture import ALL_NAMES
from auditdeck.audit.tables.errors import ERRORS
from auditdeck.audit.tables.io_uring import IO_URING_OPERATIONS
from auditdeck.audit.tables.syscalls import SYSCALLS

# socketcall(2): the first argument says which call it is (linux/net.h).
SOCKETCALLS = {
    1: "socket", 2: "bind", 3: "connect", 4: "listen", 5: "accept", 6: "getsockname", 7: "getpeername",
    8: "socketpair", 9: "send", 10: "recv", 11: "sendto", 12: "recvfrom", 13: "shutdown", 14: "setsockopt",
    15: "getsockopt", 16: "sendmsg", 17: "recvmsg", 18: "accept4", 19: "recvmmsg", 20: "sendmmsg",
}  # fmt: skip

# ipc(2) likewise (linux/ipc.h).
IPC_CALLS = {
    1: "semop", 2: "semget", 3: "semctl", 4: "semtimedop", 11: "msgsnd", 12: "msgrcv", 13: "msgget", 14: "msgctl",
    21: "shmat", 22: "shmdt", 23: "shmget", 24: "shmctl",
}  # fmt: skip


@dataclass(slots=True)
class Call:
    """A system call: `arguments` unsigned as the kernel writes them, `result` the return value, None if not known."""

    arch: str
    name: str
    number: int
    success: bool | None
    result: int | None
    arguments: tuple[int, ...]
    io_uring: str = ""
    fields: dict[str, str] = field(default_factory=dict)

    @property
    def exit(self) -> str:
        """The result as audit tools write it: a number, or the errno's name."""
        if self.result is None:
            return ""
        return ERRORS.get(-self.result, str(self.result)) if self.result < 0 else str(self.result)


def read_call(
    fields: dict[str, str], socketcall: dict[str, str] | None, names: Mapping[str, str] = MappingProxyType({})
) -> Call:
    """A SYSCALL record's fields, with those of the SOCKETCALL record beside it on i386, and auditd's enrichment for
    architectures without a table."""
    arch = ALL_NAMES.get(integer(fields.get("arch"), 16) or 0) or names.get("ARCH", fields.get("arch", ""))
    number = integer(fields.get("syscall"))
    name = SYSCALLS.get(arch, {}).get(-1 if number is None else number, "")
    if not name and number is not None:
        told = names.get("SYSCALL", "unknown")
        name = str(number) if told.startswith("unknown") else told
    arguments = call_arguments(fields)
    if name == "ipc" and arguments:
        name = IPC_CALLS.get(arguments[0] & 0xFFFF, name)
        arguments = ()
    if name == "socketcall" and arguments:
        name = SOCKETCALLS.get(arguments[0], name)
        arguments = call_arguments(socketcall) if socketcall else ()
    success = {"yes": True, "no": False}.get(fields.get("success", ""))
    return Call(arch, name, number or 0, success, integer(fields.get("exit")), arguments, fields=fields)


def read_uring(operations: list[dict[str, str]], syscall: dict[str, str] | None) -> Call:
    """URINGOP records; the operation stands as the system call of the same name.

    The first counts: an operation that could not be done at once is tried again, and the record of that says success
    whatever came of it. `syscall` is the io_uring_enter(2) around it, if it was not done by a thread of the kernel.
    """
    first = operations[0]
    operation = IO_URING_OPERATIONS.get(integer(first.get("uring_op")) or 0, first.get("uring_op", ""))
    merged = {**(syscall or {}), **first}
    for name in ("syscall", "arch", "a0", "a1", "a2", "a3"):
        merged.pop(name, None)
    success = {"yes": True, "no": False}.get(first.get("success", ""))
    return Call("", operation, -1, success, integer(first.get("exit")), (), operation, merged)


def call_arguments(fields: dict[str, str]) -> tuple[int, ...]:
    values = []
    for position in range(6):
        value = integer(fields.get(f"a{position}"), 16)
        if value is None:
            break
        values.append(value)
    return tuple(values)


def integer(value: str | None, base: int = 10) -> int | None:
    """A number of up to 64 bits, signed or not; None for anything else."""
    if value is None:
        return None
    try:
        number = int(value, base)
    except ValueError:
        return None
    return number if -(1 << 63) <= number < 1 << 64 else None


def signed32(value: int) -> int:
    """An argument that is a C int, such as a descriptor."""
    value &= 0xFFFFFFFF
    return value - (1 << 32) if value & 0x80000000 else value
