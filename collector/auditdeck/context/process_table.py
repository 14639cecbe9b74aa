"""Programs of processes, also of those that are gone: from forks and executions as they happen, else from /proc."""

from __future__ import annotations

import contextlib
import os
import posixpath
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from auditdeck.cache import Cache
from auditdeck.connections.layout import Execution, Fork
from auditdeck.context.proc import Proc

REMEMBERED = 65_536
TICK = 10_000_000
"""ns: what /proc tells of a start is in USER_HZ, 100 a second (proc_pid_stat(5))."""
HISTORY = 4
"""Executions of one process that are remembered: a connection belongs to the program that opened it."""


@dataclass(slots=True)
class Process:
    """A process since an execution or its fork (`since`, ns since boot); `started` likewise.

    `arguments` are as the program got them, the first 1024 bytes; `whole` says that nothing was cut.
    """

    pid: int
    started: int
    since: int
    parent: int
    executable: str = ""
    arguments: tuple[bytes, ...] = ()
    whole: bool = True
    directory: str = ""
    script: str = ""
    before: Process | None = None

    @property
    def ticks(self) -> str:
        return str(self.started // TICK)


class ProcessTable:
    """`of(pid, started, moment)`: the process that ran at a moment (ns since boot), or None."""

    def __init__(self, proc: Proc | None = None, readlink: Callable[[str], str] = os.readlink) -> None:
        self.proc = proc or Proc()
        self.readlink = readlink
        self.known: Cache[int, Process] = Cache(REMEMBERED)

    def scan(self) -> None:
        """All processes that are there: those that began before anything was told of them."""
        for name in os.listdir(self.proc.root):
            if name.isdigit() and int(name) not in self.known:
                self.look(int(name))

    def fork(self, fork: Fork) -> None:
        """A child runs its parent's program until it executes one of its own."""
        parent = self.known.get(fork.parent) or self.look(fork.parent)
        process = Process(fork.tgid, fork.started, fork.started, fork.parent)
        if parent is not None:
            process.executable, process.arguments, process.whole = parent.executable, parent.arguments, parent.whole
            process.directory, process.script = parent.directory, parent.script
        self.known.keep(fork.tgid, process)

    def execute(self, execution: Execution) -> None:
        before = self.known.get(execution.tgid)
        if before is not None and before.started != execution.started:
            before = None
        filename = text(execution.filename)
        interpreter = text(execution.interpreter)
        executable = self.link(execution.tgid, "exe")
        directory = self.link(execution.tgid, "cwd") or (before.directory if before else "")
        if not executable:
            executable = resolved(posixpath.join(directory, interpreter))
        arguments = execution.arguments[: execution.length].split(b"\0")
        whole = execution.length <= len(execution.arguments)
        process = Process(
            execution.tgid,
            execution.started,
            execution.time,
            execution.parent,
            executable,
            tuple(arguments[:-1] if whole else arguments),
            whole,
            directory,
            posixpath.normpath(posixpath.join(directory, filename)) if filename != interpreter else "",
            before,
        )
        forget(process)
        self.known.keep(execution.tgid, process)

    def of(self, pid: int, started: int, moment: int) -> Process | None:
        process = self.known.get(pid)
        if process is None or process.started // TICK != started // TICK:
            process = self.look(pid)
            if process is None or process.started // TICK != started // TICK:
                return None
        while process.since > moment and process.before is not None:
            process = process.before
        return process

    def look(self, pid: int) -> Process | None:
        """In /proc; None if it is gone."""
        stat = self.proc.stat(pid)
        if len(stat) < 20:
            return None
        raw = self.proc.read(pid, "cmdline") or b""
        started = int(stat[19]) * TICK
        process = Process(
            pid,
            started,
            started,
            int(stat[1]),
            self.link(pid, "exe"),
            tuple(raw.split(b"\0")[:-1]),
            True,
            self.link(pid, "cwd"),
        )
        return self.known.keep(pid, process)

    def link(self, pid: int, name: str) -> str:
        with contextlib.suppress(OSError):
            return self.readlink(f"{self.proc.root}/{pid}/{name}")
        return ""


def text(name: bytes) -> str:
    return name.partition(b"\0")[0].decode("utf-8", "backslashreplace")


def forget(process: Process) -> None:
    """All but the last few programs of a process that executes one after the other."""
    for _ in range(HISTORY):
        if process.before is None:
            return
        process = process.before
    process.before = None


@lru_cache(4096)
def resolved(path: str) -> str:
    """Through symbolic links, as the kernel names a program (/bin/sh → /usr/bin/dash)."""
    return os.path.realpath(path) if path.startswith("/") else path
