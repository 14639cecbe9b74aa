"""`auditdeck report`: the two answers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from auditdeck.cli.moment import HELP, Moment
from auditdeck.cli.options import Shared, print_json, shared
from auditdeck.cli.verify import as_json, checked, summary
from auditdeck.eventlog.verification import Verification
from auditdeck.packages import require
from auditdeck.query.answers import BY, Question, ask
from auditdeck.query.question import ASKED_STATES
from auditdeck.visible import visible

FILTERS = {
    "host": ("host", str, "this host"),
    "user": ("user", str, "this user (name, or number where it has none)"),
    "process": ("process", str, "this executable (path or last part of it) or process name"),
    "login-user": ("login", str, "this login user (the one who logged in, whatever sudo or su made of him)"),
    "script": ("script", str, "this script (or executable that is not an interpreter)"),
    "container": ("container", str, "this container, by name or id; '' for the host itself"),
    "destination": ("destination", str, "connections to this address"),
    "port": ("port", click.IntRange(0, 65535), "connections to this port"),
    "unit": ("unit", str, "this systemd service, such as nginx.service"),
    "state": ("state", click.Choice(ASKED_STATES), "what became of the attempt"),
}


def filter_options(function: Callable[..., Any]) -> Callable[..., Any]:
    for name, (field, kind, text) in reversed(FILTERS.items()):
        function = click.option(f"--{name}", field, type=kind, help=f"Only {text}.")(function)
    return function


@click.command("report")
@click.option(
    "--since",
    type=Moment(),
    default="7d",
    show_default=True,
    metavar="TIME",
    help=f"From when on: {HELP}.",
)
@click.option("--until", type=Moment(), default="now", show_default=True, metavar="TIME", help="Up to when.")
@filter_options
@click.option(
    "--by",
    type=click.Choice(list(BY)),
    help="Count by this instead of the usual tables; all of them in a pipe and in JSON.",
)
@click.option(
    "--html",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write one self-contained HTML page.",
)
@click.option("--verify", "verifies", is_flag=True, help="Say also whether the event log is as it was written.")
@shared
def command(
    shared: Shared,
    since: datetime,
    until: datetime,
    by: str | None,
    html: Path | None,
    verifies: bool,
    **only: Any,
) -> int:
    """How many outbound TCP connections were made, and which users and processes made them, in what proportion.

    A connection counts when it was established; attempts that were refused, unanswered or unreachable are shown apart.
    Works while a collector runs. Times are local; days, and times in JSON, are UTC. With --verify all of the event log
    is read, whatever the window, and the exit status is 1 if it was changed (see `auditdeck verify`).
    """
    if html is not None:
        require("jinja2", "--html")
    if since >= until:
        raise click.UsageError("--since must be before --until")
    found = checked(shared) if verifies else None
    print_report(shared, Question(since, until, **only), html, by, found)
    return 1 if found is not None and found.problems else 0


def print_report(
    shared: Shared,
    question: Question,
    html: Path | None = None,
    by: str | None = None,
    verified: Verification | None = None,
) -> None:
    answer = ask(shared.data_dir, question, by)
    if verified is not None:
        answer["verification"] = as_json(verified)
    if html is not None:
        from auditdeck.serve.frozen import page

        html.write_text(page(answer, question), "utf-8")
        shared.say(f"wrote {html}")
    if shared.json:
        print_json(answer)
    elif html is None:
        from auditdeck.report.terminal import show

        show(answer, question)
    if verified is not None and not shared.json:
        for problem in verified.problems:
            click.echo(f"NOT AS IT WAS WRITTEN: {visible(problem.text)}")
        if not verified.problems:
            click.echo(summary(shared, verified))
