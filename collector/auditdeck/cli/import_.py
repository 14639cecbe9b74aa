"""`auditdeck import`: old audit logs into the event log."""

from __future__ import annotations

import hashlib
import logging
import stat
import time
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, cast

import click

from auditdeck.audit.log import Reading
from auditdeck.audit.log_file import open_log
from auditdeck.cli.decode import report_damage
from auditdeck.cli.options import Shared, print_json, shared
from auditdeck.ecs.context import offline_context
from auditdeck.ecs.log import document_batches
from auditdeck.errors import AuditdeckError, StoreError
from auditdeck.eventlog import staged
from auditdeck.eventlog.chain import read_key
from auditdeck.eventlog.segment import EVENTS, segment_path
from auditdeck.eventlog.sharing import share_with
from auditdeck.eventlog.staged import Imported
from auditdeck.eventlog.writer import Limits, Writer, compress
from auditdeck.packages import has
from auditdeck.query.compaction import compact, parquet_path
from auditdeck.settings.kinds import group_number

logger = logging.getLogger("auditdeck")


class Hashed:
    """A stream that can be read once, with the hash of what was read."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream = stream
        self.sha256 = hashlib.sha256()

    def read(self, size: int) -> bytes:
        data = self.stream.read(size)
        self.sha256.update(data)
        return data


@click.command("import")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--original", is_flag=True, help="Keep the records in event.original.")
@click.option("--again", is_flag=True, help="Also logs that were imported before: their events are then there twice.")
@shared
def command(shared: Shared, files: tuple[str, ...], original: bool, again: bool) -> int:
    """Put old audit logs (raw or enriched, plain or .gz, - for standard input) into the event log: all, or none.

    The report then counts them at their own time. Give the oldest file first. Not while a collector runs on the same
    data directory. A log that was imported before, with the same bytes, is left out. Exit status 3 if lines were
    damaged, or a log could not be read to its end.
    """
    log = shared.settings.event_log
    data_dir = shared.data_dir
    hashes = {file: hash_of(file) for file in files}
    limits = Limits(log.segment_size, log.segment_age)
    try:
        group = group_number(log.group)
        share_with(data_dir, group)
        with Writer(data_dir / EVENTS, limits, read_key(log.sign_key_file), group) as writer:
            pack(data_dir, staged.finish(data_dir, writer))
            known = {} if again else staged.imported(data_dir)
            try:
                logs, damaged = stage(shared, hashes, known, limits, original=original)
            except BaseException:
                staged.discard(data_dir)
                raise
            staged.complete(data_dir, logs)
            pack(data_dir, staged.finish(data_dir, writer))
    except OSError as error:
        raise StoreError(f"cannot import into {data_dir}: {error}", "see the disk; nothing is there twice") from error
    total = sum(log.events for log in logs)
    if shared.json:
        print_json({"events": total, "damaged": damaged})
    else:
        shared.say(f"{total:,} events imported into {shared.settings.data_dir}")
    return 3 if damaged else 0


def hash_of(file: str) -> str:
    """Of its bytes; "" if they can be read only once. Raises AuditdeckError if it cannot be read."""
    if file == "-":
        return ""
    try:
        if not stat.S_ISREG(Path(file).stat().st_mode):
            return ""
        with open(file, "rb") as lines:
            return hashlib.file_digest(lines, "sha256").hexdigest()
    except OSError as error:
        message = f"cannot read {file}: {error.strerror}"
        raise AuditdeckError(message, "nothing was imported; name the others without it") from error


def stage(
    shared: Shared, hashes: dict[str, str], known: dict[str, Imported], limits: Limits, *, original: bool
) -> tuple[list[Imported], int]:
    """The logs, written apart, and how many lines were damaged. Raises AuditdeckError and OSError."""
    context = offline_context(shared.settings)
    folder = staged.begin(shared.data_dir)
    logs, damaged = list[Imported](), 0
    with Writer(folder, limits) as writer:
        for file, sha256 in hashes.items():
            if sha256 in known:
                when = datetime.fromtimestamp(known[sha256].time).astimezone()
                shared.say(f"{file}: imported before ({when:%Y-%m-%d %H:%M %Z}); left out, unless with --again")
                continue
            reading = Reading("standard input" if file == "-" else file)
            with open_log(file) as stream:
                hashed = Hashed(stream)
                for batch in document_batches(reading, cast("BinaryIO", hashed), context, original=original):
                    writer.append(batch)
                    if writer.due():
                        compress(folder, writer.rotate())
            report_damage(reading, shared)
            sha256 = sha256 or hashed.sha256.hexdigest()
            if sha256 in known:
                raise StoreError(f"what {reading.name} gave was imported before", "use --again to import it twice")
            logs.append(Imported(file, sha256, reading.counts.events, time.time()))
            damaged += reading.damaged
        if writer.size:
            compress(folder, writer.rotate())
    return logs, damaged


def pack(data_dir: Path, numbers: list[int]) -> None:
    """Compacts segments, as a running collector does beside its work."""
    if not has("duckdb"):
        return
    import duckdb

    for number in numbers:
        source = segment_path(data_dir / EVENTS, number).with_suffix(".ndjson.gz")
        try:
            compact(source, parquet_path(data_dir, number))
        except (OSError, duckdb.Error) as error:
            logger.warning("segment %d could not be compacted; the report reads it as it is: %s", number, error)
