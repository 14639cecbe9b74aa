"""Documents as columns: what the local store keeps of each event, in SQL for DuckDB.

`state` is `auditdeck.connection.state`: what became of a TCP connection (connections/state.py). Documents of 0.1.0 have
no such field; it is derived from what connect(2) returned. `kind` is what an event counts as in the question about
outbound TCP connections: its state, 'unknown' where its transport is not known, NULL for everything else. `sent` and
`received` are bytes of outbound connections. `ran`: a program was executed; NULL also if that failed.
"""

from __future__ import annotations

ESTABLISHED = "established"
FAILED = ("refused", "unanswered", "unreachable")
UNRESOLVED = "unresolved"
STATES = (ESTABLISHED, *FAILED, UNRESOLVED)
UNKNOWN = "unknown"

LOSSES = ("lost", "gaps", "dropped", "damaged", "ring_lost", "unjoined", "dead_letters")
"""Numbers of health documents that say what was not seen, or not delivered."""

# Only what is read below is parsed; the rest of a document is skipped.
JSON_COLUMNS = {
    "@timestamp": "TIMESTAMP",
    "host": "STRUCT(name VARCHAR)",
    "event": (
        'STRUCT(id VARCHAR, dataset VARCHAR, "action" VARCHAR, "type" VARCHAR[], outcome VARCHAR, duration BIGINT)'
    ),
    "process": "STRUCT(pid BIGINT, name VARCHAR, executable VARCHAR, command_line VARCHAR)",
    "user": "STRUCT(id VARCHAR, name VARCHAR, audit STRUCT(id VARCHAR, name VARCHAR))",
    "auditd": 'STRUCT("data" STRUCT("exit" VARCHAR))',
    "source": "STRUCT(bytes BIGINT)",
    "destination": "STRUCT(ip VARCHAR, port INTEGER, bytes BIGINT)",
    "network": "STRUCT(transport VARCHAR, direction VARCHAR)",
    "container": "STRUCT(id VARCHAR, name VARCHAR)",
    "auditdeck": (
        "STRUCT(connection STRUCT(state VARCHAR), script VARCHAR, cgroup VARCHAR, health STRUCT("
        + ", ".join(f"{name} BIGINT" for name in LOSSES)
        + ', unwatched DOUBLE, "interval" DOUBLE, state VARCHAR))'
    ),
}

# The errnos of connections/state.py. What 0.1.0 called a failed start was one of these or of ENONET and EHOSTDOWN.
STATE = """CASE
        WHEN auditdeck.connection.state IS NOT NULL THEN auditdeck.connection.state
        WHEN event.action IS DISTINCT FROM 'connected-to' OR NOT coalesce(list_contains(event."type", 'start'), false)
            OR network.transport IS DISTINCT FROM 'tcp' THEN NULL
        WHEN event.outcome = 'failure' THEN CASE
            WHEN auditd."data"."exit" IN ('ECONNREFUSED', 'ECONNRESET', 'ECONNABORTED') THEN 'refused'
            WHEN auditd."data"."exit" = 'ETIMEDOUT' THEN 'unanswered'
            ELSE 'unreachable' END
        WHEN coalesce(auditd."data"."exit", '0') = '0' THEN 'established'
        ELSE 'unresolved' END"""
DELETED = " (deleted)"
"""What the kernel appends to the path of a program whose file was replaced (d_path() in fs/d_path.c)."""


def without_deleted(column: str) -> str:
    """In SQL: a program's path without that."""
    return f"CASE WHEN ends_with({column}, '{DELETED}') THEN left({column}, -{len(DELETED)}) ELSE {column} END"


PROGRAM = "coalesce(process.executable, process.name)"
HEALTH_COLUMNS = ",\n    ".join(f"auditdeck.health.{name} AS {name}" for name in LOSSES)

