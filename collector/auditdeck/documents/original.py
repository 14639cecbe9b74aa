"""event.original in a line of the event log, found without reading the line's JSON."""

from __future__ import annotations

START, END, BETWEEN = b',"original":"', b'"},"host":{', b'","'


def place_of(line: bytes) -> tuple[int, int] | None:
    """Where its text begins and ends between the quotes; None if the line has none, or not as documents are written.

    It is the last field of `event`, and `host` follows. What stands in a string cannot be taken for the names and
    quotes around it: there a quote has a backslash before it.
    """
    end = line.find(END)
    start = line.rfind(START, 0, max(end, 0)) + len(START)
    return (start, end) if start >= len(START) and line.find(BETWEEN, start, end) < 0 else None
