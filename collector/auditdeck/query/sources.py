"""Where events are looked for: the event log, or logs of auditd."""

from __future__ import annotations

import itertools
import logging
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import orjson

from auditdeck.audit.assembler import TIMEOUT
from auditdeck.audit.log import Reading
from auditdeck.audit.log_file import open_log
from auditdeck.ecs.context import Context, offline_context
from auditdeck.ecs.log import documents
from auditdeck.errors import StoreError
from auditdeck.eventlog.packed import OnDamage
from auditdeck.eventlog.segment import EVENTS, Segment, blocks_of, segments
from auditdeck.private_file import require_readable
from auditdeck.query.line import document
from auditdeck.query.search import FoundEvent, Query
from auditdeck.settings.model import Settings

logger = logging.getLogger("auditdeck")

PREFIX = b'{"@timestamp":"'
STAMP = slice(len(PREFIX), len(PREFIX) + 24)
AUDITD, LOG = Path("/etc/audit/auditd.conf"), "/var/log/audit/audit.log"
NOT_AUDIT = b'"module":"auditdeck"'


def find(
    settings: Settings,
    query: Query,
    logs: Sequence[str] = (),
    *,
    timeout: int | None = None,
    whole_only: bool = False,
) -> Iterator[FoundEvent]:
    """In the logs of auditd that are named, or in the event log. Raises StoreError if there is none.

    A directory stands for its audit.log and those before it. `timeout` is how many seconds of its own clock an event of
    a log is waited for; `whole_only` leaves out those of the last log that may go on.
    """
    if logs:
        context = offline_context(settings)
        files = [file for name in logs for file in files_of(name)]
        for file in files:
            reading = Reading(
                "standard input" if file == "-" else file,
                timeout=timeout or TIMEOUT,
                whole_only=whole_only and file is files[-1],
            )
            yield from in_log(file, query, context, reading)
        return
    folder = Path(settings.data_dir) / EVENTS
    require_readable(folder)
    if not folder.is_dir():
        raise StoreError(f"there is no event log in {settings.data_dir}", "see --data-dir, or name a log with -if")
    yield from in_event_log(folder, query)


def in_event_log(folder: Path, query: Query) -> Iterator[FoundEvent]:
    """In the order in which they were written; segments that were closed before `since` are not opened.

    Damaged lines and places are passed over, counted and told at the end.
    """
    damaged = 0

    def on_damage(text: str) -> None:
        nonlocal damaged
        damaged += 1
        logger.warning("segment %d: damaged, a part is passed over: %s", segment.number, text)

    try:
        for segment in segments(folder):
            since = query.since.timestamp() if query.since else 0.0
            for line in lines_of(segment, since, on_damage):
                in_time = query.in_time(line[STAMP])
                if line.startswith(PREFIX) and (not in_time or NOT_AUDIT in line):
                    continue
                found = document(line)
                if found is None:
                    damaged += 1
                elif in_time and query.matches(event := FoundEvent(found)):
                    yield event
    finally:
        if damaged:
            logger.warning("%d damaged lines or places of the event log were passed over", damaged)


def lines_of(segment: Segment, since: float, on_damage: OnDamage) -> Iterator[bytes]:
    """Whole lines of a segment, which may be compressed or deleted in this moment."""
    for path in (segment.path, segment.path.with_suffix(".ndjson.gz")):
        try:
            if path.stat().st_mtime < since:
                return
            blocks = blocks_of(Segment(segment.number, path.suffix == ".gz", path), on_damage)
            for block in blocks:
                yield from block.split(b"\n")[:-1]
            return
        except FileNotFoundError:
            continue


def files_of(name: str) -> list[str]:
    """A log, or those of a directory: audit.log, and those before it."""
    return rotated(os.path.join(name, "audit.log")) if os.path.isdir(name) else [name]


def rotated(log: str) -> list[str]:
    """A log and those that auditd rotated away, the oldest first."""
    older = itertools.takewhile(os.path.exists, (f"{log}.{number}" for number in itertools.count(1)))
    return [*reversed(list(older)), log]


def auditd_logs() -> tuple[str, ...]:
    """The log that auditd.conf(5) names, and those before it."""
    try:
        text = AUDITD.read_text(errors="replace")
    except OSError:
        text = ""
    setting = re.search(r"^\s*log_file\s*=\s*(\S+)", text, re.MULTILINE)
    return tuple(rotated(setting[1] if setting else LOG))


def in_log(name: str, query: Query, context: Context, reading: Reading) -> Iterator[FoundEvent]:
    """A log of auditd (plain or .gz, - for standard input); its records are kept as they are."""
    try:
        with open_log(name) as lines:
            for line in documents(reading, lines, context, original=True):
                if query.in_time(line[STAMP]):
                    event = FoundEvent(orjson.loads(line))
                    if query.matches(event):
                        yield event
    finally:
        if reading.damaged:
            logger.warning("%s: %d damaged lines were passed over", reading.name, reading.damaged)
