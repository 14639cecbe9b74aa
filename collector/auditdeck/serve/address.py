"""What a page shows is in its address: a window, filters, the number of a page; and the addresses of other pages."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from auditdeck.query.question import Question
from auditdeck.query.times import moment

SPANS = {"24h": "24 hours", "7d": "7 days", "30d": "30 days"}
DEFAULT = "7d"
FILTERS = tuple(each.name for each in fields(Question)[2:])
WINDOW = ("span", "since", "until")
LONGEST_PORT = 65535


@dataclass(frozen=True, slots=True)
class Address:
    """A query string, read: the window (span, or since and until) and the filters as they were written, in order."""

    items: tuple[tuple[str, str], ...] = ()
    page: int = 1

    @classmethod
    def read(cls, parameters: Iterable[tuple[str, str]]) -> Address:
        """Raises ValueError, in words for whoever wrote the address."""
        given: dict[str, str] = {}
        for name, value in parameters:
            if name not in (*WINDOW, *FILTERS, "page"):
                raise ValueError(f"{name!r} is not a filter; use {', '.join(FILTERS)}")
            if name in given:
                raise ValueError(f"{name!r} is given twice; use it once")
            given[name] = value
        page = given.pop("page", "1")
        if not page.isdecimal() or not 1 <= int(page) <= 1_000_000:
            raise ValueError(f"{page!r} is not the number of a page; use 1, 2 …")
        made = cls(tuple(sorted(item for item in given.items() if item[1] or item[0] not in WINDOW)), int(page))
        made.question(datetime.now(UTC))
        return made

    @property
    def given(self) -> dict[str, str]:
        return dict(self.items)

    @property
    def span(self) -> str:
        """One of SPANS, or "" where the address has points in time."""
        return "" if "since" in self.given or "until" in self.given else self.given.get("span", DEFAULT)

    @property
    def filters(self) -> dict[str, str]:
        return {name: self.given[name] for name in FILTERS if name in self.given}

    @property
    def rolling(self) -> bool:
        """Whether the window ends now, and so moves on."""
        return self.given.get("until", "now") == "now"

    def question(self, now: datetime) -> Question:
        """Raises ValueError."""
        if self.span and self.span not in SPANS:
            raise ValueError(f"{self.span!r} is not a span; use {', '.join(SPANS)}, or since and until")
        since = moment(self.given.get("since") or self.span or DEFAULT, now)
        until = moment(self.given.get("until") or "now", now)
        if since >= until:
            raise ValueError("'since' must be before 'until'")
        filters: dict[str, Any] = self.filters
        if port := filters.get("port"):
            if not port.isdecimal() or int(port) > LONGEST_PORT:
                raise ValueError(f"{port!r} is not a port; use a number up to {LONGEST_PORT}")
            filters["port"] = int(port)
        if "port" in filters and filters["port"] == "":
            del filters["port"]
        return Question(since, until, **filters)

    def to(self, path: str = "/", /, **changes: Any) -> str:
        """The address of a page that shows the same, but for these parameters; None takes one away."""
        if "span" in changes:
            changes = {"since": None, "until": None, **changes}
        elif "since" in changes:
            changes = {"span": None, **changes}
        merged = {**self.given, **changes}
        kept = {name: merged[name] for name in (*WINDOW, *FILTERS, "page") if merged.get(name) is not None}
        return f"{path}?{urlencode(kept)}" if kept else path
