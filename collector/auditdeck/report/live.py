"""The living summary of `auditdeck run` in a terminal."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from typing import Any

import orjson
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from auditdeck.collector.pipeline import Pipeline
from auditdeck.query.answers import counted
from auditdeck.report.terminal import bar, safe

TOP = 8
KEPT = 4096


class Summary:
    """What was seen since the start, a few numbers and the busiest users and processes."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self.lock = threading.Lock()
        self.began = time.monotonic()
        self.totals: Counter[str] = Counter()
        self.pairs: Counter[tuple[str, str]] = Counter()
        self.latest: deque[str] = deque(maxlen=5)
        self.rate: deque[tuple[float, int]] = deque(maxlen=6)

    def see(self, line: bytes) -> None:
        """Called by the pipeline for each document."""
        if b'"connected-to"' not in line:
            return
        document = orjson.loads(line)
        kind = counts_as(document)
        if kind is None:
            return
        user = document["user"].get("name") or document["user"].get("id", "?")
        executable = document["process"].get("executable") or document["process"].get("name", "?")
        with self.lock:
            self.totals[kind] += 1
            if kind == "connection":
                self.pairs[user, executable] += 1
                if len(self.pairs) > KEPT:
                    self.pairs = Counter(dict(self.pairs.most_common(KEPT // 2)))
            to = document["destination"]
            self.latest.append(
                f"{document['@timestamp'][11:19]}  {user}  {executable}  →  {to['ip']} {to['port']}  {kind}"
            )

    def __rich__(self) -> Group:
        with self.lock:
            totals, pairs, latest = dict(self.totals), self.pairs.most_common(TOP), list(self.latest)
        counters = self.pipeline.counters
        now = time.monotonic()
        self.rate.append((now, counters.events))
        first_time, first_events = self.rate[0]
        speed = (counters.events - first_events) / (now - first_time) if now > first_time else 0.0
        connections = totals.get("connection", 0)
        head = Text()
        head.append(f"{connections:,}", style="bold green").append(f" {counted(connections)}", style="bold")
        head.append(
            f"   {totals.get('failed', 0):,} failed   {totals.get('unknown', 0):,} unknown transport\n", style="dim"
        )
        head.append(
            f"{counters.events:,} events, {speed:,.0f}/s, for {now - self.began:,.0f} s ({self.pipeline.mode})",
            style="dim",
        )
        trouble = {name: getattr(counters, name) for name in ("lost", "gaps", "overruns", "damaged")}
        if any(trouble.values()):
            head.append(
                "   " + ", ".join(f"{value:,} {name}" for name, value in trouble.items() if value), style="bold red"
            )
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        for name in ("user", "executable"):
            table.add_column(name, no_wrap=True, overflow="ellipsis", header_style="dim")
        table.add_column("connections", justify="right", header_style="dim")
        table.add_column("")
        for (user, executable), count in pairs:
            table.add_row(safe(user), safe(executable), f"{count:,}", bar(count, connections))
        lines = Text("\n".join(latest), style="dim", no_wrap=True, overflow="ellipsis")
        return Group(head, Text(), table, Text(), lines, Text("\nCtrl-C ends it.", style="dim"))


def counts_as(document: dict[str, Any]) -> str | None:
    """'connection', 'failed' or 'unknown' for an outbound TCP connection, None for all else (see store.columns)."""
    event = document["event"]
    network = document.get("network", {})
    if event["action"] != "connected-to" or "start" not in event["type"] or network.get("direction") != "egress":
        return None
    transport = network.get("transport")
    if transport is None:
        return "unknown"
    if transport != "tcp":
        return None
    return "failed" if event["outcome"] == "failure" else "connection"


def show(pipeline: Pipeline, seconds: float | None) -> None:
    """Until the pipeline ends, or for so many seconds."""
    summary = Summary(pipeline)
    pipeline.on_line = summary.see
    deadline = None if seconds is None else time.monotonic() + seconds
    with Live(summary, console=Console(stderr=True, highlight=False), refresh_per_second=2, transient=True):
        while not pipeline.ended.is_set() and (deadline is None or time.monotonic() < deadline):
            pipeline.ended.wait(0.2)
