"""`auditdeck hosts` and `auditdeck revoke`: the hosts of a stack."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from auditdeck.cli.cluster import ELASTICSEARCH, SECRETS, reach
from auditdeck.cli.options import Shared, print_json, shared


@click.command("hosts")
@SECRETS
@ELASTICSEARCH
@shared
def command(shared: Shared, secrets: Path, elasticsearch: str) -> None:
    """List the hosts of the stack: last report, version, events an hour, losses and coverage of the past day.

    Run it on the stack's host: docker compose run --rm init hosts
    """
    from auditdeck.stack.fleet import advice, hosts

    rows = hosts(reach(elasticsearch, secrets))
    if shared.json:
        print_json(rows)
        return
    from rich.table import Table
    from rich.text import Text

    from auditdeck.report.console import make_console
    from auditdeck.visible import visible

    table = Table(box=None, pad_edge=False)
    for name in ("host", "state", "last report", "version", "events an hour", "lost in 24 h", "watched of 24 h"):
        table.add_column(name, justify="right" if name[0] in "elw" and name != "last report" else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(visible(cell)) for cell in cells(row)))
    console = make_console()
    console.print(table if rows else "No host has reported yet.")
    for sentence in advice([row for row in rows if "version" in row]):
        console.print()
        console.print(Text(visible(sentence)))


def cells(row: dict[str, Any]) -> list[str]:
    measured = "documents_hour" in row
    return [
        row["name"],
        row["state"],
        age(row["last"]) if row["last"] else "–",
        row.get("version", "") or "–",
        f"{row['documents_hour']:,}" if measured else "–",
        f"{row['lost_day']:,}" if measured else "–",
        f"{row['watched_day'] * 24:.1f} h" if measured else "–",
    ]


def age(last: str) -> str:
    seconds = (datetime.now(UTC) - datetime.fromisoformat(last.replace("Z", "+00:00"))).total_seconds()
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit} ago"
    return f"{max(0, seconds):.0f} s ago"
