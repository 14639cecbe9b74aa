"""The hosts of a stack: when each was last heard of, what it collects, what it lost."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from auditdeck import __version__
from auditdeck.stack.checks import numbers
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
    """A row a host, the one heard of least recently first: id, name, state, last, version, beside_stack (`older`,
    `same` or `newer` than this stack), documents_hour, lost_day, watched_day (share of the past 24 hours)."""
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
        "beside_stack": beside(health.get("version", "")),
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


def beside(version: str, stack: str = __version__) -> str:
    """A collector's version beside the stack's: `older`, `same` or `newer`. Health documents of 0.1 name none (""); the
    third number changes nothing of what the two say to each other."""
    of_collector, of_stack = (numbers(text)[:2] for text in (version, stack))
    return "same" if of_collector == of_stack else "older" if of_collector < of_stack else "newer"


def advice(rows: list[dict[str, Any]], stack: str = __version__) -> list[str]:
    """A sentence for each kind of version that is not this stack's, with the hosts that have it and what to do."""
    kinds: dict[str, list[str]] = {}
    for row in sorted(rows, key=lambda row: str(row["name"])):
        if not row["version"]:
            kind = (
                "Before 0.2: connections are kept and found, but not counted on the dashboards; update auditdeck there"
            )
        elif row["beside_stack"] == "older":
            kind = f"Older than this stack ({stack}): events are taken and counted; update auditdeck there"
        elif row["beside_stack"] == "newer":
            kind = (
                f"Newer than this stack ({stack}): events are kept whole, but fields that are new cannot be searched; "
                "update this clone and run `make up`"
            )
        else:
            continue
        kinds.setdefault(kind, []).append(row["name"])
    return [f"{kind}: {', '.join(names)}." for kind, names in kinds.items()]
