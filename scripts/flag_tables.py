"""The arguments of system calls: which names of which header are the flags and commands of each kind."""

from __future__ import annotations

import re

from headers import enumerated, macros, prefixed


def by_value(names: dict[str, int], skip: str = "$^", only: str = "") -> dict[int, str]:
    """Names by number; of several with one number the first in the alphabet that is not skipped."""
    found: dict[int, str] = {}
    for name, value in sorted(names.items()):
        if not re.search(skip, name) and re.search(only, name) and value >= 0:
            found.setdefault(value, name)
    return dict(sorted(found.items()))


def single_bits(names: dict[int, str]) -> dict[int, str]:
    return {value: name for value, name in sorted(names.items()) if value and value & (value - 1) == 0}


def flags() -> dict[str, dict[int, str]]:
    """The arguments of system calls: one table for each kind of flag or command."""
    fcntl, mman = macros("asm/fcntl.h"), macros("linux/mman.h")
    mount, prctl = macros("sys/mount.h") | macros("linux/fs.h"), macros("linux/prctl.h")
    sub = r"_(MCE_KILL_|SET_MM_|FPEMU_|FP_EXC|ENDIAN_|TIMING_|TSC_|UNALIGN_|CAP_AMBIENT_|SPEC_|SVE_VL|SME_VL|PAC_A|MTE|TAGGED_"
    sub += r"|SCHED_CORE_|SYS_DISPATCH|FP_MODE_|MDWE_|PTRACER|SET_VMA_|SVE_SET_VL_|SME_SET_VL_)"
    seccomp = by_value(prefixed(macros("linux/seccomp.h"), "SECCOMP_RET_"), "MASK|DATA|_ACTION|RET_KILL$")
    ptrace = prefixed(macros("linux/ptrace.h") | macros("asm/ptrace-abi.h"), "PTRACE_")
    socket = macros("sys/socket.h")
    return {
        "OPEN": single_bits(
            by_value(prefixed(fcntl, "O_") | prefixed(fcntl, "__O_"), "ACCMODE|NDELAY|LARGEFILE") | {0o20000: "O_ASYNC"}
        ),
        "CLONE": single_bits(by_value(prefixed(macros("linux/sched.h"), "CLONE_"), "ARGS|NEWTIME|NEWCGROUP")),
        "MMAP": single_bits(by_value(prefixed(mman, "MAP_"), "TYPE|HUGE_|VALIDATE|FILE|ABOVE4G")),
        "PROT": single_bits(by_value(prefixed(mman, "PROT_"))),
        "MOUNT": single_bits(by_value(prefixed(mount, "MS_") | enumerated("sys/mount.h", "MS_"), "MASK|MGC|VERBOSE|RMT|SYMFOLLOW")),
        "UMOUNT": single_bits(
            by_value(enumerated("sys/mount.h", "MNT_") | enumerated("sys/mount.h", "UMOUNT_"))
        ),
        "PRCTL": by_value(prefixed(prctl, "PR_"), sub),
        "PTRACE": by_value(ptrace | enumerated("sys/ptrace.h", "PTRACE_"), "_O_|EVENT_[^G]|EVENTMSG_|OLDSETOPTIONS|PEEKSIGINFO_|INFO_"),
        "MESSAGE": single_bits(by_value(enumerated("sys/socket.h", "MSG_"))),
        "RLIMIT": by_value(prefixed(macros("asm/resource.h"), "RLIMIT_")),
        "SCHEDULER": {**by_value(prefixed(macros("linux/sched.h"), "SCHED_"), "FLAG|RESET|ISO"), 0: "SCHED_OTHER"},
        "SECCOMP": {value: name.removeprefix("SECCOMP_RET_") for value, name in seccomp.items()},
        "SEEK": by_value(prefixed(macros("linux/fs.h"), "SEEK_"), "MAX"),
        "SOCKET_TYPE": by_value(enumerated("sys/socket.h", "SOCK_"), "CLOEXEC|NONBLOCK"),
        "FCNTL": by_value(prefixed(fcntl, "F_") | prefixed(macros("linux/fcntl.h"), "F_"), "EXLCK|SHLCK|LCK$|OWNER_[PT]|SEAL_|SPECIFIC"),
        "EPOLL_CTL": by_value(prefixed(macros("linux/eventpoll.h"), "EPOLL_CTL_")),
        "CLOCK": by_value(prefixed(macros("linux/time.h"), "CLOCK_"), "MASK|MAX"),
        "AT": single_bits(by_value(prefixed(macros("linux/fcntl.h"), "AT_"), "REMOVEDIR|STATX|FDCWD|_FOLLOW$")),
        "ACCESS": {4: "R_OK", 2: "W_OK", 1: "X_OK"},
        "IOCTL": by_value(prefixed(macros("asm/ioctls.h"), "TC") | prefixed(macros("asm/ioctls.h"), "TIOC") | prefixed(macros("asm/ioctls.h"), "FIO") | prefixed(macros("linux/sockios.h"), "SIOC"), "PKT|TIOCM_|SER_"),
        "CAPABILITY": {value: name.removeprefix("CAP_").lower() for value, name in by_value(prefixed(macros("linux/capability.h"), "CAP_"), "LAST").items()},
        "BPF": by_value(enumerated("linux/bpf.h", "BPF_", "BPF_MAP_CREATE"), "PROG_RUN"),
        "RESOLVE": single_bits(by_value(prefixed(macros("linux/openat2.h"), "RESOLVE_"))),
        "FSCONFIG": by_value(enumerated("linux/mount.h", "FSCONFIG_")),
        "SOCKET_LEVEL": {0: "SOL_IP", 6: "SOL_TCP", 17: "SOL_UDP", 41: "SOL_IPV6", 58: "SOL_ICMPV6", 132: "SOL_SCTP", 136: "SOL_UDPLITE",
                         **by_value(prefixed(socket, "SOL_"), "SOCKET|RAW$"), 255: "SOL_RAW"},
        "SOCKET_OPTION": by_value(prefixed(macros("asm/socket.h"), "SO_"), "SO_(RCV|SND)TIMEO$|TIMESTAMP.*(OLD|NEW)|_NEW|GET_FILTER|EE_"),
        "IP_OPTION": by_value(prefixed(macros("linux/in.h"), "IP_"), "PMTUDISC_|DEFAULT|RETOPTS|MAX_MEM"),
        "IPV6_OPTION": by_value(prefixed(macros("linux/in6.h"), "IPV6_"), "PMTUDISC_|FL_|TLV|PRIORITY|PREFER"),
        "TCP_OPTION": by_value(prefixed(macros("linux/tcp.h"), "TCP_"), "FLAG|_REPAIR_O|MSS_D|MD5SIG_|AO_|RECEIVE_ZEROCOPY_"),
        "PACKET_OPTION": by_value(prefixed(macros("linux/if_packet.h"), "PACKET_"), "_(HOST|BROADCAST|MULTICAST|OTHERHOST|OUTGOING|LOOPBACK|USER|KERNEL|FASTROUTE)$|FANOUT_|PACKET_MR_"),
        "PERSONALITY": by_value(enumerated("linux/personality.h", "PER_"), "FDPIC|MASK"),
    }  # fmt: skip
