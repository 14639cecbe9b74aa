"""Documents into the event log, from any thread; what the disk refuses is counted."""

from __future__ import annotations

from collections.abc import Callable

from auditdeck.collector.attempts import Attempts
from auditdeck.collector.health import Counters
from auditdeck.eventlog.writer import Writer


class Sink:
    """`on_line` is shown every document, for whoever looks on."""

    def __init__(self, writer: Writer, attempts: Attempts, counters: Counters) -> None:
        self.writer = writer
        self.attempts = attempts
        self.counters = counters
        self.on_line: Callable[[bytes], None] | None = None

    def keep(self, lines: list[bytes]) -> None:
        """Each a line of JSON without its newline."""
        if not lines:
            return
        if self.on_line is not None:
            for line in lines:
                self.on_line(line)
        if not self.attempts.attempt("write the event log", lambda: self.writer.append(lines)):
            self.counters.dropped += len(lines)
