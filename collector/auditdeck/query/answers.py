"""The two questions and what belongs to them, as queries, once; terminal, HTML and JSON only show the result."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auditdeck.query.store import ATTEMPTS, Store

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

TOP = 50
LOST = {
    "kernel_lost": "records lost by the kernel",
    "gaps": "gaps",
    "dropped": "dropped",
    "damaged": "damaged",
}
"""What the names of `quality` mean, in words."""


def counted(number: int) -> str:
    """What the number is of."""
    return "outbound TCP connection" if number == 1 else "outbound TCP connections"


@dataclass(frozen=True, slots=True)
class Question:
    """A window (UTC) and filters; `process` is an executable's path, its last part, or a process name."""

    since: datetime
    until: datetime
    host: str | None = None
    user: str | None = None
    process: str | None = None

    @property
    def conditions(self) -> tuple[str, list[Any]]:
        """The filters as SQL, without the window."""
        clauses, values = ["true"], []
        if self.host is not None:
            clauses.append("host = ?")
            values.append(self.host)
        if self.user is not None:
            clauses.append('"user" = ?')
            values.append(self.user)
        if self.process is not None:
            clauses.append("(executable = ? OR process = ? OR parse_filename(executable) = ?)")
            values += [self.process] * 3
        return " AND ".join(clauses), values


def ask(data_dir: Path, question: Question) -> dict[str, Any]:
    """All numbers of the report; reads again if files were replaced while it read."""
    import duckdb

    for attempt in range(ATTEMPTS):
        with Store(data_dir) as store:
            try:
                return answer(store.snapshot(), question)
            except duckdb.IOException:
                if attempt == ATTEMPTS - 1:
                    raise
    raise AssertionError("unreachable")


def answer(events: DuckDBPyConnection, question: Question) -> dict[str, Any]:
    conditions, values = question.conditions
    window = [question.since.replace(tzinfo=None), question.until.replace(tzinfo=None)]
    events.execute(
        f"""CREATE OR REPLACE TEMP TABLE counted AS
        SELECT time::DATE AS day, "user", executable, kind, count(*) AS n FROM events
        WHERE (kind IS NOT NULL OR action = 'executed') AND time >= ? AND time < ? AND {conditions} GROUP BY ALL""",
        [*window, *values],
    )
    totals = dict(rows(events, "SELECT kind, sum(n)::BIGINT FROM counted WHERE kind IS NOT NULL GROUP BY kind"))
    connections = totals.get("connection", 0)
    share = f"n / {max(connections, 1)}"
    by = "SELECT {0}, sum(n)::BIGINT AS n FROM counted WHERE kind = 'connection' GROUP BY {0}"
    return {
        "window": {"since": rfc3339(question.since), "until": rfc3339(question.until)},
        "outbound_tcp": {
            "connections": connections,
            "failed": totals.get("failed", 0),
            "unknown_transport": totals.get("unknown", 0),
            "by_day": by_day(events, question),
        },
        "users": dicts(
            events,
            f'SELECT "user", n AS connections, {share} AS share FROM ({by.format(chr(34) + "user" + chr(34))}) '
            'ORDER BY n DESC, "user"',
        ),
        "processes": dicts(
            events,
            f"SELECT executable, n AS connections, {share} AS share FROM ({by.format('executable')}) "
            "ORDER BY n DESC, executable",
        ),
        "users_processes": dicts(
            events,
            """SELECT "user", executable, sum(n)::BIGINT AS connections FROM counted WHERE kind = 'connection'
            GROUP BY ALL ORDER BY connections DESC, "user", executable""",
        ),
        "destinations": dicts(
            events,
            f"""SELECT ip, port, count(*) AS connections FROM events
            WHERE kind = 'connection' AND time >= ? AND time < ? AND {conditions}
            GROUP BY ALL ORDER BY connections DESC, ip, port LIMIT {TOP}""",
            [*window, *values],
        ),
        "active_share": {"users": active(events, '"user"'), "executables": active(events, "executable")},
        "first_seen": first_seen(events, question),
        "quality": quality(events, question),
    }


def by_day(events: DuckDBPyConnection, question: Question) -> list[dict[str, Any]]:
    """Every day of the window, those without connections as well."""
    found = {
        day: (connections, failed)
        for day, connections, failed in rows(
            events,
            """SELECT day, coalesce(sum(n) FILTER (kind = 'connection'), 0)::BIGINT,
            coalesce(sum(n) FILTER (kind = 'failed'), 0)::BIGINT FROM counted GROUP BY day""",
        )
    }
    last = (question.until - timedelta(microseconds=1)).date()
    day = question.since.date()
    days = []
    while day <= last:
        connections, failed = found.get(day, (0, 0))
        days.append({"date": day.isoformat(), "connections": connections, "failed": failed})
        day += timedelta(days=1)
    return days


def active(events: DuckDBPyConnection, column: str) -> dict[str, Any]:
    """How many of all that were seen running made a connection (or tried to)."""
    [(seen, connected)] = rows(
        events,
        f"""SELECT count(*), count(*) FILTER (connected) FROM
        (SELECT {column}, bool_or(kind IS NOT NULL) AS connected FROM counted
        WHERE {column} IS NOT NULL GROUP BY ALL)""",
    )
    return {"connected": connected, "seen": seen, "share": connected / seen if seen else 0.0}


def first_seen(events: DuckDBPyConnection, question: Question) -> list[dict[str, Any]]:
    """Executables whose first outbound connection of all that the store knows lies in the window."""
    conditions, values = question.conditions
    found = rows(
        events,
        f"""SELECT executable, min(time) AS first, arg_min("user", time) FROM events
        WHERE kind IS NOT NULL AND executable IS NOT NULL AND time < ? AND {conditions}
        GROUP BY executable HAVING first >= ? ORDER BY first, executable LIMIT {TOP}""",
        [question.until.replace(tzinfo=None), *values, question.since.replace(tzinfo=None)],
    )
    return [
        {"executable": executable, "user": user, "time": rfc3339(time.replace(tzinfo=UTC))}
        for executable, time, user in found
    ]


def quality(events: DuckDBPyConnection, question: Question) -> dict[str, int]:
    """What was lost in the window, from the collector's own health documents."""
    values: list[Any] = [question.since.replace(tzinfo=None), question.until.replace(tzinfo=None)]
    host = ""
    if question.host is not None:
        host = "AND host = ?"
        values.append(question.host)
    [counts] = rows(
        events,
        f"""SELECT coalesce(sum(lost), 0)::BIGINT, coalesce(sum(gaps), 0)::BIGINT, coalesce(sum(dropped), 0)::BIGINT,
        coalesce(sum(damaged), 0)::BIGINT FROM events
        WHERE lost IS NOT NULL AND time >= ? AND time < ? {host}""",
        values,
    )
    return dict(zip(("kernel_lost", "gaps", "dropped", "damaged"), counts, strict=True))


def rows(events: DuckDBPyConnection, sql: str, values: list[Any] | None = None) -> list[tuple[Any, ...]]:
    return events.execute(sql, values or []).fetchall()


def dicts(events: DuckDBPyConnection, sql: str, values: list[Any] | None = None) -> list[dict[str, Any]]:
    result = events.execute(sql, values or [])
    names = [column[0] for column in result.description or []]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def rfc3339(time: datetime) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.{time.microsecond // 1000:03d}Z"


def losses(quality: dict[str, int]) -> str:
    """What was lost, in words; "" if nothing was."""
    return ", ".join(f"{value:,} {LOST[name]}" for name, value in quality.items() if value)
