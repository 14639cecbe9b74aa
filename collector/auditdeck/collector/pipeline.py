"""The collector: capture, assemble, decode, event log, each in its place, started and stopped together."""

from __future__ import annotations

import contextlib
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue

from auditdeck.assets import asset
from auditdeck.audit.assembler import Assembler
from auditdeck.audit.capture import Capture
from auditdeck.audit.event import Event
from auditdeck.audit.messages import AUDIT_EOE
from auditdeck.audit.record import Payload
from auditdeck.audit.rules.defaults import default_rules, load_defaults
from auditdeck.audit.rules.files import Statement, parse_line
from auditdeck.collector.connections import KEYS, ConnectionReader, open_tracepoint
from auditdeck.collector.damaged import DamagedLog
from auditdeck.collector.filters import make_filters
from auditdeck.collector.health import HEALTH_INTERVAL, Counters, changes, health_document, write_status
from auditdeck.collector.session import Mode, Session
from auditdeck.connections.tracepoint import Tracepoint
from auditdeck.context.first import FirstSeen
from auditdeck.context.host import host_root, this_host
from auditdeck.context.users import Users
from auditdeck.ecs.context import Context, live_context
from auditdeck.ecs.first import FirstMarker
from auditdeck.ecs.template import Encoder
from auditdeck.errors import AuditdeckError, KernelError, StoreError
from auditdeck.eventlog.cursor import first_needed
from auditdeck.eventlog.retention import expire
from auditdeck.eventlog.segment import EVENTS, PARQUET, segment_path, segments
from auditdeck.eventlog.writer import Limits, Writer, compress
from auditdeck.outputs.outputs import open_outputs
from auditdeck.query.compaction import parquet_path
from auditdeck.settings.model import Settings

QUEUE_LIMIT = 400_000
"""Records that may wait to be decoded; beyond that they wait in the kernel, which counts what it cannot hold."""

AT_ONCE = 2000
"""Records that are decoded by the thread that received them: some milliseconds' work."""

ALL_TYPES = 65535
STATUS = 5.0
"""Seconds between two looks at the kernel and two status files."""
SHORTEST = 0.1
"""Seconds between two fsyncs, if fewer are asked for."""
LAST_SENDING = 5.0
"""Seconds in which outputs may send what is there at the end; the rest waits for the next run."""

Batch = list[bytes | Payload]
logger = logging.getLogger("auditdeck")


