"""Values of records spelled out as `ausearch -i` does it: names for numbers, flags, modes, users, addresses."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

from auditdeck.assets import table
from auditdeck.audit import sockaddr
from auditdeck.audit.fields import text
from auditdeck.audit.tables import flags
from auditdeck.audit.tables.families import FAMILIES
from auditdeck.audit.tables.signals import SIGNALS
from auditdeck.context.users import Users
from auditdeck.ecs.syscalls import SOCKETCALLS

ARGUMENTS = Path(__file__).with_name("arguments.yaml")
FILE_TYPES = {
    stat.S_IFREG: "file", stat.S_IFDIR: "dir", stat.S_IFSOCK: "socket", stat.S_IFLNK: "link",
    stat.S_IFBLK: "block", stat.S_IFCHR: "character", stat.S_IFIFO: "fifo",
}  # fmt: skip
SECCOMP = {
    "KILL_PROCESS": "kill-process", "KILL_THREAD": "kill-thread", "TRAP": "trap", "ERRNO": "errno",
    "USER_NOTIF": "user-notify", "TRACE": "trace", "LOG": "log", "ALLOW": "allow",
}  # fmt: skip
AT_FDCWD = 0xFFFFFF9C
O_CREAT = 0o100
F_SETFD, F_SETOWN = 2, 8
PR_SET_PDEATHSIG, PR_CAPBSET_READ, PR_CAPBSET_DROP = 1, 23, 24
IPPROTO_IP, SOL_SOCKET, IPPROTO_TCP, IPPROTO_UDP, IPPROTO_IPV6, SOL_PACKET = 0, 1, 6, 17, 41, 263
UDP_OPTION = {
    1: "UDP_CORK", 100: "UDP_ENCAP", 101: "UDP_NO_CHECK6_TX", 102: "UDP_NO_CHECK6_RX", 103: "UDP_SEGMENT",
    104: "UDP_GRO",
}  # fmt: skip
"""linux/udp.h."""
NETFILTER_OPTION = {
    ("setsockopt", IPPROTO_IP): {64: "IPT_SO_SET_REPLACE", 65: "IPT_SO_SET_ADD_COUNTERS", 96: "ARPT_SO_SET_REPLACE",
                                 97: "ARPT_SO_SET_ADD_COUNTERS", 128: "EBT_SO_SET_ENTRIES", 129: "EBT_SO_SET_COUNTERS"},
    ("setsockopt", IPPROTO_IPV6): {64: "IP6T_SO_SET_REPLACE", 65: "IP6T_SO_SET_ADD_COUNTERS"},
    ("getsockopt", IPPROTO_IP): {64: "IPT_SO_GET_INFO", 65: "IPT_SO_GET_ENTRIES", 66: "IPT_SO_GET_REVISION_MATCH",
                                 67: "IPT_SO_GET_REVISION_TARGET", 96: "ARPT_SO_GET_INFO", 97: "ARPT_SO_GET_ENTRIES",
                                 99: "ARPT_SO_GET_REVISION_TARGET", 128: "EBT_SO_GET_INFO", 129: "EBT_SO_GET_ENTRIES",
                                 130: "EBT_SO_GET_INIT_INFO", 131: "EBT_SO_GET_INIT_ENTRIES"},
    ("getsockopt", IPPROTO_IPV6): {64: "IP6T_SO_GET_INFO", 65: "IP6T_SO_GET_ENTRIES",
                                   68: "IP6T_SO_GET_REVISION_MATCH", 69: "IP6T_SO_GET_REVISION_TARGET"},
}  # fmt: skip
"""Beside the protocol's own: linux/netfilter_ipv4/ip_tables.h, netfilter_ipv6, netfilter_arp, netfilter_bridge."""
NETFILTER_FAMILIES = {
    0: "unspecified", 1: "inet", 2: "ipv4", 3: "arp", 5: "netdev", 7: "bridge", 10: "ipv6", 12: "decnet",
}  # fmt: skip
"""NFPROTO_* of linux/netfilter.h, under the names of auparse/nfprototab.h."""
NETFILTER_HOOKS = dict(enumerate(["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING", "BROUTING"]))
NETFILTER_ACTIONS = dict(enumerate(["ACCEPT", "DROP", "REJECT"]))
ICMP_TYPES = {
    0: "echo-reply", 3: "destination-unreachable", 4: "source-quench", 5: "redirect", 8: "echo", 11: "time-exceeded",
    12: "parameter-problem", 13: "timestamp-request", 14: "timestamp-reply", 15: "info-request", 16: "info-reply",
    17: "address-mask-request", 18: "address-mask-reply",
}  # fmt: skip


