"""`auditdeck status`: the kernel's audit state and the collector's counters."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click
from rich.table import Table

from auditdeck.audit.client import AuditSocket, process_alive
from auditdeck.cli.options import Shared, print_json, shared
from auditdeck.errors import KernelError
from auditdeck.eventlog.status import STATUS, is_fresh, read_status, troubles
from auditdeck.outputs.dead_letters import DeadLetters
from auditdeck.report.console import make_console
from auditdeck.visible import visible

ENABLED = {0: "off", 1: "on", 2: "on, locked until the next boot"}
FAILURE = {0: "silent", 1: "printk", 2: "panic"}
EXPLAINED = {
    "enabled": ENABLED,
    "failure": FAILURE,
}
BAD = {
    "not_watched", "failing", "unwatched", "lost", "ring_lost", "gaps", "dropped", "damaged", "dead_letters",
    "kept_dead_letters", "shortened", "doubled", "overruns", "error",
}  # fmt: skip


@click.command("status")
@shared
def command(shared: Shared) -> int:
    """Show the kernel's audit state and the counters of the collector that writes the data directory.

    Exit status 3 if no collector runs, 4 if not everything is watched or written; with --quiet that is all it says.
    """
    kernel = kernel_state()
    collector = collector_state(shared)
    if shared.json:
        print_json({"kernel": kernel, "collector": collector})
    elif not shared.quiet:
        console = make_console()
        console.print(table("Kernel", kernel))
        console.print(table("Collector", flat(collector)))
        if collector.get("connections"):
            console.print(table("Connections", collector["connections"]))
        if collector.get("filters"):
            console.print(table("Events by filter", collector["filters"]))
        for name, counts in collector.get("outputs", {}).items():
            console.print(table(f"Output {name}", counts))
    if not collector["running"]:
        return 3
    return 4 if troubles(collector) else 0


def kernel_state() -> dict[str, Any]:
    try:
        with AuditSocket() as audit:
            state: dict[str, Any] = asdict(audit.status())
            state["rules"] = len(audit.rules())
    except KernelError as error:
        return {"error": f"{error} ({error.hint})"}
    return state


def collector_state(shared: Shared) -> dict[str, Any]:
    status = read_status(shared.data_dir / STATUS)
    if status is None:
        return {"running": False, "data_dir": str(shared.data_dir)}
    running = process_alive(status["pid"]) and is_fresh(status)
    return {"running": running, "data_dir": str(shared.data_dir), "kept_dead_letters": kept(shared), **status}


def kept(shared: Shared) -> int | None:
    """Dead letters that wait for `auditdeck resend`, those of earlier runs too; None if they may not be read."""
    try:
        return DeadLetters(shared.data_dir).count()
    except OSError:
        return None


def flat(collector: dict[str, Any]) -> dict[str, Any]:
    shown = {
        name: value
        for name, value in collector.items()
        if name not in ("counters", "connections", "filters", "outputs", "time", "unreported")
    }
    return {**shown, **collector.get("counters", {})}


def table(title: str, values: dict[str, Any]) -> Table:
    shown = Table(title=title, title_justify="left", title_style="bold", box=None, show_header=False, pad_edge=False)
    shown.add_column(style="dim", no_wrap=True)
    shown.add_column(overflow="fold")
    for name, value in values.items():
        if value in (None, "", []):
            continue
        bad = name in BAD and value
        shown.add_row(visible(name.replace("_", " ")), visible(text_of(name, value)), style="red" if bad else None)
    return shown


def text_of(name: str, value: Any) -> str:
    if isinstance(value, list):
        return "; ".join(map(str, value))
    if name in EXPLAINED and value in EXPLAINED[name]:
        return EXPLAINED[name][value]
    if isinstance(value, bool) or name == "pid":
        return str(value)
    return f"{value:,.1f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
