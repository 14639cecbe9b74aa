"""Audit logs: auditd's own, and what others made of them, as events."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from os import PathLike, fspath
from typing import BinaryIO

from auditdeck.audit.assembler import TIMEOUT, Assembler, Counts
from auditdeck.audit.event import Event
from auditdeck.audit.ext import Left, native
from auditdeck.audit.log_file import Blocks, open_log
from auditdeck.audit.record import STAMP, Payload, is_foreign, milliseconds, read_any_line

NODES, IN_FLIGHT = 1024, 512
"""Nodes of one log, and events of a node, that are put together at a time."""


@dataclass(slots=True)
class Reading:
    """One audit log being read; lines that are none are counted and the first few shown."""

    name: str
    timeout: float = TIMEOUT
    whole_only: bool = False
    """Not what may go on in what is written later."""
    damaged: int = 0
    first: list[str] = field(default_factory=list)
    counts: Counts = field(default_factory=Counts)
    assemblers: dict[bytes, Assembler] = field(default_factory=dict)
    """One for each node: their clocks differ."""

    def events(self, lines: BinaryIO, *, compiled: bool = True) -> Iterator[Event]:
        for batch in self.batches(lines, compiled=compiled):
            yield from batch

    def batches(self, lines: BinaryIO, *, compiled: bool = True) -> Iterator[list[Event]]:
        number, quick = 0, native() if compiled else None
        blocks = Blocks(lines)
        for block, too_long in blocks:
            if too_long:
                self.damage(block, number + 1)
                number += 1
                continue
            at = 0
            while at < len(block):
                end, taken = quick.read_log(block, at) if quick else (at, None)
                if taken and end > at:
                    yield self.mixed(taken.items, number)
                    number += taken.records
                else:
                    # One line that is too long for the quick way, or all that is there.
                    end = (block.find(b"\n", at) + 1 if quick else 0) or len(block)
                    rest = BytesIO(block[at:end]).readlines()
                    yield self.plain(list(enumerate(rest, number + 1)))
                    number += len(rest)
                at = end
        if blocks.cut:
            self.damaged += 1
            self.first.append(f"{self.name}: it cannot be read any further: {blocks.cut}")
        yield [
            event
            for assembler in self.assemblers.values()
            for event in (assembler.flush(assembler.now) if self.whole_only else assembler.close())
        ]

    def of_node(self, node: bytes, found: list[Event]) -> Assembler:
        """Its assembler; for a new one another may have to go, with what it still has."""
        known = self.assemblers.get(node)
        if known is None:
            if len(self.assemblers) >= NODES:
                found += self.assemblers.pop(next(iter(self.assemblers))).close()
            known = self.assemblers[node] = Assembler(
                log=True, timeout=self.timeout, in_flight=IN_FLIGHT, counts=self.counts
            )
        return known

    def mixed(self, items: list[bytes | Left], number: int) -> list[Event]:
        """Whole events, and the lines that were left over."""
        found, whole, left = list[Event](), list[bytes](), list[tuple[int, bytes]]()
        for item in items:
            if isinstance(item, bytes):
                if left:
                    found += self.plain(left)
                    left.clear()
                whole.append(item)
            else:
                if whole:
                    found += self.whole(whole)
                    whole.clear()
                left.append((number + item[1] + 1, item[2]))
        return found + self.whole(whole) + self.plain(left)

    def whole(self, entries: list[bytes]) -> list[Event]:
        if not entries:
            return []
        now = float(entries[-1].partition(b"\x1f")[0])
        found: list[Event] = []
        assembler = self.of_node(b"", found)
        found += assembler.feed(entries, now)
        return found + assembler.flush(now)

    def plain(self, lines: list[tuple[int, bytes]]) -> list[Event]:
        """From lines with their numbers."""
        found: list[Event] = []
        for node, payloads in self.runs(lines):
            # The log's own clock tells which events waited too long.
            now = milliseconds(payloads[-1][1][6:]) / 1000
            assembler = self.of_node(node, found)
            found += assembler.feed_records(payloads, now, node)
            found += assembler.flush(now)
            for _, payload in assembler.damaged:
                self.damage(payload, 0)
            assembler.damaged.clear()
        return found

    def runs(self, lines: list[tuple[int, bytes]]) -> Iterator[tuple[bytes, list[Payload]]]:
        """The records of a stretch of lines that name the same node."""
        current, payloads = b"", list[Payload]()
        for number, line in lines:
            found = read_any_line(line)
            if found is None or not STAMP.match(found[2], 6):
                if line.strip() and not is_foreign(line):
                    self.damage(line, number)
                continue
            node, kind, payload = found
            if node != current:
                if payloads:
                    yield current, payloads
                current, payloads = node, []
            payloads.append((kind, payload))
        if payloads:
            yield current, payloads

    def damage(self, line: bytes, number: int) -> None:
        self.damaged += 1
        if len(self.first) < 3:
            shown = line[:60].decode("utf-8", "backslashreplace").rstrip()
            where = f"{self.name}:{number}" if number else self.name
            self.first.append(f"{where}: this is not an audit record: {shown!r}")


def read_log(path: str | PathLike[str]) -> Iterator[Event]:
    """The events of a log (also .gz; "-" is standard input) in the order in which they became complete.

    Lines that are not audit records are passed over; `Reading` counts them. Raises AuditdeckError.
    """
    name = fspath(path)
    with open_log(name) as lines:
        yield from Reading(name).events(lines)
