"""`auditdeck decode`: an audit log in, documents out."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from auditdeck.audit.log import Reading
from auditdeck.audit.log_file import open_log
from auditdeck.cli.options import Shared, shared
from auditdeck.ecs.context import offline_context
from auditdeck.ecs.log import document_batches


def report_damage(reading: Reading, shared: Shared) -> None:
    if reading.damaged:
        for line in reading.first:
            shared.say(line)
        click.echo(f"{reading.name}: {reading.damaged:,} damaged lines", err=True)


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
        for batch in document_batches(reading, lines, offline_context(shared.settings), original=original):
            if batch:
                out.write(b"\n".join(batch) + b"\n")
    out.flush()
    report_damage(reading, shared)
    if not reading.counts.events:
        shared.say(f"{reading.name}: no audit record found")
        return 4
    return 3 if reading.damaged else 0
