"""What a thread may do: its sets of capabilities, as the kernel tells them (capabilities(7))."""

from __future__ import annotations

from pathlib import Path

NUMBERS = {
    "CHOWN": 0, "DAC_OVERRIDE": 1, "DAC_READ_SEARCH": 2, "FOWNER": 3, "SETPCAP": 8, "NET_BIND_SERVICE": 10,
    "SYS_PTRACE": 19, "AUDIT_CONTROL": 30, "AUDIT_READ": 37, "BPF": 39,
}  # fmt: skip
"""Of linux/capability.h."""


def held(name: str) -> int:
    """A set of this thread, as its bits: CapEff, CapPrm or CapBnd (proc_pid_status(5))."""
    for line in Path("/proc/thread-self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1], 16)
    return 0


def has_capability(name: str) -> bool:
    """Whether it is in the effective set."""
    return bool(held("CapEff") >> NUMBERS[name] & 1)
