"""`auditdeck aureport`: the reports of aureport(8) for the event log, with its options."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import datetime
from typing import Any

import click
from rich.table import Table

from auditdeck.cli.logs import log_options
from auditdeck.cli.moment import END, HELP, Moment, TwoWords
from auditdeck.cli.options import Shared, print_json, with_shared
from auditdeck.query import search as q
from auditdeck.query.aureport import KINDS, Kind, detail, failed, succeeded, summarise, time_range, totals, written
from auditdeck.query.formats import harmless
from auditdeck.query.sources import auditd_logs, files_of, find
from auditdeck.report.console import make_console

SHORT = {
    "auth": "-au", "avc": "-a", "config": "-c", "crypto": "-cr", "event": "-e", "file": "-f", "host": "-h", "key": "-k",
    "login": "-l", "mods": "-m", "mac": "-ma", "anomaly": "-n", "pid": "-p", "response": "-r", "syscall": "-s",
    "terminal": "-tm", "user": "-u", "executable": "-x",
}  # fmt: skip
PREFIX = "by_"


def reports(function: Callable[..., Any]) -> Callable[..., Any]:
    """An option for each of KINDS."""
    for name, kind in reversed(KINDS.items()):
        names = [SHORT[name]] if name in SHORT else []
        function = click.option(*names, f"--{name}", PREFIX + name, is_flag=True, help=f"{kind.title}.")(function)
    return function


def settings_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """-c and --config are a report here."""
    return with_shared(function, ("--settings",))


@click.command("aureport", cls=TwoWords)
@reports
@click.option("-t", "--log", "log", is_flag=True, help="The first and the last time of each log.")
@click.option("--summary", is_flag=True, help="Totals of what a report is about; alone: the totals of everything.")
@click.option("--failed", "only", flag_value="no", help="Only events that failed.")
@click.option("--success", "only", flag_value="yes", help="Only events that succeeded.")
@click.option(
    "-nc", "--no-config", "no_config", is_flag=True, help="Without CONFIG_CHANGE, whose keys are those of rules."
)
@click.option("--node", "nodes", multiple=True, metavar="NAME", help="Only what this host recorded (can be repeated).")
@click.option("-ts", "--start", "start", type=Moment(), metavar="TIME", help=f"From when on: {HELP}.")
@click.option("-te", "--end", "end", type=Moment(end=True), metavar="TIME", help=END)
@log_options
@click.option("-i", "--interpret", "interpret", is_flag=True, help="Spell numbers out (they always are).")
@settings_option
def command(
    shared: Shared,
    log: bool,
    summary: bool,
    only: str | None,
    no_config: bool,
    nodes: tuple[str, ...],
    start: datetime | None,
    end: datetime | None,
    logs: tuple[str, ...],
    input_logs: bool,
    eoe_timeout: int | None,
    interpret: bool,  # noqa: ARG001
    **by: bool,
) -> None:
    """The reports of aureport(8) from the event log (or, with -if, from logs of auditd), with its options.

    Without a report: the totals of everything. Times are local.
    """
    chosen = [name.removeprefix(PREFIX) for name, wanted in by.items() if wanted] + ["log"] * log
    if len(chosen) > 1:
        raise click.UsageError(f"one report at a time; use one of {', '.join(f'--{name}' for name in chosen)}")
    query = q.Query(start, end)
    if only:
        query.conditions.append(failed if only == "no" else succeeded)
    if no_config:
        query.conditions.append(lambda event: "CONFIG_CHANGE" not in event.types)
    if nodes:
        query.conditions.append(q.one_of(nodes, "host.name"))
    logs += auditd_logs() if input_logs else ()
    if log:
        files = [file for name in logs for file in files_of(name)]
        sources = {file: find(shared.settings, query, (file,), timeout=eoe_timeout) for file in files}
        show_ranges(shared, sources or {str(shared.data_dir): find(shared.settings, query)})
        return
    events = find(shared.settings, query, logs, timeout=eoe_timeout)
    if not chosen:
        show_totals(shared, totals(events))
    elif summary:
        show_summary(shared, KINDS[chosen[0]], summarise(KINDS[chosen[0]], events))
    else:
        show_detail(shared, KINDS[chosen[0]], events)


def plain_table(title: str) -> Table:
    return Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, header_style="dim")


def show_ranges(shared: Shared, sources: dict[str, Iterator[q.FoundEvent]]) -> None:
    found = [(name, *map(written, span)) for name, events in sources.items() if (span := time_range(events))]
    if shared.json:
        print_json([{"log": name, "first": first, "last": last} for name, first, last in found])
        return
    table = plain_table("Time ranges")
    for name in ("log", "first", "last"):
        table.add_column(name, overflow="fold")
    for row in found:
        table.add_row(*map(harmless, row))
    make_console().print(table)


def show_totals(shared: Shared, found: dict[str, int]) -> None:
    if shared.json:
        print_json(found)
        return
    table = plain_table("Totals")
    table.add_column()
    table.add_column(justify="right")
    for name, count in found.items():
        table.add_row(name, f"{count:,}")
    make_console().print(table)


def show_summary(shared: Shared, kind: Kind, found: list[tuple[str, int]]) -> None:
    if shared.json:
        print_json([{kind.label: what, "count": count} for what, count in found])
        return
    table = plain_table(kind.title)
    table.add_column("total", justify="right")
    table.add_column(kind.label, overflow="fold")
    for what, count in found:
        table.add_row(f"{count:,}", harmless(what))
    make_console().print(table)


def show_detail(shared: Shared, kind: Kind, events: Iterator[q.FoundEvent]) -> None:
    rows = list(detail(kind, events))
    if shared.json:
        print_json([asdict(row) for row in rows])
        return
    table = plain_table(kind.title)
    for name in ("#", "time", kind.label, "host", "terminal", "executable", "success", "login user", "event"):
        table.add_column(name, overflow="fold", justify="right" if name in ("#", "event") else "left")
    for number, row in enumerate(rows, 1):
        cells = [row.time, row.what, row.host, row.terminal, row.executable, row.result, row.user, str(row.event)]
        table.add_row(str(number), *map(harmless, cells))
    make_console().print(table)
