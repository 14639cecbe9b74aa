"""Points in time as people write them, in all commands alike: those of ausearch(8), and a few more.

They are local times, unless they name a zone. Where clocks are put back, an hour that comes twice is the first of the
two; where they are put forward, an hour that is left out is the one after (02:30 is 03:30), as ausearch has it.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

from auditdeck.settings.kinds import duration

WORDS = "now, recent, this-hour, today, yesterday, this-week, week-ago, this-month, this-year, boot"
DATES = ("%Y-%m-%d", "%m/%d/%Y", "%m/%d/%y")
CLOCKS = ("%H:%M:%S", "%H:%M")


def moment(text: str, now: datetime | None = None, *, end: bool = False) -> datetime:
    """A word, a date, a time of today, both, RFC 3339 or a span back from now, in UTC. Raises ValueError.

    A day is its beginning. With `end`, as ausearch's -te has it, today is now, and another day its time of day that it
    is now.
    """
    now = now or datetime.now(UTC)
    text = "now" if end and text.strip() == "today" else text.strip()
    try:
        if text in WORDS.split(", "):
            return word(text, now)
        if text[-1:].isalpha() and text[:1].isdigit() and "T" not in text:
            return now - timedelta(seconds=duration(text))
        return in_utc(written(text, now.astimezone(), end=end))
    except (ValueError, OverflowError):
        raise ValueError(
            f"{text!r} is not a valid time; use 7d, 12h, 2026-11-23, 11/23/2026, 12:00, a date and a time, "
            f"2026-11-23T12:00:00Z, or {WORDS.replace(', boot', ' or boot')}"
        ) from None


def written(text: str, now: datetime, *, end: bool) -> datetime:
    """`now` is local, and so is what names no zone."""
    for date in DATES:
        for clock in ("", *CLOCKS):
            try:
                found = datetime.strptime(text, f"{date} {clock}".strip())
            except ValueError:
                continue
            return datetime.combine(found, now.time().replace(microsecond=0)) if end and not clock else found
    for clock in CLOCKS:
        try:
            return datetime.combine(now, datetime.strptime(text, clock).time())
        except ValueError:
            continue
    return datetime.fromisoformat(text)


def word(text: str, now: datetime) -> datetime:
    match text:
        case "now":
            return now
        case "recent":
            return now - timedelta(minutes=10)
        case "this-hour":
            return in_utc(now.astimezone().replace(minute=0, second=0, microsecond=0))
        case "boot":
            return datetime.fromtimestamp(time.time() - time.clock_gettime(time.CLOCK_BOOTTIME), UTC)
    today = now.astimezone().date()
    day = {
        "today": today,
        "yesterday": today - timedelta(days=1),
        # A week begins on Sunday, as ausearch has it.
        "this-week": today - timedelta(days=today.isoweekday() % 7),
        "week-ago": today - timedelta(days=7),
        "this-month": today.replace(day=1),
        "this-year": today.replace(month=1, day=1),
    }[text]
    # A day begins when its clocks show midnight, whatever their offset is now.
    return in_utc(datetime(day.year, day.month, day.day))


def in_utc(local: datetime) -> datetime:
    """Not by astimezone(), which takes an hour that is left out for the one before."""
    return datetime.fromtimestamp(local.timestamp(), UTC)


def window(since: datetime, until: datetime) -> str:
    """In local time, with the zone; with both where clocks were changed between."""
    begin, end = since.astimezone(), until.astimezone()
    zone = "" if begin.tzname() == end.tzname() else f" {begin:%Z}"
    return f"{begin:%Y-%m-%d %H:%M}{zone} to {end:%Y-%m-%d %H:%M %Z}"
