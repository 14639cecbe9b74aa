"""The report in a terminal: tables that fit its width; in a pipe nothing is shortened."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.text import Text

from auditdeck.query.answers import Question
from auditdeck.query.times import window
from auditdeck.report.console import make_console
from auditdeck.report.sentences import NONE, counted, coverage, losses, moved, not_counted, percent, size
from auditdeck.report.table import Column, draw
from auditdeck.visible import visible

TOP = 10
TOP_BY = 50
NUMBERS = [Column("connections", "number"), Column("share", "number")]
BYTES = [Column("sent", "number"), Column("received", "number")]
BAR = Column("", "bar")

Entry = dict[str, Any]


def show(answer: dict[str, Any], question: Question, console: Console | None = None) -> None:
    console = console or make_console()
    totals = answer["outbound_tcp"]
    console.print(headline(answer, question))
    if not (totals["connections"] or totals["failed"] or totals["unknown_transport"] or totals["unresolved"]):
        console.print(Text("No outbound TCP connection was seen in this time.\n", style="yellow"))
    days(console, totals["by_day"])
    if "by" in answer:
        field = answer["by"]["field"]
        shares(console, f"By {field}", answer["by"]["entries"], field, top=TOP_BY)
    else:
        shares(console, "Users", answer["users"], "user")
        if any(entry["login"] is not None for entry in answer["login_users"]):
            shares(console, "Login users", answer["login_users"], "login")
        shares(console, "Processes", answer["processes"], "executable")
        pairs(console, answer["users_processes"])
        shares(console, "Containers", answer["containers"], "container")
        destinations(console, answer["destinations"])
        failures(console, answer["failures"])
    console.print(footer(answer))


def headline(answer: dict[str, Any], question: Question) -> Text:
    totals = answer["outbound_tcp"]
    text = Text()
    text.append(f"{totals['connections']:,}", style="bold green")
    text.append(f" {counted(totals['connections'])}", style="bold")
    text.append(f"\n{window(question.since, question.until)}", style="dim")
    for name, value in question.filters.items():
        text.append(f", {name} ", style="dim").append(visible(str(value)) or NONE.get(name, "?"))
    if others := not_counted(totals):
        text.append(f"\n{others}", style="red" if totals["failed"] else "dim")
    text.append(f"\n{moved(totals)}\n", style="dim")
    return text


def days(console: Console, by_day: list[Entry]) -> None:
    most = max((day["connections"] for day in by_day), default=0) or 1
    rows = [[d["date"], f"{d['connections']:,}", f"{d['failed']:,}", d["connections"] / most] for d in by_day[-31:]]
    columns = [Column("date", "number"), Column("connections", "number"), Column("failed", "number"), BAR]
    draw(console, "Day (UTC)", columns, rows)


def shares(console: Console, title: str, entries: list[Entry], label: str, top: int = TOP) -> None:
    if not entries:
        return
    rows: list[list[str | float]] = [
        [name_of(entry, label), f"{entry['connections']:,}", percent(entry["share"]), size(entry["bytes_sent"]),
         size(entry["bytes_received"]), float(entry["share"])]
        for entry in entries[:top]
    ]  # fmt: skip
    rest: list[str | float] | None = None
    if more := entries[top:]:
        rest = [
            f"{len(more):,} more", f"{sum(entry['connections'] for entry in more):,}",
            percent(sum(entry["share"] for entry in more)), size(sum(entry["bytes_sent"] for entry in more)),
            size(sum(entry["bytes_received"] for entry in more)), "",
        ]  # fmt: skip
    draw(console, title, [Column(label), *NUMBERS, *BYTES, BAR], rows, rest=rest)


def name_of(entry: Entry, label: str) -> str:
    """A program whose file was replaced or deleted while it ran is marked, and counted with the others of its path."""
    name = NONE.get(label, "?") if entry[label] is None else str(entry[label])
    return f"{name} (deleted)" if entry.get("deleted") else name


def pairs(console: Console, entries: list[Entry]) -> None:
    if not entries:
        return
    rows: list[list[str | float]] = [
        [name_of(entry, "user"), name_of(entry, "executable"), f"{entry['connections']:,}"] for entry in entries[:TOP]
    ]
    rest = add_rest(entries, ["", f"{sum(entry['connections'] for entry in entries[TOP:]):,}"])
    draw(
        console,
        "Users and processes",
        [Column("user"), Column("executable"), Column("connections", "number")],
        rows,
        rest=rest,
    )


def destinations(console: Console, entries: list[Entry]) -> None:
    if not entries:
        return
    rows: list[list[str | float]] = [
        [name_of(entry, "ip"), name_of(entry, "port"), f"{entry['connections']:,}", percent(entry["share"]),
         size(entry["bytes_sent"]), size(entry["bytes_received"])]
        for entry in entries[:TOP]
    ]  # fmt: skip
    columns = [Column("address", "number"), Column("port", "number"), *NUMBERS, *BYTES]
    draw(console, "Destinations", columns, rows)


def failures(console: Console, entries: list[Entry]) -> None:
    if not entries:
        return
    rows: list[list[str | float]] = [
        [entry["reason"], name_of(entry, "user"), name_of(entry, "executable"), name_of(entry, "ip"),
         name_of(entry, "port"), f"{entry['attempts']:,}"]
        for entry in entries[:TOP]
    ]  # fmt: skip
    columns = [Column("what became of it", "number"), Column("user"), Column("executable"), Column("address", "number"),
               Column("port", "number"), Column("attempts", "number")]  # fmt: skip
    draw(console, "Failed attempts", columns, rows)


def add_rest(entries: list[Entry], cells: list[str | float]) -> list[str | float] | None:
    return [f"{len(entries) - TOP:,} more", *cells] if len(entries) > TOP else None


def footer(answer: dict[str, Any]) -> Text:
    text = Text()
    for name, share in answer["active_share"].items():
        text.append(f"{share['connected']:,} of {share['seen']:,} {name} seen connected out ({share['share']:.1%})\n")
    if first := answer["first_seen"]:
        names = ", ".join(visible(name_of(entry, "executable")) for entry in first[:5])
        more = f" and {len(first) - 5} more" if len(first) > 5 else ""
        text.append(f"Connected out for the first time: {names}{more}\n")
    seen = coverage(answer["coverage"])
    text.append(seen + "\n" if seen else "", style="yellow")
    if lost := losses(answer["quality"]):
        text.append(f"Not all was seen: {lost}", style="bold red")
    elif seen:
        text.append("While it was watched, no loss was reported.")
    else:
        text.append("Watched all the time; no loss was reported.", style="green")
    return text
