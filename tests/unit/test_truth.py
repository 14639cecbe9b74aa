"""Dashboards that do not mislead: one test for each way in which one could, over every panel, search and alert."""

from __future__ import annotations

import errno
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from auditdeck.connections.tracker import Phase
from auditdeck.ecs.connection import ConnectionEncoder
from auditdeck.query import columns
from auditdeck.stack.bundle import read_bundle, unpacked
from tests.support import kql
from tests.support.lens import OBJECTS, TOP, Panel, dashboards, discovered, panels
from tests.support.run import auditdeck
from tests.unit.test_alerts import RULES
from tests.unit.test_connection import encode, encoder
from tests.unit.test_dashboards import FIELDS

__all__ = ["encoder"]

ESTABLISHED = 'auditdeck.connection.state: "established"'
FAILED = 'auditdeck.connection.state: ("refused" or "unanswered" or "unreachable")'
SETTLED = 'auditdeck.connection.state: ("established" or "refused" or "unanswered" or "unreachable")'
UNRESOLVED = 'auditdeck.connection.state: "unresolved"'
UNKNOWN = 'auditdeck.transport.source: "unknown"'
OUTBOUND = 'network.direction: "egress"'
DEFINED = [f"{state} and {OUTBOUND}" for state in (ESTABLISHED, FAILED, SETTLED, UNRESOLVED, UNKNOWN)]
TRAFFIC = f"{OUTBOUND} and network.bytes: *"
LOSSES = {"lost", "ring_lost", "gaps", "unjoined", "dropped", "damaged", "dead_letters"}
HEALTH = 'event.dataset: "auditdeck.health"'
GREY, GREEN, RED = "#98A2B3", "#54B399", "#E7664C"
PANELS = panels()
LENS = [panel for panel in PANELS if not panel.trend]
METRICS = [panel for panel in LENS if panel.kind == "lnsMetric"]
TABLES = [panel for panel in LENS if panel.kind == "lnsDatatable"]
CHARTS = [panel for panel in LENS if panel.kind == "lnsXY"]
SEARCHES = [unpacked(entry) for entry in read_bundle(OBJECTS) if entry["type"] == "search"]


def named(panel: Panel) -> str:
    return panel.name


def texts(value: Any) -> Iterator[str]:
    """Every KQL text anywhere in a saved object: of panels, columns, groups, marks and searches."""
    if isinstance(value, dict):
        if value.get("language") == "kuery":
            yield value["query"]
        for inner in value.values():
            yield from texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts(inner)


QUERIES = sorted({text for entry in read_bundle(OBJECTS) for text in texts(unpacked(entry)) if text})


def loses(text: str) -> set[str]:
    """The kinds of loss that a text names."""
    return set(re.findall(r"auditdeck\.health\.(\w+)", text)) & LOSSES


def vega() -> list[dict[str, Any]]:
    """The drawings in Vega."""
    found = []
    for dashboard in dashboards():
        for panel in dashboard["attributes"]["panelsJSON"]:
            saved = panel["embeddableConfig"].get("savedVis", {})
            if saved.get("type") == "vega":
                found.append(saved["params"]["spec"])
    return found


# One definition


@pytest.mark.parametrize("query", QUERIES)
def test_a_connection_is_defined_in_one_way(query: str) -> None:
    assert kql.fields(kql.parse(query)) <= FIELDS.keys()
    rest = query
    for defined in sorted([*DEFINED, TRAFFIC], key=len, reverse=True):
        rest = rest.replace(defined, "")
    assert not kql.fields(kql.parse(query)) & {"network.transport", "event.type"}, query
    assert not re.search(r"network\.direction|auditdeck\.connection\.state", rest), query
    assert '"connected-to"' not in query


