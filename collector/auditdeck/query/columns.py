"""Documents as columns: what the local store keeps of each event, in SQL for DuckDB.

`kind` is what an event counts as in the question about outbound TCP connections: 'connection' (succeeded or in
progress), 'failed' (the network refused), 'unknown' (transport not known), or NULL for everything else.
"""

from __future__ import annotations

# Only what is read below is parsed; the rest of a document is skipped.
JSON_COLUMNS = {
    "@timestamp": "TIMESTAMP",
    "host": "STRUCT(name VARCHAR)",
    "event": 'STRUCT(id VARCHAR, dataset VARCHAR, "action" VARCHAR, "type" VARCHAR[], outcome VARCHAR)',
    "process": "STRUCT(pid BIGINT, name VARCHAR, executable VARCHAR)",
    "user": "STRUCT(id VARCHAR, name VARCHAR, audit STRUCT(id VARCHAR, name VARCHAR))",
    "destination": "STRUCT(ip VARCHAR, port INTEGER)",
    "network": "STRUCT(transport VARCHAR, direction VARCHAR)",
    "auditdeck": "STRUCT(health STRUCT(lost BIGINT, gaps BIGINT, dropped BIGINT, damaged BIGINT))",
}

FLAT = """
    "@timestamp" AS time,
    host.name AS host,
    event.id AS id,
    event.action AS action,
    event.outcome AS outcome,
    CASE WHEN event.action = 'connected-to' AND network.direction = 'egress' AND list_contains(event.type, 'start')
        THEN CASE WHEN network.transport IS NULL THEN 'unknown'
                  WHEN network.transport <> 'tcp' THEN NULL
                  WHEN event.outcome = 'failure' THEN 'failed'
                  ELSE 'connection' END
    END AS kind,
    network.transport AS transport,
    coalesce(nullif("user".name, ''), "user".id) AS "user",
    coalesce(nullif("user".audit.name, ''), "user".audit.id) AS login,
    process.pid AS pid,
    process.name AS process,
    coalesce(process.executable, process.name) AS executable,
    destination.ip AS ip,
    destination.port AS port,
    auditdeck.health.lost AS lost,
    auditdeck.health.gaps AS gaps,
    auditdeck.health.dropped AS dropped,
    auditdeck.health.damaged AS damaged
"""

EMPTY = """
    SELECT NULL::TIMESTAMP AS time, NULL::VARCHAR AS host, NULL::VARCHAR AS id, NULL::VARCHAR AS action,
        NULL::VARCHAR AS outcome, NULL::VARCHAR AS kind, NULL::VARCHAR AS transport, NULL::VARCHAR AS "user",
        NULL::VARCHAR AS login, NULL::BIGINT AS pid, NULL::VARCHAR AS process, NULL::VARCHAR AS executable,
        NULL::VARCHAR AS ip, NULL::INTEGER AS port, NULL::BIGINT AS lost, NULL::BIGINT AS gaps,
        NULL::BIGINT AS dropped, NULL::BIGINT AS damaged
    WHERE false
"""


def from_json(files: list[str], *, open_segment: bool) -> str:
    """A SELECT over segments. The line that is just being written to an open segment is left for the next time."""
    columns = ", ".join(f"{quoted(name)}: {quoted(kind)}" for name, kind in JSON_COLUMNS.items())
    return (
        f"SELECT {FLAT} FROM read_json({listed(files)}, format = 'newline_delimited', columns = {{{columns}}}, "
        f"maximum_object_size = 67108864, ignore_errors = {str(open_segment).lower()})"
    )


def from_parquet(files: list[str]) -> str:
    return f"SELECT * FROM read_parquet({listed(files)}, union_by_name = true)"


def listed(files: list[str]) -> str:
    return "[" + ", ".join(quoted(file) for file in files) + "]"


def quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
