"""The identity of a process: a pid is used again, a pid with its start is not."""

from __future__ import annotations

import base64
import hashlib
import os
import time

from auditdeck.cache import Cache
from auditdeck.context.proc import Proc

# A pid comes around after kernel.pid_max processes (at least 32,768): not within this many seconds.
TRUSTED = 2.0
REMEMBERED = 8192


class Processes:
    """`entity_id(pid)`: twelve characters that no other process of any host has; "" for one that is gone unseen."""

    def __init__(self, host_id: str, *, live: bool = True, proc: Proc | None = None) -> None:
        self.host_id = host_id
        self.proc = proc or Proc()
        self.live = live
        self.known: Cache[int, tuple[float, str, str]] = Cache(REMEMBERED)

    def entity_id(self, pid: int, now: float | None = None) -> str:
        if not self.live:
            return ""
        now = time.monotonic() if now is None else now
        seen, start, identity = self.known.get(pid, (float("-inf"), "", ""))
        if now - seen < TRUSTED:
            return identity
        current = self.start_of(pid)
        if not current and not identity:
            return ""
        if current and current != start:
            identity = self.identify(pid, current)
        elif not current and now - seen > 60:
            identity = ""
        return self.known.keep(pid, (now, current or start, identity))[2]

    def program(self, pid: int) -> dict[str, str]:
        """ECS name and executable of a running process, for the records that leave them out; {} if it is gone."""
        if not self.live:
            return {}
        comm = self.proc.read(pid, "comm")
        if comm is None:
            return {}
        try:
            executable = os.readlink(f"{self.proc.root}/{pid}/exe")
        except OSError:
            return {}
        return {"name": comm.decode("utf-8", "backslashreplace").strip(), "executable": executable}

    def identify(self, pid: int, start: str) -> str:
        digest = hashlib.sha256(f"{self.host_id}:{pid}:{start}".encode()).digest()
        return base64.b64encode(digest[:9]).decode()

    def start_of(self, pid: int) -> str:
        """When a process began, in clock ticks since boot (field 22 of proc_pid_stat(5)); "" if it is gone."""
        stat = self.proc.stat(pid)
        return stat[19].decode() if stat else ""

    def parent_of(self, pid: int) -> int:
        """The parent of a running process; 0 if it is gone."""
        stat = self.proc.stat(pid)
        return int(stat[1]) if stat else 0
