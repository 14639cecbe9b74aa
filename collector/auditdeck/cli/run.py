"""`auditdeck run`: collect until stopped."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import click

from auditdeck.audit.rules.files import Statement, parse_line, read_rules
from auditdeck.cli.options import Shared, go_audit_option, shared
from auditdeck.collector.collector import Collector
from auditdeck.errors import AuditdeckError
from auditdeck.packages import require
from auditdeck.settings.model import Settings

logger = logging.getLogger("auditdeck")
LOG_INTERVAL = 60.0


@click.command("run")
@click.option(
    "--rules",
    "rule_files",
    multiple=True,
    type=click.Path(path_type=Path),
    help="More audit rules: a file, or a directory of *.rules (can be given more than once).",
)
@go_audit_option
@click.option("--no-default-rules", is_flag=True, help="Load only the rules that are named.")
@click.option(
    "--mode",
    type=click.Choice(["auto", "unicast", "multicast"]),
    help="Be the audit daemon (unicast), listen beside it (multicast), or see (auto).",
)
@click.option("--take-over", is_flag=True, help="End another audit daemon that is running, and take its place.")
@click.option("--seconds", type=click.FloatRange(min=0), help="Stop by itself after so many seconds.")
@click.option("--report", "show_report", is_flag=True, help="Show the report of what was seen when it ends.")
@shared
def command(
    shared: Shared,
    rule_files: tuple[Path, ...],
    no_default_rules: bool,
    mode: str | None,
    take_over: bool,
    seconds: float | None,
    show_report: bool,
) -> None:
    """Collect connections and commands from this host's kernel into the event log.

    Needs root, or CAP_AUDIT_CONTROL, CAP_AUDIT_READ and CAP_SYS_PTRACE, in the host's pid namespace. What it changes in
    the kernel (rules, settings) is put back when it ends.

    As a service, without a terminal, it reads rules, filters and redaction again at SIGHUP; if a line is wrong, it says
    so and goes on with those that it has.
    """

    def configured(settings: Settings) -> tuple[Settings, list[Statement]]:
        if no_default_rules:
            settings.rules.default = False
        if mode:
            settings.kernel.mode = mode  # type: ignore[assignment]
        if take_over:
            settings.kernel.take_over = True
        statements = read_lines(settings.rules.lines, str(shared.config or "rules.lines"))
        return settings, statements + read([Path(file) for file in settings.rules.files] + list(rule_files))

    def reload() -> None:
        try:
            collector.reload(*configured(shared.read()))
        except AuditdeckError as error:
            logger.error("nothing was changed: %s%s", error, f" ({error.hint})" if error.hint else "")

    if show_report:
        require("duckdb", "--report")
    settings, statements = configured(shared.settings)
    collector = Collector(settings, statements, confined=True)
    live = sys.stderr.isatty() and not shared.quiet and not shared.json
    began = datetime.now(UTC)
    hung_up = handle_signals(collector.ended)
    collector.start()
    try:
        if live:
            from auditdeck.report.live import show

            show(collector, seconds)
        else:
            logger.info("collecting (%s), events in %s", collector.mode, settings.data_dir)
            wait(collector, seconds, hung_up, reload)
    finally:
        collector.stop()
    if collector.failure is not None:
        if isinstance(collector.failure, AuditdeckError):
            raise collector.failure
        sys.exit(1)
    logger.info("stopped: %s", summary(collector))
    if show_report:
        from auditdeck.cli.report import print_report
        from auditdeck.query.answers import Question

        print_report(shared, Question(began, datetime.now(UTC)))


def read(files: list[Path]) -> list[Statement]:
    statements, errors = read_rules(files)
    if errors:
        raise errors[0]
    return statements


def read_lines(lines: list[str], where: str) -> list[Statement]:
    """Rules of the settings; the number in an error is that of the rule."""
    found = [parse_line(line, where, number) for number, line in enumerate(lines, 1)]
    return [statement for statement in found if statement is not None]


def handle_signals(ended: threading.Event) -> threading.Event:
    """SIGTERM, SIGINT and SIGQUIT end it in order, so that the kernel's state is put back, and so does SIGHUP when a
    terminal closes. A service has none: then SIGHUP sets the event that is returned. Where it is ignored (nohup) it
    stays so."""
    hung_up = threading.Event()
    for ending in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        signal.signal(ending, lambda *_: ended.set())
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        sets = ended if has_terminal() else hung_up
        signal.signal(signal.SIGHUP, lambda *_: sets.set())
    return hung_up


def has_terminal() -> bool:
    """Whether this process has a controlling terminal (tty(4))."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True


def wait(collector: Collector, seconds: float | None, hung_up: threading.Event, reload: Callable[[], None]) -> None:
    deadline = None if seconds is None else time.monotonic() + seconds
    logged = time.monotonic()
    while not collector.ended.is_set():
        now = time.monotonic()
        if deadline is not None and now >= deadline:
            return
        if hung_up.is_set():
            hung_up.clear()
            reload()
        if now - logged >= LOG_INTERVAL:
            logger.info("%s", summary(collector))
            logged = now
        collector.ended.wait(1.0 if deadline is None else max(0.0, min(1.0, deadline - now)))


def summary(collector: Collector) -> str:
    counts = collector.counters
    text = f"{counts.events:,} events, {counts.documents:,} documents"
    for name in ("lost", "gaps", "overruns", "dropped", "damaged", "incomplete"):
        value = getattr(counts, name)
        if value:
            text += f", {value:,} {name}"
    if counts.unwatched:
        text += f", {counts.unwatched:.0f} s not watched"
    return text
