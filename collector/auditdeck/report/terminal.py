"""The report in a terminal: tables and bars, at most 80 columns where the terminal is no wider."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from auditdeck.query.answers import Question, counted, losses
from auditdeck.report.visible import visible

TOP = 10
BAR = 20
BLOCKS = " ▏▎▍▌▋▊▉█"


def show(answer: dict[str, Any], question: Question, console: Console | None = None) -> None:
    console = console or Console(highlight=False)
    totals = answer["outbound_tcp"]
    console.print(headline(answer, question))
    if not (totals["connections"] or totals["failed"] or totals["unknown_transport"]):
        console.print("No outbound TCP connection was seen in this time.\n", style="yellow")
    console.print(days(totals["by_day"]))
    for title, name, label in (("Users", "users", "user"), ("Processes", "processes", "executable")):
        if answer[name]:
            console.print(shares(title, answer[name], label))
    if answer["users_processes"]:
        console.print(pairs(answer["users_processes"]))
    if answer["destinations"]:
        console.print(destinations(answer["destinations"]))
    console.print(footer(answer))


def headline(answer: dict[str, Any], question: Question) -> Text:
    totals = answer["outbound_tcp"]
    text = Text()
    text.append(f"{totals['connections']:,}", style="bold green")
    text.append(f" {counted(totals['connections'])}", style="bold")
    text.append(f"\n{question.since:%Y-%m-%d %H:%M} to {question.until:%Y-%m-%d %H:%M} UTC", style="dim")
    for name, value in (("host", question.host), ("user", question.user), ("process", question.process)):
        if value is not None:
            text.append(f", {name} ", style="dim").append(safe(value))
    text.append(f"\n{totals['failed']:,} more failed", style="red" if totals["failed"] else "dim")
    text.append(f", {totals['unknown_transport']:,} of unknown transport are not counted\n", style="dim")
    return text


def days(by_day: list[dict[str, Any]]) -> Table:
    table = table_of("Day", [("date", "left"), ("connections", "right"), ("failed", "right"), ("", "left")])
    most = max((day["connections"] for day in by_day), default=0)
    for day in by_day[-31:]:
        table.add_row(day["date"], f"{day['connections']:,}", f"{day['failed']:,}", bar(day["connections"], most))
    return table


def shares(title: str, entries: list[dict[str, Any]], label: str) -> Table:
    table = table_of(title, [(label, "left"), ("connections", "right"), ("share", "right"), ("", "left")])
    for entry in entries[:TOP]:
        percent = f"{entry['share']:.1%}"
        table.add_row(safe(entry[label]), f"{entry['connections']:,}", percent, bar(entry["share"], 1.0))
    add_rest(table, entries, 2)
    return table


def pairs(entries: list[dict[str, Any]]) -> Table:
    table = table_of("Users and processes", [("user", "left"), ("executable", "left"), ("connections", "right")])
    for entry in entries[:TOP]:
        table.add_row(safe(entry["user"]), safe(entry["executable"]), f"{entry['connections']:,}")
    add_rest(table, entries, 1)
    return table


def destinations(entries: list[dict[str, Any]]) -> Table:
    table = table_of("Destinations", [("address", "left"), ("port", "right"), ("connections", "right")])
    for entry in entries[:TOP]:
        table.add_row(entry["ip"], str(entry["port"]), f"{entry['connections']:,}")
    add_rest(table, entries, 1)
    return table


def footer(answer: dict[str, Any]) -> Text:
    text = Text()
    for name, share in answer["active_share"].items():
        text.append(f"{share['connected']:,} of {share['seen']:,} {name} seen connected out ({share['share']:.1%})\n")
    first = answer["first_seen"]
    if first:
        names = ", ".join(safe(entry["executable"]) for entry in first[:5])
        more = f" and {len(first) - 5} more" if len(first) > 5 else ""
        text.append(f"Connected out for the first time: {names}{more}\n")
    if lost := losses(answer["quality"]):
        text.append(f"Not all was seen: {lost}", style="bold red")
    else:
        text.append("Nothing was lost while counting.", style="green")
    return text


def table_of(title: str, columns: list[tuple[str, Any]]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name, justify in columns:
        overflow: Any = "ellipsis" if name in ("executable", "user") else "fold"
        table.add_column(name, justify=justify, overflow=overflow, no_wrap=True, header_style="dim")
    return table


def add_rest(table: Table, entries: list[dict[str, Any]], position: int) -> None:
    if len(entries) > TOP:
        rest = sum(entry["connections"] for entry in entries[TOP:])
        cells = [f"{len(entries) - TOP} more", *[""] * (len(table.columns) - 1)]
        cells[1 if position == 2 else len(cells) - 1] = f"{rest:,}"
        table.add_row(*cells, style="dim")


def bar(value: float, most: float) -> str:
    eighths = round(value / most * BAR * 8) if most else 0
    if value and not eighths:
        eighths = 1
    return "█" * (eighths // 8) + BLOCKS[eighths % 8].strip()


def safe(text: str | None) -> str:
    """Text of audited programs with control characters made visible, and no markup."""
    if text is None:
        return "?"
    return visible(text).replace("[", "\\[")
