"""What is asked: a window and filters, all of which must hold."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from auditdeck.query.columns import FAILED, STATES, UNKNOWN

COLUMNS = {
    "host": "host = ?",
    "user": '"user" = ?',
    "login": "login = ?",
    "process": "(executable = ? OR process = ? OR parse_filename(executable) = ?)",
    "script": "coalesce(script, executable) = ?",
    "container": "container = ?",
    "destination": "ip = ?",
    "port": "port = ?",
    "unit": "unit = ?",
    "state": f"(kind = ? OR ? = 'failed' AND kind IN ({', '.join(map(repr, FAILED))}))",
}
"""What each filter means, in SQL."""
ASKED_STATES = (*STATES, UNKNOWN, "failed")
"""'failed' is any of FAILED, and what 0.1.0 called so."""
NOTHING = {
    "host": "host", "user": '"user"', "login": "login", "process": "executable",
    "script": "coalesce(script, executable)", "container": "container", "destination": "ip", "unit": "unit",
}  # fmt: skip
"""What is NULL where a filter is the empty text: not in a container, no login user."""


@dataclass(frozen=True, slots=True)
class Question:
    """A window (UTC) and filters; "" asks for what has no such thing (no login user, not in a container).

    `process` is an executable's path, its last part, or a process name; `script` is a script, or the executable where
    there is none; `state` is one of ASKED_STATES.
    """

    since: datetime
    until: datetime
    host: str | None = None
    user: str | None = None
    login: str | None = None
    process: str | None = None
    script: str | None = None
    container: str | None = None
    destination: str | None = None
    port: int | None = None
    unit: str | None = None
    state: str | None = None

    def __post_init__(self) -> None:
        if self.state is not None and self.state not in ASKED_STATES:
            raise ValueError(f"{self.state!r} is not a state; use {', '.join(ASKED_STATES)}")

    @property
    def filters(self) -> dict[str, str | int]:
        """Those that are given, by name."""
        given = ((field.name, getattr(self, field.name)) for field in fields(self)[2:])
        return {name: value for name, value in given if value is not None}

    @property
    def window(self) -> list[Any]:
        """As the store has times: UTC, without a zone."""
        return [self.since.replace(tzinfo=None), self.until.replace(tzinfo=None)]

    @property
    def conditions(self) -> tuple[str, list[Any]]:
        """The filters as SQL, without the window."""
        clauses, values = ["true"], []
        for name, value in self.filters.items():
            if value == "":
                clauses.append(f"{NOTHING[name]} IS NULL")
            else:
                clauses.append(COLUMNS[name])
                values += [value] * COLUMNS[name].count("?")
        return " AND ".join(clauses), values
