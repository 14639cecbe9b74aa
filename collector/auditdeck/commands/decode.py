"""`auditdeck decode`: an audit log in, documents out."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import click

from auditdeck.commands.options import Shared, shared
from auditdeck.documents.context import Context, offline_context
from auditdeck.documents.fast import Encoder
from auditdeck.errors import AuditdeckError
from auditdeck.events.assembler import Assembler
from auditdeck.events.event import Event
from auditdeck.events.record import STAMP, Payload, milliseconds, read_line
from auditdeck.native import Left, native

BATCH = 1 << 20


@dataclass(slots=True)
class Reading:
    """One audit log being read; lines that are none are counted and the first few shown."""

    name: str
    damaged: int = 0
    first: list[str] = field(default_factory=list)
    assembler: Assembler = field(default_factory=lambda: Assembler(log=True))

    def events(self, lines: BinaryIO, *, compiled: bool = True) -> Iterator[Event]:
        number, quick = 0, native() if compiled else None
        while block := lines.read(BATCH) + lines.readline():
            at = 0
            while at < len(block):
                end, taken = quick.read_log(block, at) if quick else (at, None)
                if taken and end > at:
                    yield from self.mixed(taken.items, number)
                    number += taken.records
                else:
                    # One line that is too long for the quick way, or all that is there.
                    end = block.find(b"\n", at) + 1 if quick else 0
                    rest = BytesIO(block[at : end or len(block)]).readlines()
                    yield from self.plain(list(enumerate(rest, number + 1)))
                    number += len(rest)
                    end = end or len(block)
                at = end
        yield from self.assembler.close()

    def mixed(self, items: list[bytes | Left], number: int) -> Iterator[Event]:
        """Whole events, and the lines that were left over."""
        whole, left = list[bytes](), list[tuple[int, bytes]]()
        for item in items:
            if isinstance(item, bytes):
                yield from self.plain(left)
                left.clear()
                whole.append(item)
            else:
                yield from self.whole(whole)
                whole.clear()
                left.append((number + item[1] + 1, item[2]))
        yield from self.whole(whole)
        yield from self.plain(left)

    def whole(self, entries: list[bytes]) -> Iterator[Event]:
        if entries:
            now = float(entries[-1].partition(b"\x1f")[0])
            yield from self.assembler.feed_mixed(entries, now)
            yield from self.assembler.flush(now)

    def plain(self, lines: list[tuple[int, bytes]]) -> Iterator[Event]:
        """From lines with their numbers."""
        for node, payloads in self.runs(lines):
            # The log's own clock tells which events waited too long.
            now = milliseconds(payloads[-1][1][6:]) / 1000 if payloads else 0.0
            yield from self.assembler.feed(payloads, now, node)
            yield from self.assembler.flush(now)
            for _, payload in self.assembler.damaged:
                self.damage(payload, 0)
            self.assembler.damaged.clear()

    def runs(self, lines: list[tuple[int, bytes]]) -> Iterator[tuple[bytes, list[Payload]]]:
        """The records of a stretch of lines that name the same node."""
        current, payloads = b"", list[Payload]()
        for number, line in lines:
            found = read_line(line)
            if found is None or not STAMP.match(found[2], 6):
                if line.strip():
                    self.damage(line, number)
                continue
            node, kind, payload = found
            if node != current:
                yield current, payloads
                current, payloads = node, []
            payloads.append((kind, payload))
        yield current, payloads

    def damage(self, line: bytes, number: int) -> None:
        self.damaged += 1
        if len(self.first) < 3:
            shown = line[:60].decode("utf-8", "backslashreplace").rstrip()
            where = f"{self.name}:{number}" if number else self.name
            self.first.append(f"{where}: no audit record: {shown!r}")


def open_log(name: str) -> BinaryIO:
    if name == "-":
        return sys.stdin.buffer
    try:
        if name.endswith(".gz"):
            from isal import igzip

            stream: BinaryIO = igzip.open(name, "rb")
            return stream
        return open(name, "rb")
    except OSError as error:
        raise AuditdeckError(f"cannot read {name}: {error.strerror}") from error


def report_damage(reading: Reading, shared: Shared) -> None:
    if reading.damaged:
        for line in reading.first:
            shared.say(line)
        click.echo(f"{reading.name}: {reading.damaged:,} damaged lines", err=True)


def documents(reading: Reading, lines: BinaryIO, context: Context, *, original: bool) -> Iterator[bytes]:
    encoder = Encoder(context, original=original, socket_events=True)
    for event in reading.events(lines):
        yield encoder.encode(event)


@click.command("decode")
@click.argument("file", default="-")
@click.option("--original", is_flag=True, help="Keep the records in event.original.")
@shared
def command(shared: Shared, file: str, original: bool) -> int:
    """Decode an audit log (FILE, FILE.gz, or - for standard input) into one JSON document a line.

    Raw and enriched logs of auditd, and records as ausearch --raw prints them. Exit status: 0 if all was read, 3 if
    some lines were damaged, 4 if no record was found at all.
    """
    reading = Reading("standard input" if file == "-" else Path(file).name)
    out = sys.stdout.buffer
    with open_log(file) as lines:
        for line in documents(reading, lines, offline_context(shared.settings), original=original):
            out.write(line + b"\n")
    out.flush()
    report_damage(reading, shared)
    if not reading.assembler.counts.events:
        shared.say(f"{reading.name}: no audit record found")
        return 4
    return 3 if reading.damaged else 0