class Pipeline:
    """One running collector. `start`, then `stop`; a failure of a thread ends up in `failure` and sets `ended`."""

    def __init__(self, settings: Settings, statements: list[Statement]) -> None:
        self.settings = settings
        self.statements = statements
        self.data_dir = Path(settings.data_dir)
        self.counters = Counters()
        self.reported = Counters()
        self.ended = threading.Event()
        self.stopping = threading.Event()
        self.failure: BaseException | None = None
        self.queue: SimpleQueue[tuple[Batch, int] | None] = SimpleQueue()
        self.received = 0
        self.decoded = 0
        self.decoding = threading.Lock()
        self.threads: list[threading.Thread] = []
        self.children: dict[int, subprocess.Popen[bytes]] = {}
        self.packing: list[int] = []
        self.without_eoe = False
        self.reported_at = time.monotonic()
        self.troubles: set[str] = set()
        self.tracepoint: Tracepoint | None = None
        self.no_tracepoint = ""
        self.on_line: Callable[[bytes], None] | None = None

    def start(self) -> None:
        """Opens the event log, takes the audit socket, loads the rules and begins. Raises AuditdeckError."""
        log = self.settings.event_log
        self.writer = Writer(self.data_dir / EVENTS, Limits(log.segment_size, log.segment_age, log.fsync_interval))
        self.counters.damaged += self.writer.damaged
        kernel = self.settings.kernel
        try:
            self.session = Session(
                self.data_dir / "kernel-state.json",
                receive_buffer=kernel.receive_buffer,
                mode=kernel.mode,
                take_over=kernel.take_over,
                # Types are chosen record by record.
                compiled=not self.chooses_types,
            )
        except BaseException:
            self.writer.close()
            raise
        try:
            self.tracepoint, self.no_tracepoint = open_tracepoint(self.settings.connections.source)
            self.lost_before = self.session.control.status().lost
            self.capture = self.session.open(
                {
                    "failure": kernel.failure,
                    "backlog_limit": kernel.backlog_limit,
                    "backlog_wait_time": kernel.backlog_wait_time,
                    "rate_limit": kernel.rate_limit,
                }
            )
            self.load_rules()
            self.capture.title_ends = self.without_eoe
        except BaseException:
            self.session.close()
            self.writer.close()
            if self.tracepoint is not None:
                self.tracepoint.close()
            raise
        self.context = self.make_context()
        self.context.network.told = self.tracepoint is not None
        self.damaged_log = DamagedLog(self.data_dir / "damaged.log", self.context.redactor)
        self.assembler = Assembler(title_ends=self.without_eoe, counts=self.counters)
        documents = self.settings.documents
        original = documents.original or self.settings.outputs.needs_original
        self.encoder = Encoder(self.context, original=original, socket_events=documents.socket_events)
        self.filters = make_filters(self.settings.filters, self.context.users)
        self.outputs = open_outputs(self.settings, self.make_users())
        self.reported_at = time.monotonic()
        works = {"receive": self.receive, "decode": self.decode, "keep_house": self.keep_house}
        self.connections: ConnectionReader | None = None
        self.marker: FirstMarker | None = None
        if self.tracepoint is not None:
            filters = make_filters(self.settings.filters, self.context.users)
            self.connections = ConnectionReader(
                self.tracepoint, self.context, self.settings, filters, self.counters, self.keep
            )
            works["connections"] = self.connections.run
        else:
            self.marker = FirstMarker(self.context.first) if self.context.first is not None else None
            logger.warning("connections come from audit's rules, not the tracepoint: %s", self.no_tracepoint)
        for name, work in works.items():
            thread = threading.Thread(target=self.guarded, args=(work,), name=name, daemon=True)
            self.threads.append(thread)
            thread.start()
        for output in self.outputs:
            output.start()

    @property
    def queued(self) -> int:
        return self.received - self.decoded

    @property
    def mode(self) -> Mode:
        return "multicast" if self.capture.multicast else "unicast"

    def load_rules(self) -> None:
        if not self.session.locked:
            if self.settings.rules.default:
                self.session.notes += load_defaults(self.session.control, self.default_rules())
            loaded = self.session.load(self.statements)
            self.session.notes += loaded.warnings + [str(error) for error in loaded.errors]
            self.without_eoe = self.settings.kernel.exclude_eoe and self.leave_out_eoe()
        for note in self.session.notes:
            logger.warning("%s", note)

    def default_rules(self) -> list[Statement]:
        """Those that auditdeck brings along, without the ones whose answers the tracepoint gives."""
        statements = default_rules(asset("rules"))
        if self.tracepoint is None or self.wants_connects:
            return statements
        return [statement for statement in statements if not any(f"-k {key}" in statement.text for key in KEYS)]

    @property
    def wants_connects(self) -> bool:
        """Whether audit's own events of connect(2) are asked for beside the tracepoint."""
        return self.settings.connections.udp or self.settings.outputs.needs_original

    @property
    def source(self) -> str:
        return "audit" if self.tracepoint is None else "tracepoint"

    def leave_out_eoe(self) -> bool:
        """Tells the kernel to leave out the records that only end events: a quarter of what it would send.

        Not beside another daemon, which may wait for them.
        """
        if self.capture.multicast:
            return False
        statement = parse_line("-a always,exclude -F msgtype=EOE")
        assert statement
        try:
            return self.session.load([statement]).added > 0
        except AuditdeckError as error:
            logger.info("the kernel goes on sending EOE: %s", error)
            return False

    def make_context(self) -> Context:
        host = self.settings.host
        context = live_context(self.settings, this_host(host.name, host_root(host.root)), self.make_users())
        context.first = FirstSeen(self.data_dir / "first-seen.ndjson")
        return context

    def make_users(self) -> Users:
        root = host_root(self.settings.host.root)
        return Users() if root == Path("/") else Users(root / "etc/passwd", root / "etc/group")

    def guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            if self.failure is None:
                self.failure = error
            if not isinstance(error, AuditdeckError):
                logger.exception("%s failed", work.__name__)
            self.ended.set()

    def receive(self) -> None:
        """Small batches are decoded at once, while their bytes are still in this processor's cache; large ones wait for
        the other thread, so that the kernel never waits for decoding."""
        while not self.stopping.is_set():
            batch = self.capture.records(0.25 if self.assembler.unsettled else 0.5)
            if batch or self.assembler.unsettled:
                count = self.capture.count
                if count <= AT_ONCE and not self.queued and self.decoding.acquire(blocking=False):
                    try:
                        self.received += count
                        self.work(batch, count)
                    finally:
                        self.decoding.release()
                elif batch:
                    self.received += count
                    self.queue.put((batch, count))
            self.counters.overruns = self.capture.overruns
            while self.queued > QUEUE_LIMIT and not self.stopping.is_set():
                time.sleep(0.01)

    def decode(self) -> None:
        while waiting := self.queue.get():
            with self.decoding:
                self.work(*waiting)
        with self.decoding:
            self.write(self.assembler.close())

    def work(self, batch: Batch, count: int) -> None:
        """A batch of `count` records: one thread at a time, and batches in their order."""
        self.counters.records += count
        ready = self.assemble(batch)
        if self.assembler.unsettled and self.queue.empty():
            ready += self.assembler.flush()
        self.write(ready)
        self.decoded += count

    @property
    def chooses_types(self) -> bool:
        wanted = self.settings.documents
        return wanted.min_type > 0 or wanted.max_type < ALL_TYPES

    def assemble(self, batch: Batch) -> list[Event]:
        if self.chooses_types:
            kept = [item for item in batch if isinstance(item, bytes) or self.is_chosen(item[0])]
            self.counters.filtered += len(batch) - len(kept)
            batch = kept
        ready = self.assembler.feed_mixed(batch)
        if self.assembler.damaged:
            self.keep_damaged(self.assembler.damaged)
            self.assembler.damaged.clear()
        return ready

    def is_chosen(self, kind: int) -> bool:
        wanted = self.settings.documents
        return wanted.min_type <= kind <= wanted.max_type or kind == AUDIT_EOE

    def keep_damaged(self, items: list[Payload]) -> None:
        self.counters.damaged += len(items)
        self.attempt("keep damaged records", lambda: self.damaged_log.append(items))

    def attempt(self, what: str, work: Callable[[], None]) -> bool:
        """What the disk may refuse: said once, tried again the next time, and never the end of a thread."""
        try:
            work()
        except (OSError, StoreError) as error:
            if what not in self.troubles:
                self.troubles.add(what)
                told = str(error) if isinstance(error, StoreError) else f"cannot {what}: {error}"
                logger.error("%s; it goes on without, and tries again", told)
            return False
        if what in self.troubles:
            self.troubles.discard(what)
            logger.warning("%s: works again", what)
        return True

    def write(self, events: list[Event]) -> None:
        lines = []
        self.encoder.check()
        for event in events:
            if self.filters.rules and self.filters.drops(event):
                self.counters.filtered += 1
                continue
            try:
                line = self.encoder.encode_checked(event)
            except Exception:
                logger.exception("event %s could not be decoded; its records are in damaged.log", event.stamp.decode())
                self.keep_damaged(event.items)
                continue
            if line:
                lines.append(line if self.marker is None else self.marker.marked(line))
            else:
                self.counters.absorbed += 1
        self.keep(lines)
        if self.marker is not None:
            self.marker.seen.save()
        # Records of the kernel's own threads have nothing that ends them: they are waited for on purpose.
        for event in events:
            if event.is_call:
                lag = time.time() - float(event.moment)
                if lag > self.counters.lag:
                    self.counters.lag = round(lag, 3)
                break
        self.counters.documents += len(lines)

    def keep(self, lines: list[bytes]) -> None:
        """Into the event log; in any thread."""
        if self.on_line is not None:
            for line in lines:
                self.on_line(line)
        if not self.attempt("write the event log", lambda: self.writer.append(lines)):
            self.counters.dropped += len(lines)

    def look_at_log(self) -> None:
        gone = self.writer.look()
        if gone:
            self.counters.dropped += gone
            logger.error("the open segment of the event log was deleted, with %d documents", gone)

    def keep_house(self) -> None:
        """fsync, names and addresses, the kernel's own counts, rotation, compression, compaction, bounds, status and
        health."""
        last_sync = last_bounds = time.monotonic()
        last_status = 0.0
        self.attempt("compact what an earlier run left", self.compact_left_over)
        while not self.stopping.wait(min(1.0, max(SHORTEST, self.settings.event_log.fsync_interval))):
            now = time.monotonic()
            if now - last_sync >= self.settings.event_log.fsync_interval:
                self.attempt("keep the event log's file", self.look_at_log)
                self.attempt("sync the event log", self.writer.sync)
                last_sync = now
            self.context.refresh()
            asked = now - last_status >= STATUS
            if asked:
                self.ask_kernel()
            if self.writer.due():
                self.attempt("close a segment", lambda: self.pack(self.writer.rotate()))
            self.attempt("start a compaction", self.reap)
            if now - last_bounds >= 10:
                self.attempt("keep the bounds of the event log", self.keep_bounds)
                last_bounds = now
            urgent = any(
                getattr(self.counters, name) != getattr(self.reported, name)
                for name in ("lost", "gaps", "dropped", "damaged", "ring_lost")
            )
            if urgent or now - self.reported_at >= HEALTH_INTERVAL:
                self.attempt("report health", self.report_health)
            if asked:
                self.attempt("write the status", self.write_status)
                last_status = now

    def ask_kernel(self) -> None:
        with contextlib.suppress(KernelError):
            status = self.session.control.status()
            self.counters.lost = max(0, status.lost - self.lost_before)
            self.counters.backlog = status.backlog
        self.counters.queued = self.queued
        self.counters.sent = sum(output.counts.sent for output in self.outputs)
        self.counters.dead_letters = sum(output.counts.dead_letters for output in self.outputs)
        self.counters.behind = max((output.behind() for output in self.outputs), default=0)

    def report_health(self) -> None:
        """What happened since the last report, or the start."""
        now, moment = replace(self.counters), time.monotonic()
        counts = changes(now, self.reported)
        interval = moment - self.reported_at
        self.writer.append([health_document(self.context.host.document(), counts, interval, self.source)])
        self.reported, self.reported_at = now, moment
        self.counters.lag = 0.0

    def write_status(self) -> None:
        status = self.data_dir / "status.json"
        outputs = {output.name: output.counts for output in self.outputs}
        write_status(
            status,
            self.counters,
            mode=self.mode,
            receive_buffer=self.capture.receive_buffer,
            redacted=self.context.redactor.count,
            filters=self.filter_counts(),
            connections={
                "source": self.source,
                "why_not_tracepoint": self.no_tracepoint,
                "open": self.connections.open if self.connections else None,
            },
            outputs=outputs,
        )

    def filter_counts(self) -> dict[str, int]:
        found = {rule.name: rule.count for rule in self.filters.rules}
        for rule in self.connections.filters.rules if self.connections else ():
            found[rule.name] += rule.count
        return found

    def compact_left_over(self) -> None:
        """What an earlier run closed but did not compress or compact."""
        for segment in segments(self.data_dir / EVENTS):
            if segment.number >= self.writer.number:
                continue
            if segment.compressed:
                segment_path(self.data_dir / EVENTS, segment.number).unlink(missing_ok=True)
                if not parquet_path(self.data_dir, segment.number).exists():
                    self.packing.append(segment.number)
            else:
                self.pack(segment.number)

    def pack(self, number: int) -> None:
        compress(self.data_dir / EVENTS, number)
        self.packing.append(number)

    def reap(self) -> None:
        """One compaction at a time, in a child."""
        for number, child in list(self.children.items()):
            if child.poll() is not None:
                del self.children[number]
                if child.returncode:
                    logger.warning("segment %d could not be compacted; the report reads it as it is", number)
        if self.packing and not self.children and self.settings.store.enabled:
            number = self.packing.pop(0)
            source = segment_path(self.data_dir / EVENTS, number).with_suffix(".ndjson.gz")
            command = [sys.executable, "-m", "auditdeck.query.compaction", str(source)]
            self.children[number] = subprocess.Popen([*command, str(parquet_path(self.data_dir, number))])

    def keep_bounds(self) -> None:
        log, store = self.settings.event_log, self.settings.store
        needed = first_needed(self.data_dir, [output.name for output in self.outputs])
        _, unread = expire(self.data_dir / EVENTS, max_size=log.max_size, max_age=log.max_age, keep_from=needed)
        if unread:
            self.counters.dropped += unread
            logger.error("%d documents were deleted before every output had read them (event_log.max_size)", unread)
        expire(self.data_dir / PARQUET, max_size=store.max_size, max_age=store.max_age)
        self.counters.segments = len(segments(self.data_dir / EVENTS))

    def stop(self) -> None:
        """Puts the kernel's state back, takes what is still on its way, and closes the event log."""
        self.stopping.set()
        if self.connections is not None:
            self.connections.stop()
        for thread in self.threads:
            if thread.name != "decode":
                thread.join(10)
        if self.connections is not None:
            self.connections.close()
        with contextlib.suppress(AuditdeckError):
            self.drain(self.capture)
        self.session.close()
        self.queue.put(None)
        for thread in self.threads:
            thread.join(60)
        self.attempt("report health", self.report_health)
        for output in self.outputs:
            output.stop(LAST_SENDING)
        for child in self.children.values():
            child.wait()
        self.attempt("close the event log", self.writer.close)
        self.attempt("write the status", self.write_status)
        self.context.close()

    def drain(self, capture: Capture) -> None:
        """What happened before the stop is still to be kept."""
        self.session.restore()
        deadline = time.monotonic() + 2
        while time.monotonic() < deadline:
            batch = capture.records(0.1)
            if not batch:
                break
            self.received += capture.count
            self.queue.put((batch, capture.count))
        self.ask_kernel()