@cache
def argument_kinds() -> dict[str, tuple[str | None, ...]]:
    """System call to the kinds of its arguments, of arguments.yaml."""
    return {name: tuple(kinds) for name, kinds in table(ARGUMENTS).items()}


def argument(call: str, position: int, arguments: Sequence[int], users: Users) -> str | None:
    """An argument spelled out; None for one that has no meaning but its number."""
    kinds = argument_kinds().get(call, ())
    kind = kinds[position] if position < len(kinds) and position < len(arguments) else None
    if kind is None:
        return None
    value = arguments[position]
    before = arguments[position - 1] if position else 0
    match kind:
        case "uid":
            return user_name(value, users)
        case "gid":
            return group_name(value, users)
        case "open_mode":
            return mode(value) if before & O_CREAT else None
        case "fcntl_value":
            if before == F_SETOWN:
                return user_name(value, users)
            return "FD_CLOEXEC" if before == F_SETFD and value == 1 else None
        case "prctl_value":
            if before in (PR_CAPBSET_READ, PR_CAPBSET_DROP):
                return named(flags.CAPABILITY, value, "capability")
            return signal(value) if before == PR_SET_PDEATHSIG else None
        case "socket_option":
            level = before & 0xFFFFFFFF
            if name := NETFILTER_OPTION.get((call, level), {}).get(value):
                return name
            options, what = {
                IPPROTO_IP: (flags.IP_OPTION, "ipopt"), SOL_SOCKET: (flags.SOCKET_OPTION, "sockopt"),
                IPPROTO_TCP: (flags.TCP_OPTION, "tcpopt"), IPPROTO_UDP: (UDP_OPTION, "udpopt"),
                IPPROTO_IPV6: (flags.IPV6_OPTION, "ip6opt"), SOL_PACKET: (flags.PACKET_OPTION, "pktopt"),
            }.get(level, (None, ""))  # fmt: skip
            return None if options is None else named(options, value, f"{what}-name")
    return KINDS[kind](value)


def named(table: Mapping[int, str], value: int, what: str) -> str:
    return table.get(value) or f"unknown-{what}(0x{value:x})"


def joined(table: Mapping[int, str], value: int, first: str = "") -> str:
    names = [first] if first else []
    names += [name for bit, name in table.items() if value & bit]
    return "|".join(names) or f"0x{value:x}"


def open_flags(value: int) -> str:
    return joined(flags.OPEN, value, "" if value & 3 else "O_RDONLY")


def clone_flags(value: int) -> str:
    names = [name for bit, name in flags.CLONE.items() if value & bit and name != "CLONE_PIDFD"]
    if 0 < value & 0xFF < 32:
        names.append(SIGNALS[value & 0xFF])
    return "|".join(names) or f"0x{value:x}"


def memory_protection(value: int) -> str:
    if not value & 7:
        return "PROT_NONE"
    return joined({bit: name for bit, name in flags.PROT.items() if bit <= 8}, value)


def mapping(value: int) -> str:
    return joined(flags.MMAP, value, "" if value & 0xF else "MAP_FILE")


