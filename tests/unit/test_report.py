"""The answers from a known event log: the contract of `report --json`, filters, and harmless text."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from auditdeck.collector.health import Counters, changes, health_document
from auditdeck.eventlog.segment import segment_path
from auditdeck.eventlog.writer import Writer, compress
from auditdeck.query.compaction import compact, parquet_path
from tests.support.run import auditdeck

NAUGHTY = '\x1b[31m<script>alert("x")</script>\n=1+1'
WINDOW = ("--since", "2026-11-01", "--until", "2026-11-04")


def event(day: int, user: str, executable: str, port: int = 443, **more: Any) -> bytes:
    network = {"transport": "tcp", "direction": "egress", **more.get("network", {})}
    return json.dumps(
        {
            "@timestamp": f"2026-11-{day:02d}T12:00:00.000Z",
            "event": {
                "id": "1",
                "action": more.get("action", "connected-to"),
                "type": more.get("type", ["connection", "start"]),
                "outcome": more.get("outcome", "success"),
            },
            "host": {"name": more.get("host", "one")},
            "process": {"pid": 7, "name": executable.rpartition("/")[2], "executable": executable},
            "user": {"id": "1000", "name": user},
            "destination": {"ip": "192.0.2.1", "port": port},
            "network": {name: value for name, value in network.items() if value},
        }
    ).encode()


EVENTS = [
    event(1, "ada", "/usr/bin/curl"),
    event(1, "ada", "/usr/bin/curl", 80),
    event(2, "ada", "/opt/app"),
    event(2, "bob", "/usr/bin/curl", host="two"),
    event(2, "bob", "/opt/app", outcome="failure"),
    event(3, "bob", "/opt/app", network={"transport": None}),
    event(3, "bob", "/opt/app", network={"transport": "udp"}),
    event(3, "bob", "/opt/app", network={"direction": "internal"}),
    event(3, "bob", "/opt/app", type=["connection", "info"]),
    event(3, "eve", "/bin/ls", action="executed", type=["start"]),
    event(9, "ada", "/usr/bin/curl"),
]


@pytest.fixture(params=["open", "compressed", "compacted"])
def data(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """The events in each form in which a store can have them."""
    with Writer(tmp_path / "events") as writer:
        writer.append(EVENTS[:6])
        if request.param != "open":
            number = writer.rotate()
            compress(tmp_path / "events", number)
            if request.param == "compacted":
                source = segment_path(tmp_path / "events", number).with_suffix(".ndjson.gz")
                compact(source, parquet_path(tmp_path, number))
        writer.append(EVENTS[6:])
    return tmp_path


def ask(data: Path, *options: str) -> dict[str, Any]:
    result = auditdeck("report", "--json", "--data-dir", data, *WINDOW, *options)
    assert result.status == 0, result.stderr
    answer: dict[str, Any] = json.loads(result.stdout)
    return answer


def test_the_contract(data: Path) -> None:
    assert ask(data) == {
        "window": {"since": "2026-11-01T00:00:00.000Z", "until": "2026-11-04T00:00:00.000Z"},
        "outbound_tcp": {
            "connections": 4,
            "failed": 1,
            "unknown_transport": 1,
            "by_day": [
                {"date": "2026-11-01", "connections": 2, "failed": 0},
                {"date": "2026-11-02", "connections": 2, "failed": 1},
                {"date": "2026-11-03", "connections": 0, "failed": 0},
            ],
        },
        "users": [{"user": "ada", "connections": 3, "share": 0.75}, {"user": "bob", "connections": 1, "share": 0.25}],
        "processes": [
            {"executable": "/usr/bin/curl", "connections": 3, "share": 0.75},
            {"executable": "/opt/app", "connections": 1, "share": 0.25},
        ],
        "users_processes": [
            {"user": "ada", "executable": "/usr/bin/curl", "connections": 2},
            {"user": "ada", "executable": "/opt/app", "connections": 1},
            {"user": "bob", "executable": "/usr/bin/curl", "connections": 1},
        ],
        "destinations": [
            {"ip": "192.0.2.1", "port": 443, "connections": 3},
            {"ip": "192.0.2.1", "port": 80, "connections": 1},
        ],
        "active_share": {
            "users": {"connected": 2, "seen": 3, "share": 2 / 3},
            "executables": {"connected": 2, "seen": 3, "share": 2 / 3},
        },
        "first_seen": [
            {"executable": "/usr/bin/curl", "user": "ada", "time": "2026-11-01T12:00:00.000Z"},
            {"executable": "/opt/app", "user": "ada", "time": "2026-11-02T12:00:00.000Z"},
        ],
        "quality": {"kernel_lost": 0, "gaps": 0, "dropped": 0, "damaged": 0},
    }


@pytest.mark.parametrize(
    ("options", "connections"),
    [
        (["--user", "ada"], 3),
        (["--process", "/opt/app"], 1),
        (["--process", "curl"], 3),
        (["--host", "two"], 1),
        (["--host", "two", "--user", "ada"], 0),
        (["--user", "nobody' OR 1=1 --"], 0),
    ],
)
def test_filters(data: Path, options: list[str], connections: int) -> None:
    assert ask(data, *options)["outbound_tcp"]["connections"] == connections


def test_what_was_lost_is_told(tmp_path: Path) -> None:
    counts = changes(Counters(lost=5, gaps=2, dropped=3, damaged=1), Counters())
    with Writer(tmp_path / "events") as writer:
        writer.append([health_document({"name": "one"}, counts, 60)])
    result = auditdeck("report", "--data-dir", tmp_path, "--json")
    assert json.loads(result.stdout)["quality"] == {"kernel_lost": 5, "gaps": 2, "dropped": 3, "damaged": 1}
    assert "5 records lost by the kernel" in auditdeck("report", "--data-dir", tmp_path).stdout


def test_text_of_programs_does_no_harm(tmp_path: Path) -> None:
    with Writer(tmp_path / "events") as writer:
        writer.append([event(2, NAUGHTY, f"/tmp/{NAUGHTY}")])
    page = tmp_path / "page.html"
    shown = auditdeck("report", "--data-dir", tmp_path, *WINDOW).stdout
    assert "\x1b" not in shown
    assert "script" in shown
    assert auditdeck("report", "--data-dir", tmp_path, *WINDOW, "--html", page).status == 0
    html = page.read_text()
    assert "<script" not in html
    assert "\x1b" not in html
    assert "&lt;script&gt;" in html
    assert "http" not in html.replace("http://www.w3.org/", ""), "nothing is loaded from elsewhere"


@pytest.mark.parametrize(("count", "said"), [(1, "1 outbound TCP connection\n"), (2, "2 outbound TCP connections\n")])
def test_one_is_not_many(tmp_path: Path, count: int, said: str) -> None:
    with Writer(tmp_path / "events") as writer:
        writer.append([event(2, "ada", "/x")] * count)
    page = tmp_path / "page.html"
    shown = auditdeck("report", "--data-dir", tmp_path, *WINDOW, "--html", page)
    assert shown.status == 0
    assert f"<title>{said.strip()}</title>" in page.read_text()
    assert said in auditdeck("report", "--data-dir", tmp_path, *WINDOW).stdout
    assert not re.search(r">\d\.\d<", page.read_text()), "the axis counts whole connections"


def test_a_line_that_is_being_written_is_left_for_later(tmp_path: Path) -> None:
    with Writer(tmp_path / "events") as writer:
        writer.append([event(2, "ada", "/x")])
        with open(segment_path(tmp_path / "events", 1), "ab") as file:
            file.write(event(2, "ada", "/x")[:50])
        assert ask(tmp_path)["outbound_tcp"]["connections"] == 1


def test_errors_say_what_to_do(tmp_path: Path) -> None:
    missing = auditdeck("report", "--data-dir", tmp_path / "none")
    assert missing.status == 1
    assert "auditdeck run" in missing.stderr
