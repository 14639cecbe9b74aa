"""The events behind a number: attempts to connect, and the ends of connections with their bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from auditdeck.query.answers import dicts
from auditdeck.query.question import Question

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

PAGE = 100
WANTED = "(kind IS NOT NULL OR sent IS NOT NULL OR received IS NOT NULL)"
SHOWN = """time, host, "user", login, executable, coalesce(deleted, false) AS deleted, script, command, pid, container,
    ip, port, coalesce(kind, 'ended') AS state, sent, received, duration"""


def behind(events: DuckDBPyConnection, question: Question, page: int = 1) -> dict[str, Any]:
    """`total` of them, and of those `events` the PAGE of this number (from 1), the latest first.

    `time` is UTC without a zone, `duration` nanoseconds, `state` one of columns.STATES, 'unknown', or 'ended' where an
    event only tells the end of a connection.
    """
    conditions, values = question.conditions
    these = f"FROM events WHERE time >= ? AND time < ? AND {conditions} AND {WANTED}"
    values = [*question.window, *values]
    [totals] = dicts(events, f"SELECT count(*) AS total {these}", values)
    order = f"ORDER BY time DESC, id, pid, ip, port LIMIT {PAGE} OFFSET {PAGE * (page - 1)}"
    return {**totals, "events": dicts(events, f"SELECT {SHOWN} {these} {order}", values)}
