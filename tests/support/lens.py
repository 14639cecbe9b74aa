"""The panels of a dashboard as Kibana's Lens would compute them: the query comes from the saved object."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any

from auditdeck.stack.bundle import read_bundle, unpacked
from tests.support import kql

TOP = Path(__file__).parent.parent.parent
OBJECTS = TOP / "kibana" / "saved-objects"
METRICS = {"unique_count": "cardinality", "sum": "sum", "min": "min", "max": "max"}
MATH: dict[str, Callable[[float, float], float | None]] = {
    "add": lambda a, b: a + b,
    "divide": lambda a, b: a / b if b else None,
    "multiply": lambda a, b: a * b,
    "subtract": lambda a, b: a - b,
}

Row = dict[str, Any]
Key = tuple[Any, ...]


@dataclass(frozen=True)
class Panel:
    """One Lens panel: its layer's columns in order, and the query that holds for all of them."""

    dashboard: str
    name: str
    title: str
    columns: dict[str, dict[str, Any]]
    order: list[str]
    query: str
    state: dict[str, Any]

    @property
    def buckets(self) -> list[str]:
        return [name for name in self.order if self.columns[name]["isBucketed"]]

    @property
    def simple(self) -> dict[str, dict[str, Any]]:
        """Columns that Elasticsearch computes."""
        return {name: column for name, column in self.columns.items() if column["operationType"] in {"count", *METRICS}}


def dashboards() -> Iterator[dict[str, Any]]:
    for entry in read_bundle(OBJECTS):
        if entry["type"] == "dashboard":
            yield unpacked(entry)


def panels() -> list[Panel]:
    found = []
    for dashboard in dashboards():
        for panel in dashboard["attributes"]["panelsJSON"]:
            if panel["type"] != "lens":
                continue
            state = panel["embeddableConfig"]["attributes"]["state"]
            [layer] = state["datasourceStates"]["formBased"]["layers"].values()
            found.append(
                Panel(
                    dashboard["id"], panel["panelIndex"], panel["title"], layer["columns"], layer["columnOrder"],
                    state["query"]["query"], state,
                )
            )  # fmt: skip
    return found


def by_elasticsearch(search: Callable[..., Any], panel: Panel, since: datetime, until: datetime) -> dict[Key, Row]:
    """The rows of a panel by the values of its buckets; dates of a histogram are days. Unlike Lens it takes all terms,
    so that the sums can be compared."""
    rows: dict[Key, Row] = {}
    for shift in {column.get("timeShift") for column in panel.simple.values()}:
        width = until - since if shift == "previous" else timedelta(0)
        metrics = {name: column for name, column in panel.simple.items() if column.get("timeShift") == shift}
        leaf = {name: filtered(column) for name, column in metrics.items()}
        aggs = leaf
        for bucket in reversed(panel.buckets):
            aggs = {bucket: {**grouping(panel.columns[bucket]), "aggs": aggs}}
        window = {"range": {"@timestamp": {"gte": rfc3339(since - width), "lt": rfc3339(until - width)}}}
        query = {"bool": {"filter": [window, kql.dsl(kql.parse(panel.query))]}}
        answer = search(query=query, aggs=aggs, size=0)
        for key, values in walk(answer["aggregations"], panel.buckets, metrics):
            rows.setdefault(key, {}).update(values)
    return finish(panel, rows)


def filtered(column: dict[str, Any]) -> dict[str, Any]:
    query = kql.dsl(kql.parse(column.get("filter", {}).get("query", "")))
    if column["operationType"] == "count":
        return {"filter": query}
    metric: dict[str, Any] = {"field": column["sourceField"]}
    if column["operationType"] == "unique_count":
        metric["precision_threshold"] = 40000
    return {"filter": query, "aggs": {"value": {METRICS[column["operationType"]]: metric}}}


def grouping(column: dict[str, Any]) -> dict[str, Any]:
    if column["operationType"] == "date_histogram":
        return {"date_histogram": {"field": column["sourceField"], "calendar_interval": "day", "min_doc_count": 1}}
    return {"terms": {"field": column["sourceField"], "size": 10_000}}


def walk(aggregations: dict[str, Any], buckets: list[str], metrics: dict[str, Any]) -> Iterator[tuple[Key, Row]]:
    if not buckets:
        values = {}
        for name, column in metrics.items():
            found = aggregations[name]
            values[name] = found["doc_count"] if column["operationType"] == "count" else found["value"]["value"]
        yield (), values
        return
    for bucket in aggregations[buckets[0]]["buckets"]:
        for key, values in walk(bucket, buckets[1:], metrics):
            yield (bucket["key"], *key), values


def by_counting(documents: list[dict[str, Any]], panel: Panel, since: datetime, until: datetime) -> dict[Key, Row]:
    """The same from the documents themselves, without Elasticsearch."""
    rows: dict[Key, Row] = {}
    outer = kql.parse(panel.query)
    for name, column in panel.simple.items():
        width = until - since if column.get("timeShift") == "previous" else timedelta(0)
        inner = kql.parse(column.get("filter", {}).get("query", ""))
        groups: dict[Key, list[dict[str, Any]]] = {(): []} if not panel.buckets else {}
        for document in documents:
            time = datetime.fromisoformat(document["@timestamp"])
            if not since - width <= time < until - width or not kql.matches(outer, document):
                continue
            for key in product(*(bucket_values(panel.columns[bucket], document) for bucket in panel.buckets)):
                found = groups.setdefault(key, [])
                if kql.matches(inner, document):
                    found.append(document)
        for key, found in groups.items():
            rows.setdefault(key, {})[name] = compute(column, found)
    return finish(panel, rows)


def bucket_values(column: dict[str, Any], document: dict[str, Any]) -> list[Any]:
    found = kql.values(document, column["sourceField"])
    if column["operationType"] == "date_histogram":
        return [int(datetime.fromisoformat(f"{time[:10]}T00:00:00+00:00").timestamp() * 1000) for time in found]
    return list(dict.fromkeys(found))


def compute(column: dict[str, Any], documents: list[dict[str, Any]]) -> Any:
    if column["operationType"] == "count":
        return len(documents)
    found = [value for document in documents for value in kql.values(document, column["sourceField"])]
    if column["sourceField"] == "@timestamp":
        found = [datetime.fromisoformat(value).timestamp() * 1000 for value in found]
    match column["operationType"]:
        case "unique_count":
            return len(set(found))
        case "sum":
            return sum(found)
        case "min":
            return min(found, default=None)
        case _:
            return max(found, default=None)


def finish(panel: Panel, rows: dict[Key, Row]) -> dict[Key, Row]:
    """Adds the columns that Kibana computes itself from the others."""
    for name, column in panel.columns.items():
        if column["operationType"] == "overall_sum":
            [of] = column["references"]
            total = sum(row[of] for row in rows.values())
            for row in rows.values():
                row[name] = total
    for name, column in panel.columns.items():
        if column["operationType"] == "math":
            for row in rows.values():
                row[name] = calculate(column["params"]["tinymathAst"], row)
    for name, column in panel.columns.items():
        if column["operationType"] == "formula":
            for row in rows.values():
                row[name] = row[column["references"][0]]
    return rows


def calculate(tree: Any, row: Row) -> float | None:
    if isinstance(tree, str):
        value: float | None = row[tree]
        return value
    first, second = (calculate(argument, row) for argument in tree["args"])
    return None if first is None or second is None else MATH[tree["name"]](first, second)


def rfc3339(time: datetime) -> str:
    return time.isoformat(timespec="milliseconds")
