"""event.original in a line of the event log, found without reading the line's JSON."""

from __future__ import annotations

START, END = b',"original":"', b'"},"host":{'


def place_of(line: bytes) -> tuple[int, int] | None:
    """Where its text begins and ends between the quotes; None if the line has none, or not as documents are written.

    It is the last field of `event`, and `host` follows. What stands in a string cannot be taken for either: there a
    quote has a backslash before it.
    """
    end = line.find(END)
    start = line.rfind(START, 0, max(end, 0)) + len(START)
    return (start, end) if start >= len(START) else None
