"""Templates as HTML: text from outside is escaped by Jinja2, and made visible (report/visible.py) before."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from auditdeck import __version__
from auditdeck.report.sentences import percent, size
from auditdeck.serve.address import FILTERS, SPANS
from auditdeck.visible import visible

HERE = Path(__file__).parent
ASSETS = HERE / "assets"


@cache
def templates() -> Environment:
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    made.filters.update(percent=percent, size=size, visible=visible, duration=duration)
    made.globals.update(version=__version__, spans=SPANS, fields=FILTERS, frozen=None, live=False, path="/", clear="/")
    return made


def render(name: str, **values: Any) -> str:
    return templates().get_template(name).render(**values)


def duration(nanoseconds: int) -> str:
    """12 ms, 3.4 s, 5 min 7 s, 2 h 5 min, 3 d 4 h."""
    seconds = nanoseconds / 1e9
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = int(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"
