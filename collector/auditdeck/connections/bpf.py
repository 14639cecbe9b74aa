"""bpf(2): maps, programs of the type "tp_btf", and their links, which end with this process."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
from pathlib import Path

from auditdeck.errors import TracepointError
from auditdeck.libc import libc

NUMBERS = {"x86_64": 321, "aarch64": 280, "riscv64": 280, "ppc64le": 361, "s390x": 351}
"""__NR_bpf."""
MAP_CREATE, PROG_LOAD, RAW_TRACEPOINT_OPEN, MAP_LOOKUP_BATCH = 0, 5, 17, 24
MAP_TYPE_HASH, MAP_TYPE_ARRAY, MAP_TYPE_RINGBUF = 1, 2, 27
F_MMAPABLE = 0x400
PROG_TYPE_TRACING, ATTACH_TRACE_RAW_TP = 26, 23
ATTR_SIZE = 160
LICENSE = ctypes.create_string_buffer(b"GPL")
"""What the kernel asks of programs that use its helpers for tracing."""
LOG_SIZE = 1 << 18
LOCKDOWN = Path("/sys/kernel/security/lockdown")
NEEDED = "it needs CAP_BPF and CAP_PERFMON (or CAP_SYS_ADMIN)"


def bpf(command: int, attributes: bytes | bytearray) -> int:
    """bpf(2): a descriptor or 0; what it writes back is in `attributes` if they are a bytearray. Raises OSError."""
    number = NUMBERS.get(platform.machine())
    if number is None:
        raise OSError(errno.ENOSYS, "bpf(2) is not known for this architecture")
    memory = ctypes.create_string_buffer(bytes(attributes), max(len(attributes), ATTR_SIZE))
    result = libc.syscall(number, command, memory, max(len(attributes), ATTR_SIZE))
    code = ctypes.get_errno()
    if isinstance(attributes, bytearray):
        attributes[:] = memory.raw[: len(attributes)]
    if result < 0:
        raise OSError(code, os.strerror(code))
    return int(result)


def create_map(kind: int, key_size: int, value_size: int, entries: int, flags: int = 0) -> int:
    """Its descriptor. Raises TracepointError."""
    try:
        return bpf(MAP_CREATE, struct.pack("=IIIII", kind, key_size, value_size, entries, flags))
    except OSError as error:
        raise explain(error, "make a BPF map") from error


def load(name: str, code: bytes, attach_to: int) -> int:
    """A program for the tracepoint whose BTF id (of its typedef btf_trace_…) is `attach_to`; its descriptor."""
    instructions = ctypes.create_string_buffer(code, len(code))
    log = ctypes.create_string_buffer(LOG_SIZE)
    attributes = bytearray(ATTR_SIZE)
    struct.pack_into(
        "=IIQQIIQII16sIII", attributes, 0, PROG_TYPE_TRACING, len(code) // 8, ctypes.addressof(instructions),
        ctypes.addressof(LICENSE), 0, 0, 0, 0, 0, name.encode()[:15], 0, ATTACH_TRACE_RAW_TP, 0,
    )  # fmt: skip
    struct.pack_into("=I", attributes, 108, attach_to)
    try:
        return bpf(PROG_LOAD, attributes)
    except OSError as error:
        if error.errno in (errno.EPERM, errno.EACCES, errno.ENOSYS) and not (
            error.errno == errno.EACCES and os.geteuid() == 0
        ):
            raise explain(error, "load a BPF program") from error
        # Once more, for what the verifier says.
        struct.pack_into("=IIQ", attributes, 24, 1, LOG_SIZE, ctypes.addressof(log))
        try:
            return bpf(PROG_LOAD, attributes)
        except OSError as again:
            said = log.value.decode("utf-8", "replace").strip().splitlines()
            reason = f": {said[-2] if len(said) > 1 else ''.join(said)}" if said else ""
            raise TracepointError(
                f"the kernel refuses the program {name} ({again.strerror}{reason})",
                "Linux 5.11 or newer is needed; if this one is, please report it with the kernel's version",
            ) from again


def attach(program: int) -> int:
    """A link that ends when its descriptor is closed, as it is when this process ends in any way."""
    try:
        return bpf(RAW_TRACEPOINT_OPEN, struct.pack("=QI", 0, program))
    except OSError as error:
        raise explain(error, "attach a BPF program") from error


def lookup_batch(map_: int, keys: int, values: int, count: int) -> int:
    """Reads a whole hash map into memory at two addresses; how many entries there are, at most `count`."""
    token_in, token_out = ctypes.c_uint64(0), ctypes.c_uint64(0)
    read, first = 0, True
    while read < count:
        attributes = bytearray(
            struct.pack(
                "=QQQQIIQQ", 0 if first else ctypes.addressof(token_in), ctypes.addressof(token_out),
                keys + read * 8, values, count - read, map_, 0, 0,
            )
        )  # fmt: skip
        try:
            bpf(MAP_LOOKUP_BATCH, attributes)
            done = False
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise
            done = True
        return_count: int = struct.unpack_from("=I", attributes, 32)[0]
        if done:
            return read + return_count
        read += return_count
        first = False
        token_in.value = token_out.value
    return read


def explain(error: OSError, doing: str) -> TracepointError:
    if error.errno == errno.EPERM:
        if locked_down():
            return TracepointError(
                f"cannot {doing}: the kernel is locked down (confidentiality)", "see kernel_lockdown(7)"
            )
        return TracepointError(f"cannot {doing}: not permitted", NEEDED)
    if error.errno == errno.ENOSYS:
        return TracepointError(f"cannot {doing}: this kernel has no bpf(2)", "it is built without CONFIG_BPF_SYSCALL")
    return TracepointError(f"cannot {doing}: {error.strerror}", "Linux 5.11 or newer is needed")


def locked_down() -> bool:
    try:
        return "[confidentiality]" in LOCKDOWN.read_text()
    except OSError:
        return False