@pytest.mark.parametrize(
    ("phase", "changes", "counted"),
    [
        (Phase.WHOLE, {}, [ESTABLISHED, TRAFFIC]),
        (Phase.BEGUN, {}, [ESTABLISHED]),
        (Phase.ENDED, {}, [TRAFFIC]),
        (Phase.WHOLE, {"established": 0, "error": errno.ECONNREFUSED}, [FAILED]),
        (Phase.WHOLE, {"established": 0, "error": errno.ETIMEDOUT}, [FAILED]),
        (Phase.WHOLE, {"established": 0, "error": errno.EHOSTUNREACH}, [FAILED]),
        (Phase.WHOLE, {"destination": bytes([127, 0, 0, 1])}, []),
    ],
)
def test_it_finds_documents_as_the_collector_writes_them(
    encoder: ConnectionEncoder, phase: Phase, changes: dict[str, Any], counted: list[str]
) -> None:
    """One that stays open has two documents, and counts once; its bytes are in the second."""
    document = encode(encoder, phase, **changes)
    texts = {text: text if OUTBOUND in text else f"{text} and {OUTBOUND}" for text in (ESTABLISHED, FAILED, TRAFFIC)}
    assert [name for name, text in texts.items() if kql.matches(kql.parse(text), document)] == counted


def test_alerts_have_the_same_definition() -> None:
    for name in ("first-connection", "many-connections"):
        text = json.dumps(RULES[name]["params"])
        assert "established" in text
        assert "egress" in text
        assert "connected-to" not in text
        assert "network.transport" not in text


def test_the_documentation_says_it_in_the_same_words() -> None:
    said = (TOP / "docs" / "dashboards.md").read_text()
    assert f"`{ESTABLISHED} and {OUTBOUND}`" in said
    assert f"`{FAILED} and {OUTBOUND}`" in said


# Trust


@pytest.mark.parametrize("panel", [p for p in PANELS if "auditdeck.health." in json.dumps(p.columns)], ids=named)
def test_health_is_not_changed_by_controls_and_filters(panel: Panel) -> None:
    assert panel.free
    for column in panel.simple.values():
        assert column["filter"]["query"].startswith(HEALTH)
    assert HEALTH in panel.query, "Discover shows the reports"


def colours(panel: Panel) -> list[tuple[float, str]]:
    """From which number on a tile has which colour; Kibana gives the first of them to N/A."""
    stops = panel.state["visualization"]["palette"]["params"]["colorStops"]
    return [(entry["stop"], entry["color"]) for entry in stops]


def test_every_dashboard_says_whether_to_trust_it() -> None:
    for dashboard in dashboards():
        [trust] = [p for p in METRICS if p.dashboard == dashboard["id"] and p.name.endswith("-lost")]
        assert loses(json.dumps(trust.columns)) == LOSSES
        assert loses(trust.query) == LOSSES, "Discover shows the reports of losses"
        assert colours(trust) == [(-1, GREY), (0, GREEN), (1, RED)], "red above 0, grey for N/A"
        [head] = [c for c in trust.columns.values() if c["operationType"] == "formula"]
        count = f"count(kql='{HEALTH}')"
        assert head["params"]["formula"].endswith(f" * {count} / {count}"), "N/A without reports"


def test_each_kind_of_loss_is_one_of_the_index() -> None:
    assert {f"auditdeck.health.{name}" for name in LOSSES} <= FIELDS.keys()


def test_the_report_knows_the_same_kinds_of_loss() -> None:
    assert set(columns.LOSSES) == LOSSES


def test_the_alert_knows_each_kind_of_loss() -> None:
    assert loses(RULES["lost-events"]["params"]["esQuery"]) == LOSSES


@pytest.mark.parametrize("panel", [p for p in CHARTS if "t" in p.columns and p.name != "health-losses"
                                   and not re.fullmatch("health-b.*", p.name)], ids=named)  # fmt: skip
def test_charts_over_time_mark_losses(panel: Panel) -> None:
    [marks] = [layer for layer in panel.state["visualization"]["layers"] if layer["layerType"] == "annotations"]
    [mark] = marks["annotations"]
    assert marks["ignoreGlobalFilters"] is True
    assert loses(mark["filter"]["query"]) == LOSSES
    assert mark["filter"]["query"].startswith(HEALTH)


def test_alive_is_a_report_within_five_minutes() -> None:
    by_name = {panel.name: panel for panel in METRICS}
    for name in ("health-alive", "health-silent"):
        panel = by_name[name]
        assert "@timestamp >= now-5m" in json.dumps(panel.columns)
        assert panel.time == "now-30d", "whatever time is chosen"
        good_at_zero = [(-1, GREY), (0, GREEN), (1, RED)]
        assert colours(panel) == (good_at_zero if name == "health-silent" else [(-1, GREY), (0, RED), (1, GREEN)])
    [ages] = [panel for panel in TABLES if panel.name == "health-reports"]
    assert ages.columns["g"]["params"]["orderBy"]["columnId"] == "last"
    assert ages.columns["g"]["params"]["orderDirection"] == "asc", "oldest first"
    assert ages.state["visualization"]["sorting"] == {"columnId": "last", "direction": "asc"}


