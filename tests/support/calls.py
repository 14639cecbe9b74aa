"""Makes system calls with arguments worth spelling out: python -m tests.support.calls, as a user without rights.

Nearly all of them fail, which is what they are for: the kernel records them all the same.
"""

from __future__ import annotations

import ctypes
import sys

from auditdeck.audit.architecture import NUMBER_BY_SYSCALL

AT_FDCWD = -100
NOBODY = 0x7FFFFFF0
"""No process has this id."""

# Name to lists of arguments; text is passed by address.
CALLS: dict[str, list[list[int | str]]] = {
    "access": [["/", 0], ["/", 4], ["/", 7], ["/", 3]],
    "bpf": [[number, 0, 0] for number in (0, 5, 10, 16, 34, 99)],
    "chmod": [["/absent", 0o755], ["/absent", 0o4755], ["/absent", 0o1777], ["/absent", 0]],
    "chown": [["/absent", 0, 0], ["/absent", -1, 64171], ["/absent", 1, 2]],
    "clock_settime": [[number, 0] for number in (0, 1, 6)],
    "clone": [[0x10800], [0x00020011 | 0x800], [0x40000800 | 17]],
    "creat": [["/absent/x", 0o644]],
    "epoll_ctl": [[-1, number, 0, 0] for number in (1, 2, 3, 9)],
    "faccessat": [[AT_FDCWD, "/", 4], [3, "x", 0]],
    "fchmod": [[-1, 0o600]],
    "fchmodat": [[AT_FDCWD, "/absent", 0o2750], [7, "x", 0o1]],
    "fchown": [[-1, 0, 1]],
    "fchownat": [[AT_FDCWD, "/absent", 0, 0, 0]],
    "fcntl": [[0, 1], [0, 2, 1], [0, 2, 0], [-1, 4, 0o4000], [-1, 8, 1], [-1, 1030, 5], [-1, 1033, 1], [-1, 77]],
    "futimesat": [[AT_FDCWD, "/absent", 0]],
    "getrlimit": [[number, 0] for number in (0, 7, 15)],
    "getsockopt": [[-1, 1, 2], [-1, 6, 1], [-1, 41, 26], [-1, 0, 1], [-1, 263, 1]],
    "ioctl": [[-1, 0x5401], [-1, 0x5413], [-1, 0x5421], [-1, 0xDEAD]],
    "kill": [[NOBODY, 0], [NOBODY, 9], [NOBODY, 15], [NOBODY, 63]],
    "lchown": [["/absent", 0, 0]],
    "linkat": [[AT_FDCWD, "/absent", AT_FDCWD, "/absent/x", 0]],
    "lseek": [[-1, 0, number] for number in (0, 1, 2, 3, 4)],
    "mkdir": [["/absent/x", 0o700]],
    "mkdirat": [[AT_FDCWD, "/absent/x", 0o1777]],
    "mknod": [["/absent/x", 0o010644, 0], ["/absent/x", 0o100600, 0]],
    "mknodat": [[AT_FDCWD, "/absent/x", 0o644, 0]],
    "mmap": [[0, 0, 3, 2, -1], [0, 0, 5, 0x22, -1], [0, 0, 0, 1, -1], [0, 0, 4, 0x4012, -1]],
    "mount": [["none", "/absent", "tmpfs", number, 0] for number in (0, 1, 4096, 0x4000 | 4096, 15, 1 << 21)],
    "mprotect": [[1, 1, 1], [1, 1, 7], [1, 1, 0]],
    "mq_open": [["x/y", 0o102, 0o600, 0], ["x/y", 0, 0, 0]],
    "open": [["/absent", 0], ["/absent/x", 0o101, 0o640], ["/absent", 0o2000002], ["/absent", 0o4000 | 2]],
    "openat": [[AT_FDCWD, "/absent", 0], [AT_FDCWD, "/absent/x", 0o1102], [AT_FDCWD, "/absent", 0o10200000]],
    "personality": [[0xFFFFFFFF], [8], [0x0040000], [0x06]],
    "prctl": [[1, 9], [15, "name"], [23, 21], [24, 21], [38, 1], [4, 1], [36, 0], [99, 0]],
    "ptrace": [[number, NOBODY, 0, 0] for number in (0x10, 0x11, 0x4206, 3, 7, 99)],
    "readlinkat": [[AT_FDCWD, "/absent", 0, 1]],
    "recvfrom": [[-1, 0, 0, 0], [-1, 0, 0, 0x40], [-1, 0, 0, 0x4002]],
    "recvmsg": [[-1, 0, 0x42]],
    "renameat": [[AT_FDCWD, "/absent", AT_FDCWD, "/absent/x"]],
    "renameat2": [[AT_FDCWD, "/absent", AT_FDCWD, "/absent/x", 1]],
    "rt_sigaction": [[2, 0, 0, 8], [15, 0, 0, 8]],
    "sched_setscheduler": [[NOBODY, number, 0] for number in (0, 1, 2, 3, 5, 0x40000001)],
    "sendmsg": [[-1, 0, 0x4000]],
    "sendto": [[-1, "x", 1, 0x4040, 0, 0], [-1, "x", 1, 0, 0, 0]],
    "setfsgid": [[1]],
    "setfsuid": [[1]],
    "setgid": [[0]],
    "setns": [[-1, 0x40000000], [-1, 0x10000000]],
    "setregid": [[-1, 0]],
    "setresgid": [[0, 1, 2]],
    "setresuid": [[0, 1, -1]],
    "setreuid": [[0, 64171]],
    "setrlimit": [[7, 0]],
    "setsockopt": [[-1, 1, 15, 0, 0], [-1, 6, 1, 0, 0], [-1, 282, 1, 0, 0]],
    "setuid": [[0]],
    "socket": [[2, 1, 0], [10, 0x80801, 6], [1, 5, 0], [16, 3, 9], [2, 2, 17], [99, 1, 0], [2, 9, 0]],
    "tgkill": [[NOBODY, NOBODY, 9]],
    "tkill": [[NOBODY, 15]],
    "umount2": [["/absent", number] for number in (0, 1, 2, 8, 10)],
    "unlinkat": [[AT_FDCWD, "/absent", 0]],
    "unshare": [[0x80000000], [0x10000 | 0x800]],
    "utimensat": [[AT_FDCWD, "/absent", 0, 0]],
}  # fmt: skip


def main() -> None:
    libc = ctypes.CDLL(None)
    numbers = NUMBER_BY_SYSCALL["x86_64"]
    for name in sys.argv[1:] or CALLS:
        for given in CALLS[name]:
            made = [
                ctypes.c_char_p(value.encode()) if isinstance(value, str) else ctypes.c_long(value) for value in given
            ]
            libc.syscall(ctypes.c_long(numbers[name]), *made)


if __name__ == "__main__":
    main()
