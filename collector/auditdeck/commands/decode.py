"""`auditdeck decode`: an audit log in, documents out."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import click
import orjson

from auditdeck.commands.options import Shared, shared
from auditdeck.documents.context import Context, offline_context
from auditdeck.documents.ecs import document
from auditdeck.errors import AuditdeckError
from auditdeck.events.assembler import Assembler, Event
from auditdeck.events.record import parse_line


@dataclass(slots=True)
class Reading:
    """One audit log being read; lines that are none are counted and the first few shown."""

    name: str
    damaged: int = 0
    first: list[str] = field(default_factory=list)
    assembler: Assembler = field(default_factory=lambda: Assembler(gaps=False, timeout=float("inf")))

    def events(self, lines: BinaryIO) -> Iterator[Event]:
        for number, line in enumerate(lines, 1):
            record = parse_line(line)
            if record is not None:
                yield from self.assembler.feed(record)
            elif line.strip():
                self.damaged += 1
                if len(self.first) < 3:
                    shown = line[:60].decode("utf-8", "backslashreplace").rstrip()
                    self.first.append(f"{self.name}:{number}: no audit record: {shown!r}")
        yield from self.assembler.close()


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
    for event in reading.events(lines):
        yield orjson.dumps(document(event, context, original=original))


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
        for line in documents(reading, lines, offline_context(), original=original):
            out.write(line + b"\n")
    out.flush()
    report_damage(reading, shared)
    if not reading.assembler.counts.events:
        shared.say(f"{reading.name}: no audit record found")
        return 4
    return 3 if reading.damaged else 0
