"""Points in time as options, the same in every command."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

import click

from auditdeck.query.times import WORDS, moment
from auditdeck.settings.kinds import duration

CLOCK = re.compile(r"\d{1,2}:\d{2}(:\d{2})?\Z")
DATE = re.compile(r"\d{1,2}/\d{1,2}/\d{2,4}\Z|\d{4}-\d{2}-\d{2}\Z")
HELP = f"7d, 12h, a date, a time, both, or {WORDS}; local, unless it names a zone (2026-11-23T12:00:00Z)"


END = "Up to when; today is now, and a date alone is that day at this time of day."


class Moment(click.ParamType[datetime]):
    """A point in time, in UTC; `end` as ausearch's -te has it."""

    name = "time"

    def __init__(self, *, end: bool = False) -> None:
        self.end = end

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            return moment(str(value), end=self.end)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Span(click.ParamType[timedelta]):
    """A length of time: 30m, 24h, 7d."""

    name = "span"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        if isinstance(value, timedelta):
            return value
        try:
            return timedelta(seconds=duration(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)
        except OverflowError:
            self.fail(f"{value!r} is too long", param, ctx)


class TwoWords(click.Command):
    """Takes a time as ausearch and aureport do: as a date and a time of day, two words."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        times = {name for option in self.params if isinstance(option.type, Moment) for name in option.opts}
        made: list[str] = []
        for word in args:
            if CLOCK.match(word) and len(made) > 1 and DATE.match(made[-1]) and made[-2] in times:
                made[-1] += f" {word}"
            else:
                made.append(word)
        return super().parse_args(ctx, made)
