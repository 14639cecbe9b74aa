"""Who this host is: ECS `host.*`, and the short id that makes event ids differ between hosts."""

from __future__ import annotations

import hashlib
import os
import platform
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Host:
    """`key` is eight hex digits of a hash of the machine id: the same for the same machine, and no secret."""

    name: str
    id: str
    architecture: str
    kernel: str

    @property
    def key(self) -> str:
        return hashlib.sha256((self.id or self.name).encode()).hexdigest()[:8]

    def document(self) -> dict[str, object]:
        values = {
            "name": self.name,
            "hostname": self.name,
            "id": self.id,
            "architecture": self.architecture,
            "os": {"type": "linux", "kernel": self.kernel} if self.kernel else None,
        }
        return {name: value for name, value in values.items() if value}


def this_host(name: str = "", root: Path = Path("/")) -> Host:
    """This machine; `name` overrides the host name, `root` is where the host's files are seen from a container."""
    machine_id = ""
    for path in ("etc/machine-id", "var/lib/dbus/machine-id"):
        try:
            machine_id = (root / path).read_text().strip()
            break
        except OSError:
            continue
    if not name:
        try:
            name = (root / "proc/sys/kernel/hostname").read_text().strip()
        except OSError:
            name = os.uname().nodename
    return Host(name, machine_id, platform.machine(), platform.release())


def host_root(choices: str) -> Path:
    """The first folder of several (with colons) whose etc/passwd can be read; "/" if there is none.

    In a container the host is best seen through its first process (/proc/1/root), where that may be looked into; files
    that were mounted do not follow when the host replaces them.
    """
    for choice in choices.split(":"):
        if choice and os.access(Path(choice, "etc/passwd"), os.R_OK):
            return Path(choice)
    return Path("/")
