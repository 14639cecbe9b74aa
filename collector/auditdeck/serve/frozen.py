"""The page as one file that needs nothing else: for `report --html`."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from auditdeck.query.answers import Question
from auditdeck.serve.pages import ASSETS, render
from auditdeck.serve.view import View


@dataclass(frozen=True, slots=True)
class Frozen:
    """What stands in the page itself. All of it is the package's own; the policy lets nothing else run."""

    style: Markup
    theme: Markup
    library: Markup
    charts: Markup

    @property
    def policy(self) -> str:
        scripts = " ".join(map(source, (self.theme, self.library, self.charts)))
        style = source(self.style)
        return f"default-src 'none'; script-src {scripts}; style-src {style}; base-uri 'none'; form-action 'none'"


def source(text: str) -> str:
    """CSP Level 3, 2.3.1: a hash in place of an address."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def page(answer: dict[str, Any], question: Question) -> str:
    """The whole file."""
    own = (
        Markup((ASSETS / name).read_text("utf-8")) for name in ("page.css", "theme.js", "echarts.min.js", "charts.js")
    )
    return render("page.html", view=View(answer, question, None), frozen=Frozen(*own))
