"""What can be known of a program only while it starts: chosen environment variables and the hash of its file."""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass, field
from typing import Any

from auditdeck.context.proc import Proc

REMEMBERED = 4096
ENVIRONMENT_LIMIT = 1 << 20


@dataclass(slots=True)
class Executions:
    """`of(pid)` right after an execve(2): ECS `process.env_vars` and `process.hash`, as far as they are wanted.

    `variables` are names; a file larger than `hash_limit` bytes is not hashed (0: none). To be asked soon: of a process
    that is gone nothing is known.
    """

    variables: tuple[str, ...] = ()
    hash_limit: int = 0
    proc: Proc = field(default_factory=Proc)
    hashes: dict[tuple[int, int, int, int], str] = field(default_factory=dict)

    def of(self, pid: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if self.variables and (variables := self.environment(pid)):
            found["env_vars"] = variables
        if self.hash_limit and (digest := self.digest(pid)):
            found["hash"] = {"sha256": digest}
        return found

    def environment(self, pid: int) -> list[str]:
        raw = self.proc.read(pid, "environ", ENVIRONMENT_LIMIT)
        if not raw:
            return []
        wanted = tuple(f"{name}=".encode() for name in self.variables)
        return [entry.decode("utf-8", "backslashreplace") for entry in raw.split(b"\0") if entry.startswith(wanted)]

    def digest(self, pid: int) -> str:
        """SHA-256 of the file that the process runs, remembered as long as the file is the same."""
        try:
            with open(f"{self.proc.root}/{pid}/exe", "rb") as file:
                status = os.fstat(file.fileno())
                if not stat.S_ISREG(status.st_mode) or status.st_size > self.hash_limit:
                    return ""
                key = (status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size)
                known = self.hashes.get(key)
                if known is None:
                    if len(self.hashes) >= REMEMBERED:
                        self.hashes.clear()
                    known = self.hashes[key] = hashlib.file_digest(file, "sha256").hexdigest()
                return known
        except OSError:
            return ""
