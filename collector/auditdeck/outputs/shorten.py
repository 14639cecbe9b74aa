"""Messages that are too long for a datagram, made shorter without losing their form."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import orjson

LIMITS = ((4096, 256), (1024, 128), (256, 32), (64, 4), (64, 1))
"""Characters of a text and entries of a list that are kept, from one attempt to the next; of an object eight times as
many members."""


def shortened(message: bytes) -> Iterator[bytes]:
    """Ever shorter forms of a message, the last one of some kB at most.

    JSON stays JSON: long texts and lists lose their ends, and say how much. Other text is cut.
    """
    start = message.find(b"{")
    try:
        document = orjson.loads(message[start:]) if start >= 0 else None
    except ValueError:
        document = None
    for text, entries in LIMITS:
        if isinstance(document, dict):
            yield message[:start] + orjson.dumps(cut(document, text, entries))
        else:
            size = text * 8
            if size < len(message):
                yield message[:size] + b" [%d bytes left out]" % (len(message) - size)


def cut(value: Any, text: int, entries: int) -> Any:
    if isinstance(value, dict):
        kept = {name: cut(inner, text, entries) for name, inner in islice(value.items(), entries * 8)}
        return kept | {"shortened": f"{len(value) - len(kept)} members left out"} if len(value) > len(kept) else kept
    if isinstance(value, list):
        first = [cut(inner, text, entries) for inner in value[:entries]]
        return [*first, f"[{len(value) - entries} entries left out]"] if len(value) > entries else first
    if isinstance(value, str) and len(value) > text:
        return f"{value[:text]} [{len(value) - text} characters left out]"
    return value
