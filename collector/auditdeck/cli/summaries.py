"""The reports of aureport(8), as part of `auditdeck report`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime

from rich.table import Table

from auditdeck.cli.options import Shared, print_json
from auditdeck.query import search as q
from auditdeck.query.aureport import KINDS, Kind, detail, failed, succeeded, summarise, totals
from auditdeck.query.formats import harmless
from auditdeck.query.sources import find
from auditdeck.report.console import make_console


@dataclass(frozen=True, slots=True)
class Wish:
    """`kind` of KINDS, or "" for the totals of everything."""

    kind: str
    summary: bool
    failed: bool
    success: bool
    window: tuple[datetime, datetime] | None
    logs: tuple[str, ...]
    host: str | None = None
    user: str | None = None


def print_summaries(shared: Shared, wish: Wish) -> None:
    events = find(shared.settings, make_query(wish), wish.logs)
    if not wish.kind:
        show_totals(shared, totals(events))
    elif wish.summary:
        show_summary(shared, KINDS[wish.kind], summarise(KINDS[wish.kind], events))
    else:
        show_detail(shared, KINDS[wish.kind], events)


def make_query(wish: Wish) -> q.Query:
    query = q.Query(*(wish.window or (None, None)))
    if wish.failed:
        query.conditions.append(failed)
    if wish.success:
        query.conditions.append(succeeded)
    if wish.host:
        query.conditions.append(q.exact(wish.host, "host.name"))
    if wish.user:
        query.conditions.append(q.user(wish.user, ""))
    return query


def plain_table(title: str) -> Table:
    return Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, header_style="dim")


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


def show_detail(shared: Shared, kind: Kind, events: Iterator[q.Event]) -> None:
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
