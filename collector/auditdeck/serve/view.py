"""An answer as what a page shows: tiles, rings, tables and the numbers of its charts, with links to what is behind."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from auditdeck.query.answers import Question
from auditdeck.query.columns import FAILED, UNRESOLVED
from auditdeck.report.sentences import NONE, counted, coverage, hours, losses
from auditdeck.serve.address import Address
from auditdeck.visible import visible

RING = 6
"""Slices with a colour of their own."""
SHOWN, KEPT = 10, 100
"""Rows of a table that are seen at once, and after a click."""
STREAMS = 8
"""Users and programs with a stream of their own."""
FILTER = {"executable": "process", "ip": "destination"}
"""Names of filters that are not those of the columns."""
TABLES = (
    ("users", "user", "user"),
    ("processes", "program", "executable"),
    ("scripts", "script", "script"),
    ("login_users", "login user", "login"),
    ("containers", "container", "container"),
    ("destinations", "destination", "ip"),
)
"""Names in the answer, what each is counted by, and the column that says so."""

Entry = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Row:
    """`name` is what is shown, `only` the address with this as a filter, `events` that of what is behind it."""

    name: str
    connections: int
    share: float
    sent: int
    received: int
    failed: int
    port: int | None = None
    deleted: bool = False
    only: str = ""
    events: str = ""
    failures: str = ""

    @property
    def folder(self) -> str:
        """Of a path all but its last part."""
        return self.name[: len(self.name) - len(self.last)]

    @property
    def last(self) -> str:
        return self.name.rstrip("/").rpartition("/")[2] or self.name if self.name.startswith("/") else self.name


@dataclass(frozen=True, slots=True)
class Table:
    name: str
    label: str
    rows: list[Row]
    more: list[Row]
    rest: Row | None


@dataclass(frozen=True, slots=True)
class Part:
    """A part of all attempts, by what became of them."""

    name: str
    number: int
    share: float
    events: str


@dataclass(frozen=True, slots=True)
class View:
    """What the template shows. `address` is None on a frozen page, which has no links."""

    answer: dict[str, Any]
    question: Question
    address: Address | None

    def link(self, path: str = "/", /, **changes: Any) -> str:
        """ "" on a frozen page."""
        return self.address.to(path, **changes) if self.address else ""

    @property
    def totals(self) -> dict[str, Any]:
        found: dict[str, Any] = self.answer["outbound_tcp"]
        return found

    @property
    def title(self) -> str:
        return f"{self.totals['connections']:,} {counted(self.totals['connections'])}"

    @property
    def window(self) -> str:
        return f"{self.question.since:%-d %b %Y, %H:%M} – {self.question.until:%-d %b %Y, %H:%M} UTC"

    @property
    def filters(self) -> list[tuple[str, str, str]]:
        """Name, value and the address without it."""
        return [
            (name, visible(str(value)) or NONE.get(name, "none"), self.link("/", **{name: None}))
            for name, value in self.question.filters.items()
        ]

    @property
    def parts(self) -> list[Part]:
        """All attempts; those that failed by their reasons."""
        totals = self.totals
        reasons = totals["failed_by"]
        numbers = {"established": totals["connections"], **{state: reasons[state] for state in FAILED}}
        # 0.1.0 did not keep why.
        numbers["failed"] = totals["failed"] - sum(reasons.values())
        numbers[UNRESOLVED], numbers["unknown"] = totals[UNRESOLVED], totals["unknown_transport"]
        attempts = sum(numbers.values()) or 1
        return [
            Part(name, number, number / attempts, self.link("/events", state=name))
            for name, number in numbers.items()
            if number or name == "established"
        ]

    @property
    def attempts(self) -> int:
        return sum(part.number for part in self.parts)

    @property
    def watched(self) -> str:
        found = self.answer["coverage"]
        if not found["hosts"]:
            return "unknown"
        return f"{hours(found['watched_hours'])} of {hours(found['hours'])} h"

    @property
    def trust(self) -> str:
        """What can be said where no loss was reported; "" where nobody reported, or something was lost."""
        if self.losses or not self.answer["coverage"]["hosts"]:
            return ""
        if self.holes:
            return "While it was watched, no loss was reported."
        return "Watched all the time; no loss was reported."

    @property
    def losses(self) -> str:
        return losses(self.answer["quality"])

    @property
    def holes(self) -> str:
        return coverage(self.answer["coverage"])

    @property
    def is_empty(self) -> bool:
        return not (self.attempts or self.totals["bytes_sent"] or self.totals["bytes_received"])

    def rows(self, name: str, label: str) -> list[Row]:
        return [self.row(entry, label) for entry in self.answer[name]]

    def row(self, entry: Entry, label: str) -> Row:
        value = entry[label]
        only = {FILTER.get(label, label): "" if value is None else value}
        if entry.get("port") is not None:
            only["port"] = entry["port"]
        return Row(
            NONE.get(label, "?") if value is None else visible(str(value)),
            entry["connections"], entry["share"], entry["bytes_sent"], entry["bytes_received"], entry["failed"],
            port=entry.get("port"),
            deleted=entry.get("deleted", False),
            only=self.link(**only),
            events=self.link("/events", state="established", **only),
            failures=self.link("/events", state="failed", **only),
        )  # fmt: skip

    def rest(self, rows: list[Row], name: str) -> Row | None:
        """Those that are not shown, together."""
        if not rows:
            return None
        return Row(f"{len(rows):,} more {name}", *(sum(getattr(row, each) for row in rows)
                            for each in ("connections", "share", "sent", "received", "failed")))  # fmt: skip

    @property
    def tables(self) -> list[Table]:
        return [self.table(*each) for each in TABLES if self.is_worth_a_table(each[0], each[2])]

    def table(self, name: str, label: str, column: str) -> Table:
        rows = self.rows(name, column)
        return Table(name, label, rows[:SHOWN], rows[SHOWN:KEPT], self.rest(rows[KEPT:], f"{label}s"))

    def is_worth_a_table(self, name: str, label: str) -> bool:
        """Login users and scripts only where they say more than users and programs do."""
        entries = self.answer[name]
        if name == "scripts":
            return {entry[label] for entry in entries} != {entry["executable"] for entry in self.answer["processes"]}
        if name == "login_users":
            return any(entry[label] is not None for entry in entries)
        return bool(entries)

    def ring(self, name: str, label: str, plural: str) -> list[Row]:
        """The largest, and the others as one, of all connections."""
        rows = [row for row in self.rows(name, label) if row.connections]
        if len(rows) <= RING + 1:
            return rows
        rest = self.rest(rows[RING:], plural)
        return [*rows[:RING], rest] if rest else rows

    @property
    def users(self) -> list[Row]:
        return self.ring("users", "user", "users")

    @property
    def programs(self) -> list[Row]:
        return self.ring("processes", "executable", "programs")

    @property
    def failures(self) -> list[dict[str, Any]]:
        """Who tried what in vain, with the address of these attempts."""
        shown = []
        for row in self.answer["failures"][:SHOWN]:
            user, program, address = row["user"], row["executable"], row["ip"]
            only = {"user": user or "", "process": program or "", "destination": address or "", "port": row["port"]}
            shown.append(
                {
                    "user": visible(user or "?"), "executable": visible(program or "?"), "ip": visible(address or "?"),
                    "port": row["port"], "reason": row["reason"], "attempts": row["attempts"],
                    "events": self.link("/events", state=row["reason"], **only),
                }
            )  # fmt: skip
        return shown

    @property
    def first_seen(self) -> list[dict[str, Any]]:
        return [
            {
                "executable": visible(row["executable"]), "user": visible(row["user"] or "?"), "time": row["time"],
                "only": self.link(process=row["executable"]),
            }
            for row in reversed(self.answer["first_seen"][-SHOWN:])
        ]  # fmt: skip

    @property
    def charts(self) -> dict[str, Any]:
        """For charts.js."""
        return {
            "time": {
                "since": milliseconds(self.question.since),
                "until": milliseconds(self.question.until),
                "step": self.answer["over_time"]["seconds"] * 1000,
                "points": [
                    [milliseconds(datetime.fromisoformat(point["time"])), point["connections"], point["failed"]]
                    for point in self.answer["over_time"]["points"]
                ],
                "holes": self.holes_in_time,
            },
            "users": [{"name": row.name, "value": row.connections, "link": row.only} for row in self.users],
            "programs": [{"name": row.name, "value": row.connections, "link": row.only} for row in self.programs],
            "streams": self.streams,
        }

    @property
    def holes_in_time(self) -> list[list[int]]:
        """When no host was watched, from and to; of one host only, since those of several overlap."""
        hosts = self.answer["coverage"]["hosts"]
        if len(hosts) != 1:
            return []
        found = [[milliseconds(datetime.fromisoformat(hole[end])) for end in ("since", "until")]
                 for hole in hosts[0]["not_watched"]]  # fmt: skip
        return [hole for hole in found if hole[1] - hole[0] > timedelta(minutes=1).total_seconds() * 1000]

    @property
    def streams(self) -> list[list[Any]]:
        """User, program and connections; beyond the largest of each they are "others"."""
        users = [entry["user"] for entry in self.answer["users"][:STREAMS]]
        programs = [entry["executable"] for entry in self.answer["processes"][:STREAMS]]
        found: dict[tuple[str, str], int] = {}
        for pair in self.answer["users_processes"]:
            user = visible(pair["user"] or "?") if pair["user"] in users else "other users"
            program = visible(pair["executable"] or "?") if pair["executable"] in programs else "other programs"
            found[user, program] = found.get((user, program), 0) + pair["connections"]
        return [[*names, number] for names, number in found.items()]


def milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
