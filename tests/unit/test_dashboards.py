"""The saved objects: well formed, whole, and about fields that the index has."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from auditdeck.stack.bundle import ndjson, packed, read_bundle, unpacked, write_object
from tests.support import kql
from tests.support.lens import CONSTANTS, METRICS, OBJECTS, RECORDS, Panel, dashboards, panels

TOP = Path(__file__).parent.parent.parent
# What Kibana 8.12 writes, and every newer version takes (a dashboard without them comes out blank).
VERSIONS = {"index-pattern": "8.0.0", "search": "8.0.0", "dashboard": "8.9.0", "visualization": "8.5.0"}
NUMBERS = {"long", "integer", "float"}
SORTABLE = NUMBERS | {"keyword", "ip", "boolean", "date"}
ALLOWED = {"count": SORTABLE, "unique_count": SORTABLE, "terms": SORTABLE, "sum": NUMBERS, "min": NUMBERS | {"date"},
           "max": NUMBERS | {"date"}, "date_histogram": {"date"}}  # fmt: skip


def mapped() -> dict[str, str]:
    """Every field of the index, with its type."""
    found: dict[str, str] = {}

    def collect(properties: dict[str, Any], prefix: str) -> None:
        for name, field in properties.items():
            if "properties" in field:
                collect(field["properties"], f"{prefix}{name}.")
            else:
                found[prefix + name] = field["type"]

    for path in (TOP / "elasticsearch" / "component-templates").glob("*.json"):
        collect(json.loads(path.read_text())["template"].get("mappings", {}).get("properties", {}), "")
    return found


FIELDS = mapped()
PANELS = panels()
WITH_FORMULA = [panel for panel in PANELS if "formula" in {c["operationType"] for c in panel.columns.values()}]


def test_every_object_has_versions_and_its_references_resolve() -> None:
    objects = read_bundle(OBJECTS)
    names = {(entry["type"], entry["id"]) for entry in objects}
    assert len(names) == len(objects) >= 12
    for entry in objects:
        assert entry["coreMigrationVersion"] == "8.8.0"
        assert entry["typeMigrationVersion"] == VERSIONS[entry["type"]]
        for reference in entry["references"]:
            assert (reference["type"], reference["id"]) in names, f"{entry['id']}: {reference}"
        assert len({reference["name"] for reference in entry["references"]}) == len(entry["references"])


def test_the_bundle_is_always_the_same_and_goes_both_ways(tmp_path: Path) -> None:
    objects = read_bundle(OBJECTS)
    assert ndjson(objects) == ndjson(read_bundle(OBJECTS))
    for entry in objects:
        assert packed(unpacked(entry)) == entry
        path = OBJECTS / entry["type"] / f"{entry['id']}.json"
        target = tmp_path / entry["type"] / path.name
        # As Kibana exports it, with what it adds.
        assert write_object(tmp_path, {**entry, "updated_at": "now", "version": "x", "managed": False})
        assert target.read_text() == path.read_text()
        assert not write_object(tmp_path, entry)


def test_a_drawing_that_was_written_as_hjson_stays_as_it_is() -> None:
    panel = {"savedVis": {"params": {"spec": "{\n # HJSON\n a: 1}"}}, "fields": ["one"]}
    entry = packed({"attributes": {"panelsJSON": [panel]}})
    assert unpacked(entry) == {"attributes": {"panelsJSON": [panel]}}


def test_dashboards_have_what_kibana_needs_to_render() -> None:
    for dashboard in dashboards():
        references = {entry["name"]: entry for entry in dashboard["references"]}
        indexes = [panel["panelIndex"] for panel in dashboard["attributes"]["panelsJSON"]]
        assert len(set(indexes)) == len(indexes)
        for panel in dashboard["attributes"]["panelsJSON"]:
            index = panel["panelIndex"]
            assert panel["gridData"]["i"] == index
            assert panel["gridData"]["x"] + panel["gridData"]["w"] <= 48
            assert panel["title"]
            if "panelRefName" in panel:
                assert references[f"{index}:{panel['panelRefName']}"]["type"] == panel["type"]
            if panel["type"] != "lens":
                continue
            attributes = panel["embeddableConfig"]["attributes"]
            assert attributes["description"], f"{index} says what it shows"
            for reference in attributes["references"]:
                assert references[f"{index}:{reference['name']}"]["id"] == reference["id"]
            for event in panel["embeddableConfig"]["enhancements"].get("dynamicActions", {}).get("events", []):
                name = f"{index}:drilldown:{event['action']['factoryId']}:{event['eventId']}:dashboardId"
                assert references[name]["type"] == "dashboard"
            for layer in attributes["state"]["visualization"].get("layers", []):
                if "annotations" in layer:
                    name = f"{index}:xy-visualization-layer-{layer['layerId']}"
                    assert references[name]["type"] == "index-pattern"
        for name, control in dashboard["attributes"]["controlGroupInput"]["panelsJSON"].items():
            assert control["explicitInput"]["id"] == name
            assert FIELDS[control["explicitInput"]["fieldName"]] in SORTABLE
            assert f"controlGroup_{name}:optionsListDataView" in references


def test_panels_do_not_overlap() -> None:
    for dashboard in dashboards():
        taken: set[tuple[int, int]] = set()
        for panel in dashboard["attributes"]["panelsJSON"]:
            grid = panel["gridData"]
            cells = {
                (x, y) for x in range(grid["x"], grid["x"] + grid["w"]) for y in range(grid["y"], grid["y"] + grid["h"])
            }
            assert not cells & taken, panel["panelIndex"]
            taken |= cells


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel.name)
def test_columns_and_fields(panel: Panel) -> None:
    assert set(panel.order) == set(panel.columns)
    for column in panel.columns.values():
        operation = column["operationType"]
        for reference in column.get("references", []):
            assert reference in panel.columns
        if column.get("sourceField") == RECORDS:
            assert operation == "count"
        elif operation in ALLOWED:
            assert FIELDS[column["sourceField"]] in ALLOWED[operation], column["sourceField"]
        else:
            assert operation in {"formula", "math", "overall_sum", "filters", *CONSTANTS}
        if operation == "terms" and column["params"]["missingBucket"]:
            assert column["params"]["otherBucket"], "else what has no value is left out, silently"
        if operation == "terms" and column["params"]["orderBy"]["type"] == "column":
            assert column["params"]["orderBy"]["columnId"] in panel.columns
    buckets = [panel.columns[name]["isBucketed"] for name in panel.order]
    assert buckets == sorted(buckets, reverse=True), "buckets come before metrics"


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel.name)
def test_the_visualization_shows_columns_that_exist(panel: Panel) -> None:
    used = set(re.findall(r'"(?:\w*Accessor|columnId)": "([^"]+)"', json.dumps(panel.state["visualization"])))
    lists = re.findall(r'"(?:accessors|metrics|primaryGroups)": (\[[^\]]*\])', json.dumps(panel.state["visualization"]))
    used |= {name for entry in lists for name in json.loads(entry)}
    everything = {name for other in PANELS if other.whole is panel.whole for name in other.columns}
    assert used
    assert used <= everything
    layers = set(panel.state["datasourceStates"]["formBased"]["layers"])
    marks = {layer["layerId"] for layer in panel.state["visualization"].get("layers", []) if "annotations" in layer}
    shown = set(re.findall(r'"(?:layerId|trendlineLayerId)": "([^"]+)"', json.dumps(panel.state["visualization"])))
    assert shown == layers | marks


@pytest.mark.parametrize("panel", WITH_FORMULA, ids=lambda panel: panel.name)
def test_formulas_say_what_their_columns_compute(panel: Panel) -> None:
    """The text that a person edits in Kibana, and the columns that Kibana made of it, are the same formula."""
    for column in panel.columns.values():
        if column["operationType"] != "formula":
            continue
        [root] = column["references"]
        tree = panel.columns[root].get("params", {}).get("tinymathAst", root)
        written = re.sub(r"\s", "", column["params"]["formula"])
        assert re.sub(r"\s", "", formula(panel, tree)) == written


SIGNS = {"divide": "/", "multiply": "*", "add": "+", "subtract": "-"}
WEIGHT = {"add": 1, "subtract": 1, "multiply": 2, "divide": 2}


def formula(panel: Panel, tree: Any) -> str:
    """The text of a formula from the columns that compute it."""
    if isinstance(tree, int | float):
        return str(tree)
    if isinstance(tree, dict):
        name = tree["name"]
        inner = [formula(panel, argument) for argument in tree["args"]]
        if name not in SIGNS:
            return f"{name}({', '.join(inner)})"
        weights = [WEIGHT.get(argument["name"], 3) if isinstance(argument, dict) else 3 for argument in tree["args"]]
        left = inner[0] if weights[0] >= WEIGHT[name] else f"({inner[0]})"
        right = inner[1] if weights[1] > WEIGHT[name] else f"({inner[1]})"
        return f"{left} {SIGNS[name]} {right}"
    column = panel.columns[tree]
    if column["operationType"] in CONSTANTS:
        return f"{column['operationType']}()"
    if column["operationType"] == "overall_sum":
        return f"overall_sum({formula(panel, column['references'][0])})"
    assert column["operationType"] in METRICS
    query = column.get("filter", {}).get("query", "").replace("'", "\\'")
    arguments = [] if column["operationType"] == "count" else [column["sourceField"]]
    arguments += [f"kql='{query}'"] if query else []
    arguments += [f"shift='{column['timeShift']}'"] if "timeShift" in column else []
    return f"{column['operationType']}({', '.join(arguments)})"


def test_saved_searches_show_fields_of_the_index() -> None:
    for entry in map(unpacked, read_bundle(OBJECTS)):
        if entry["type"] == "search":
            assert set(entry["attributes"]["columns"]) <= FIELDS.keys()
            query = entry["attributes"]["kibanaSavedObjectMeta"]["searchSourceJSON"]["query"]["query"]
            assert kql.fields(kql.parse(query)) <= FIELDS.keys()
            assert entry["attributes"]["description"]
        if entry["type"] == "index-pattern":
            assert entry["attributes"]["fieldFormatMap"].keys() <= FIELDS.keys()
            assert entry["attributes"]["title"] in {"audit-*", "audit-outbound*"}
