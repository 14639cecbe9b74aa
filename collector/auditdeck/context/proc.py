"""The small files of a process under /proc (proc_pid(5)), and which processes are gone."""

from __future__ import annotations

import ctypes
import errno
import os
import time
from pathlib import Path

from auditdeck.libc import libc

PROC = Path("/proc")
GONE = 1.0
"""Seconds for which the process that was not there is not looked for again: several ask about the same one."""
PAGE = 1 << 14


class Proc:
    """`read(pid, name)`: a file's content; None if the process is gone or out of reach. `root` is where /proc is."""

    def __init__(self, root: Path = PROC) -> None:
        self.root = str(root)
        self.real = root == PROC
        self.present = self.gone = 0
        self.since = 0.0

    def is_gone(self, pid: int) -> bool:
        if pid == self.gone and time.monotonic() - self.since < GONE:
            return True
        # Asking kill(2) costs a quarter of a file that cannot be opened.
        if self.real and libc.kill(pid, 0) and ctypes.get_errno() == errno.ESRCH:
            self.gone, self.since = pid, time.monotonic()
            return True
        self.present = pid
        return False

    def stat(self, pid: int) -> list[bytes]:
        """The fields of /proc/PID/stat from the state on, which is the third (proc_pid_stat(5)); [] if it is gone."""
        return (self.read(pid, "stat") or b"").rpartition(b")")[2].split(None, 20)

    def read(self, pid: int, name: str, limit: int = 1 << 16) -> bytes | None:
        if pid != self.present and self.is_gone(pid):
            return None
        # What open() would add, a buffer and four system calls, costs more than the reading.
        try:
            file = os.open(f"{self.root}/{pid}/{name}", os.O_RDONLY)
        except OSError:
            self.present = 0
            return None
        try:
            found = os.read(file, PAGE)
            while len(found) % PAGE == 0 and 0 < len(found) < limit and (more := os.read(file, PAGE)):
                found += more
            return found
        except OSError:
            return None
        finally:
            os.close(file)
