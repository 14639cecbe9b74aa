"""What processes cost: CPU seconds (clock_getcpuclockid(3)) and memory (proc_pid_status(5))."""

from __future__ import annotations

import os
import time
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
CPUCLOCK_SCHED = 2


def children(pid: int) -> list[int]:
    """The process and all below it."""
    found = [pid]
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            for child in path.read_text().split():
                found += children(int(child))
        except OSError:
            continue
    return found


def cpu_seconds(pids: list[int]) -> float:
    """User and system time, and that of children that ended, which /proc has in ticks (proc_pid_stat(5))."""
    total = 0.0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += time.clock_gettime(~pid << 3 | CPUCLOCK_SCHED) + sum(map(int, fields[13:15])) / TICKS
        except OSError:
            continue
    return total


def peak_memory(pids: list[int]) -> int:
    """KiB: the sum of the highest resident sets."""
    total = 0
    for pid in pids:
        try:
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
    return total
