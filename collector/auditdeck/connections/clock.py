"""Wall-clock times of what the kernel stamps with CLOCK_BOOTTIME (clock_gettime(2)), also over a clock that was set."""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Callable

STEP = 2_000_000
"""ns: smaller differences are the drift of the clock that NTP steers, and of the reading."""
REMEMBERED = 64


def boottime() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class Clock:
    """`wall(moment)`: ns since 1970 of a moment in ns since boot; `look` is to be called before, every second or so."""

    def __init__(self, realtime: Callable[[], int] = time.time_ns, boottime: Callable[[], int] = boottime) -> None:
        self.realtime, self.boottime = realtime, boottime
        self.since = [0]
        self.offsets = [self.realtime() - self.boottime()]

    def look(self) -> None:
        """Notices that the clock was set: what came before keeps the time that it had then."""
        now = self.boottime()
        offset = self.realtime() - now
        if abs(offset - self.offsets[-1]) < STEP:
            return
        self.since.append(now)
        self.offsets.append(offset)
        if len(self.since) > REMEMBERED:
            del self.since[1], self.offsets[1]

    def wall(self, moment: int) -> int:
        if moment >= self.since[-1]:
            return moment + self.offsets[-1]
        return moment + self.offsets[max(0, bisect_right(self.since, moment) - 1)]
