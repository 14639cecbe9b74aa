"""Tables that fit: numbers are never cut, texts are shortened in the middle, bars get what is left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from auditdeck.visible import visible

GAP = 2
LEAST_TEXT = 8
LEAST_BAR, BAR = 5, 20
BLOCKS = " ▏▎▍▌▋▊▉█"

Kind = Literal["text", "number", "bar"]
Row = list[str | float]


@dataclass(frozen=True, slots=True)
class Column:
    """A `text` may be shortened, a `number` never; a `bar` holds shares of 1.0."""

    name: str
    kind: Kind = "text"


def draw(console: Console, title: str, columns: list[Column], rows: list[Row], rest: Row | None = None) -> None:
    """Prints rows, and dimmed below them what `rest` says of those that are not shown."""
    table, width = make_table(console.width, title, columns, rows, rest)
    console.print(table, width=max(console.width, width), crop=False)
    console.print()


def make_table(
    room: int, title: str, columns: list[Column], rows: list[Row], rest: Row | None = None
) -> tuple[Table, int]:
    """A table for so many columns of a terminal, and how many it takes: more only if numbers alone need them."""
    every = [*rows, rest] if rest else rows
    texts = [[shown(cell) for cell in row] for row in every]
    widths = fit(room, columns, texts)
    table = Table(
        title=title or None, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, GAP, 0, 0)
    )
    kept = [n for n, width in enumerate(widths) if width]
    for n in kept:
        justify: Literal["left", "right"] = "right" if columns[n].kind == "number" else "left"
        table.add_column(columns[n].name, justify=justify, width=widths[n], no_wrap=True, header_style="dim")
    for number, row in enumerate(every):
        cells = []
        for n in kept:
            value = row[n]
            cells.append(
                Text(bar(value, widths[n]) if isinstance(value, float) else shorten(texts[number][n], widths[n]))
            )
        table.add_row(*cells, style="dim" if row is rest else None)
    return table, sum(widths[n] + GAP for n in kept)


def shown(cell: str | float) -> str:
    return visible(cell) if isinstance(cell, str) else ""


def fit(room: int, columns: list[Column], texts: list[list[str]]) -> list[int]:
    """The width of each column; 0 for a bar that finds no room. Wider than `room` only if numbers alone are."""
    widths = [
        max([cell_len(column.name), *(cell_len(row[n]) for row in texts)]) if column.kind != "bar" else 0
        for n, column in enumerate(columns)
    ]
    bars = [n for n, column in enumerate(columns) if column.kind == "bar"]
    room -= GAP * (len(columns) - len(bars) - 1)
    excess = sum(widths) - room
    while excess > 0:
        # The widest text gives way first.
        texts_left = [n for n, c in enumerate(columns) if c.kind == "text" and widths[n] > max(LEAST_TEXT, len(c.name))]
        if not texts_left:
            return widths
        widest = max(texts_left, key=lambda n: widths[n])
        widths[widest] -= 1
        excess -= 1
    left = room - sum(widths) - GAP
    for n in bars:
        widths[n] = min(BAR, left) if left >= LEAST_BAR else 0
    return widths


def shorten(text: str, width: int) -> str:
    """At most `width` cells: what is in the middle goes, and the last part of a path stays as long as it can."""
    if cell_len(text) <= width:
        return text
    tail = text[text.rfind("/") :] if 0 <= text.rfind("/") < len(text) - 1 else text[len(text) // 2 :]
    room = width - 1
    end = min(max(cell_len(tail), room * 2 // 3), room - min(room // 4, 4))
    return leading(text, room - end) + "…" + leading(text[::-1], end)[::-1]


def leading(text: str, cells: int) -> str:
    """As many characters as fit into so many cells."""
    taken = 0
    for n, char in enumerate(text):
        taken += cell_len(char)
        if taken > cells:
            return text[:n]
    return text


def bar(share: float, width: int = BAR) -> str:
    """A bar of eighths of a cell; what is more than nothing is seen."""
    eighths = round(min(share, 1.0) * width * 8)
    if share and not eighths:
        eighths = 1
    return "█" * (eighths // 8) + BLOCKS[eighths % 8].strip()
