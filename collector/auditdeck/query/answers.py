"""The two questions and what belongs to them, as queries, once; terminal, HTML and JSON only show the result.

A connection counts when it was established; what became of the other attempts are numbers of their own.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auditdeck.eventlog.status import FRESH, STATUS, Status, is_fresh, read_status
from auditdeck.query.columns import FAILED, LOSSES
from auditdeck.query.coverage import Report, as_json, coverage
from auditdeck.query.question import Question
from auditdeck.query.store import Store

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["Question", "answer", "ask"]

TOP = 50
BUCKETS = 80
"""At most so many points in time over a window."""
STEPS = (1, 5, 10, 30, 60, 300, 600, 1800, 3600, 3 * 3600, 6 * 3600, 12 * 3600, 86400, 7 * 86400)
"""Seconds between two of them."""

ATTEMPT_FAILED = f"kind IN ({', '.join(map(repr, FAILED))}, 'failed')"
"""0.1.0 did not keep why."""
WANTED = "(kind IS NOT NULL OR ran OR sent IS NOT NULL OR received IS NOT NULL)"
"""Attempts, what ran (what could not be executed did not), and the ends of connections, with their bytes."""
MEASURES = f"""
    coalesce(sum(n) FILTER (kind = 'established'), 0)::BIGINT AS connections,
    coalesce(sum(n) FILTER ({ATTEMPT_FAILED}), 0)::BIGINT AS failed,
    coalesce(sum(sent), 0)::BIGINT AS bytes_sent,
    coalesce(sum(received), 0)::BIGINT AS bytes_received
