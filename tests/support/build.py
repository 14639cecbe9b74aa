"""The traffic generator, built where the tests run."""

from __future__ import annotations

import os
import platform
import subprocess
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

SOURCE = Path(__file__).with_name("traffic.c")


@cache
def folder() -> Path:
    path = Path(mkdtemp(prefix="auditdeck-traffic-"))
    path.chmod(0o755)
    return path


@cache
def traffic(name: str, *flags: str) -> Path:
    """The program under a name of its own; `-m32` for a 32-bit one. Raises CalledProcessError."""
    target = folder() / name
    subprocess.run(["gcc", "-O1", *flags, "-o", str(target), str(SOURCE)], check=True, capture_output=True)
    target.chmod(0o755)
    return target


@cache
def narrow() -> Path | None:
    """The 32-bit program, if this machine can build and run one; CI on x86-64 can."""
    try:
        program = traffic("traffic-narrow", "-m32")
        subprocess.run([program, "udp", "0", "127.0.0.1", "9"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        if os.environ.get("CI") and platform.machine() == "x86_64":
            raise
        return None
    return program
