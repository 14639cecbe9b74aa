"""The hosts of a stack: when each was last heard of, what it collects, what it lost."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from auditdeck.stack.elasticsearch import STREAM, Cluster
from auditdeck.stack.enrolment import HOSTS, every, settle

DAY = 86_400
MOST = 10_000
LOST = ("lost", "gaps", "dropped", "damaged", "ring_lost", "unjoined")
HEARD = {
    "size": 0,
    "query": {"term": {"event.dataset": "auditdeck.health"}},
    "aggs": {
        "hosts": {
            "terms": {"field": "host.id", "size": MOST},
            "aggs": {
                "last": {
                    "top_hits": {
                        "size": 1,
                        "sort": [{"@timestamp": "desc"}],
                        "_source": ["@timestamp", "host.name", "auditdeck.health"],
                    }
                },
                "hour": {
                    "filter": {"range": {"@timestamp": {"gte": "now-1h"}}},
                    "aggs": {"documents": {"sum": {"field": "auditdeck.health.documents"}}},
                },
                "day": {
                    "filter": {"range": {"@timestamp": {"gte": "now-1d"}}},
                    "aggs": {
                        "watched": {"sum": {"field": "auditdeck.health.interval"}},
                        "unwatched": {"sum": {"field": "auditdeck.health.unwatched"}},
                        **{name: {"sum": {"field": f"auditdeck.health.{name}"}} for name in LOST},
                    },
                },
            },
        }
    },
}


def hosts(cluster: Cluster) -> list[dict[str, Any]]:
    """A row a host, the one heard of least recently first: id, name, state, last, version, documents_hour, lost_day,
    watched_day (share of the past 24 hours)."""
    settle(cluster)
    cluster.ask("POST", f"/{STREAM}/_refresh")
    found = cluster.ask("POST", f"/{STREAM}/_search", HEARD)
    rows = {bucket["key"]: heard(bucket) for bucket in found["aggregations"]["hosts"]["buckets"]}
    for hit in every(cluster, HOSTS):
        entry = hit["_source"]
        row = rows.setdefault(
            entry["host"]["id"], {"id": entry["host"]["id"], "name": entry["host"]["name"], "last": ""}
        )
        row.setdefault("joined", entry["joined"])
        if "revoked" not in entry:
            row["keys"] = row.get("keys", 0) + 1
        else:
            row["revoked"] = entry["revoked"]
    for row in rows.values():
        row["state"] = state(row)
    return sorted(rows.values(), key=lambda row: (row["last"], row["name"]))


def heard(bucket: dict[str, Any]) -> dict[str, Any]:
    last = bucket["last"]["hits"]["hits"][0]["_source"]
    health = last["auditdeck"]["health"]
    day = bucket["day"]
    return {
        "id": bucket["key"],
        "name": last["host"]["name"],
        "last": last["@timestamp"],
        "version": health.get("version", ""),
        "documents_hour": int(bucket["hour"]["documents"]["value"]),
        "lost_day": int(sum(day[name]["value"] or 0 for name in LOST)),
        "watched_day": round(min(1.0, max(0.0, day["watched"]["value"] - day["unwatched"]["value"]) / DAY), 4),
    }


def state(row: dict[str, Any]) -> str:
    """`reporting` (a report within five minutes), `silent`, `revoked`, or `never heard of`."""
    if "revoked" in row and not row.get("keys"):
        return "revoked"
    if not row["last"]:
        return "never heard of"
    age = datetime.now(UTC) - datetime.fromisoformat(row["last"].replace("Z", "+00:00"))
    return "reporting" if age.total_seconds() < 300 else "silent"