"""
STATES = ", ".join(
    f"coalesce(sum(n) FILTER (kind = '{state}'), 0)::BIGINT AS {state}" for state in (*FAILED, "unresolved", "unknown")
)


@dataclass(frozen=True, slots=True)
class Dimension:
    """Something that connections are counted by: `name` in JSON, `columns` of one of the tables of `count`."""

    name: str
    columns: tuple[str, ...]
    table: str = "counted"

    @property
    def shown(self) -> list[tuple[str, str]]:
        """Columns and their names in JSON."""
        return [(self.columns[0], self.name), *((column, column) for column in self.columns[1:])]


BY = {
    "login": Dimension("login", ("login",)),
    "user": Dimension("user", ("user",)),
    "process": Dimension("executable", ("executable",)),
    "script": Dimension("script", ("script",)),
    "container": Dimension("container", ("container",)),
    "destination": Dimension("ip", ("ip",), "reached"),
    "port": Dimension("port", ("port",), "reached"),
    "unit": Dimension("unit", ("unit",)),
}
"""What `report --by` takes."""
DESTINATION = Dimension("ip", ("ip", "port"), "reached")
KEYS = {"script": "coalesce(script, executable) AS script"}
"""Columns that are not as the store has them."""
ALWAYS = ("user", "login", "executable", "script", "container")


def ask(data_dir: Path, question: Question, by: str | None = None) -> dict[str, Any]:
    """All numbers of the report."""
    with Store(data_dir) as store:
        return store.read(lambda events: answer_now(events, data_dir, question, by))


def answer_now(events: DuckDBPyConnection, data_dir: Path, question: Question, by: str | None = None) -> dict[str, Any]:
    """`answer`, with what the collector that runs here knows beside."""
    status = read_status(data_dir / STATUS)
    found = answer(events, question, by, unreported(status))
    found["outbound_tcp"]["open_now"] = open_now(status, question)
    return found


def open_now(status: Status | None, question: Question) -> int | None:
    """Outbound connections that are established, as the collector that runs here counts them; None if it does not know,
    or if other connections are asked for."""
    now = time.time()
    if status is None or not is_fresh(status) or question.until.timestamp() < now - FRESH or question.filters:
        return None
    found: int | None = status.get("connections", {}).get("open")
    return found


def unreported(status: Status | None) -> list[Report]:
    """What the collector that runs has watched since its last health document."""
    since = status.get("unreported") if status else None
    if not status or not since:
        return []
    return [(since["host"], datetime.fromtimestamp(status["time"], UTC), since["seconds"], since["unwatched"])]


def answer(
    events: DuckDBPyConnection, question: Question, by: str | None = None, more: Sequence[Report] = ()
) -> dict[str, Any]:
    """`by` is one of BY: all of that dimension, with those that have none, under "by". `more` are reports of collectors
    that are not in the log yet."""
    count(events, question, by)
    [totals] = dicts(events, f"SELECT {MEASURES}, {STATES} FROM timeline")
    connections = totals["connections"]
    found = {
        "window": {"since": rfc3339(question.since), "until": rfc3339(question.until)},
        "outbound_tcp": {
            "connections": connections,
            "failed": totals["failed"],
            "failed_by": {state: totals[state] for state in FAILED},
            "unresolved": totals["unresolved"],
            "unknown_transport": totals["unknown"],
            "open_now": None,
            "bytes_sent": totals["bytes_sent"],
            "bytes_received": totals["bytes_received"],
            "destinations": different_destinations(events),
            "by_day": by_day(events, question),
        },
        "users": ranking(events, BY["user"], connections),
        "login_users": ranking(events, BY["login"], connections),
        "processes": ranking(events, BY["process"], connections),
        "users_processes": pairs(events),
        "scripts": ranking(events, BY["script"], connections),
        "destinations": ranking(events, DESTINATION, connections, f"LIMIT {TOP}"),
        "containers": [row for row in ranking(events, BY["container"], connections) if row["container"] is not None],
        "failures": failures(events, question),
        "active_share": {"users": active(events, "user"), "executables": active(events, "executable")},
        "over_time": over_time(events, question),
        "first_seen": first_seen(events, question),
        "quality": quality(events, question),
        "coverage": watched(events, question, more),
    }
    if by is not None:
        found["by"] = {"field": BY[by].name, "entries": ranking(events, BY[by], connections)}
    return found


def count(events: DuckDBPyConnection, question: Question, by: str | None = None) -> None:
    """Makes the views `counted`, `reached` and `timeline`: what is asked for, by whom, where to and when.

    The events are read once for all three.
    """
    conditions, values = question.conditions
    whose = dict.fromkeys((*ALWAYS, *(BY[by].columns if by is not None and BY[by].table == "counted" else ())))
    keys = {"counted": [f'"{name}"' for name in whose], "reached": ["ip", "port"], "timeline": ["day", "bucket"]}
    shown = ", ".join(KEYS.get(name, f'"{name}"') for name in whose)
    columns = ", ".join(name for names in keys.values() for name in names)
    sets = ", ".join(f"({', '.join(names)}, kind)" for names in keys.values())
    events.execute(
        f"""CREATE OR REPLACE TEMP TABLE grouped AS SELECT {columns}, kind,
        grouping({", ".join(names[0] for names in keys.values())}) AS missing, count(*) AS n,
        sum(sent) AS sent, sum(received) AS received, bool_or(deleted) AS deleted
        FROM (SELECT {shown}, ip, port, time::DATE AS day, epoch_us(time) // {step_of(question) * 1_000_000} AS bucket,
            kind, sent, received, deleted
            FROM events WHERE time >= ? AND time < ? AND {conditions} AND {WANTED})
        GROUP BY GROUPING SETS ({sets})""",
        [*question.window, *values],
    )
    for place, (view, names) in enumerate(keys.items()):
        # grouping() has a bit for each of its columns, the first one highest; it is 0 where the column is a key.
        missing = 0b111 & ~(0b100 >> place)
        events.execute(
            f"""CREATE OR REPLACE TEMP VIEW {view} AS SELECT {", ".join(names)}, kind, n, sent, received, deleted
            FROM grouped WHERE missing = {missing}"""
        )


def ranking(events: DuckDBPyConnection, dimension: Dimension, connections: int, rest: str = "") -> list[dict[str, Any]]:
    """Those that connected, or moved bytes of connections that began before the window, the busiest first."""
    shown = ", ".join(f'"{column}" AS {alias}' for column, alias in dimension.shown)
    columns = ", ".join(f'"{column}"' for column in dimension.columns)
    deleted = ", coalesce(bool_or(deleted AND kind = 'established'), false) AS deleted"
    return dicts(
        events,
        f"""SELECT {shown}, connections, connections / {max(connections, 1)} AS share, bytes_sent, bytes_received,
        failed {", deleted" if dimension.name == "executable" else ""} FROM (
            SELECT {columns}, {MEASURES} {deleted if dimension.name == "executable" else ""}
            FROM {dimension.table} GROUP BY {columns})
        WHERE connections + bytes_sent + bytes_received > 0
        ORDER BY connections DESC, bytes_sent + bytes_received DESC, {columns} {rest}""",
    )


def pairs(events: DuckDBPyConnection) -> list[dict[str, Any]]:
    return dicts(
        events,
        """SELECT "user", executable, sum(n)::BIGINT AS connections FROM counted WHERE kind = 'established'
        GROUP BY ALL ORDER BY connections DESC, "user", executable""",
    )


def different_destinations(events: DuckDBPyConnection) -> int:
    [row] = dicts(events, "SELECT count(DISTINCT ip) AS n FROM reached WHERE kind = 'established'")
    return int(row["n"])


def step_of(question: Question) -> int:
    """Seconds between two points in time of a window."""
    span = (question.until - question.since).total_seconds()
    return next((step for step in STEPS if span / step <= BUCKETS), STEPS[-1])


def over_time(events: DuckDBPyConnection, question: Question) -> dict[str, Any]:
    """Points in time that follow the window: every one, those without connections as well."""
    step = step_of(question)
    rows = dicts(events, f"SELECT bucket, {MEASURES} FROM timeline GROUP BY bucket")
    found = {row.pop("bucket"): row for row in rows}
    nothing = dict.fromkeys(("connections", "failed", "bytes_sent", "bytes_received"), 0)
    first, last = (int(moment.timestamp() * 1_000_000 - n) // (step * 1_000_000)
                   for n, moment in enumerate((question.since, question.until)))  # fmt: skip
    points = [
        {"time": rfc3339(datetime.fromtimestamp(bucket * step, UTC)), **found.get(bucket, nothing)}
        for bucket in range(first, last + 1)
    ]
    return {"seconds": step, "points": points}


def by_day(events: DuckDBPyConnection, question: Question) -> list[dict[str, Any]]:
    """Every day of the window, those without connections as well."""
    rows = dicts(events, f"SELECT day, {MEASURES} FROM timeline GROUP BY day")
    found = {row["day"]: (row["connections"], row["failed"]) for row in rows}
    last = (question.until - timedelta(microseconds=1)).date()
    day = question.since.date()
    days = []
    while day <= last:
        connections, failed = found.get(day, (0, 0))
        days.append({"date": day.isoformat(), "connections": connections, "failed": failed})
        day += timedelta(days=1)
    return days


def active(events: DuckDBPyConnection, column: str) -> dict[str, Any]:
    """How many of all that were seen running made a connection."""
    [row] = dicts(
        events,
        f"""SELECT count(*) AS seen, count(*) FILTER (connected) AS connected FROM (
            SELECT "{column}", coalesce(bool_or(kind = 'established'), false) AS connected FROM counted
            WHERE "{column}" IS NOT NULL GROUP BY 1)""",
    )
    return {**row, "share": row["connected"] / row["seen"] if row["seen"] else 0.0}


def failures(events: DuckDBPyConnection, question: Question) -> list[dict[str, Any]]:
    """Failed attempts: who tried what, and why it failed."""
    conditions, values = question.conditions
    return dicts(
        events,
        f"""SELECT "user", executable, ip, port, kind AS reason, count(*) AS attempts FROM events
        WHERE {ATTEMPT_FAILED} AND time >= ? AND time < ? AND {conditions}
        GROUP BY ALL ORDER BY attempts DESC, "user", executable, ip, port, reason LIMIT {TOP}""",
        [*question.window, *values],
    )


def first_seen(events: DuckDBPyConnection, question: Question) -> list[dict[str, Any]]:
    """Executables whose first outbound connection of all that the store knows lies in the window."""
    conditions, values = question.conditions
    since, until = question.window
    found = dicts(
        events,
        f"""SELECT executable, arg_min("user", time) AS "user", min(time) AS time,
        arg_min(coalesce(deleted, false), time) AS deleted FROM events
        WHERE kind = 'established' AND executable IS NOT NULL AND time < ? AND {conditions}
        GROUP BY executable HAVING min(time) >= ? ORDER BY min(time), executable LIMIT {TOP}""",
        [until, *values, since],
    )
    return [{**row, "time": rfc3339(row["time"].replace(tzinfo=UTC))} for row in found]


def watched(events: DuckDBPyConnection, question: Question, more: Sequence[Report]) -> dict[str, Any]:
    """For how much of the window the collectors watched."""
    since, until = question.window
    host, values = ("AND host = ?", [question.host]) if question.host is not None else ("", [])
    rows = events.execute(
        f"""SELECT host, time, coalesce(span, 0), coalesce(unwatched, 0) FROM events
        WHERE health AND time >= ? AND time - to_seconds(coalesce(span, 0)) < ? {host}""",
        [since, until, *values],
    ).fetchall()
    reports = [(name or "", end.replace(tzinfo=UTC), float(span), float(blind)) for name, end, span, blind in rows]
    reports += [report for report in more if question.host in (None, report[0])]
    now = datetime.now(UTC)
    end = min(question.until, now) if question.since < now else question.until
    return as_json(coverage(reports, question.since, end), question.since, end)


def quality(events: DuckDBPyConnection, question: Question) -> dict[str, int]:
    """What was lost in the window, from the collector's own health documents, and what cannot be read any more."""
    values = question.window
    host = ""
    if question.host is not None:
        host = "AND host = ?"
        values.append(question.host)
    sums = ", ".join(f"coalesce(sum({name}), 0)::BIGINT AS {'kernel_' * (name == 'lost')}{name}" for name in LOSSES)
    [counts] = dicts(events, f"SELECT {sums} FROM events WHERE health AND time >= ? AND time < ? {host}", values)
    # Lines that cannot be read have no time: they may be of this window.
    [unread] = dicts(events, "SELECT count(*) AS n FROM events WHERE time IS NULL")
    return {**counts, "damaged": counts["damaged"] + unread["n"]}


def dicts(events: DuckDBPyConnection, sql: str, values: list[Any] | None = None) -> list[dict[str, Any]]:
    result = events.execute(sql, values or [])
    columns = [column[0] for column in result.description or []]
    return [dict(zip(columns, row, strict=True)) for row in result.fetchall()]


def rfc3339(time: datetime) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.{time.microsecond // 1000:03d}Z"
