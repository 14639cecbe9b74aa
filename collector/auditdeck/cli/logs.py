"""Options that name logs of auditd, to be read instead of the event log."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

OPTIONS = (
    click.option(
        "-if",
        "--input",
        "logs",
        multiple=True,
        metavar="FILE",
        help="A log of auditd, or a directory of such, instead of the event log (can be repeated).",
    ),
    click.option("--input-logs", is_flag=True, help="The logs that auditd.conf(5) names."),
    click.option(
        "--eoe-timeout", type=click.IntRange(1), help="Seconds that an event of a log is waited for.  [default: 2]"
    ),
)


def log_options(function: Callable[..., Any]) -> Callable[..., Any]:
    for add in reversed(OPTIONS):
        function = add(function)
    return function
