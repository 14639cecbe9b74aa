"""The last audit event that an earlier run wrote: what came after it, up to the first that is seen now, was missed."""

from __future__ import annotations

import os
import re
from pathlib import Path

from auditdeck.eventlog.segment import segments

REACH = 4 << 20
"""Bytes that are searched, from the end: documents of connections have no serial."""
# Within a string of JSON these quotes would be escaped, so none of it is a text of the event.
SEQUENCE = re.compile(rb'[{,]"sequence":(\d+)')


def last_serial(folder: Path) -> int | None:
    """The serial of the youngest audit event in the open segment; None if there is none near its end."""
    found = segments(folder)
    if not found or found[-1].compressed:
        return None
    try:
        with open(found[-1].path, "rb") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(0, end - REACH))
            serials = SEQUENCE.findall(file.read())
    except OSError:
        return None
    return max(map(int, serials), default=None)
