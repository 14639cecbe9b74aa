"""The living summary of `auditdeck run` in a terminal."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from datetime import datetime
from typing import Any, Protocol

import orjson
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group
from rich.live import Live
from rich.text import Text

from auditdeck.query.columns import ESTABLISHED, FAILED, UNRESOLVED
from auditdeck.report.console import make_console
from auditdeck.report.sentences import counted, percent, size
from auditdeck.report.table import Column, make_table
from auditdeck.visible import visible

TOP = 8
KEPT = 4096
TROUBLE = ("lost", "gaps", "overruns", "damaged", "ring_lost")
COLUMNS = [Column("user"), Column("executable"), Column("connections", "number"), Column("share", "number"),
           Column("", "bar")]  # fmt: skip


class Watched(Protocol):
    """The collector, as far as it is looked at."""

    counters: Any
    ended: threading.Event
    on_line: Callable[[bytes], None] | None

    @property
    def mode(self) -> str: ...


class Summary:
    """What was seen since the start, a few numbers and the busiest users and processes."""

    def __init__(self, collector: Watched) -> None:
        self.collector = collector
        self.lock = threading.Lock()
        self.began = time.monotonic()
        self.totals: Counter[str] = Counter()
        self.pairs: Counter[tuple[str, str]] = Counter()
        self.latest: deque[str] = deque(maxlen=5)
        self.rate: deque[tuple[float, int]] = deque(maxlen=6)

    def see(self, line: bytes) -> None:
        """Called by the collector for each document."""
        if b"nected-" not in line:
            return
        document = orjson.loads(line)
        if document.get("network", {}).get("direction") != "egress":
            return
        state = document.get("auditdeck", {}).get("connection", {}).get("state")
        to = document.get("destination", {})
        with self.lock:
            self.totals["sent"] += document.get("source", {}).get("bytes", 0)
            self.totals["received"] += to.get("bytes", 0)
            if state is None:
                return
            user, executable = user_of(document), program_of(document)
            self.totals[state] += 1
            if state == ESTABLISHED:
                self.pairs[user, executable] += 1
                if len(self.pairs) > KEPT:
                    self.pairs = Counter(dict(self.pairs.most_common(KEPT // 2)))
            clock = f"{datetime.fromisoformat(document['@timestamp']).astimezone():%H:%M:%S %Z}"
            self.latest.append(f"{clock}  {user}  {executable}  →  {to.get('ip')} {to.get('port')}  {state}")

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Any:
        with self.lock:
            totals, pairs, latest = dict(self.totals), self.pairs.most_common(TOP), list(self.latest)
        connections = totals.get(ESTABLISHED, 0)
        width = options.max_width
        rows: list[list[str | float]] = [
            [user, executable, f"{count:,}", percent(count / connections), count / connections]
            for (user, executable), count in pairs
        ]
        lines = Text("\n".join(leading(visible(line), width) for line in latest), style="dim")
        yield Group(
            self.head(totals), Text(), make_table(width, "", COLUMNS, rows)[0], Text(), lines,
            Text("\nCtrl-C ends it.", style="dim"),
        )  # fmt: skip

    def head(self, totals: dict[str, int]) -> Text:
        counters = self.collector.counters
        now = time.monotonic()
        self.rate.append((now, counters.events))
        first_time, first_events = self.rate[0]
        speed = (counters.events - first_events) / (now - first_time) if now > first_time else 0.0
        connections = totals.get(ESTABLISHED, 0)
        head = Text()
        head.append(f"{connections:,}", style="bold green").append(f" {counted(connections)}\n", style="bold")
        others = [f"{totals.get(state, 0):,} {state}" for state in FAILED]
        if totals.get(UNRESOLVED):
            others.append(f"{totals[UNRESOLVED]:,} unresolved")
        others += [f"{size(totals.get('sent', 0))} sent", f"{size(totals.get('received', 0))} received"]
        head.append(f"{', '.join(others)}\n", style="dim")
        head.append(f"{counters.events:,} events, {speed:,.0f}/s, for {now - self.began:,.0f} s", style="dim")
        head.append(f" ({self.collector.mode})", style="dim")
        trouble = {name: getattr(counters, name, 0) for name in TROUBLE}
        told = [f"{value:,} {name.replace('_', ' ')}" for name, value in trouble.items() if value]
        if unwatched := getattr(counters, "unwatched", 0):
            told.append(f"not watched for {unwatched:.0f} s")
        if told:
            head.append(f"   {', '.join(told)}", style="bold red")
        return head


def user_of(document: dict[str, Any]) -> str:
    user = document.get("user", {})
    return str(user.get("name") or user.get("id", "?"))


def program_of(document: dict[str, Any]) -> str:
    process = document.get("process", {})
    return str(process.get("executable") or process.get("name", "?"))


def leading(text: str, width: int) -> str:
    """One line of a terminal."""
    while cell_len(text) > width:
        text = text[: width - 1 - (cell_len(text) - len(text))] + "…"
    return text


def show(collector: Watched, seconds: float | None) -> None:
    """Until the collector ends, or for so many seconds."""
    summary = Summary(collector)
    collector.on_line = summary.see
    deadline = None if seconds is None else time.monotonic() + seconds
    with Live(summary, console=make_console(stderr=True), refresh_per_second=2, transient=True):
        while not collector.ended.is_set() and (deadline is None or time.monotonic() < deadline):
            collector.ended.wait(0.2)
