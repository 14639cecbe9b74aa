"""Whether the event log is as it was written: closed segments by the chain of hashes, the open one by its marks."""

from __future__ import annotations

import contextlib
import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from auditdeck.eventlog.chain import (
    CHAIN,
    NOTHING,
    Compared,
    Entry,
    Mark,
    chain_lines,
    compare,
    decoded,
    hashes_at,
    linked,
    linked_expiry,
    marks_path,
    read_chain,
    read_marks,
    signature,
)
from auditdeck.eventlog.segment import Segment, blocks_of, segments
from auditdeck.gz import DAMAGED

REPEATS = 3
"""Times that a log is looked at which is closed, compressed or deleted at the same time."""


HEAD = re.compile(r"\b(\d{1,10}):(\d{1,12}):([0-9a-f]{64})\b")


class Head(NamedTuple):
    """`SEGMENT:LINES:HASH`: the chain's hash with the first lines of a segment at its end."""

    segment: int
    lines: int
    chain: str


@dataclass(frozen=True, slots=True)
class Problem:
    """`segment` is None for the chain itself; `lines`: the first and last line between which the change begins."""

    text: str
    segment: int | None = None
    lines: tuple[int, int] | None = None


@dataclass(slots=True)
class Verification:
    """`segments` and `lines` that agree; `not_covered` segments were written before there was a chain, `not_yet` lines
    after the last mark. `head`: `SEGMENT:LINES:HASH` of the last entry (collector/health.py has that of the minute)."""

    segments: int = 0
    lines: int = 0
    not_covered: list[int] = field(default_factory=list)
    not_yet: int = 0
    unsigned: int = 0
    heads: int = 0
    head: str = ""
    problems: list[Problem] = field(default_factory=list)


def heads_in(text: str) -> list[Head]:
    """Those that stand in a text of any form, such as an answer of Elasticsearch."""
    return sorted({Head(int(segment), int(lines), chain) for segment, lines, chain in HEAD.findall(text)})


def verify(folder: Path, key: bytes | None = None, heads: Iterable[Head] = ()) -> Verification:
    """Also while a collector writes. `heads` are those that were kept elsewhere. Raises OSError."""
    for _ in range(REPEATS):
        before = state(folder)
        found = Verifier(folder, key, heads).verify()
        if not found.problems or state(folder) == before:
            break
    return found


def state(folder: Path) -> object:
    """Something that changes when the log is written, or segments of it are closed or deleted."""
    found = segments(folder)
    with contextlib.suppress(FileNotFoundError):
        return chain_lines(folder), found, found[-1].path.stat().st_size if found else 0
    return object()


def was_written(segment: Segment) -> bool:
    """Whether a writer has put lines into it."""
    try:
        return marks_path(segment.path).exists() and (segment.compressed or segment.path.stat().st_size > 0)
    except FileNotFoundError:
        return True


