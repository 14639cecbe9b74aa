"""Every panel of every dashboard, computed by Elasticsearch and counted by hand from the same events."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from elasticsearch import Elasticsearch
from elasticsearch.helpers import bulk

from auditdeck.collector.health import Counters, changes
from tests.support import kql
from tests.support.elasticsearch import elasticsearch
from tests.support.lens import (
    MISSING,
    OTHER,
    RECORDS,
    TOP,
    Panel,
    as_shown,
    by_counting,
    by_elasticsearch,
    discovered,
    panels,
)
from tests.unit.test_truth import vega

pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]

UNTIL = datetime(2026, 11, 24, tzinfo=UTC)
SINCE = UNTIL - timedelta(days=7)
PANELS = {panel.name: panel for panel in panels()}
OUT = {"transport": "tcp", "direction": "egress"}
KINDS: dict[str, tuple[str, list[str], str, dict[str, str] | None]] = {
    "established": ("connected-to", ["connection", "start"], "success", OUT),
    "refused": ("connected-to", ["connection", "start", "end"], "failure", OUT),
    "unanswered": ("connected-to", ["connection", "start", "end"], "failure", OUT),
    "unreachable": ("connected-to", ["connection", "start", "end"], "failure", OUT),
    "unresolved": ("connected-to", ["connection", "start"], "unknown", OUT),
    "ended": ("disconnected-from", ["connection", "end"], "success", OUT),
    "unknown": ("connected-to", ["connection", "start"], "success", {"direction": "egress"}),
    "udp": ("connected-to", ["connection", "start"], "success", {"transport": "udp", "direction": "egress"}),
    "internal": ("connected-to", ["connection", "start"], "success", {"transport": "tcp", "direction": "internal"}),
    "repeat": ("connected-to", ["connection", "info"], "success", OUT),
    "executed": ("executed", ["start"], "success", None),
    "not-executed": ("executed", ["start"], "failure", None),
    "not-found": ("executed", ["start"], "failure", None),
    "listened": ("listen-for-connections", ["connection", "start"], "success", None),
    "accepted": ("accepted-connection-from", ["connection", "start"], "success", {"direction": "ingress"}),
    "logged-in": ("logged-in", ["start"], "success", None),
    "not-logged-in": ("logged-in", ["start"], "failure", None),
    "authenticated": ("authenticated", ["info"], "failure", None),
    "acquired-credentials": ("acquired-credentials", ["info"], "success", None),
    "became": ("started-session", ["start"], "success", None),
    "session-of-sshd": ("started-session", ["start"], "success", None),
    "ran-command": ("ran-command", ["start"], "success", None),
    "added-user-account": ("added-user-account", ["user", "creation"], "success", None),
    "changed-audit-configuration": ("changed-audit-configuration", ["change"], "success", None),
}
CATEGORIES = {"logged-in": "authentication", "not-logged-in": "authentication", "authenticated": "authentication",
              "acquired-credentials": "authentication", "added-user-account": "iam"}  # fmt: skip
STATES = {"established", "refused", "unanswered", "unreachable", "unresolved"}
FAILED = {"refused": "ECONNREFUSED", "unanswered": "ETIMEDOUT", "unreachable": "EHOSTUNREACH"}
SESSIONS = {"became": "/usr/bin/sudo", "session-of-sshd": "/usr/sbin/sshd"}
LOSSES = ("lost", "ring_lost", "gaps", "unjoined", "dropped", "damaged", "dead_letters")
PROGRAMS = 440


def documents() -> list[dict[str, Any]]:
    """Three weeks of events of every kind that a panel asks for; labels.kind says what each was made as."""
    chance = random.Random(7)
    found = []
    for number in range(9000):
        kind = chance.choice([*KINDS, *["established"] * 16, *["executed"] * 5])
        action, types, outcome, network = KINDS[kind]
        user = f"user{int(chance.random() ** 2 * 12)}"
        program = f"/usr/bin/program{int(chance.random() ** 2 * PROGRAMS)}"
        time = UNTIL - timedelta(seconds=chance.random() * 21 * 86400)
        document: dict[str, Any] = {
            "@timestamp": time.isoformat(timespec="milliseconds"),
            "event": {"id": str(number), "action": action, "type": types, "outcome": outcome, "module": "auditd",
                      "category": [CATEGORIES.get(kind, "network" if network else "process")]},
            "host": {"name": f"host{chance.randrange(3)}"},
            "process": {"pid": number, "executable": program, "name": program[9:],
                        "command_line": f"{program} {number % 40}", "working_directory": f"/srv/{number % 9}"},
            "user": {"name": user},
            "auditd": {"session": chance.choice(["unset", "1", "2", "3"]), "data": {"op": "add_rule"},
                       "summary": {"actor": {"primary": chance.choice(["ada", "bob", "unset"]), "secondary": user},
                                   "how": program, "object": {"primary": f"thing{number % 5}"}}},
            "file": {"path": f"{program}{number % 3}"},
            "labels": {"kind": kind},
        }  # fmt: skip
        if kind in SESSIONS:
            document["process"] = {"pid": number, "executable": SESSIONS[kind]}
        if number % 11:
            document["process"]["parent"] = {"executable": f"/usr/bin/parent{number % 6}"}
        if number % 13 == 0:
            del document["auditd"]["summary"]["how"]
        if kind in ("not-executed", "not-found"):
            document["auditd"]["data"]["exit"] = "ENOENT" if kind == "not-found" else "EACCES"
        if network is not None:
            document["network"] = dict(network)
        connection: dict[str, Any] = {}
        if kind in STATES:
            connection["state"] = kind
        if kind in FAILED:
            document["error"] = {"code": FAILED[kind]}
        if kind == "internal":
            connection["state"] = chance.choice(["established", "refused"])
        if connection:
            document["auditdeck"] = {"connection": connection}
        if kind == "unknown":
            document["auditdeck"] = {"transport": {"source": "unknown"}}
        if kind == "established" and number % 10 == 0:
            document["auditdeck"]["first"] = ["executable"] if number % 20 else ["network", "user"]
        if kind in CATEGORIES or kind in SESSIONS:
            if number % 5:
                document["user"]["target"] = {"name": f"account{number % 4}"}
            if number % 3:
                document["auditd"]["data"]["addr"] = f"198.51.100.{number % 20}"
        elif kind == "accepted":
            document["source"] = {"ip": f"198.51.100.{number % 20}"}
        elif network is not None:
            near = chance.random() < 0.4
            place = f"10.1.2.{number % 30}" if near else f"192.0.2.{int(chance.random() ** 2 * 60)}"
            document["destination"] = {"ip": place, "port": 443 + number % 3}
        if kind == "ended" or (kind == "established" and number % 4 == 0):
            sent, received = number % 5000, number % 7000
            document["source"] = {"bytes": sent}
            document["destination"]["bytes"] = received
            document["network"]["bytes"] = sent + received
        if kind == "listened":
            document["server"] = {"ip": "0.0.0.0", "port": 8000 + number % 4}
        if number % 7 == 0:
            document["container"] = {"id": f"c{number % 5}", "name": f"n{number % 5}", "image": {"name": "image"}}
        found.append(document)
    found += reports()
    return found


def reports() -> list[dict[str, Any]]:
    """What the collectors of three hosts say of themselves; the third has been silent for two days."""
    found = []
    for minute in range(0, 21 * 24 * 60, 90):
        host = minute // 90 % 3
        if host == 2 and minute < 2 * 24 * 60:
            continue
        counters = Counters(events=100 + minute % 7, backlog=minute % 9, behind=minute, lag=minute % 5 / 10)
        counts = changes(counters, Counters())
        counts |= dict.fromkeys(LOSSES, 0.0)
        if minute % 11 == 0:
            counts[LOSSES[minute // 11 % len(LOSSES)]] = 1 + minute % 3
        found.append(
            {
                "@timestamp": (UNTIL - timedelta(minutes=minute + 1)).isoformat(timespec="milliseconds"),
                "event": {"id": f"health{minute}", "dataset": "auditdeck.health", "module": "auditdeck"},
                "host": {"name": f"host{host}"},
                "auditdeck": {
                    "health": {**counts, "interval": 60.0, "unwatched": float(minute % 4), "source": "tracepoint"}
                },
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


@pytest.fixture
def search(client: Elasticsearch) -> Callable[..., Any]:
    return lambda **body: client.search(index="audit-*", **body)


def value(search: Callable[..., Any], name: str) -> float:
    """The number of a panel that has one."""
    panel = PANELS[name]
    [row] = by_elasticsearch(search, panel, SINCE, UNTIL).values()
    return float(row[panel.state["visualization"]["metricAccessor"]])


def made(*kinds: str, since: datetime = SINCE) -> list[dict[str, Any]]:
    """The documents that were made as one of these kinds in the chosen time."""
    return [
        document
        for document in DOCUMENTS
        if document.get("labels", {}).get("kind") in kinds
        and since <= datetime.fromisoformat(document["@timestamp"]) < UNTIL
    ]


def distinct(documents: list[dict[str, Any]], field: str) -> int:
    return len({value for document in documents for value in kql.values(document, field)})


def test_the_first_screen_tells_the_truth(search: Callable[..., Any]) -> None:
    """The numbers of the two questions, from how the events were made and not from any query."""
    connections = made("established")
    user, program = "auditd.summary.actor.secondary", "auditd.summary.how"
    assert value(search, "outbound-count") == len(connections) > 500
    assert value(search, "outbound-users") == distinct(connections, user)
    assert value(search, "outbound-users-seen") == distinct([*connections, *made("executed")], user)
    assert value(search, "outbound-programs") == distinct(connections, program)
    assert value(search, "outbound-programs-seen") == distinct([*connections, *made("executed")], program)
    assert value(search, "outbound-new") == sum("first" in document["auditdeck"] for document in connections) > 0
    assert value(search, "outbound-failed") == len(made(*FAILED)) > 0
    ended = made("ended", "established")
    assert value(search, "outbound-sent") == sum(d.get("source", {}).get("bytes", 0) for d in ended)
    assert value(search, "outbound-received") == sum(d["destination"].get("bytes", 0) for d in ended)
    [row] = by_elasticsearch(search, PANELS["outbound-count"], SINCE, UNTIL).values()
    assert row["p"] == len(made("established", since=SINCE - timedelta(days=7))) - len(connections)


def test_what_is_not_counted_and_why(search: Callable[..., Any]) -> None:
    rows = by_elasticsearch(search, PANELS["outbound-not-counted"], SINCE, UNTIL)
    assert {key[0]: row["m"] for key, row in rows.items()} == {
        "outcome unresolved": len(made("unresolved")),
        "unknown if TCP": len(made("unknown")),
    }
    rows = by_elasticsearch(search, PANELS["outbound-outcomes"], SINCE, UNTIL)
    states = {"established", *FAILED}
    assert {key[0]: row["m"] for key, row in rows.items()} == {state: len(made(state)) for state in states}


SHARES = [name for name, panel in PANELS.items() if "overall_sum" in json.dumps(panel.columns)]


@pytest.mark.parametrize("name", SHARES)
def test_shares_have_one_denominator(search: Callable[..., Any], name: str) -> None:
    """All rows that a panel shows make 100 % of the headline, also with more programs than rows and without a value."""
    panel = PANELS[name]
    rows = as_shown(search, panel, SINCE, UNTIL)
    headline = len(made(*({"executed"} if "commands" in name else {"established"})))
    if name == "outbound-outcomes":
        headline = len(made("established", *FAILED))
    assert sum(row["m"] for row in rows.values()) == headline
    assert sum(row["share"] for row in rows.values()) == pytest.approx(1)
    for row in rows.values():
        assert row["share"] == pytest.approx(row["m"] / headline)
    if "process" in name or "program" in name:
        assert (OTHER,) in rows
        assert (MISSING,) in rows


def test_the_bands_make_all_connections(search: Callable[..., Any]) -> None:
    """What the drawing of users, programs and destinations adds up, with the rest of each, is the headline."""
    [spec] = vega()
    window = {"range": {"@timestamp": {"gte": SINCE.isoformat(), "lt": UNTIL.isoformat()}}}
    body = spec["data"][0]["url"]["body"]
    query = {"bool": {"filter": [window, *[part for part in body["query"]["bool"]["filter"] if "term" in part]]}}
    level = [search(query=query, size=0, aggs=body["aggs"])["aggregations"]["u"]]
    total, rest = 0, 0
    for inner in ("p", "d", None):
        rest += sum(found["sum_other_doc_count"] for found in level)
        buckets = [bucket for found in level for bucket in found["buckets"]]
        if inner is None:
            total = sum(bucket["doc_count"] for bucket in buckets)
        else:
            level = [bucket[inner] for bucket in buckets]
    assert total + rest == len(made("established"))
    assert rest > 0


def test_the_controls_list_what_tried_to_connect_out(client: Elasticsearch) -> None:
    alias = json.loads((TOP / "elasticsearch" / "aliases" / "audit-outbound.json").read_text())
    client.indices.put_alias(index="audit-events", name="audit-outbound", filter=alias["filter"])
    attempts = made("established", *FAILED, since=UNTIL - timedelta(days=30))
    assert client.count(index="audit-outbound*")["count"] == len(attempts)
    assert client.count(index="audit-*")["count"] == len(DOCUMENTS), "the alias does not narrow the whole"


def test_one_program_has_one_share_everywhere(search: Callable[..., Any]) -> None:
    bars = as_shown(search, PANELS["outbound-process-share"], SINCE, UNTIL)
    table = as_shown(search, PANELS["outbound-process-table"], SINCE, UNTIL)
    assert {key: row["share"] for key, row in bars.items() if key in table and key != (OTHER,)} == pytest.approx(
        {key: table[key]["share"] for key in bars if key != (OTHER,)}
    )


def test_what_ran_and_what_was_tried(search: Callable[..., Any]) -> None:
    assert value(search, "commands-count") == len(made("executed"))
    assert value(search, "commands-refused") == len(made("not-executed"))
    assert value(search, "commands-absent") == len(made("not-found"))
    rows = by_elasticsearch(search, PANELS["commands-program-share"], SINCE, UNTIL)
    assert rows.keys() - {(MISSING,)} == {(d["auditd"]["summary"]["how"],) for d in made("executed")
                                          if "how" in d["auditd"]["summary"]}  # fmt: skip


def test_logins_are_of_the_account_that_was_tried(search: Callable[..., Any]) -> None:
    rows = by_elasticsearch(search, PANELS["logins-who"], SINCE, UNTIL)
    expected = Counter(d["user"].get("target", {}).get("name", MISSING) for d in made("not-logged-in"))
    found = Counter[str]()
    for (account, *_), row in rows.items():
        found[account] += row["f"]
    assert found == expected
    assert value(search, "logins-became") == len(made("became")), "not the sessions that sshd opens"


def counts(panel: Panel) -> bool:
    main = panel.columns.get(panel.state["visualization"].get("metricAccessor", ""), {})
    return main.get("sourceField") == RECORDS and not panel.free


@pytest.mark.parametrize("name", [name for name, panel in PANELS.items() if counts(panel)])
def test_a_count_leads_to_as_many_events(search: Callable[..., Any], name: str) -> None:
    panel = PANELS[name]
    query, _ = discovered(panel)
    window = {"range": {"@timestamp": {"gte": SINCE.isoformat(), "lt": UNTIL.isoformat()}}}
    bool_query = {"bool": {"filter": [window, kql.dsl(kql.parse(query), UNTIL)]}}
    found = search(query=bool_query, size=0, track_total_hits=True)
    assert found["hits"]["total"]["value"] == value(search, name)


def test_health_is_of_all_collectors(search: Callable[..., Any]) -> None:
    month = [d for d in DOCUMENTS if "health" in d.get("auditdeck", {})]
    week = [d for d in month if datetime.fromisoformat(d["@timestamp"]) >= SINCE]
    lost = sum(d["auditdeck"]["health"][name] for d in week for name in LOSSES)
    for name in [name for name in PANELS if name.endswith("-lost")]:
        assert value(search, name) == lost > 0
    assert value(search, "health-alive") == 1, "one host reported in the last five minutes"
    assert value(search, "health-silent") == 2
    watched = sum(d["auditdeck"]["health"]["interval"] - d["auditdeck"]["health"]["unwatched"] for d in week)
    assert value(search, "outbound-watched") == pytest.approx(watched / (3 * 7 * 86400))
    ages = by_elasticsearch(search, PANELS["health-reports"], SINCE, UNTIL)
    assert {key[0]: row["age"] for key, row in ages.items()} == pytest.approx(
        {"host0": 60, "host1": 60 + 90 * 60, "host2": max(60.0, silent(2))}
    )


def silent(host: int) -> float:
    """Seconds since the last report of a host."""
    times = [datetime.fromisoformat(d["@timestamp"]) for d in DOCUMENTS
             if "health" in d.get("auditdeck", {}) and d["host"]["name"] == f"host{host}"]  # fmt: skip
    return (UNTIL - max(times)).total_seconds()


def test_without_reports_nothing_is_called_good(search: Callable[..., Any]) -> None:
    """Long before the first report: not 0, but no answer (Kibana shows N/A)."""
    before = UNTIL - timedelta(days=3000)
    for name, panel in PANELS.items():
        if panel.free and panel.kind == "lnsMetric" and name.endswith(("-lost", "-watched", "-alive", "-silent")):
            [row] = by_elasticsearch(search, panel, before - timedelta(days=7), before).values()
            assert row[panel.state["visualization"]["metricAccessor"]] is None, name


ALERTS = {path.stem: json.loads(path.read_text()) for path in (TOP / "kibana" / "alerts").glob("*.json")}


def test_the_alert_of_lost_events_finds_them(client: Elasticsearch) -> None:
    query = json.loads(ALERTS["lost-events"]["params"]["esQuery"])["query"]
    health = [d["auditdeck"]["health"] for d in DOCUMENTS if "health" in d.get("auditdeck", {})]
    lossy = [h for h in health if any(h[name] for name in LOSSES)]
    assert client.count(index="audit-*", query=query)["count"] == len(lossy) > 0


def test_the_alert_of_many_connections_counts_them(client: Elasticsearch) -> None:
    params = ALERTS["many-connections"]["params"]
    query = kql.dsl(kql.parse(params["filterKuery"]))
    terms = {"terms": {"field": params["termField"], "size": params["termSize"]}}
    found = client.search(index="audit-*", query=query, aggs={"by": terms}, size=0)["aggregations"]["by"]["buckets"]
    made = Counter(d["user"]["name"] for d in DOCUMENTS if d.get("labels", {}).get("kind") == "established")
    assert {bucket["key"]: bucket["doc_count"] for bucket in found} == made


def test_the_alert_of_first_connections_finds_them(client: Elasticsearch) -> None:
    query = json.loads(ALERTS["first-connection"]["params"]["esQuery"])["query"]
    new = [d for d in DOCUMENTS if "executable" in d.get("auditdeck", {}).get("first", [])]
    assert client.count(index="audit-*", query=query)["count"] == len(new) > 0
