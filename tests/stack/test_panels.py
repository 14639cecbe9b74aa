"""Every panel of every dashboard, computed by Elasticsearch and counted by hand from the same events."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from elasticsearch import Elasticsearch
from elasticsearch.helpers import bulk

from auditdeck.collector.health import Counters, changes, health_document
from tests.support import kql
from tests.support.elasticsearch import elasticsearch
from tests.support.lens import TOP, Panel, by_counting, by_elasticsearch, panels

pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]

UNTIL = datetime(2026, 11, 24, tzinfo=UTC)
SINCE = UNTIL - timedelta(days=7)
PANELS = {panel.name: panel for panel in panels()}
KINDS = {
    "connection": ("connected-to", ["connection", "start"], "success", {"transport": "tcp", "direction": "egress"}),
    "failed": ("connected-to", ["connection", "start"], "failure", {"transport": "tcp", "direction": "egress"}),
    "unknown": ("connected-to", ["connection", "start"], "success", {"direction": "egress"}),
    "udp": ("connected-to", ["connection", "start"], "success", {"transport": "udp", "direction": "egress"}),
    "internal": ("connected-to", ["connection", "start"], "success", {"transport": "tcp", "direction": "internal"}),
    "repeat": ("connected-to", ["connection", "info"], "success", {"transport": "tcp", "direction": "egress"}),
    "executed": ("executed", ["start"], "success", None),
    "not-executed": ("executed", ["start"], "failure", None),
    "listened": ("listen-for-connections", ["connection", "start"], "success", None),
    "accepted": ("accepted-connection-from", ["connection", "start"], "success", {"direction": "ingress"}),
    "logged-in": ("logged-in", ["start"], "success", None),
    "authenticated": ("authenticated", ["info"], "failure", None),
    "ran-command": ("ran-command", ["start"], "success", None),
    "added-user-account": ("added-user-account", ["user", "creation"], "success", None),
    "changed-audit-configuration": ("changed-audit-configuration", ["change"], "success", None),
}
CATEGORIES = {"logged-in": "authentication", "authenticated": "authentication", "added-user-account": "iam"}


def documents() -> list[dict[str, Any]]:
    """Three weeks of events of every kind that a panel asks for; labels.kind says what each was made as."""
    chance = random.Random(7)
    found = []
    for number in range(6000):
        kind = chance.choice([*KINDS, *["connection"] * 10, *["executed"] * 5])
        action, types, outcome, network = KINDS[kind]
        user = f"user{int(chance.random() ** 2 * 12)}"
        program = f"/usr/bin/program{int(chance.random() ** 2 * 30)}"
        time = UNTIL - timedelta(seconds=chance.random() * 21 * 86400)
        document: dict[str, Any] = {
            "@timestamp": time.isoformat(timespec="milliseconds"),
            "event": {"id": str(number), "action": action, "type": types, "outcome": outcome, "module": "auditd",
                      "category": [CATEGORIES.get(kind, "network" if network else "process")]},
            "host": {"name": f"host{chance.randrange(3)}"},
            "process": {"pid": number, "executable": program, "name": program[9:], "parent": {"pid": number % 50},
                        "command_line": f"{program} {number % 40}", "working_directory": f"/srv/{number % 9}"},
            "user": {"name": user},
            "auditd": {"session": chance.choice(["unset", "1", "2", "3"]), "data": {"exit": "ENOENT", "op": "add_rule"},
                       "summary": {"actor": {"primary": chance.choice(["ada", "bob"]), "secondary": user},
                                   "how": program, "object": {"primary": f"thing{number % 5}"}}},
            "file": {"path": program},
            "labels": {"kind": kind},
        }  # fmt: skip
        if network is not None:
            document["network"] = network
        if kind == "accepted" or kind in CATEGORIES:
            document["source"] = {"ip": f"198.51.100.{number % 20}"}
        elif network is not None:
            document["destination"] = {"ip": f"192.0.2.{int(chance.random() ** 2 * 60)}", "port": 443 + number % 3}
        if kind == "listened":
            document["server"] = {"ip": "0.0.0.0", "port": 8000 + number % 4}
        if number % 7 == 0:
            document["container"] = {"id": f"c{number % 5}", "image": {"name": f"image{number % 2}"}}
        found.append(document)
    for minute in range(0, 21 * 24 * 60, 180):
        counts = changes(
            Counters(
                events=100 + minute % 7, lost=minute % 3, gaps=1, backlog=minute % 9, behind=minute, lag=minute % 5 / 10
            ),
            Counters(),
        )
        found.append(
            {
                "@timestamp": (UNTIL - timedelta(minutes=minute + 1)).isoformat(timespec="milliseconds"),
                "event": {"id": f"health{minute}", "dataset": "auditdeck.health", "module": "auditdeck"},
                "host": {"name": f"host{minute % 3}"},
                "auditdeck": {"health": {**counts, "interval": 60.0}},
            }
        )
    return found


DOCUMENTS = documents()


@pytest.fixture(scope="module")
def client() -> Iterator[Elasticsearch]:
    with elasticsearch() as found:
        actions = ({"_op_type": "create", "_index": "audit-events", "_source": document} for document in DOCUMENTS)
        bulk(found, actions, refresh=True)
        yield found


def test_nothing_was_refused(client: Elasticsearch) -> None:
    assert client.count(index="audit-events")["count"] == len(DOCUMENTS)


@pytest.mark.parametrize("name", PANELS)
def test_elasticsearch_computes_what_can_be_counted(client: Elasticsearch, name: str) -> None:
    panel = PANELS[name]

    def search(**body: Any) -> Any:
        return client.search(index="audit-*", **body)

    found = by_elasticsearch(search, panel, SINCE, UNTIL)
    expected = by_counting(DOCUMENTS, panel, SINCE, UNTIL)
    assert found, "the known events fill every panel"
    assert found.keys() == expected.keys()
    for key, row in expected.items():
        assert found[key] == pytest.approx(row), key


def value(panel: Panel, search: Any, column: str) -> float:
    [row] = by_elasticsearch(search, panel, SINCE, UNTIL).values()
    return float(row[column])


def test_the_first_screen_tells_the_truth(client: Elasticsearch) -> None:
    """The numbers of the two questions, from how the events were made and not from any query."""
    made = Counter(
        (document["labels"]["kind"], document["user"]["name"])
        for document in DOCUMENTS
        if "labels" in document and SINCE <= datetime.fromisoformat(document["@timestamp"]) < UNTIL
    )
    kinds = Counter[str]()
    for (kind, _), count in made.items():
        kinds[kind] += count
    users = {user: count for (kind, user), count in made.items() if kind == "connection"}

    def search(**body: Any) -> Any:
        return client.search(index="audit-*", **body)

    assert value(PANELS["outbound-count"], search, "m") == kinds["connection"] > 500
    tried = kinds["connection"] + kinds["failed"]
    assert value(PANELS["outbound-failed"], search, "f") == pytest.approx(kinds["failed"] / tried)
    assert value(PANELS["outbound-unknown"], search, "m") == kinds["unknown"]
    rows = by_elasticsearch(search, PANELS["outbound-user-table"], SINCE, UNTIL)
    assert {key[0]: row["m"] for key, row in rows.items()} == users
    assert {key[0]: row["share"] for key, row in rows.items()} == pytest.approx(
        {user: count / kinds["connection"] for user, count in users.items()}
    )


def test_health_documents_are_what_the_dashboard_expects() -> None:
    made = health_document({"name": "one"}, changes(Counters(), Counters()), 60)
    for name in (b'"lost"', b'"gaps"', b'"dropped"', b'"behind"', b'"interval"', b'"dead_letters"'):
        assert name in made


ALERTS = {path.stem: json.loads(path.read_text()) for path in (TOP / "kibana" / "alerts").glob("*.json")}


def test_the_alert_of_lost_events_finds_them(client: Elasticsearch) -> None:
    query = json.loads(ALERTS["lost-events"]["params"]["esQuery"])["query"]
    health = [d["auditdeck"]["health"] for d in DOCUMENTS if "auditdeck" in d]
    lossy = [h for h in health if any(h[n] for n in ("lost", "gaps", "dropped", "damaged", "dead_letters"))]
    assert client.count(index="audit-*", query=query)["count"] == len(lossy) > 0


def test_the_alert_of_many_connections_counts_them(client: Elasticsearch) -> None:
    params = ALERTS["many-connections"]["params"]
    query = kql.dsl(kql.parse(params["filterKuery"]))
    terms = {"terms": {"field": params["termField"], "size": params["termSize"]}}
    found = client.search(index="audit-*", query=query, aggs={"by": terms}, size=0)["aggregations"]["by"]["buckets"]
    made = Counter(d["user"]["name"] for d in DOCUMENTS if d.get("labels", {}).get("kind") == "connection")
    assert {bucket["key"]: bucket["doc_count"] for bucket in found} == made