def access_mode(value: int) -> str:
    return "F_OK" if not value & 0xF else joined(dict(sorted(flags.ACCESS.items())), value)


def directory(value: int) -> str | None:
    return "AT_FDCWD" if value & 0xFFFFFFFF == AT_FDCWD else None


def socket_type(value: int) -> str:
    return flags.SOCKET_TYPE.get(value & 0xFF) or f"unknown-type({value:x})"


@cache
def protocols() -> dict[int, str]:
    """Names by number, of /etc/protocols (protocols(5)); the commonest where there is none."""
    found = {0: "ip", 1: "icmp", 6: "tcp", 17: "udp", 58: "ipv6-icmp", 132: "sctp"}
    try:
        lines = Path("/etc/protocols").read_text(errors="replace").splitlines()
    except OSError:
        return found
    for line in reversed(lines):
        words = line.partition("#")[0].split()
        if len(words) >= 2 and words[1].isdigit():
            found[int(words[1])] = words[0]
    return found


def protocol(value: int) -> str:
    return protocols().get(value) or f"unknown-proto({value:x})"


def socket_level(value: int) -> str:
    if value == SOL_SOCKET:
        return "SOL_SOCKET"
    return protocols().get(value) or named(flags.SOCKET_LEVEL, value, "sockopt-level")


def signal(value: int) -> str:
    return "SIG0" if value == 0 else named(SIGNALS, value, "signal")


def personality(value: int) -> str:
    name = flags.PERSONALITY.get(value & 0xFF)
    if name is None:
        return f"unknown-personality(0x{value:x})"
    return f"{name}|~ADDR_NO_RANDOMIZE" if value & 0x0040000 else name


def scheduler(value: int) -> str:
    name = named(flags.SCHEDULER, value & 0xF, "scheduler-policy")
    return f"{name}|SCHED_RESET_ON_FORK" if value & 0x40000000 else name


def shared_memory(value: int) -> str:
    names = [name for bit, name in ((0o1000, "IPC_CREAT"), (0o2000, "IPC_EXCL"), (0o4000, "SHM_HUGETLB"),
                                    (0o10000, "SHM_NORESERVE")) if value & bit]  # fmt: skip
    return "|".join([*names, mode(value & 0o777)])


def mode(value: int) -> str:
    """Permissions alone: 0644, suid,0755."""
    return ",".join([*special_bits(value), f"0{value & 0o777:03o}"])


def file_mode(value: int) -> str:
    """Type and permissions: file,644, dir,sticky,777."""
    kind = FILE_TYPES.get(stat.S_IFMT(value & 0xFFFF), f"{(value & 0o170000) >> 12:03o}")
    return ",".join([kind, *special_bits(value), f"{value & 0o777:03o}"])


def special_bits(value: int) -> list[str]:
    return [name for bit, name in ((0o4000, "suid"), (0o2000, "sgid"), (0o1000, "sticky")) if value & bit]


def capabilities(value: int) -> str:
    """A set: none, or names with commas (capabilities(7))."""
    return ",".join(name for number, name in flags.CAPABILITY.items() if value >> number & 1) or "none"


def permissions(value: int) -> str:
    """What a watch is for: AUDIT_PERM_* of linux/audit.h; none is all."""
    return ",".join(name for bit, name in ((4, "read"), (2, "write"), (1, "exec"), (8, "attr")) if (value or 0xF) & bit)


def user_name(value: int, users: Users) -> str:
    return account_name(value, users.user)


def group_name(value: int, users: Users) -> str:
    return account_name(value, users.group)


def account_name(value: int, known: Callable[[int], str]) -> str:
    value &= 0xFFFFFFFF
    return "unset" if value == 0xFFFFFFFF else known(value) or f"unknown({value})"


def exit_value(value: int, error: str) -> str:
    """The result of a call; a negative one with its errno's name (`error`) and text."""
    return f"{error}({os.strerror(-value)})" if value < 0 and error else str(value)