# One denominator


@pytest.mark.parametrize("panel", [p for p in PANELS if "overall_sum" in json.dumps(p.columns)], ids=named)
def test_shares_are_of_everything(panel: Panel) -> None:
    """What is not shown is in the row Other, what has no value in a row of its own: all rows make 100 %."""
    for bucket in panel.buckets:
        params = panel.columns[bucket]["params"]
        assert params["otherBucket"]
        assert params["missingBucket"]


@pytest.mark.parametrize("panel", PANELS, ids=named)
def test_sessions_are_not_counted_over_hosts(panel: Panel) -> None:
    """A session number is of one host: session 3 of two hosts are two sessions."""
    for column in panel.columns.values():
        if column.get("sourceField") == "auditd.session":
            assert column["operationType"] == "terms"
            assert any(panel.columns[name]["sourceField"] == "host.name" for name in panel.buckets)


# What ran is not what was tried


@pytest.mark.parametrize("query", [query for query in QUERIES if '"executed"' in query])
def test_commands_are_what_ran(query: str) -> None:
    ran = 'event.action: "executed" and event.outcome: "success"'
    failed = 'event.action: "executed" and event.outcome: "failure"'
    rest = query.replace(ran, "")
    for error in ('auditd.data.exit: "ENOENT"', 'not auditd.data.exit: "ENOENT"'):
        rest = rest.replace(f"{failed} and {error}", "")
    assert '"executed"' not in rest, "run, not found, or refused: never together"


# Who


@pytest.mark.parametrize("panel", PANELS, ids=named)
def test_people_parents_and_containers_have_names(panel: Panel) -> None:
    fields = {column.get("sourceField") for column in panel.columns.values()}
    assert not fields & {"process.parent.pid", "container.id", "process.pid"}


def test_logins_are_of_the_account_that_was_tried() -> None:
    tables = {panel.name: panel for panel in TABLES}
    for name, bucket in (("logins-who", "u"), ("logins-sudo", "t"), ("logins-iam", "w")):
        assert tables[name].columns[bucket]["sourceField"] == "user.target.name"
        assert tables[name].columns[bucket]["params"]["missingBucket"], "also if the record does not say"
    assert not any("acquired-credentials" in query for query in QUERIES), "sshd and cron take them at each login"


def test_records_of_pam_and_the_account_tools_are_found_as_they_are() -> None:
    """On what `auditdeck decode` makes of real records, not on documents made for the test."""
    log = TOP / "tests" / "fixtures" / "user-space.log"
    extra = """type=USER_START msg=audit(1795528997.900:1): pid=7 uid=0 auid=1000 ses=3 msg='op=PAM:session_open \
grantors=pam_unix acct="root" exe="/usr/bin/sudo" hostname=? addr=? terminal=/dev/pts/3 res=success'
"""
    decoded = auditdeck("decode", "-", given=(log.read_text() + extra).encode()).stdout.splitlines()
    found = [json.loads(line) for line in decoded]
    tables = {panel.name: kql.parse(panel.query) for panel in TABLES}

    def shown(name: str) -> list[tuple[str, str, str]]:
        return [
            (d["event"]["action"], d["event"]["outcome"], d["user"].get("target", {}).get("name", ""))
            for d in found
            if kql.matches(tables[name], d)
        ]

    assert [name for *_, name in shown("logins-sudo")] == ["nobody", "root"], "not the session that sshd opened for ada"
    assert ("logged-in", "failure", "ada") in shown("logins-who")
    assert ("authenticated", "failure", "ada") in shown("logins-who")
    assert ("changed-password", "failure", "bob") in shown("logins-iam")
    assert [row[:2] for row in shown("logins-sudo-commands")] == [
        ("ran-command", "success"),
        ("ran-command", "failure"),
    ]


# Drill-down


