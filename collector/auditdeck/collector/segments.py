"""What becomes of the event log's segments: closed, compressed, compacted to Parquet, and deleted in the end."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

from auditdeck.collector.health import Counters
from auditdeck.eventlog.chain import read_chain
from auditdeck.eventlog.cursor import first_needed
from auditdeck.eventlog.retention import expire
from auditdeck.eventlog.segment import EVENTS, PARQUET, segment_path, segments
from auditdeck.eventlog.writer import Writer, compress
from auditdeck.packages import has, hint
from auditdeck.query.compaction import is_made_from, parquet_path
from auditdeck.settings.model import EventLog, StoreSettings

logger = logging.getLogger("auditdeck")


class Segments:
    """Of one data directory; all in one thread. Methods raise OSError and StoreError."""

    def __init__(
        self,
        data_dir: Path,
        writer: Writer,
        log: EventLog,
        store: StoreSettings,
        readers: list[str],
        counters: Counters,
    ) -> None:
        self.data_dir = data_dir
        self.events = data_dir / EVENTS
        self.writer = writer
        self.log = log
        self.store = store
        self.compacts = store.enabled and has("duckdb")
        if store.enabled and not self.compacts:
            logger.info("segments are not compacted to Parquet, for want of duckdb: %s", hint("duckdb"))
        self.readers = readers
        self.counters = counters
        self.packing: list[int] = []
        self.children: dict[int, subprocess.Popen[bytes]] = {}

    def look(self) -> None:
        """Notices that the open segment was deleted."""
        if gone := self.writer.look():
            self.counters.dropped += gone
            logger.error("the open segment of the event log was deleted, with %d documents", gone)

    def take_left_over(self) -> None:
        """What an earlier run closed but did not compress or compact, or whose Parquet is damaged."""
        hashes = {entry.segment: entry.sha256 for entry in read_chain(self.events)}
        for segment in segments(self.events):
            if segment.number >= self.writer.number:
                continue
            if segment.compressed:
                segment_path(self.events, segment.number).unlink(missing_ok=True)
                sha256 = hashes.get(segment.number, "")
                if not is_made_from(parquet_path(self.data_dir, segment.number), sha256):
                    self.packing.append(segment.number)
            else:
                self.pack(segment.number)

    def rotate(self) -> None:
        if self.writer.due():
            self.pack(self.writer.rotate())

    def pack(self, number: int) -> None:
        compress(self.events, number)
        self.packing.append(number)

    def compact(self) -> None:
        """One compaction at a time, in a child."""
        for number, child in list(self.children.items()):
            if child.poll() is not None:
                del self.children[number]
                if child.returncode:
                    logger.warning("segment %d could not be compacted; the report reads it as it is", number)
        if self.packing and not self.children and self.compacts:
            number = self.packing.pop(0)
            source = segment_path(self.events, number).with_suffix(".ndjson.gz")
            command = [sys.executable, "-m", "auditdeck.query.compaction", str(source)]
            self.children[number] = subprocess.Popen([*command, str(parquet_path(self.data_dir, number))])

    def keep_bounds(self) -> None:
        needed = first_needed(self.data_dir, self.readers)
        _, unread = expire(
            self.events,
            max_size=self.log.max_size,
            max_age=self.log.max_age,
            keep_from=needed,
            note=self.writer.expire,
        )
        if unread:
            self.counters.dropped += unread
            logger.error("%d documents were deleted before every output had read them (event_log.max_size)", unread)
        expire(self.data_dir / PARQUET, max_size=self.store.max_size, max_age=self.store.max_age)
        self.counters.segments = len(segments(self.events))

    def close(self) -> None:
        """Waits for the compaction that runs."""
        for child in self.children.values():
            child.wait()
