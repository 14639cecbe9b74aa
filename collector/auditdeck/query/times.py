"""Points in time as people write them for ausearch(8)."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

from auditdeck.settings.kinds import duration

WORDS = "now, recent, this-hour, today, yesterday, this-week, week-ago, this-month, this-year, boot"
DATES = ("%Y-%m-%d", "%m/%d/%Y", "%m/%d/%y")
TIMES = ("%H:%M:%S", "%H:%M")


def local_moment(text: str, now: datetime | None = None) -> datetime:
    """A word, a date, a time of today, both, RFC 3339 or a span back from now; local time unless it names a zone.

    Raises ValueError.
    """
    now = (now or datetime.now(UTC)).astimezone()
    if text in WORDS.split(", "):
        return word(text, now)
    try:
        return now - timedelta(seconds=duration(text))
    except (ValueError, OverflowError):
        pass
    first, _, second = text.partition(" ")
    for date in DATES:
        for hour in ("", *TIMES):
            try:
                found = datetime.strptime(text if hour else first, f"{date} {hour}".strip())
            except ValueError:
                continue
            if hour or not second:
                return found.astimezone()
    for hour in TIMES:
        try:
            found = datetime.strptime(text, hour)
        except ValueError:
            continue
        return now.replace(hour=found.hour, minute=found.minute, second=found.second, microsecond=0)
    try:
        return datetime.fromisoformat(text).astimezone()
    except ValueError:
        raise ValueError(
            f"{text!r} is no time: {WORDS}, 7d, 2026-11-23, 11/23/2026 12:00:00, 12:00 or RFC 3339 are"
        ) from None


def word(text: str, now: datetime) -> datetime:
    hour = now.replace(minute=0, second=0, microsecond=0)
    today = hour.replace(hour=0)
    match text:
        case "now":
            return now
        case "recent":
            return now - timedelta(minutes=10)
        case "this-hour":
            return hour
        case "today":
            return today
        case "yesterday":
            return today - timedelta(days=1)
        case "this-week":
            # A week begins on Sunday, as ausearch has it.
            return today - timedelta(days=(now.weekday() + 1) % 7)
        case "week-ago":
            return today - timedelta(days=7)
        case "this-month":
            return today.replace(day=1)
        case "this-year":
            return today.replace(month=1, day=1)
    return datetime.fromtimestamp(time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)).astimezone()
