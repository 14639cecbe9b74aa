"""The event log on disk: append-only segments of newline-delimited JSON, numbered in order.

    events/0000000001.ndjson.gz     closed and compressed: zcat … | jq .
    events/0000000002.ndjson        open: what is being written

A line is a document. A segment is closed by size or age, and compressed; the name never changes but for its ending.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from auditdeck.eventlog.packed import OnDamage, pieces

EVENTS, PARQUET = "events", "parquet"
"""Folders of a data directory: the segments, and the same as columns under the same numbers."""
NAME = re.compile(r"(\d{10})\.ndjson(\.gz)?\Z")


@dataclass(frozen=True, slots=True, order=True)
class Segment:
    """`number` counts from 1; `compressed` segments are closed for good."""

    number: int
    compressed: bool
    path: Path


def segment_path(folder: Path, number: int) -> Path:
    return folder / f"{number:010d}.ndjson"


def segments(folder: Path) -> list[Segment]:
    """All segments in order; one that is just being compressed stands once, as it was before."""
    found: dict[int, Segment] = {}
    try:
        names = list(folder.iterdir())
    except FileNotFoundError:
        return []
    for path in names:
        match = NAME.match(path.name)
        if match:
            number = int(match[1])
            segment = Segment(number, bool(match[2]), path)
            if number not in found or segment.compressed:
                found[number] = segment
    return [found[number] for number in sorted(found)]


def blocks_of(segment: Segment, on_damage: OnDamage | None = None) -> Iterator[bytes]:
    """Its documents in blocks that end with a line, but for what is torn at the end.

    What is damaged in a compressed one is passed over and told; without `on_damage` it raises what gz.DAMAGED names.
    """
    begun: list[bytes] = []
    for _, piece in pieces(segment.path, on_damage) if segment.compressed else plain_pieces(segment.path):
        head, newline, tail = piece.rpartition(b"\n")
        if newline:
            yield b"".join([*begun, head, newline])
            begun.clear()
        if tail:
            begun.append(tail)
    if begun:
        yield b"".join(begun)


def plain_pieces(path: Path) -> Iterator[tuple[int, bytes]]:
    """With their offsets, as packed.pieces gives them."""
    with open(path, "rb") as file:
        while piece := file.read(1 << 20):
            yield file.tell() - len(piece), piece
