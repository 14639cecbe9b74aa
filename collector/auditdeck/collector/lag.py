"""How long events take from the kernel's stamp to their place in the event log."""

from __future__ import annotations

from bisect import bisect_left

BOUNDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Seconds: the upper ends of all classes but the last, which has none."""


class Lag:
    """A histogram since the start: `counts` of events a class, and the `total` of their seconds."""

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)
        self.total = 0.0

    def add(self, seconds: float, events: int) -> None:
        """A batch: what its oldest event took is the most that each of them did."""
        self.counts[bisect_left(BOUNDS, seconds)] += events
        self.total += seconds * events
