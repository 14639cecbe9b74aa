"""Who started a process: its parent's program and start, from proc_pid(5)."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from typing import Any

from auditdeck.cache import Cache
from auditdeck.context.processes import TRUSTED, Processes

REMEMBERED = 8192
TICKS = os.sysconf("SC_CLK_TCK")


class Parents:
    """`of(pid)`: ECS `process.parent.*` but the pid: name, executable, entity_id, start; {} for one that is gone."""

    def __init__(self, processes: Processes) -> None:
        self.processes = processes
        self.known: Cache[int, tuple[float, dict[str, Any]]] = Cache(REMEMBERED)
        self.boot = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)

    def of(self, pid: int, now: float | None = None) -> dict[str, Any]:
        if not self.processes.live or pid <= 0:
            return {}
        now = time.monotonic() if now is None else now
        seen, described = self.known.get(pid, (float("-inf"), {}))
        if now - seen < TRUSTED:
            return described
        found = self.processes.program(pid)
        if found:
            described = {**found, "entity_id": self.processes.entity_id(pid, now), "start": self.start(pid)}
            described = {name: value for name, value in described.items() if value}
        elif now - seen > 60:
            described = {}
        return self.known.keep(pid, (now, described))[1]

    def start(self, pid: int) -> str:
        """RFC 3339 to the hundredth of a second, which is all that the kernel tells."""
        ticks = self.processes.start_of(pid)
        if not ticks:
            return ""
        moment = self.boot + int(ticks) / TICKS
        return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%dT%H:%M:%S}.{int(moment * 100) % 100:02d}0Z"
