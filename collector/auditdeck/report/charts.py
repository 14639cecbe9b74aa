"""The report's charts as SVG, drawn by Vega-Lite."""

from __future__ import annotations

import re
from typing import Any

# Readable on white and on black paper alike, and told apart by people who see no red or green.
COLOURS = ["#3b7dd8", "#e08a1e", "#2a9d8f", "#b35fb0", "#c8553d", "#7a8b99", "#8d6e4a", "#b4bcc8"]
INK = "#7d8590"
TOP = 7
LABEL = 18
WIDTH = 340


def by_day(days: list[dict[str, Any]]) -> str:
    """Connections and failed attempts, a bar a day."""
    values = [
        {"date": day["date"], "what": what, "count": day[name]}
        for day in days
        for what, name in (("connected", "connections"), ("failed", "failed"))
    ]
    # No more ticks than that: there are no half connections.
    highest = max((day["connections"] + day["failed"] for day in days), default=0)
    return svg(
        {
            "data": {"values": values},
            "mark": {"type": "bar", "cornerRadiusEnd": 2},
            "height": 170,
            "encoding": {
                "x": {
                    "field": "date",
                    "type": "ordinal",
                    "timeUnit": "utcyearmonthdate",
                    "axis": {"format": "%d %b", "labelAngle": 0 if len(days) <= 8 else -60, "title": None},
                },
                "y": {
                    "field": "count",
                    "type": "quantitative",
                    "axis": {"title": None, "tickCount": max(1, min(4, highest)), "format": "~s"},
                },
                "color": {
                    "field": "what",
                    "scale": {"domain": ["connected", "failed"], "range": [COLOURS[0], COLOURS[4]]},
                    "legend": {"title": None, "orient": "top"},
                },
            },
        }
    )


def donut(entries: list[dict[str, Any]], label: str) -> str:
    """Shares as a ring; all but the largest together as "others"."""
    names = legend([entry[label] for entry in entries[:TOP]])
    top = [{"name": name, "count": entries[n]["connections"], "rank": n} for n, name in enumerate(names)]
    rest = sum(entry["connections"] for entry in entries[TOP:])
    if rest:
        top.append({"name": f"{len(entries) - TOP} others", "count": rest, "rank": TOP})
    return svg(
        {
            "data": {"values": top},
            "mark": {"type": "arc", "innerRadius": 46, "outerRadius": 82},
            "height": 170,
            "width": 170,
            "encoding": {
                "theta": {"field": "count", "type": "quantitative", "stack": True},
                "order": {"field": "rank", "type": "quantitative"},
                "color": {
                    "field": "name",
                    "type": "nominal",
                    "sort": [entry["name"] for entry in top],
                    "scale": {"range": COLOURS},
                    "legend": {"title": None, "orient": "right", "labelLimit": 150},
                },
            },
        }
    )


def legend(names: list[str | None]) -> list[str]:
    """Names short enough for a legend: the last part of a path, unless two would then be the same."""
    shown = ["".join(c if c.isprintable() else "·" for c in name or "?") for name in names]
    last = [name.rpartition("/")[2] or name for name in shown]
    short = [full if last.count(part) > 1 else part for full, part in zip(shown, last, strict=True)]
    return [name if len(name) <= LABEL else "…" + name[1 - LABEL :] for name in short]


def svg(spec: dict[str, Any]) -> str:
    import vl_convert

    spec = {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "width": WIDTH - 50,
        "background": "transparent",
        "config": {
            "view": {"stroke": None},
            "font": "system-ui, sans-serif",
            "axis": {"labelColor": INK, "domainColor": INK, "tickColor": INK, "gridColor": INK, "gridOpacity": 0.25},
            "axisX": {"grid": False},
            "legend": {"labelColor": INK, "labelFontSize": 11},
        },
        **spec,
    }
    drawn: str = vl_convert.vegalite_to_svg(spec)
    # The page decides how wide a chart is; its viewBox keeps the proportions.
    return re.sub(r'(<svg[^>]*?) width="[^"]*" height="[^"]*"', r'\1 role="img"', drawn, count=1)
