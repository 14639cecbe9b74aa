"""Alert rules: whole, disabled, and about fields that the index has."""

from __future__ import annotations

import json
import re
import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.support import kql
from tests.unit.test_dashboards import FIELDS, TOP

RULES = {path.stem: json.loads(path.read_text()) for path in sorted((TOP / "kibana" / "alerts").glob("*.json"))}
DOTTED = re.compile(r"\b[a-z]\w*(?:\.\w+)+\b|@timestamp")


def named(rule: dict[str, Any]) -> set[str]:
    """Every field that a rule's query, grouping or time names."""
    params = rule["params"]
    found = {params[name] for name in ("timeField", "aggField") if name in params}
    terms = params.get("termField", [])
    found |= {terms} if isinstance(terms, str) else set(terms)
    if "esqlQuery" in params:
        query = re.sub(r'"[^"]*"', "", params["esqlQuery"]["esql"])
        found |= set(DOTTED.findall(query))
    if "filterKuery" in params:
        found |= kql.fields(kql.parse(params["filterKuery"]))
    if "esQuery" in params:
        found |= set(re.findall(r'"([a-z]\w*(?:\.\w+)+)"\s*:', params["esQuery"]))
    return found


def test_there_are_four_with_ids_of_their_own() -> None:
    assert set(RULES) == {"first-connection", "many-connections", "silent-collector", "lost-events"}
    assert len({uuid.UUID(rule["id"]) for rule in RULES.values()}) == 4


@pytest.mark.parametrize("name", RULES)
def test_a_rule(name: str) -> None:
    rule = RULES[name]
    assert uuid.UUID(rule["id"]).version == 4, "Kibana takes no other ids"
    assert rule["enabled"] is False
    assert rule["rule_type_id"] in (".es-query", ".index-threshold"), "what the basic licence has"
    fields = named(rule)
    assert len(fields) > 1
    assert fields <= FIELDS.keys(), fields - FIELDS.keys()


def test_files_are_as_kibana_would_be_asked() -> None:
    for name, rule in RULES.items():
        text = (Path(TOP) / "kibana" / "alerts" / f"{name}.json").read_text()
        assert text == json.dumps(rule, indent=2, sort_keys=True) + "\n"
