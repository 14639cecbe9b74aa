"""A made-up week of a web server, for pages to look at: busy by day, idle by night, one odd stranger."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime, timedelta
from random import Random
from typing import Any

PHP, CURL = "/usr/sbin/php-fpm8.2", "/usr/bin/curl"
KINDS: list[tuple[float, str, str | None, str, str | None, str | None, str, int]] = [
    (44, "www-data", None, PHP, "/srv/shop/checkout.php", None, "198.51.100.20", 443),
    (19, "www-data", None, PHP, "/srv/shop/search.php", None, "203.0.113.40", 9200),
    (9, "www-data", None, "/usr/sbin/nginx", None, "web", "192.0.2.80", 8080),
    (7, "postgres", None, "/usr/lib/postgresql/15/bin/postgres", None, "db", "192.0.2.81", 5432),
    (5, "app", None, "/usr/bin/python3.11", "/opt/jobs/sync_orders.py", None, "198.51.100.7", 443),
    (4, "app", None, "/usr/bin/python3.11", "/opt/jobs/mail.py", None, "198.51.100.25", 587),
    (4, "root", None, "/usr/lib/apt/methods/http", None, None, "203.0.113.132", 80),
    (3, "alice", "alice", "/usr/bin/git", None, None, "198.51.100.60", 443),
    (3, "alice", "alice", CURL, None, None, "203.0.113.9", 443),
    (2, "root", "bob", "/usr/bin/ssh", None, None, "192.0.2.14", 22),
    (2, "bob", "bob", "/usr/bin/node", "/home/bob/site/build.js", None, "198.51.100.61", 443),
    (1, "monitor", None, "/opt/metrics/bin/metrics-agent-with-a-rather-long-name", None, None, "192.0.2.90", 9090),
]
"""Weight, user, login user, program, script, container, address, port."""
FATES = ["established"] * 47 + ["refused", "unanswered", "unresolved"]


def week(until: datetime, days: int = 7, connections: int = 12_000, seed: int = 1) -> list[dict[str, Any]]:
    """Documents in the order of their times; nobody watched for two hours of the third day."""
    random = Random(seed)
    since = until - timedelta(days=days)
    moments = sorted(by_day_and_night(random, since, days, connections))
    hole = since + timedelta(days=2, hours=9), since + timedelta(days=2, hours=11)
    made = [connection(moment, random) for moment in moments if not hole[0] <= moment < hole[1]]
    made += [connection(until - timedelta(hours=20, seconds=9 * n), random, ODD) for n in range(40)]
    made += [health(since + timedelta(minutes=n)) for n in range(1, days * 1440 + 1)
             if not hole[0] < since + timedelta(minutes=n) <= hole[1]]  # fmt: skip
    return sorted(made, key=lambda document: str(document["@timestamp"]))


ODD = (1.0, "www-data", None, "/tmp/.cache/xmr", None, None, "203.0.113.66", 3333)


def by_day_and_night(random: Random, since: datetime, days: int, count: int) -> Iterator[datetime]:
    while count:
        moment = since + timedelta(days=days * random.random())
        busy = 0.55 - 0.45 * math.cos(2 * math.pi * (moment.hour + moment.minute / 60 - 3) / 24)
        if moment.weekday() >= 5:
            busy *= 0.5
        if random.random() < busy:
            count -= 1
            yield moment


def connection(moment: datetime, random: Random, kind: Any = None) -> dict[str, Any]:
    _, user, login, program, script, container, address, port = kind or random.choices(
        KINDS, [each[0] for each in KINDS]
    )[0]  # fmt: skip
    state = "established" if kind else random.choice(FATES)
    if kind is None and random.random() < 0.3:
        address = f"{address.rpartition('.')[0]}.{random.randint(1, 250)}"
    document: dict[str, Any] = {
        "@timestamp": stamp(moment),
        "event": {
            "id": f"{random.getrandbits(60)}", "action": "connected-to", "type": ["connection", "start", "end"],
            "outcome": {"established": "success", "unresolved": "unknown"}.get(state, "failure"),
            "duration": int(random.expovariate(1 / 4e9)),
        },
        "host": {"name": "shop-1"},
        "process": {"pid": random.randint(300, 30000), "name": program.rpartition("/")[2][:15], "executable": program,
                    "command_line": f"{program} {script}" if script else program},
        "user": {"id": "1000", "name": user, **({"audit": {"id": "1001", "name": login}} if login else {})},
        "destination": {"ip": address, "port": port},
        "network": {"transport": "tcp", "direction": "egress"},
        "auditdeck": {"connection": {"state": state}, **({"script": script} if script else {})},
    }  # fmt: skip
    if container:
        document["container"] = {"id": f"{container}0" * 16, "name": container}
    if state == "established":
        document["source"] = {"bytes": int(random.expovariate(1 / 9e3))}
        document["destination"]["bytes"] = int(random.expovariate(1 / 2e5))
    return document


def health(moment: datetime) -> dict[str, Any]:
    return {
        "@timestamp": stamp(moment), "host": {"name": "shop-1"}, "event": {"dataset": "auditdeck.health"},
        "auditdeck": {"health": {"interval": 60.0, "unwatched": 0.0, "lost": 0, "state": "running"}},
    }  # fmt: skip


def stamp(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"