@pytest.mark.parametrize("dashboard", list(dashboards()), ids=lambda dashboard: dashboard["id"])
def test_links_keep_the_time_and_the_filters(dashboard: dict[str, Any]) -> None:
    attributes = dashboard["attributes"]
    assert attributes["timeRestore"] is False
    [nav] = [panel for panel in attributes["panelsJSON"] if panel["type"] == "links"]
    links = nav["embeddableConfig"]["attributes"]["links"]
    assert len(links) == len(list(dashboards()))
    references = {entry["name"]: entry["id"] for entry in dashboard["references"]}
    for link in links:
        assert link["options"] == {"openInNewTab": False, "useCurrentDateRange": True, "useCurrentFilters": True}
        assert references[f"{nav['panelIndex']}:{link['destinationRefName']}"] == link["id"].split("-nav-")[1]
    assert "#/view/" not in json.dumps(attributes)
    for panel in attributes["panelsJSON"]:
        for event in panel["embeddableConfig"]["enhancements"].get("dynamicActions", {}).get("events", []):
            assert event["action"]["config"]["useCurrentDateRange"]
            assert event["action"]["config"]["useCurrentFilters"]


@pytest.mark.parametrize("panel", METRICS, ids=named)
def test_a_number_leads_to_exactly_its_events(panel: Panel) -> None:
    query, fields = discovered(panel)
    assert "host.name" in fields, "useful columns"
    assert len(fields) >= (2 if panel.free else 4)
    main = panel.columns[panel.state["visualization"]["metricAccessor"]]
    if panel.free:
        return  # Its reports: test_health_is_not_changed_by_controls_and_filters.
    assert query == panel.query
    assert "filter" not in main, "what the number counts is the panel's query and nothing else"


@pytest.mark.parametrize("panel", [panel for panel in LENS if panel not in METRICS], ids=named)
def test_rows_and_bars_lead_to_their_events(panel: Panel) -> None:
    """To those, and no others: any filter of a metric is a part of the panel's query."""
    query, fields = discovered(panel)
    inner = {column["filter"]["query"] for column in panel.simple.values() if "filter" in column}
    if query != panel.query and not panel.free:
        for part in inner:
            assert part in panel.query or part.startswith("@timestamp"), part
    assert len(fields) >= (2 if panel.free else 4), "useful columns"


def test_searches_show_useful_columns() -> None:
    for entry in SEARCHES:
        assert len(entry["attributes"]["columns"]) >= 5
        assert entry["attributes"]["columns"][0] in {"host.name", "auditdeck.first"}


# Looks, 1280 first


@pytest.mark.parametrize("dashboard", list(dashboards()), ids=lambda dashboard: dashboard["id"])
def test_numbers_and_time_are_on_the_first_screen(dashboard: dict[str, Any]) -> None:
    attributes = dashboard["attributes"]
    assert len(attributes["controlGroupInput"]["panelsJSON"]) <= 5, "one row at 1280"
    assert attributes["optionsJSON"]["syncColors"] is False
    grid = {panel["panelIndex"]: panel["gridData"] for panel in attributes["panelsJSON"]}
    mine = {panel.name: panel for panel in LENS if panel.dashboard == dashboard["id"]}
    top = [grid[name] for name, panel in mine.items() if panel.kind == "lnsMetric" and grid[name]["y"] == 2]
    assert len(top) >= 4
    overtime = [
        grid[name]["y"] + grid[name]["h"]
        for name, panel in mine.items()
        if panel.kind != "lnsMetric" and any(c["operationType"] == "date_histogram" for c in panel.columns.values())
    ]
    assert min(overtime) <= 25


@pytest.mark.parametrize("panel", TABLES, ids=named)
def test_headers_are_not_cut(panel: Panel) -> None:
    """A letter is at most 9 pixels wide, the menu and the margins take 42, the arrow of the sorted one 22."""
    sorted_by = panel.state["visualization"].get("sorting", {}).get("columnId")
    columns = [column for column in panel.state["visualization"]["columns"] if not column.get("hidden")]
    for column in columns:
        if "width" in column:
            word = max(map(len, panel.columns[column["columnId"]]["label"].split()))
            assert column["width"] >= 9 * word + (64 if column["columnId"] == sorted_by else 42)
    # Where rows wrap, a whole path can be read; the table is as broad as its columns.
    assert panel.state["visualization"]["rowHeight"] == "auto"
    pixels = panel.whole["gridData"]["w"] * 1264 / 48 - 24
    assert sum(column.get("width", 100) for column in columns) <= pixels