class Verifier:
    def __init__(self, folder: Path, key: bytes | None, heads: Iterable[Head]) -> None:
        self.folder = folder
        self.key = key
        self.heads = list(heads)
        self.found = Verification()
        self.entries: dict[int, Entry] = {}
        self.expired = 0
        self.before: dict[int, list[str]] = {}
        """What the chain's hash was while a segment was written: more than one if others were deleted meanwhile."""
        self.now = [NOTHING]
        """The same of the open segment."""
        self.hashes: dict[str, int] = {}
        """Of the documents of segments, by hash, the first that has them."""

    def wrong(self, text: str, segment: int | None = None, lines: tuple[int, int] | None = None) -> None:
        self.found.problems.append(Problem(text, segment, lines))

    def verify(self) -> Verification:
        began = (self.folder / CHAIN).exists()
        self.read_chain()
        there = {segment.number: segment for segment in segments(self.folder)}
        last = max(self.entries, default=0)
        for known in self.entries.values():
            self.hashes.setdefault(known.sha256, known.segment)
        for number in sorted({*there, *(n for n in self.entries if n > self.expired)}):
            entry, segment = self.entries.get(number), there.get(number)
            if segment is None:
                self.wrong(f"segment {number} is missing", number)
            elif entry is not None:
                self.closed(segment, entry)
            elif number > last and began:
                self.unclosed(segment, [later for later in there.values() if later.number > number])
            elif self.entries and number > min(self.entries):
                self.added(segment)
            elif (began or number < max(there)) and read_marks(segment.path):
                self.wrong(f"the entry of segment {number} is missing: it was written with a chain", number)
            else:
                self.found.not_covered.append(number)
        self.compare_heads(there)
        return self.found

    def read_chain(self) -> None:
        head, signed = NOTHING, False
        for number, line in enumerate(chain_lines(self.folder), 1):
            try:
                entry = decoded(line)
            except ValueError:
                self.wrong(f"line {number} of {CHAIN} was changed: it is not an entry")
                continue
            what = f"of segment {entry.segment} (line {number} of {CHAIN})"
            if entry.expired:
                made = linked_expiry(entry.previous, entry.segment)
            else:
                made = linked(entry.previous, entry.segment, entry.lines, entry.sha256)
            if made != entry.chain:
                self.wrong(f"the entry {what} was changed", entry.segment)
            elif entry.previous != head:
                gone = "an entry before it was removed, added or moved"
                self.wrong(f"the entry {what} does not follow the one before: {gone}", entry.segment)
            if not entry.expired and entry.segment in self.entries:
                self.wrong(f"the entry {what} is there twice", entry.segment)
            if self.key:
                if entry.hmac and not hmac.compare_digest(
                    entry.hmac.encode(), signature(self.key, entry.chain).encode()
                ):
                    self.wrong(f"the signature of the entry {what} is not that of the key", entry.segment)
                elif signed and not entry.hmac:
                    self.wrong(f"the entry {what} is not signed, and the one before is", entry.segment)
                signed = bool(entry.hmac)
            head = entry.chain
            self.found.unsigned += not entry.hmac
            if entry.expired:
                self.expired = max(self.expired, entry.segment)
                self.now.append(head)
            else:
                self.entries[entry.segment] = entry
                self.before[entry.segment], self.now = self.now, [head]
                self.found.head = f"{entry.segment}:{entry.lines}:{head}"
        if self.key and not signed:
            self.wrong(f"the end of {CHAIN} is not signed")

    def closed(self, segment: Segment, entry: Entry) -> None:
        marks = read_marks(segment.path) or []
        result = self.compared(segment, marks)
        if result is None:
            return
        if (result.lines, result.sha256, result.torn) == (entry.lines, entry.sha256, False):
            self.found.segments += 1
            self.found.lines += result.lines
            return
        twin = self.hashes.get(result.sha256)
        if twin is not None and result.lines:
            self.wrong(f"segment {segment.number} has the events of segment {twin}: it was renamed or copied",
                       segment.number)  # fmt: skip
            return
        end = Mark(entry.lines, entry.sha256, end=True)
        if result.bad is None or not any(mark[:2] == end[:2] for mark in marks):
            # The marks do not know better than the entry.
            bad = (1, max(entry.lines, result.lines)) if result.lines == entry.lines else None
            bad = bad or (min(entry.lines, result.lines) + 1, max(entry.lines, result.lines))
        else:
            bad = result.bad
        self.changed(segment.number, entry.lines, result, bad)

    def changed(self, number: int, lines: int | None, result: Compared, bad: tuple[int, int]) -> None:
        """`lines` that the segment had; None if that is not known."""
        difference = result.lines - lines if lines is not None else None
        if difference is None:
            what = "an event was edited, moved, removed or added"
        elif difference == 0:
            what = "an event was edited or moved"
        else:
            what = f"{abs(difference):,} {'event was' if abs(difference) == 1 else 'events were'} "
            what += "added" if difference > 0 else "removed"
        where = f"at line {bad[0]:,}" if bad[0] == bad[1] else f"between lines {bad[0]:,} and {bad[1]:,}"
        self.wrong(f"segment {number} was changed, first {where}: {what}", number, bad)

    def unclosed(self, segment: Segment, later: list[Segment]) -> None:
        """The open segment, or one that was just closed, or was when a crash came: there is nothing after it then."""
        if any(map(was_written, later)) and segment.number not in {entry.segment for entry in read_chain(self.folder)}:
            self.wrong(f"the entry of segment {segment.number} is missing at the end of {CHAIN}", segment.number)
        marks = read_marks(segment.path)
        if marks is None:
            if not later and not segment.compressed and not segment.path.stat().st_size:
                return
            self.added(segment)
            return
        result = self.compared(segment, marks)
        if result is None:
            return
        if result.bad is not None:
            end = marks[-1]
            self.changed(segment.number, end.lines if end.end or end.lines > result.lines else None, result, result.bad)
            return
        self.found.segments += 1
        self.found.lines += result.lines
        self.found.not_yet += result.lines - result.good

    def added(self, segment: Segment) -> None:
        result = self.compared(segment, [])
        if result is None:
            return
        twin = self.hashes.get(result.sha256)
        of = f", a copy of segment {twin}" if twin is not None and result.lines else ""
        self.wrong(f"segment {segment.number} was added{of}: it has no entry and no marks", segment.number)

    def compared(self, segment: Segment, marks: list[Mark]) -> Compared | None:
        """None if it cannot be read, which is noted."""
        try:
            try:
                return compare(blocks_of(segment), marks)
            except FileNotFoundError:
                # Compressed in this moment.
                packed = segment.path.with_suffix(".ndjson.gz")
                return compare(blocks_of(Segment(segment.number, compressed=True, path=packed)), marks)
        except DAMAGED as error:
            self.wrong(f"segment {segment.number} is damaged: {error or type(error).__name__}", segment.number)
            return None

    def compare_heads(self, there: dict[int, Segment]) -> None:
        for number in sorted({head.segment for head in self.heads}):
            heads = [head for head in self.heads if head.segment == number]
            entry = self.entries.get(number)
            made = {entry.lines: entry.sha256} if entry else {}
            if number in there:
                try:
                    made |= hashes_at(blocks_of(there[number]), [head.lines for head in heads])
                except DAMAGED:
                    continue
            elif number <= self.expired:
                heads = [head for head in heads if head.lines in made]
            for head in heads:
                sha256 = made.get(head.lines, "")
                links = (linked(before, number, head.lines, sha256) for before in self.before.get(number, self.now))
                if head.chain not in links:
                    text = (
                        f"the head {number}:{head.lines} that was kept elsewhere does not fit: the log was written anew"
                    )
                    self.wrong(text, number)
                    return
                self.found.heads += 1
