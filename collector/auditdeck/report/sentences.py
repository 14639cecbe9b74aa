"""The numbers of an answer in words, the same in the terminal and on the page."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from auditdeck.query.times import window

LOST = {
    "kernel_lost": "records lost by the kernel",
    "gaps": "gaps in the kernel's numbering",
    "dropped": "documents dropped from the event log",
    "damaged": "damaged",
    "ring_lost": "connections lost because the ring buffer was full",
    "unjoined": "parts of connections that do not fit together",
}
"""What the names of `quality` mean, of those that change what was counted."""
HOLES = 3
"""Times that nobody watched, of which so many are named."""
NONE = {
    "login": "unset",
    "container": "(host)",
    "unit": "(no unit)",
}
"""What stands for those that have none; "?" for all else."""
UNITS = ("B", "kB", "MB", "GB", "TB", "PB", "EB")


def counted(number: int) -> str:
    """What the number is of."""
    return "outbound TCP connection" if number == 1 else "outbound TCP connections"


def losses(quality: dict[str, int]) -> str:
    """What was lost, in words; "" if nothing was."""
    return ", ".join(f"{quality[name]:,} {words}" for name, words in LOST.items() if quality.get(name))


def coverage(found: dict[str, Any]) -> str:
    """For how much of the time somebody watched, and when nobody did; "" if all of it was watched."""
    if not found["hosts"]:
        return "No collector reported in this time: what is missing is not known."
    unwatched = sum(host["unwatched_seconds"] for host in found["hosts"])
    switched = f"For {unwatched:,.0f} s audit was switched off, or rules were missing." if unwatched >= 0.5 else ""
    if all(not host["not_watched"] for host in found["hosts"]):
        return switched
    holes = [(hole["since"], hole["until"], host["host"]) for host in found["hosts"] for hole in host["not_watched"]]
    several = len(found["hosts"]) > 1
    text = f"Watched {hours(found['watched_hours'])} of {hours(found['hours'])} hours"
    if several:
        text += f" (mean of {len(found['hosts'])} hosts)"
    shown = [
        f"from {window(datetime.fromisoformat(since), datetime.fromisoformat(until))}"
        + (f" ({host})" if several else "")
        for since, until, host in holes[:HOLES]
    ]
    if shown:
        text += f"; not {', '.join(shown)}"
    text += f" and {len(holes) - HOLES} more times" if len(holes) > HOLES else ""
    return f"{text}. {switched}".rstrip()


def hours(number: float) -> str:
    """With as many digits as it takes to tell them apart."""
    return f"{number:.0f}" if number >= 100 else f"{number:.1f}" if number >= 1 else f"{number:.3f}"


def not_counted(totals: dict[str, Any]) -> str:
    """Attempts that were not established, by what became of them; "" if there are none."""
    reasons = ", ".join(f"{number:,} {reason}" for reason, number in totals["failed_by"].items() if number)
    numbers = {
        f"failed ({reasons})" if reasons else "failed": totals["failed"],
        "unresolved": totals["unresolved"],
        "of unknown transport": totals["unknown_transport"],
    }
    parts = ", ".join(f"{number:,} {what}" for what, number in numbers.items() if number)
    return f"Not counted: {parts}" if parts else ""


def moved(totals: dict[str, Any]) -> str:
    """Bytes, destinations and what is open."""
    number = totals["destinations"]
    text = f"{size(totals['bytes_sent'])} sent, {size(totals['bytes_received'])} received"
    text += f", {number:,} {'destination' if number == 1 else 'destinations'}"
    if totals["open_now"] is not None:
        text += f", {totals['open_now']:,} open now"
    return text


def size(number: int) -> str:
    """Bytes with three digits: 999 B, 12.3 MB."""
    value, unit = float(number), 0
    while value >= 999.5 and unit < len(UNITS) - 1:
        value, unit = value / 1000, unit + 1
    if unit == 0:
        return f"{number} B"
    return f"{value:.{2 if value < 9.995 else 1 if value < 99.95 else 0}f} {UNITS[unit]}"


def percent(share: float) -> str:
    return f"{share:.1%}"
