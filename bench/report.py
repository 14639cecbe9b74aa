"""How long `auditdeck report` takes over many events, and with how much memory.

    python -m bench.report 10000000

The store is made with the columns that compaction writes, a file for each 64 MiB segment's worth of events, spread over
eight days, 200 users, 400 programs and 20,000 destinations.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckdb

from auditdeck.query.columns import EMPTY
from auditdeck.query.compaction import parquet_path

EVENTS_A_SEGMENT = 55_000
SEGMENT = """
SELECT * FROM ({empty}) UNION ALL BY NAME
SELECT
    now()::TIMESTAMP - to_microseconds((691200e6 * (1 - (i + {first}) / {total}))::BIGINT) AS time,
    'host' AS host,
    printf('%d.%03d:%d', 1795000000 + i // 1000, i % 1000, i + {first}) AS id,
    CASE WHEN chance < 0.8 THEN 'connected-to' ELSE 'executed' END AS action,
    CASE WHEN chance BETWEEN 0.7 AND 0.75 THEN 'failure' ELSE 'success' END AS outcome,
    CASE WHEN chance < 0.7 THEN 'established' WHEN chance < 0.73 THEN 'refused' WHEN chance < 0.75 THEN 'unanswered' END
        AS state,
    CASE WHEN chance < 0.8 THEN 'egress' END AS direction,
    CASE WHEN chance < 0.755 THEN coalesce(state, 'unknown') END AS kind,
    CASE WHEN chance >= 0.8 THEN true END AS ran,
    CASE WHEN chance < 0.75 THEN 'tcp' END AS transport,
    'user' || number AS "user",
    'user' || number % 50 AS login,
    (random() * 30000)::BIGINT AS pid,
    program AS process,
    '/usr/bin/' || program AS executable,
    CASE WHEN ends_with(program, '7') THEN '/opt/jobs/' || program || '.py' END AS script,
    CASE WHEN chance < 0.8 THEN program || ' --to somewhere' END AS command,
    CASE WHEN contains(program, '3') THEN 'container' || right(program, 1) END AS container,
    CASE WHEN chance < 0.8 THEN '10.0.' || (random() * random() * 100)::INTEGER || '.' || (random() * 200)::INTEGER END
        AS ip,
    CASE WHEN chance < 0.8 THEN 443 END AS port,
    CASE WHEN chance < 0.7 THEN (random() * 5000)::BIGINT END AS sent,
    CASE WHEN chance < 0.7 THEN (random() * 500000)::BIGINT END AS received
FROM (SELECT i, random() AS chance, 'program' || (random() * random() * 400)::INTEGER AS program,
             (random() * random() * 200)::INTEGER AS number
      FROM range({count}) t(i))
"""


def fill(data_dir: Path, total: int) -> None:
    """A store of `total` events."""
    with duckdb.connect() as connection:
        for number in range((total + EVENTS_A_SEGMENT - 1) // EVENTS_A_SEGMENT):
            first = number * EVENTS_A_SEGMENT
            count = min(EVENTS_A_SEGMENT, total - first)
            target = parquet_path(data_dir, number + 1)
            target.parent.mkdir(parents=True, exist_ok=True)
            select = SEGMENT.format(empty=EMPTY, first=first, total=total, count=count)
            connection.execute(f"COPY ({select}) TO '{target}' (FORMAT parquet, COMPRESSION zstd)")


def measure(total: int, repetitions: int = 5) -> None:
    with tempfile.TemporaryDirectory() as folder:
        data_dir = Path(folder)
        fill(data_dir, total)
        times, peak = [], 0
        for _ in range(repetitions):
            command = [sys.executable, "-m", "auditdeck", "report", "--json", "--data-dir", folder]
            began = time.monotonic()
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
            _, status, usage = os.wait4(process.pid, 0)
            times.append(time.monotonic() - began)
            peak = max(peak, usage.ru_maxrss)
            assert status == 0
        times.sort()
        print(f"{total:,} events: {times[0]:.2f} / {times[len(times) // 2]:.2f} / {times[-1]:.2f} s (min/median/max),"
              f" peak {peak / 1024:.0f} MiB")  # fmt: skip


if __name__ == "__main__":
    for size in sys.argv[1:]:
        measure(int(size))
