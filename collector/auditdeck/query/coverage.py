"""For how much of a window each host was watched, from the collectors' own health documents."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

TOLERANCE = timedelta(seconds=5)
"""Shorter holes are those between the end of a report and the begin of the next."""

Report = tuple[str, datetime, float, float]
"""Host, end of the report, its interval in seconds, and how many seconds of it were not watched."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """Of one host: seconds watched and seconds of the window, the times in between that no report speaks for, and the
    seconds that reports themselves call not watched: audit was switched off, or rules were deleted."""

    host: str
    watched: float
    window: float
    holes: list[tuple[datetime, datetime]]
    unwatched: float = 0.0

    @property
    def share(self) -> float:
        return self.watched / self.window if self.window else 0.0


def coverage(reports: list[Report], since: datetime, until: datetime) -> list[Coverage]:
    """One a host that reported, in the order of their names; none if nobody did."""
    by_host: dict[str, list[tuple[datetime, datetime, float]]] = {}
    for host, end, interval, unwatched in reports:
        begin = max(since, end - timedelta(seconds=interval))
        if begin < min(end, until):
            by_host.setdefault(host, []).append((begin, min(end, until), unwatched))
    return [of_host(host, sorted(spans), since, until) for host, spans in sorted(by_host.items())]


def of_host(host: str, spans: list[tuple[datetime, datetime, float]], since: datetime, until: datetime) -> Coverage:
    holes: list[tuple[datetime, datetime]] = []
    reached = since
    unwatched = 0.0
    for begin, end, blind in spans:
        if begin - reached > TOLERANCE:
            holes.append((reached, begin))
        reached = max(reached, end)
        unwatched += blind
    if until - reached > TOLERANCE:
        holes.append((reached, until))
    missing = unwatched + sum((end - begin).total_seconds() for begin, end in holes)
    window = (until - since).total_seconds()
    return Coverage(host, max(0.0, window - missing), window, holes, unwatched)


def as_json(found: list[Coverage], since: datetime, until: datetime) -> dict[str, Any]:
    """Of all hosts together: the share is the mean; without any report nothing was watched."""
    window = (until - since).total_seconds()
    share = sum(one.share for one in found) / len(found) if found else 0.0
    return {
        "share": share,
        "hours": window / 3600,
        "watched_hours": share * window / 3600,
        "hosts": [
            {
                "host": one.host,
                "share": one.share,
                "watched_hours": one.watched / 3600,
                "unwatched_seconds": one.unwatched,
                "not_watched": [{"since": begin.isoformat(), "until": end.isoformat()} for begin, end in one.holes],
            }
            for one in found
        ],
    }
