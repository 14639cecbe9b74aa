"""`auditdeck report`: the two answers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from auditdeck.cli.moment import HELP, Moment
from auditdeck.cli.options import Shared, print_json, shared
from auditdeck.query.answers import BY, Question, ask
from auditdeck.query.columns import STATES, UNKNOWN

COUNTED = "\0"
"""What --user and --host without a name stand for."""

REPORTS = (
    "auth", "login", "executable", "comm", "syscall", "key", "file", "terminal", "pid", "event", "anomaly", "response",
    "avc", "mac", "mods", "config-changes", "crypto", "integrity", "virt",
)  # fmt: skip
PREFIX = "by_"
FILTER = "only_"


def aureport_options(function: Callable[..., Any]) -> Callable[..., Any]:
    for name in reversed(REPORTS):
        words = name.replace("-", " ")
        option = click.option(f"--{name}", PREFIX + name.replace("-", "_"), is_flag=True, help=f"Report by {words}.")
        function = option(function)
    return function


def counted(name: str, text: str) -> Callable[[Any], Any]:
    """An option that filters by a name, and without one asks for a report."""
    return click.option(name, is_flag=False, flag_value=COUNTED, metavar="[NAME]", help=text)


FILTERS = {
    "login-user": ("login", str, "this login user (the one who logged in, whatever sudo or su made of him)"),
    "script": ("script", str, "this script (or executable that is not an interpreter)"),
    "container": ("container", str, "this container, by name or id; '' for the host itself"),
    "destination": ("destination", str, "connections to this address"),
    "port": ("port", click.IntRange(0, 65535), "connections to this port"),
    "unit": ("unit", str, "this systemd service, such as nginx.service"),
    "state": ("state", click.Choice([*STATES, UNKNOWN]), "what became of the attempt"),
}


def filter_options(function: Callable[..., Any]) -> Callable[..., Any]:
    for name, (field, kind, text) in reversed(FILTERS.items()):
        function = click.option(f"--{name}", FILTER + field, type=kind, help=f"Only {text}.")(function)
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
@click.option(
    "--host",
    is_flag=False,
    flag_value=COUNTED,
    metavar="[NAME]",
    help="Only this host; without a name: a report by remote host.",
)
@click.option(
    "--user",
    is_flag=False,
    flag_value=COUNTED,
    metavar="[NAME]",
    help="Only this user (name, or number where it has none); without a name: a report by login user.",
)
@click.option("--process", help="Only this executable (path or last part of it) or process name.")
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
@aureport_options
@click.option("--summary", is_flag=True, help="Counts instead of single events; alone: the totals of everything.")
@click.option("--failed", is_flag=True, help="In these reports only what failed.")
@click.option("--success", is_flag=True, help="In these reports only what succeeded.")
@click.option("-if", "--input", "logs", multiple=True, metavar="FILE", help="These reports from a log of auditd.")
@shared
def command(
    shared: Shared,
    since: datetime,
    until: datetime,
    host: str | None,
    user: str | None,
    process: str | None,
    by: str | None,
    html: Path | None,
    summary: bool,
    failed: bool,
    success: bool,
    logs: tuple[str, ...],
    **rest: Any,
) -> None:
    """How many outbound TCP connections were made, and which users and processes made them, in what proportion.

    A connection counts when it was established; attempts that were refused, unanswered or unreachable are shown apart.
    With --auth, --login, --executable and the like, or --summary: the reports of aureport(8) instead. Works while a
    collector runs. Times are local; days, and times in JSON, are UTC.
    """
    if since >= until:
        raise click.UsageError("--since must be before --until")
    chosen = [name.removeprefix(PREFIX).replace("_", "-") for name, wanted in rest.items() if wanted is True]
    chosen += [name for name, value in (("host", host), ("user", user)) if value == COUNTED]
    if chosen or summary or logs:
        from auditdeck.cli.summaries import Wish, print_summaries

        if len(chosen) > 1:
            raise click.UsageError(f"one report at a time: --{chosen[0]} or --{chosen[1]}")
        names = {name: value for name, value in (("host", host), ("user", user)) if value not in (None, COUNTED)}
        # A log is older than the default window, so it is looked at as a whole.
        window = None if logs and since_is_default() else (since, until)
        print_summaries(shared, Wish((chosen or [""])[0], summary, failed, success, window, logs, **names))
        return
    only = {name.removeprefix(FILTER): value for name, value in rest.items() if name.startswith(FILTER)}
    print_report(shared, Question(since, until, host, user, process=process, **only), html, by)


def since_is_default() -> bool:
    source = click.get_current_context().get_parameter_source("since")
    return source == click.core.ParameterSource.DEFAULT


def print_report(shared: Shared, question: Question, html: Path | None = None, by: str | None = None) -> None:
    answer = ask(shared.data_dir, question, by)
    if html is not None:
        from auditdeck.report.html import page

        html.write_text(page(answer, question))
        shared.say(f"wrote {html}")
    if shared.json:
        print_json(answer)
    elif html is None:
        from auditdeck.report.terminal import show

        show(answer, question)