FLAT = f"""
    "@timestamp" AS time,
    host.name AS host,
    event.id AS id,
    event.dataset = 'auditdeck.health' AS health,
    event.action AS action,
    event.outcome AS outcome,
    {STATE} AS state,
    network.direction AS direction,
    CASE WHEN network.direction IS DISTINCT FROM 'egress' THEN NULL
        WHEN state IS NOT NULL THEN state
        WHEN event.action = 'connected-to' AND list_contains(event."type", 'start') AND network.transport IS NULL
            THEN 'unknown'
    END AS kind,
    nullif(event.action = 'executed' AND event.outcome = 'success', false) AS ran,
    network.transport AS transport,
    coalesce(nullif("user".name, ''), "user".id) AS "user",
    coalesce(nullif("user".audit.name, ''), "user".audit.id) AS login,
    process.pid AS pid,
    process.name AS process,
    {without_deleted(PROGRAM)} AS executable,
    nullif(ends_with({PROGRAM}, '{DELETED}'), false) AS deleted,
    auditdeck.script AS script,
    CASE WHEN event.action IN ('connected-to', 'disconnected-from') THEN process.command_line END AS command,
    coalesce(nullif(container.name, ''), container.id) AS container,
    nullif(regexp_extract(auditdeck.cgroup, '.*/([^/]+\\.service)(/|$)', 1), '') AS unit,
    destination.ip AS ip,
    destination.port AS port,
    CASE WHEN network.direction = 'egress' THEN source.bytes END AS sent,
    CASE WHEN network.direction = 'egress' THEN destination.bytes END AS received,
    event.duration AS duration,
    {HEALTH_COLUMNS},
    auditdeck.health.unwatched AS unwatched,
    auditdeck.health."interval" AS span,
    auditdeck.health.state AS collector
"""

TYPES = {
    "time": "TIMESTAMP", "host": "VARCHAR", "id": "VARCHAR", "health": "BOOLEAN", "action": "VARCHAR",
    "outcome": "VARCHAR", "state": "VARCHAR", "direction": "VARCHAR", "kind": "VARCHAR", "ran": "BOOLEAN",
    "transport": "VARCHAR", "user": "VARCHAR", "login": "VARCHAR", "pid": "BIGINT", "process": "VARCHAR",
    "executable": "VARCHAR", "deleted": "BOOLEAN", "script": "VARCHAR", "command": "VARCHAR", "container": "VARCHAR",
    "unit": "VARCHAR", "ip": "VARCHAR", "port": "INTEGER", "sent": "BIGINT", "received": "BIGINT", "duration": "BIGINT",
    **dict.fromkeys(LOSSES, "BIGINT"), "unwatched": "DOUBLE", "span": "DOUBLE", "collector": "VARCHAR",
}  # fmt: skip
EMPTY = "SELECT " + ", ".join(f'NULL::{kind} AS "{name}"' for name, kind in TYPES.items()) + " WHERE false"
NO_TIME = EMPTY.removesuffix(" WHERE false")
"""One row for something that is damaged."""

# Parquet of 0.1.0 does not have what connect(2) returned: 'connection' there is success or in progress.
OLD = f"""* REPLACE (
    CASE kind WHEN 'connection' THEN 'established' ELSE kind END AS kind,
    {without_deleted("executable")} AS executable),
    CASE kind WHEN 'connection' THEN 'established' END AS state,
    CASE WHEN kind IS NOT NULL THEN 'egress' END AS direction,
    lost IS NOT NULL AS health,
    nullif(action = 'executed' AND outcome = 'success', false) AS ran,
    nullif(ends_with(executable, '{DELETED}'), false) AS deleted
"""


LARGEST = 64 << 20
"""Bytes of a line, more than any document has."""


def from_json(files: list[str], largest: int = LARGEST) -> str:
    """A SELECT over segments. A line that is damaged, or just being written, has no time.

    `largest` in bytes, of a line: DuckDB takes several times as much memory.
    """
    columns = ", ".join(f"{quoted(name)}: {quoted(kind)}" for name, kind in JSON_COLUMNS.items())
    return (
        f"SELECT {FLAT} FROM read_json({listed(files)}, format = 'newline_delimited', columns = {{{columns}}}, "
        f"maximum_object_size = {largest}, ignore_errors = true)"
    )


def from_parquet(files: list[str], *, old: bool = False) -> str:
    """A SELECT over Parquet; `old` is that of 0.1.0."""
    return f"SELECT {OLD if old else '*'} FROM read_parquet({listed(files)}, union_by_name = true)"


def kinds_of_parquet(files: list[str]) -> str:
    """A SELECT of the files, with whether each has events, and whether 0.1.0 wrote it."""
    return (
        "SELECT file_name, bool_or(name = 'time') AND bool_or(name = 'kind') AND bool_or(name = 'lost'), "
        f"NOT bool_or(name = 'direction') FROM parquet_schema({listed(files)}) GROUP BY file_name"
    )


def listed(files: list[str]) -> str:
    return "[" + ", ".join(quoted(file) for file in files) + "]"


def quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
