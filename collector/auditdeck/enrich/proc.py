"""The small files of a process under /proc (proc_pid(5)), and which processes are gone."""

from __future__ import annotations

import os
import time
from pathlib import Path

from auditdeck.memory import Memory

GONE = 1.0
"""Seconds for which a process that was not there is not looked for again: several ask about the same one."""
REMEMBERED = 4096


class Proc:
    """`read(pid, name)`: a file's content; None if the process is gone or out of reach."""

    def __init__(self, root: Path = Path("/proc")) -> None:
        self.root = str(root)
        self.gone: Memory[int, float] = Memory(REMEMBERED)

    def read(self, pid: int, name: str, limit: int = 1 << 16) -> bytes | None:
        since = self.gone.get(pid)
        if since is not None and time.monotonic() - since < GONE:
            return None
        # What open() would add, a buffer and four system calls, costs more than the reading.
        try:
            file = os.open(f"{self.root}/{pid}/{name}", os.O_RDONLY)
        except FileNotFoundError:
            self.gone.keep(pid, time.monotonic())
            return None
        except OSError:
            return None
        try:
            return os.read(file, limit)
        except OSError:
            return None
        finally:
            os.close(file)
