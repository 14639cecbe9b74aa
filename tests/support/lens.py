"""The panels of a dashboard as Kibana's Lens would compute them: the query comes from the saved object."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any

from auditdeck.stack.bundle import read_bundle, unpacked
from tests.support import kql

TOP = Path(__file__).parent.parent.parent
OBJECTS = TOP / "kibana" / "saved-objects"
METRICS = {"unique_count": "cardinality", "sum": "sum", "min": "min", "max": "max", "count": "value_count"}
RECORDS = "___records___"
CONSTANTS = {"now", "time_range", "interval"}
DAY = timedelta(days=1)
MISSING, OTHER = "(missing value)", "Other"
MATH: dict[str, Callable[..., float | None]] = {
    "add": lambda a, b: a + b,
    "divide": lambda a, b: a / b if b else None,
    "multiply": lambda a, b: a * b,
    "subtract": lambda a, b: a - b,
    "clamp": lambda value, low, high: min(max(value, low), high),
}

Row = dict[str, Any]
Key = tuple[Any, ...]


@dataclass(frozen=True)
class Panel:
    """One layer with data of a Lens panel: its columns in order, and the query that holds for all of them."""

    dashboard: str
    name: str
    columns: dict[str, dict[str, Any]]
    order: list[str]
    query: str
    """What the panel says; see `effective`."""
    free: bool
    """The layer ignores the controls, the filters and the query of the dashboard, and with them the panel's own."""
    time: str
    """A time of its own (now-14d), or nothing."""
    state: dict[str, Any]
    whole: dict[str, Any]
    trend: bool

    @property
    def buckets(self) -> list[str]:
        return [name for name in self.order if self.columns[name]["isBucketed"]]

    @property
    def simple(self) -> dict[str, dict[str, Any]]:
        """Columns that Elasticsearch computes."""
        return {name: column for name, column in self.columns.items() if column["operationType"] in METRICS}

    @property
    def effective(self) -> str:
        return "" if self.free else self.query

    @property
    def referenced(self) -> set[str]:
        return {name for column in self.columns.values() for name in column.get("references", [])}

    @property
    def kind(self) -> str:
        return str(self.whole["embeddableConfig"]["attributes"]["visualizationType"])

    def span(self, since: datetime, until: datetime) -> tuple[datetime, datetime]:
        return (kql.moment(self.time, until) or since, until) if self.time else (since, until)


def dashboards() -> Iterator[dict[str, Any]]:
    for entry in read_bundle(OBJECTS):
        if entry["type"] == "dashboard":
            yield unpacked(entry)


def panels() -> list[Panel]:
    """Every layer of every Lens panel; a trend behind a number is a layer of its own."""
    found = []
    for dashboard in dashboards():
        for panel in dashboard["attributes"]["panelsJSON"]:
            if panel["type"] != "lens":
                continue
            state = panel["embeddableConfig"]["attributes"]["state"]
            for identity, layer in state["datasourceStates"]["formBased"]["layers"].items():
                trend = state["visualization"].get("trendlineLayerId") == identity
                found.append(
                    Panel(
                        dashboard["id"], panel["panelIndex"] + ("-trend" if trend else ""), layer["columns"],
                        layer["columnOrder"], state["query"]["query"], layer.get("ignoreGlobalFilters", False),
                        panel["embeddableConfig"].get("timeRange", {}).get("from", ""), state, panel, trend,
                    )
                )  # fmt: skip
    return found


def discovered(panel: Panel) -> tuple[str, list[str]]:
    """The query and the columns of "Explore in Discover": the panel's query, and any of the metrics' filters if each
    has one (getLayerMetaInfo and getFiltersInLayer of Lens 8.12). Raises LookupError where Kibana does not offer it."""
    shown = [name for name in panel.order if name not in panel.referenced]
    if any(panel.columns[name].get("timeShift") for name in shown):
        raise LookupError(f"{panel.name}: a column of another time is shown")
    metrics = panel.simple.values()
    inner = [column.get("filter", {}).get("query", "") for column in metrics]
    query = panel.query
    if all(inner):
        query = f"({query}) and ({' or '.join(f'({part})' for part in inner)})"
    fields = {column.get("sourceField") for column in panel.columns.values()} - {None, RECORDS, "@timestamp"}
    return query, sorted(str(field) for field in fields)


def by_elasticsearch(search: Callable[..., Any], panel: Panel, since: datetime, until: datetime) -> dict[Key, Row]:
    """The rows of a panel by the values of its buckets; dates of a histogram are days. Unlike Lens it takes all terms,
    so that the sums can be compared."""
    rows: dict[Key, Row] = {}
    since, until = panel.span(since, until)
    for shift in {column.get("timeShift") for column in panel.simple.values()}:
        width = until - since if shift == "previous" else timedelta(0)
        metrics = {name: column for name, column in panel.simple.items() if column.get("timeShift") == shift}
        leaf = {name: filtered(column, until) for name, column in metrics.items()}
        aggs = leaf
        for bucket in reversed(panel.buckets):
            aggs = {bucket: {**grouping(panel.columns[bucket], until), "aggs": aggs}}
        window = {"range": {"@timestamp": {"gte": rfc3339(since - width), "lt": rfc3339(until - width)}}}
        query = {"bool": {"filter": [window, kql.dsl(kql.parse(panel.effective), until)]}}
        answer = search(query=query, aggs=aggs, size=0)
        for key, values in walk(answer["aggregations"], panel.buckets, metrics):
            rows.setdefault(key, {}).update(values)
    return finish(panel, rows, since, until)