@pytest.mark.parametrize("panel", [p for p in TABLES if p.name.endswith("-share")], ids=named)
def test_shares_have_a_number_and_a_whole_name_each(panel: Panel) -> None:
    """A bar too short for its number had none. All rows fit (36 pixels each); Other, unsorted, is the last."""
    assert "sorting" not in panel.state["visualization"]
    rows = panel.columns["g"]["params"]["size"] + 1
    assert rows * 36 + 80 <= panel.whole["gridData"]["h"] * 28 - 8


def test_other_is_quiet_and_colours_stay() -> None:
    for panel in CHARTS:
        layer = panel.state["visualization"]["layers"][0]
        split = layer.get("splitAccessor")
        if split and panel.columns[split].get("params", {}).get("otherBucket"):
            rules = layer["colorMapping"]["assignments"]
            [quiet] = [rule for rule in rules if rule["rule"].get("values") == ["__other__"]]
            assert quiet["color"]["paletteId"] == "neutral"


@pytest.mark.parametrize("spec", vega(), ids=lambda spec: str(spec["data"][0]["name"]))
def test_drawings_have_the_definition_and_follow_the_controls(spec: dict[str, Any]) -> None:
    body = spec["data"][0]["url"]["body"]["query"]["bool"]
    assert {"term": {"auditdeck.connection.state": "established"}} in body["filter"]
    assert {"term": {"network.direction": "egress"}} in body["filter"]
    assert {"range": {"@timestamp": {"%timefilter%": True}}} in body["filter"]
    for clause in ("must", "filter", "must_not"):
        assert f"%dashboard_context-{clause}_clause%" in body[clause]
    assert set(re.findall(r'"field": "([^"]+)"', json.dumps(spec["data"][0]["url"]["body"]["aggs"]))) <= FIELDS.keys()


# Controls


def test_controls_of_connections_list_what_tried_to_connect_out() -> None:
    """Not port 53 of UDP, not 127.0.0.1, not who never connected: an alias of the index has the attempts alone."""
    [outbound] = [entry for entry in dashboards() if entry["id"] == "auditdeck-outbound"]
    controls = {r["name"]: r["id"] for r in outbound["references"] if r["name"].startswith("controlGroup_")}
    assert set(controls.values()) == {"auditdeck-attempts"}
    [view] = [entry for entry in map(unpacked, read_bundle(OBJECTS)) if entry["id"] == "auditdeck-attempts"]
    assert view["attributes"]["title"] == "audit-outbound*"
    alias = TOP / "elasticsearch" / "aliases" / "audit-outbound.json"
    filters = json.loads(alias.read_text())["filter"]["bool"]["filter"]
    states = {"established", "refused", "unanswered", "unreachable"}
    assert {"term": {"network.direction": "egress"}} in filters
    assert [set(part["terms"]["auditdeck.connection.state"]) for part in filters if "terms" in part] == [states]


# Nothing there


def test_an_empty_stack_says_what_to_do() -> None:
    """A line on every dashboard that no filter changes: who reports, and what to do where nobody does."""
    [status] = [
        unpacked(e) for e in read_bundle(OBJECTS) if (e["type"], e["id"]) == ("visualization", "auditdeck-status")
    ]
    said = json.dumps(status["attributes"]["visState"]["params"]["spec"])
    for words in ("No collector has reported yet", "docker compose logs collector", "auditdeck doctor", "make demo"):
        assert words in said
    assert "dashboard_context" not in said
    assert "%context%" not in said
    for dashboard in dashboards():
        assert any(r["id"] == "auditdeck-status" for r in dashboard["references"])


def test_panels_that_need_a_rule_of_your_own_say_so() -> None:
    [listening] = [entry for entry in dashboards() if entry["id"] == "auditdeck-listening"]
    said = json.dumps(
        [panel["embeddableConfig"].get("savedVis", {}) for panel in listening["attributes"]["panelsJSON"]]
    )
    assert "-a always,exit -F arch=b64 -S accept,accept4 -k netconns_in" in said
