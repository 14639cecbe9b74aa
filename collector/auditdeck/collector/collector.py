"""The collector: its parts, started and stopped together (docs/architecture.md draws it)."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from auditdeck.audit.assembler import Assembler
from auditdeck.audit.rules.files import Statement
from auditdeck.collector.attempts import Attempts
from auditdeck.collector.connections import ConnectionReader, open_tracepoint
from auditdeck.collector.damaged import DamagedLog
from auditdeck.collector.decoder import Decoder, Types
from auditdeck.collector.endings import Endings
from auditdeck.collector.filters import Filters, make_filters
from auditdeck.collector.health import Counters, Health, State
from auditdeck.collector.housekeeper import Housekeeper, Job
from auditdeck.collector.privileges import confine, needed
from auditdeck.collector.receiver import Receiver
from auditdeck.collector.rules import Rules
from auditdeck.collector.segments import Segments
from auditdeck.collector.session import Mode, Session
from auditdeck.collector.settling import Settling
from auditdeck.collector.sink import Sink
from auditdeck.collector.watch import KernelWatch
from auditdeck.connections.destroyed import Destroyed
from auditdeck.context.first import FirstSeen
from auditdeck.context.host import host_root, this_host
from auditdeck.context.users import Users
from auditdeck.ecs.context import Context, live_context
from auditdeck.ecs.first import FirstMarker
from auditdeck.ecs.template import Encoder
from auditdeck.errors import AuditdeckError
from auditdeck.eventlog.chain import read_key
from auditdeck.eventlog.last import last_serial
from auditdeck.eventlog.segment import EVENTS
from auditdeck.eventlog.sharing import share_with
from auditdeck.eventlog.status import STATUS, write_status
from auditdeck.eventlog.writer import Limits, Writer
from auditdeck.outputs.outputs import open_outputs, stop_outputs
from auditdeck.packages import require
from auditdeck.settings.kinds import group_number, host_and_port
from auditdeck.settings.model import Settings

if TYPE_CHECKING:
    from auditdeck.collector.metrics_server import MetricsServer

LOOK, WATCH, TOLD, BOUNDS = 1.0, 2.0, 5.0, 10.0
"""Seconds between two looks at what may have changed, at the kernel, between two status files, and two looks at the
size of what is kept."""
DRAINING = 2.0
"""Seconds for records that are still on their way at the end."""
LAST_SENDING = 5.0
"""Seconds in which outputs may send what is there at the end; the rest waits for the next run."""

logger = logging.getLogger("auditdeck")


class Collector:
    """One running collector. `start`, then `stop`; a failure of a thread ends up in `failure` and sets `ended`.

    `confined`: this thread gives up the capabilities that it does not need any more, for good.
    """

    def __init__(self, settings: Settings, statements: list[Statement], *, confined: bool = False) -> None:
        self.settings = settings
        self.confined = confined
        self.statements = statements
        self.data_dir = Path(settings.data_dir)
        self.counters = Counters()
        self.attempts = Attempts()
        self.ended = threading.Event()
        self.stopping = threading.Event()
        self.failure: BaseException | None = None
        self.threads: list[threading.Thread] = []
        self.connections: ConnectionReader | None = None
        documents = settings.documents
        self.types = Types(documents.min_type, documents.max_type)

    def start(self) -> None:
        """Opens the event log, takes the audit socket, loads the rules and begins. Raises AuditdeckError."""
        with contextlib.ExitStack() as opened:
            self.open(opened)
            if self.confined:
                confine(needed(self.settings))
            self.make()
            opened.pop_all()
        works = {"receive": self.receiver.receive, "decode": self.receiver.decode, "keep_house": self.keep_house}
        if self.connections is not None:
            works["connections"] = self.connections.run
        for name, work in works.items():
            thread = threading.Thread(target=self.guarded, args=(work,), name=name, daemon=True)
            self.threads.append(thread)
            thread.start()
        for output in self.outputs:
            output.start()
        self.listen()
        self.report_health("started")

    def open(self, opened: contextlib.ExitStack) -> None:
        """What belongs to this process alone: event log, audit socket, tracepoint, rules."""
        log, kernel = self.settings.event_log, self.settings.kernel
        limits = Limits(log.segment_size, log.segment_age, log.fsync_interval)
        group = group_number(log.group)
        share_with(self.data_dir, group)
        self.writer = Writer(self.data_dir / EVENTS, limits, read_key(log.sign_key_file), group)
        opened.callback(self.writer.close)
        self.counters.damaged += self.writer.damaged
        self.session = Session(
            self.data_dir / "kernel-state.json",
            receive_buffer=kernel.receive_buffer,
            mode=kernel.mode,
            take_over=kernel.take_over,
            # Types are chosen record by record.
            compiled=self.types.are_all,
        )
        opened.callback(self.session.close)
        self.tracepoint, self.no_tracepoint = open_tracepoint(self.settings.connections.source)
        if self.tracepoint is not None:
            opened.callback(self.tracepoint.close)
        else:
            logger.warning("connections come from audit's rules, not the tracepoint: %s", self.no_tracepoint)
        self.watch = KernelWatch(self.session, self.counters, kernel.keep)
        self.capture = self.session.open(
            {
                "failure": kernel.failure,
                "backlog_limit": kernel.backlog_limit,
                "backlog_wait_time": kernel.backlog_wait_time,
                "rate_limit": kernel.rate_limit,
            }
        )
        self.rules = Rules(self.settings, self.statements, tracepoint=self.tracepoint is not None)
        for note in self.session.notes + self.rules.load(self.session):
            logger.warning("%s", note)
        self.capture.title_ends = self.rules.without_eoe
        self.settling = self.make_settling() if self.tracepoint is None else None

    def make(self) -> None:
        """The parts, each with what it needs of the others."""
        settings, counters, attempts = self.settings, self.counters, self.attempts
        self.context = self.make_context()
        self.sink = Sink(self.writer, attempts, counters)
        self.outputs = open_outputs(settings, self.make_users())
        documents = settings.documents
        original = documents.original or settings.outputs.needs_original
        marker = None
        if self.tracepoint is None and self.context.first is not None:
            marker = FirstMarker(self.context.first)
        assembler = Assembler(title_ends=self.rules.without_eoe, counts=counters)
        if self.session.crashed:
            assembler.follow(last_serial(self.data_dir / EVENTS))
        self.decoder = Decoder(
            assembler,
            Encoder(self.context, original=original, socket_events=documents.socket_events),
            self.make_filters(),
            DamagedLog(self.data_dir / "damaged.log", self.context.redactor),
            self.sink,
            counters,
            attempts=attempts,
            types=self.types,
            marker=marker,
            settling=self.settling,
        )
        self.receiver = Receiver(self.capture, self.decoder, counters)
        if self.tracepoint is not None:
            self.connections = ConnectionReader(
                self.tracepoint, self.context, settings, self.make_filters(), counters, self.sink.keep
            )
        names = [output.name for output in self.outputs]
        self.segments = Segments(self.data_dir, self.writer, settings.event_log, settings.store, names, counters)
        self.health = Health(counters, self.context.host.document, self.source, self.writer)
        self.metrics = self.make_metrics()
        self.housekeeper = Housekeeper(self.jobs(), attempts)

    def make_metrics(self) -> MetricsServer | None:
        """Raises MissingPackage."""
        if not self.settings.metrics.listen:
            return None
        require("prometheus_client", "metrics.listen")
        from auditdeck.collector.metrics import Metrics
        from auditdeck.collector.metrics_server import MetricsServer

        host, port = host_and_port(self.settings.metrics.listen)
        page = Metrics(self.state, self.decoder.lag).page
        return MetricsServer(host, port, page, self.data_dir / STATUS)

    def listen(self) -> None:
        """For whoever asks for metrics; tried again while the port is taken."""
        if self.metrics is not None:
            what = f"serve metrics on {self.settings.metrics.listen}"
            self.attempts.attempt(what, self.metrics.listen)

    def jobs(self) -> list[Job]:
        fsync = self.settings.event_log.fsync_interval
        return [
            Job(fsync, "keep the event log's file", self.segments.look),
            Job(fsync, "sync the event log", self.writer.sync),
            Job(LOOK, "look for users and addresses", self.context.refresh),
            Job(WATCH, "look at the kernel", self.watch.look),
            Job(LOOK, "close a segment", self.segments.rotate),
            Job(LOOK, "start a compaction", self.segments.compact),
            Job(BOUNDS, "keep the bounds of the event log", self.segments.keep_bounds),
            Job(LOOK, "look whether health is to be reported", self.report_health_when_due),
            Job(TOLD, "write the status", self.write_status),
            Job(BOUNDS, "listen for metrics", self.listen),
        ]

    @property
    def mode(self) -> Mode:
        return "multicast" if self.session.multicast else "unicast"

    @property
    def source(self) -> str:
        return "audit" if self.tracepoint is None else "tracepoint"

    @property
    def on_line(self) -> Callable[[bytes], None] | None:
        return self.sink.on_line

    @on_line.setter
    def on_line(self, see: Callable[[bytes], None] | None) -> None:
        self.sink.on_line = see

    def make_context(self) -> Context:
        host = self.settings.host
        context = live_context(self.settings, this_host(host.name, host_root(host.root)), self.make_users())
        context.first = FirstSeen(self.data_dir / "first-seen.ndjson")
        context.network.told = self.tracepoint is not None
        return context

    def make_settling(self) -> Settling:
        try:
            return Settling(endings=Endings(Destroyed()))
        except OSError as error:
            logger.info("the kernel does not tell which sockets end: %s", error.strerror)
            return Settling()

    def make_users(self) -> Users:
        root = host_root(self.settings.host.root)
        return Users() if root == Path("/") else Users(root / "etc/passwd", root / "etc/group")

    def make_filters(self) -> Filters:
        """For one thread."""
        return make_filters(self.settings.filters, self.context.users)

    def guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            if self.failure is None:
                self.failure = error
            if not isinstance(error, AuditdeckError):
                logger.exception("%s failed", work.__name__)
            self.ended.set()

    def keep_house(self) -> None:
        self.attempts.attempt("compact what an earlier run left", self.segments.take_left_over)
        self.housekeeper.run(self.stopping)

    def count(self) -> None:
        """What is not counted as it happens."""
        counters = self.counters
        counters.queued = self.receiver.queued
        for output in self.outputs:
            output.counts.behind = output.behind()
        for name in ("sent", "dead_letters", "shortened", "doubled"):
            setattr(counters, name, sum(getattr(output.counts, name) for output in self.outputs))
        counters.behind = max((output.counts.behind for output in self.outputs), default=0)

    def report_health(self, state: State = "running") -> None:
        """Also at the end; what the disk refuses is what keeps documents from being written."""
        self.count()
        self.attempts.attempt("write the event log", lambda: self.health.report(state))

    def report_health_when_due(self) -> None:
        if self.health.due:
            self.report_health()

    def write_status(self) -> None:
        write_status(self.data_dir / STATUS, self.state())

    def state(self) -> dict[str, Any]:
        """What it says of itself, as it is now."""
        self.count()
        return {
            "counters": self.counters,
            "mode": self.mode,
            "not_watched": self.watch.troubles,
            "failing": sorted(self.attempts.failing),
            "unreported": self.health.unreported,
            "receive_buffer": self.capture.receive_buffer,
            "redacted": self.context.redactor.count,
            "filters": self.filter_counts(),
            "connections": {
                "source": self.source,
                "why_not_tracepoint": self.no_tracepoint,
                "open": self.connections.open if self.connections else None,
            },
            "outputs": {output.name: output.counts for output in self.outputs},
        }

    def filter_counts(self) -> dict[str, int]:
        found = {rule.name: rule.count for rule in self.decoder.filters.rules}
        for rule in self.connections.filters.rules if self.connections else ():
            found[rule.name] = found.get(rule.name, 0) + rule.count
        return found

    def reload(self, settings: Settings, statements: list[Statement]) -> None:
        """Rules, filters and redaction of other settings: all of them, or none if one is wrong.

        The rest of them waits for the next start, which is logged. Raises AuditdeckError.
        """
        taken = {name: getattr(settings, name) for name in ("rules", "filters", "redact")}
        changed = msgspec.structs.replace(self.settings, **taken)
        filters, more = (make_filters(changed.filters, self.context.users) for _ in range(2))
        rules = Rules(changed, statements, tracepoint=self.tracepoint is not None)
        notes = self.watch.reload(rules)
        self.context.redact(changed.redact)
        self.settings, self.decoder.filters = changed, filters
        if self.connections is not None:
            self.connections.filters = more
        later = [name for name in settings.__struct_fields__ if getattr(settings, name) != getattr(changed, name)]
        if later:
            notes.append(f"changes of {', '.join(later)} take effect at the next start")
        for note in notes:
            logger.warning("%s", note)
        logger.info("rules, filters and redaction were read again")

    def stop(self) -> None:
        """Takes back what was changed in the kernel, takes what is still on its way, and closes the event log."""
        self.stopping.set()
        self.receiver.stop()
        if self.connections is not None:
            self.connections.stop()
        for thread in self.threads:
            if thread.name != "decode":
                thread.join(10)
        if self.connections is not None:
            self.connections.close()
        self.watch.look()
        with contextlib.suppress(AuditdeckError):
            self.session.restore()
            self.receiver.drain(DRAINING)
            self.watch.count()
        self.session.close()
        self.receiver.finish()
        for thread in self.threads:
            thread.join(60)
        self.report_health("stopped")
        stop_outputs(self.outputs, LAST_SENDING)
        if self.metrics is not None:
            self.metrics.close()
        self.segments.close()
        self.attempts.attempt("close the event log", self.writer.close)
        self.attempts.attempt("write the status", self.write_status)
        self.context.close()
