"""The report as one self-contained HTML page: no script, no network, readable on a phone and in print."""

from __future__ import annotations

from datetime import datetime
from html import escape
from typing import Any

from auditdeck import __version__
from auditdeck.query.answers import Question
from auditdeck.query.times import window
from auditdeck.report import charts
from auditdeck.report.sentences import counted, coverage, losses, moved, not_counted
from auditdeck.report.visible import visible

ROWS = 15

STYLE = """
:root { color-scheme: light dark; --ink: #1c2024; --soft: #667; --line: #d8dce2; --paper: #fff;
  --bar: #3b7dd833; --good: #1a7f4b; --bad: #b3261e }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8eb; --soft: #9aa4b0; --line: #333a44;
  --paper: #14171b; --bar: #3b7dd866; --good: #58c58c; --bad: #ff8a80 } }
* { box-sizing: border-box }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 1100px; margin: auto; padding: 1.2rem }
h1 { font-size: 1rem; font-weight: 600; margin: 0 }
h2 { font-size: 1rem; margin: 0 0 .5rem }
.count { font-size: 3.2rem; font-weight: 700; line-height: 1.1; font-variant-numeric: tabular-nums }
.soft { color: var(--soft) }
.good { color: var(--good) }
.bad { color: var(--bad); font-weight: 600 }
.grid { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(420px, 100%), 1fr));
  gap: 2rem 3rem; margin-bottom: 2rem; align-items: start }
section { min-width: 0; break-inside: avoid }
/* Room for names that this browser's font draws wider than was measured. */
section svg { width: calc(100% - 3rem); max-width: 400px; height: auto; display: block; overflow: visible;
  margin-bottom: .5rem }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: .9rem;
  table-layout: fixed }
th { text-align: left; font-weight: 500; color: var(--soft) }
th, td { border-bottom: 1px solid var(--line); padding: .2rem .4rem; overflow-wrap: anywhere }
td.n, th.n { text-align: right; width: 6.5rem; overflow-wrap: normal }
@media print { body { max-width: none; padding: 0; font-size: 11px } .count { font-size: 2.2rem } }
"""


def page(answer: dict[str, Any], question: Question) -> str:
    """The whole page; every text of audited programs is escaped."""
    totals = answer["outbound_tcp"]
    title = f"{totals['connections']:,} {counted(totals['connections'])}"
    sections = []
    for heading, name, label in (("Share by user", "users", "user"), ("Share by process", "processes", "executable")):
        if answer[name]:
            sections.append(section(heading, charts.donut(answer[name], label) + shares(answer[name], label)))
    if answer["users_processes"]:
        sections.append(section("Users and processes", pairs(answer["users_processes"])))
    if answer["destinations"]:
        sections.append(section("Destinations", destinations(answer["destinations"])))
    if answer["first_seen"]:
        sections.append(section("Connected out for the first time", first_seen(answer["first_seen"])))
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>{STYLE}</style>
</head>
<body>
<div class="grid">
<header>
<h1>Outbound TCP connections</h1>
<div class="count">{totals["connections"]:,}</div>
<div class="soft">{asked(question)}</div>
<div>{escape(not_counted(totals))}</div>
<div>{escape(moved(totals))}</div>
<div>{active(answer["active_share"])}</div>
{quality(answer)}
</header>
{section("Connections a day (UTC)", charts.by_day(totals["by_day"]))}</div>
<div class="grid">
{"".join(sections)}
</div>
<p class="soft">auditdeck {escape(__version__)}. Shares are of the connections that were established.</p>
</body>
</html>
"""


def asked(question: Question) -> str:
    text = window(question.since, question.until)
    for name, value in question.filters.items():
        text += f", {name} {value}"
    return escape(visible(text))


def section(heading: str, body: str) -> str:
    return f"<section><h2>{escape(heading)}</h2>{body}</section>\n"


def active(shares_: dict[str, Any]) -> str:
    parts = [
        f"{share['connected']:,} of {share['seen']:,} {escape(name)} seen ({share['share']:.1%})"
        for name, share in shares_.items()
    ]
    return " and ".join(parts) + " connected out"


def quality(answer: dict[str, Any]) -> str:
    lost, holes = losses(answer["quality"]), coverage(answer["coverage"])
    said = f'<div class="bad">{escape(holes)}</div>' if holes else ""
    if lost:
        return f'{said}<div class="bad">Not all was seen: {escape(lost)}</div>'
    if holes:
        return f"{said}<div>While it was watched, no loss was reported.</div>"
    return '<div class="good">Watched all the time; no loss was reported.</div>'


def shares(entries: list[dict[str, Any]], label: str) -> str:
    largest = max(entry["share"] for entry in entries) or 1.0
    body = [
        f'<tr><td style="{filled(entry["share"] / largest)}">{cell(entry[label])}</td>'
        f'<td class="n">{entry["connections"]:,}</td><td class="n">{entry["share"]:.1%}</td></tr>'
        for entry in entries[:ROWS]
    ]
    return table([(label, ""), ("connections", "n"), ("share", "n")], body, len(entries))


def filled(share: float) -> str:
    """A bar behind the text; the largest is full."""
    percent = round(share * 100, 1)
    return f"background: linear-gradient(to right, var(--bar) {percent}%, transparent {percent}%)"


def pairs(entries: list[dict[str, Any]]) -> str:
    body = [
        f'<tr><td>{cell(e["user"])}</td><td>{cell(e["executable"])}</td><td class="n">{e["connections"]:,}</td></tr>'
        for e in entries[:ROWS]
    ]
    return table([("user", ""), ("executable", ""), ("connections", "n")], body, len(entries))


def destinations(entries: list[dict[str, Any]]) -> str:
    body = [
        f'<tr><td>{cell(e["ip"])}</td><td class="n">{e["port"]}</td><td class="n">{e["connections"]:,}</td></tr>'
        for e in entries[:ROWS]
    ]
    return table([("address", ""), ("port", "n"), ("connections", "n")], body, len(entries))


def first_seen(entries: list[dict[str, Any]]) -> str:
    body = [
        f"<tr><td>{cell(e['executable'])}</td><td>{cell(e['user'])}</td>"
        f"<td>{datetime.fromisoformat(e['time']).astimezone():%Y-%m-%d %H:%M %Z}</td></tr>"
        for e in entries[:ROWS]
    ]
    return table([("executable", ""), ("user", ""), ("when", "")], body, len(entries))


def table(columns: list[tuple[str, str]], body: list[str], count: int) -> str:
    head = "".join(f'<th class="{kind}">{escape(name)}</th>' for name, kind in columns)
    if count > ROWS:
        body = [*body, f'<tr class="soft"><td colspan="{len(columns)}">and {count - ROWS} more</td></tr>']
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>"


def cell(text: str | None) -> str:
    return escape(visible(text if text is not None else "?"))