def as_shown(search: Callable[..., Any], panel: Panel, since: datetime, until: datetime) -> dict[Key, Row]:
    """The rows of a panel with one terms bucket as Lens shows them: the first `size`, and Other if it has that."""
    [bucket] = panel.buckets
    params = panel.columns[bucket]["params"]
    everything = by_elasticsearch(search, panel, since, until)
    by = params["orderBy"]["columnId"]
    first = sorted(everything, key=lambda key: -everything[key][by])[: params["size"]]
    rows = {key: everything[key] for key in first}
    rest = [everything[key] for key in everything if key not in rows]
    if rest and params["otherBucket"]:
        added = {name for name, column in panel.simple.items() if column["operationType"] in {"count", "sum"}}
        rows[(OTHER,)] = {name: sum(row[name] for row in rest) if name in added else None for name in panel.simple}
    return finish(panel, rows, since, until)


def filtered(column: dict[str, Any], now: datetime) -> dict[str, Any]:
    query = kql.dsl(kql.parse(column.get("filter", {}).get("query", "")), now)
    if column["sourceField"] == RECORDS:
        return {"filter": query}
    return {"filter": query, "aggs": {"value": {METRICS[column["operationType"]]: {"field": column["sourceField"]}}}}


def grouping(column: dict[str, Any], now: datetime) -> dict[str, Any]:
    match column["operationType"]:
        case "date_histogram":
            return {"date_histogram": {"field": column["sourceField"], "calendar_interval": "day", "min_doc_count": 1}}
        case "filters":
            named = {entry["label"]: kql.dsl(kql.parse(entry["input"]["query"]), now) for entry in choices(column)}
            return {"filters": {"filters": named}}
    terms: dict[str, Any] = {"field": column["sourceField"], "size": 10_000}
    if fills(column):
        terms["missing"] = MISSING
    return {"terms": terms}


def choices(column: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = column["params"]["filters"]
    return found


def fills(column: dict[str, Any]) -> bool:
    """Whether documents without the field have a row of their own: Lens has that for text, and only with Other."""
    params = column["params"]
    return bool(params.get("missingBucket") and params.get("otherBucket")) and column["dataType"] == "string"


def walk(aggregations: dict[str, Any], buckets: list[str], metrics: dict[str, Any]) -> Iterator[tuple[Key, Row]]:
    if not buckets:
        values = {}
        for name, column in metrics.items():
            found = aggregations[name]
            values[name] = found["doc_count"] if column["sourceField"] == RECORDS else found["value"]["value"]
        yield (), values
        return
    found = aggregations[buckets[0]]["buckets"]
    if isinstance(found, dict):
        found = [{"key": name, **bucket} for name, bucket in found.items() if bucket["doc_count"]]
    for bucket in found:
        for key, values in walk(bucket, buckets[1:], metrics):
            yield (bucket["key"], *key), values


def by_counting(documents: list[dict[str, Any]], panel: Panel, since: datetime, until: datetime) -> dict[Key, Row]:
    """The same from the documents themselves, without Elasticsearch."""
    rows: dict[Key, Row] = {}
    since, until = panel.span(since, until)
    outer = kql.parse(panel.effective)
    for name, column in panel.simple.items():
        width = until - since if column.get("timeShift") == "previous" else timedelta(0)
        inner = kql.parse(column.get("filter", {}).get("query", ""))
        groups: dict[Key, list[dict[str, Any]]] = {(): []} if not panel.buckets else {}
        for document in documents:
            time = datetime.fromisoformat(document["@timestamp"])
            if not since - width <= time < until - width or not kql.matches(outer, document, until):
                continue
            for key in product(*(bucket_values(panel.columns[bucket], document, until) for bucket in panel.buckets)):
                found = groups.setdefault(key, [])
                if kql.matches(inner, document, until):
                    found.append(document)
        for key, found in groups.items():
            rows.setdefault(key, {})[name] = compute(column, found)
    return finish(panel, rows, since, until)


def bucket_values(column: dict[str, Any], document: dict[str, Any], now: datetime) -> list[Any]:
    if column["operationType"] == "filters":
        return [
            entry["label"]
            for entry in choices(column)
            if kql.matches(kql.parse(entry["input"]["query"]), document, now)
        ]
    found = kql.values(document, column["sourceField"])
    if column["operationType"] == "date_histogram":
        return [int(datetime.fromisoformat(f"{time[:10]}T00:00:00+00:00").timestamp() * 1000) for time in found]
    if not found and fills(column):
        return [MISSING]
    return list(dict.fromkeys(found))


def compute(column: dict[str, Any], documents: list[dict[str, Any]]) -> Any:
    if column["sourceField"] == RECORDS:
        return len(documents)
    found = [value for document in documents for value in kql.values(document, column["sourceField"])]
    if column["sourceField"] == "@timestamp":
        found = [datetime.fromisoformat(value).timestamp() * 1000 for value in found]
    match column["operationType"]:
        case "count":
            return len(found)
        case "unique_count":
            return len(set(found))
        case "sum":
            return sum(found)
        case "min":
            return min(found, default=None)
        case _:
            return max(found, default=None)


def finish(panel: Panel, rows: dict[Key, Row], since: datetime, until: datetime) -> dict[Key, Row]:
    """Adds the columns that Kibana computes itself from the others."""
    constants = {
        "now": until.astimezone(UTC).timestamp() * 1000,
        "time_range": (until - since) / timedelta(milliseconds=1),
        "interval": DAY / timedelta(milliseconds=1),
    }
    for name, column in panel.columns.items():
        if column["operationType"] in CONSTANTS:
            for row in rows.values():
                row[name] = constants[column["operationType"]]
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
    if isinstance(tree, int | float):
        return tree
    arguments = [calculate(argument, row) for argument in tree["args"]]
    return None if None in arguments else MATH[tree["name"]](*arguments)


def rfc3339(time: datetime) -> str:
    return time.isoformat(timespec="milliseconds")
