"""The one way to a terminal: no text is ever parsed as markup, and a pipe gets lines at full width.

NO_COLOR (https://no-color.org) and TERM=dumb are respected by rich.
"""

from __future__ import annotations

import sys

from rich.console import Console

PIPE_WIDTH = 100_000
"""Columns where the output is not a terminal: others read it, and nothing is cut or folded."""


def make_console(*, stderr: bool = False) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    return Console(
        stderr=stderr,
        highlight=False,
        markup=False,
        emoji=False,
        width=None if stream.isatty() else PIPE_WIDTH,
    )
