"""`auditdeck report`: the two answers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from auditdeck.commands.options import Shared, print_json, shared
from auditdeck.config import duration
from auditdeck.report.answers import Question, ask


class Moment(click.ParamType[datetime]):
    """A point in time: 7d (ago), 2026-11-23, 2026-11-23T12:00:00Z, now, today, yesterday; without a zone UTC."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        text = str(value).strip()
        now = datetime.now(UTC)
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        words = {"now": now, "today": midnight, "yesterday": midnight - timedelta(days=1)}
        if text in words:
            return words[text]
        try:
            return now - timedelta(seconds=duration(text))
        except (ValueError, OverflowError):
            pass
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            self.fail(f"{text!r} is no time: 7d, 12h, today, 2026-11-23 or 2026-11-23T12:00:00Z are", param, ctx)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


@click.command("report")
@click.option(
    "--since",
    type=Moment(),
    default="7d",
    show_default=True,
    metavar="TIME",
    help="From when on: 7d, 12h, today, 2026-11-23, or RFC 3339.",
)
@click.option("--until", type=Moment(), default="now", show_default=True, metavar="TIME", help="Up to when.")
@click.option("--host", help="Only this host.")
@click.option("--user", help="Only this user (name, or number where it has none).")
@click.option("--process", help="Only this executable (path or last part of it) or process name.")
@click.option(
    "--html",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write one self-contained HTML page.",
)
@shared
def command(
    shared: Shared,
    since: datetime,
    until: datetime,
    host: str | None,
    user: str | None,
    process: str | None,
    html: Path | None,
) -> None:
    """How many outbound TCP connections were made, and which users and processes made them, in what proportion.

    Works while a collector runs. All times are UTC.
    """
    if since >= until:
        raise click.UsageError("--since must be before --until")
    print_report(shared, Question(since, until, host, user, process), html)


def print_report(shared: Shared, question: Question, html: Path | None = None) -> None:
    answer = ask(shared.data_dir, question)
    if html is not None:
        from auditdeck.report.html import page

        html.write_text(page(answer, question))
        shared.say(f"wrote {html}")
    if shared.json:
        print_json(answer)
    elif html is None:
        from auditdeck.report.terminal import show

        show(answer, question)