def address(raw: bytes) -> str:
    """A sockaddr in the way of ausearch: { saddr_fam=inet laddr=… lport=… }."""
    if len(raw) < 2:
        return "{ unknown }"
    number = int.from_bytes(raw[:2], sockaddr.byte_order(raw))
    family = {0: None, 1: "local"}.get(number, FAMILIES.get(number))
    if family is None:
        return f"unknown-family({number})"
    return f"{{ saddr_fam={family} {address_text(number, raw)} }}"


def address_text(family: int, raw: bytes) -> str:
    short = "sockaddr6 len too short" if family == sockaddr.AF_INET6 else "sockaddr len too short"
    if family == sockaddr.AF_UNIX:
        if len(raw) < 4:
            return "unnamed socket" if len(raw) == 2 else short
        path = raw[3:] if raw[2] == 0 else raw[2:]
        return "path=" + text(path[:108].partition(b"\0")[0])
    if family in (sockaddr.AF_INET, sockaddr.AF_INET6):
        length, start, end = (16, 4, 8) if family == sockaddr.AF_INET else (28, 8, 24)
        if len(raw) < length:
            return short
        shown = socket.inet_ntop(family, raw[start:end])
        return f"laddr={shown} lport={int.from_bytes(raw[2:4], 'big')}"
    if family == sockaddr.AF_NETLINK:
        if len(raw) < 12:
            return "len too short"
        return f"nlnk-fam={family} nlnk-pid={int.from_bytes(raw[4:8], sockaddr.byte_order(raw))}"
    return "(unsupported)"


KINDS: dict[str, Callable[[int], str | None]] = {
    "access": access_mode,
    "at_flags": lambda value: joined(flags.AT, value),
    "bpf": lambda value: flags.BPF.get(value) or f"unknown-bpf-cmd({value:x})",
    "clock": lambda value: named(flags.CLOCK, value, "clk_id"),
    "clone": clone_flags,
    "dirfd": directory,
    "epoll_ctl": lambda value: flags.EPOLL_CTL.get(value) or f"unknown-epoll_ctl-operation({value})",
    "family": lambda value: {1: "local"}.get(value) or named(FAMILIES, value, "family"),
    "fcntl": lambda value: flags.FCNTL.get(value) or f"unknown-fcntl-command({value})",
    "file_mode": file_mode,
    "fsconfig": lambda value: named(flags.FSCONFIG, value, "fsconfig-operation"),
    "ioctl": lambda value: flags.IOCTL.get(value),
    "memory": memory_protection,
    "message": lambda value: joined(flags.MESSAGE, value),
    "mmap": mapping,
    "mode": mode,
    "mount": lambda value: joined(flags.MOUNT, value),
    "open": open_flags,
    "personality": personality,
    "prctl": lambda value: named(flags.PRCTL, value, "prctl-option"),
    "protocol": protocol,
    "ptrace": lambda value: named(flags.PTRACE, value, "ptrace"),
    "rlimit": lambda value: named(flags.RLIMIT, value, "rlimit"),
    "scheduler": scheduler,
    "seek": lambda value: named(flags.SEEK, value & 0xFF, "whence"),
    "shared_memory": shared_memory,
    "signal": signal,
    "socket_level": socket_level,
    "socket_type": socket_type,
    "socketcall": lambda value: SOCKETCALLS.get(value) or f"unknown-socketcall({value:x})",
    "status": lambda value: {0: "EXIT_SUCCESS", 1: "EXIT_FAILURE"}.get(value, "UNKNOWN"),
    "umount": lambda value: joined(flags.UMOUNT, value),
}


def spelled_arguments(call: str, arguments: Sequence[int], users: Users) -> Iterator[tuple[str, str]]:
    """(a0, meaning) of those arguments that have one."""
    for position in range(4):
        shown = argument(call, position, arguments, users)
        if shown is not None:
            yield f"a{position}", shown
