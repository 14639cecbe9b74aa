"""`auditdeck import`: old audit logs into the event log."""

from __future__ import annotations

from pathlib import Path

import click

from auditdeck.audit.log import Reading, open_log
from auditdeck.cli.decode import report_damage
from auditdeck.cli.options import Shared, print_json, shared
from auditdeck.ecs.context import offline_context
from auditdeck.ecs.log import document_batches
from auditdeck.eventlog.chain import read_key
from auditdeck.eventlog.segment import EVENTS, segment_path
from auditdeck.eventlog.writer import Limits, Writer, compress
from auditdeck.query.compaction import compact, parquet_path


@click.command("import")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--original", is_flag=True, help="Keep the records in event.original.")
@shared
def command(shared: Shared, files: tuple[str, ...], original: bool) -> int:
    """Put old audit logs (raw or enriched, plain or .gz, - for standard input) into the event log.

    The report then counts them at their own time. Give the oldest file first. Not while a collector runs on the same
    data directory. A log that is imported twice is counted twice.
    """
    log = shared.settings.event_log
    context = offline_context(shared.settings)
    total = damaged = 0
    with Writer(
        shared.data_dir / EVENTS, Limits(log.segment_size, log.segment_age), read_key(log.sign_key_file)
    ) as writer:
        for file in files:
            reading = Reading("standard input" if file == "-" else file)
            with open_log(file) as lines:
                for batch in document_batches(reading, lines, context, original=original):
                    writer.append(batch)
                    if writer.due():
                        pack(shared.data_dir, writer.rotate())
            report_damage(reading, shared)
            total += reading.counts.events
            damaged += reading.damaged
        if writer.size:
            pack(shared.data_dir, writer.rotate())
    if shared.json:
        print_json({"events": total, "damaged": damaged})
    else:
        shared.say(f"{total:,} events imported into {shared.settings.data_dir}")
    return 3 if damaged else 0


def pack(data_dir: Path, number: int) -> None:
    """Compresses and compacts a closed segment, as a running collector does beside its work."""
    events = data_dir / EVENTS
    compress(events, number)
    compact(segment_path(events, number).with_suffix(".ndjson.gz"), parquet_path(data_dir, number))
