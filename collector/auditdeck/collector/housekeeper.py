"""What is done by the clock: a list of jobs, each with its interval."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from auditdeck.collector.attempts import Attempts

LONGEST, SHORTEST = 1.0, 0.1
"""Seconds between two looks at the clock."""


class Job(NamedTuple):
    """`every` in seconds; `name` completes "cannot …"."""

    every: float
    name: str
    work: Callable[[], object]


class Housekeeper:
    """Does every job when it is due, in the order of the list, in one thread; what the disk refuses ends none."""

    def __init__(self, jobs: list[Job], attempts: Attempts, clock: Callable[[], float] = time.monotonic) -> None:
        self.jobs = jobs
        self.attempts = attempts
        self.clock = clock
        now = clock()
        self.due = [now + job.every for job in jobs]

    @property
    def nap(self) -> float:
        """Seconds: the shortest interval, within reason."""
        return min(LONGEST, max(SHORTEST, min(job.every for job in self.jobs)))

    def run(self, stopping: threading.Event) -> None:
        while not stopping.wait(self.nap):
            self.look()

    def look(self) -> None:
        """Does what is due."""
        now = self.clock()
        for place, job in enumerate(self.jobs):
            if now >= self.due[place]:
                self.due[place] = now + job.every
                self.attempts.attempt(job.name, job.work)
