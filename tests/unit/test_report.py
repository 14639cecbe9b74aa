"""The answers from a known event log: the contract of `report --json`, what counts, filters, and harmless text."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections import Counter
from html import unescape
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import pytest

from auditdeck.collector.health import Counters, changes, health_document
from auditdeck.eventlog.segment import segment_path
from auditdeck.eventlog.writer import Writer, compress
from auditdeck.query.compaction import compact, parquet_path
from tests.support.run import auditdeck

NAUGHTY = '\x1b[31m<script>alert("x")</script>\n=1+1'
WINDOW = ("--since", "2026-11-01", "--until", "2026-11-04")


def event(day: int, user: str, executable: str, port: int = 443, **more: Any) -> dict[str, Any]:
    """A document of a connect; `more` lays fields over it, None takes one away."""
    made: dict[str, Any] = {
        "@timestamp": f"2026-11-{day:02d}T12:00:00.000Z",
        "event": {"id": "1", "action": "connected-to", "type": ["connection", "start"], "outcome": "success"},
        "host": {"name": "one"},
        "process": {"pid": 7, "name": executable.rpartition("/")[2], "executable": executable},
        "user": {"id": "1000", "name": user},
        "destination": {"ip": "192.0.2.1", "port": port},
        "network": {"transport": "tcp", "direction": "egress"},
    }
    for path, value in more.items():
        *sections, key = path.split("__")
        place = made
        for section in sections:
            place = place.setdefault(section, {})
        if value is None:
            place.pop(key, None)
        elif isinstance(value, dict):
            place.setdefault(key, {}).update(value)
        else:
            place[key] = value
    return made


def connection(day: int, user: str, executable: str, state: str = "established", **more: Any) -> dict[str, Any]:
    outcome = {"established": "success", "unresolved": "unknown"}.get(state, "failure")
    whole = {"event": {"outcome": outcome, "type": ["connection", "start", "end"]}}
    return event(day, user, executable, **{**whole, "auditdeck__connection": {"state": state}, **more})


EVENTS = [
    connection(1, "ada", "/usr/bin/curl", source__bytes=100, destination__bytes=5000),
    connection(1, "ada", "/usr/bin/curl", port=80, source__bytes=1, destination__bytes=2),
    # Two documents of one connection: it counts once, and the second has the bytes.
    connection(2, "ada", "/opt/app", event__type=["connection", "start"], user__audit={"id": "1001", "name": "eve"}),
    event(3, "ada", "/opt/app", event={"action": "disconnected-from", "type": ["connection", "end"]},
          source__bytes=10, destination__bytes=20, user__audit={"id": "1001", "name": "eve"}),
    connection(2, "bob", "/usr/bin/curl", host__name="two", container={"id": "4f" * 32, "name": "web"},
               auditdeck__cgroup="/system.slice/nginx.service/worker", destination__ip="2001:db8::1"),
    connection(2, "bob", "/opt/app", "refused"),
    connection(2, "bob", "/opt/app", "refused"),
    connection(2, "bob", "/opt/app", "unanswered"),
    connection(3, "bob", "/opt/app", "unreachable"),
    connection(3, "bob", "/opt/app", "unresolved"),
    event(3, "bob", "/opt/app", network__transport=None),
    event(3, "bob", "/opt/app", network__transport="udp"),
    connection(3, "bob", "/opt/app", network__direction="internal", source__bytes=999),
    event(3, "bob", "/opt/app", event__type=["connection", "info"]),
    event(3, "eve", "/bin/ls", event={"action": "executed", "type": ["start"]}, network=None, destination=None),
    event(
        3, "pat", "/bin/nothing", event={"action": "executed", "type": ["start"], "outcome": "failure"}, network=None
    ),
    connection(9, "ada", "/usr/bin/curl"),
]  # fmt: skip


def lines(documents: list[dict[str, Any]]) -> list[bytes]:
    return [json.dumps(document).encode() for document in documents]


@pytest.fixture(params=["open", "compressed", "compacted"])
def data(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """The events in each form in which a store can have them."""
    with Writer(tmp_path / "events") as writer:
        writer.append(lines(EVENTS[:8]))
        if request.param != "open":
            number = writer.rotate()
            compress(tmp_path / "events", number)
            if request.param == "compacted":
                source = segment_path(tmp_path / "events", number).with_suffix(".ndjson.gz")
                compact(source, parquet_path(tmp_path, number))
        writer.append(lines(EVENTS[8:]))
    return tmp_path


def store(folder: Path, documents: list[dict[str, Any]]) -> Path:
    with Writer(folder / "events") as writer:
        writer.append(lines(documents))
    return folder


def ask(data: Path, *options: str) -> dict[str, Any]:
    result = auditdeck("report", "--json", "--data-dir", data, *WINDOW, *options)
    assert result.status == 0, result.stderr
    answer: dict[str, Any] = json.loads(result.stdout)
    return answer


def counts(connections: int, share: float, sent: int = 0, received: int = 0, failed: int = 0) -> dict[str, Any]:
    return {
        "connections": connections,
        "share": share,
        "bytes_sent": sent,
        "bytes_received": received,
        "failed": failed,
    }


def test_the_contract(data: Path) -> None:
    answer = ask(data)
    assert answer["outbound_tcp"] == {
        "connections": 4,
        "failed": 4,
        "failed_by": {"refused": 2, "unanswered": 1, "unreachable": 1},
        "unresolved": 1,
        "unknown_transport": 1,
        "open_now": None,
        "bytes_sent": 111,
        "bytes_received": 5022,
        "destinations": 2,
        "by_day": [
            {"date": "2026-11-01", "connections": 2, "failed": 0},
            {"date": "2026-11-02", "connections": 2, "failed": 3},
            {"date": "2026-11-03", "connections": 0, "failed": 1},
        ],
    }
    assert answer["window"] == {"since": "2026-11-01T00:00:00.000Z", "until": "2026-11-04T00:00:00.000Z"}
    assert answer["users"] == [
        {"user": "ada", **counts(3, 0.75, 111, 5022)},
        {"user": "bob", **counts(1, 0.25, failed=4)},
    ]
    assert answer["login_users"] == [{"login": None, **counts(3, 0.75, 101, 5002, 4)},
                                     {"login": "eve", **counts(1, 0.25, 10, 20)}]  # fmt: skip
    assert answer["processes"] == [
        {"executable": "/usr/bin/curl", **counts(3, 0.75, 101, 5002), "deleted": False},
        {"executable": "/opt/app", **counts(1, 0.25, 10, 20, 4), "deleted": False},
    ]
    assert answer["users_processes"] == [
        {"user": "ada", "executable": "/usr/bin/curl", "connections": 2},
        {"user": "ada", "executable": "/opt/app", "connections": 1},
        {"user": "bob", "executable": "/usr/bin/curl", "connections": 1},
    ]
    assert answer["destinations"] == [
        {"ip": "192.0.2.1", "port": 443, **counts(2, 0.5, 110, 5020, 4)},
        {"ip": "192.0.2.1", "port": 80, **counts(1, 0.25, 1, 2)},
        {"ip": "2001:db8::1", "port": 443, **counts(1, 0.25)},
    ]
    assert answer["containers"] == [{"container": "web", **counts(1, 0.25)}]
    assert answer["failures"] == [
        {
            "user": "bob",
            "executable": "/opt/app",
            "ip": "192.0.2.1",
            "port": 443,
            "reason": reason,
            "attempts": attempts,
        }
        for reason, attempts in (("refused", 2), ("unanswered", 1), ("unreachable", 1))
    ]
    assert answer["first_seen"] == [
        {"executable": "/usr/bin/curl", "user": "ada", "time": "2026-11-01T12:00:00.000Z", "deleted": False},
        {"executable": "/opt/app", "user": "ada", "time": "2026-11-02T12:00:00.000Z", "deleted": False},
    ]
    assert not any(answer["quality"].values())


def test_what_ran_is_not_what_was_tried(data: Path) -> None:
    assert ask(data)["active_share"] == {
        "users": {"connected": 2, "seen": 3, "share": 2 / 3},
        "executables": {"connected": 2, "seen": 3, "share": 2 / 3},
    }, "pat's /bin/nothing could not be executed"


@pytest.mark.parametrize(
    ("options", "connections"),
    [
        (["--user", "ada"], 3),
        (["--login-user", "eve"], 1),
        (["--login-user", ""], 3),
        (["--process", "/opt/app"], 1),
        (["--process", "curl"], 3),
        (["--host", "two"], 1),
        (["--host", "two", "--user", "ada"], 0),
        (["--container", "web"], 1),
        (["--container", ""], 3),
        (["--unit", "nginx.service"], 1),
        (["--destination", "2001:db8::1"], 1),
        (["--port", "80"], 1),
        (["--state", "refused"], 0),
        (["--user", "nobody' OR 1=1 --"], 0),
    ],
)
def test_filters(data: Path, options: list[str], connections: int) -> None:
    assert ask(data, *options)["outbound_tcp"]["connections"] == connections


@pytest.mark.parametrize("by", ["login", "user", "process", "script", "container", "destination", "port", "unit"])
def test_by_anything_agrees_with_counting_documents_one_by_one(tmp_path: Path, by: str) -> None:
    random = Random(18)
    documents = [
        connection(
            random.randint(1, 3), random.choice(["ada", "bob"]), f"/usr/bin/program{random.randint(1, 3)}",
            random.choice(["established", "established", "refused", "unanswered", "unresolved"]),
            port=random.choice([80, 443]), destination__ip=f"192.0.2.{random.randint(1, 9)}",
            source__bytes=random.randint(0, 99), auditdeck__script=random.choice([None, "/opt/a.py", "/opt/b.py"]),
            auditdeck__cgroup=random.choice([None, "/system.slice/a.service", "/user.slice/session-1.scope"]),
            container=random.choice([None, {"id": "c1" * 32}, {"id": "c2" * 32, "name": "web"}]),
            user__audit=random.choice([None, {"id": "7", "name": "eve"}]),
        )
        for _ in range(500)
    ]  # fmt: skip

    def key(d: dict[str, Any]) -> Any:
        found = {
            "login": d["user"].get("audit", {}).get("name"),
            "user": d["user"]["name"],
            "process": d["process"]["executable"],
            "script": d["auditdeck"].get("script", d["process"]["executable"]),
            "container": d.get("container", {}).get("name", d.get("container", {}).get("id")),
            "destination": d["destination"]["ip"],
            "port": d["destination"]["port"],
            "unit": "a.service" if "a.service" in d["auditdeck"].get("cgroup", "") else None,
        }
        return found[by]

    expected: Counter[Any] = Counter()
    sent: Counter[Any] = Counter()
    for document in documents:
        if document["auditdeck"]["connection"]["state"] == "established":
            expected[key(document)] += 1
        sent[key(document)] += document["source"]["bytes"]
    answer = ask(store(tmp_path, documents), "--by", by)
    field, entries = answer["by"]["field"], answer["by"]["entries"]
    assert {entry[field]: entry["connections"] for entry in entries} == dict(expected)
    assert {entry[field]: entry["bytes_sent"] for entry in entries} == dict(sent)
    assert sum(entry["share"] for entry in entries) == pytest.approx(1)
    assert answer["outbound_tcp"]["bytes_sent"] == sum(sent.values())


@pytest.mark.parametrize(
    ("outcome", "result", "state"),
    [
        ("success", "0", "established"),
        ("success", None, "established"),
        ("success", "EINPROGRESS", "unresolved"),
        ("success", "EINTR", "unresolved"),
        ("success", "EAGAIN", "unresolved"),
        ("failure", "ECONNREFUSED", "refused"),
        ("failure", "ECONNRESET", "refused"),
        ("failure", "ETIMEDOUT", "unanswered"),
        ("failure", "ENETUNREACH", "unreachable"),
        ("failure", "EHOSTUNREACH", "unreachable"),
    ],
)
def test_documents_of_0_1_0_say_it_by_what_connect_returned(
    tmp_path: Path, outcome: str, result: str | None, state: str
) -> None:
    document = event(2, "ada", "/x", event__outcome=outcome, auditd__data={"exit": result} if result else None)
    totals = ask(store(tmp_path, [document]))["outbound_tcp"]
    found = {"established": totals["connections"], "unresolved": totals["unresolved"], **totals["failed_by"]}
    assert found == {name: int(name == state) for name in found}


def test_parquet_of_0_1_0_is_counted_and_its_segment_is_better_where_it_is_still_there(tmp_path: Path) -> None:
    with Writer(tmp_path / "events") as writer:
        writer.append(lines([event(2, "ada", "/opt/app", auditd__data={"exit": "EINPROGRESS"})]))
        compress(tmp_path / "events", writer.rotate())
    number = parquet_path(tmp_path, 1)
    number.parent.mkdir()
    old = """SELECT TIMESTAMP '2026-11-02 12:00:00' AS time, 'one' AS host, '1' AS id, action, 'success' AS outcome,
        kind, 'tcp' AS transport, 'ada' AS "user", NULL::VARCHAR AS login, 7::BIGINT AS pid, 'app' AS process,
        '/opt/app (deleted)' AS executable, '192.0.2.1' AS ip, 443 AS port, NULL::BIGINT AS lost,
        NULL::BIGINT AS gaps, NULL::BIGINT AS dropped, NULL::BIGINT AS damaged
        FROM (VALUES ('connected-to', 'connection'), ('connected-to', 'connection'), ('connected-to', 'failed'),
        ('executed', NULL)) t(action, kind)"""
    duckdb.sql(f"COPY ({old}) TO '{number}' (FORMAT parquet)")
    assert ask(tmp_path)["outbound_tcp"]["unresolved"] == 1
    assert ask(tmp_path)["outbound_tcp"]["connections"] == 0
    segment_path(tmp_path / "events", 1).with_suffix(".ndjson.gz").unlink()
    answer = ask(tmp_path)
    assert answer["outbound_tcp"]["connections"] == 2
    assert answer["outbound_tcp"]["failed"] == 1
    assert answer["processes"][0]["executable"] == "/opt/app"


def test_a_program_whose_file_was_replaced_is_the_same_program(tmp_path: Path) -> None:
    before = connection(1, "www", "/usr/sbin/nginx")
    data = store(tmp_path, [before, connection(2, "www", "/usr/sbin/nginx (deleted)")])
    answer = ask(data)
    assert [(row["executable"], row["connections"], row["deleted"]) for row in answer["processes"]] == [
        ("/usr/sbin/nginx", 2, True)
    ]
    assert ask(data, "--process", "/usr/sbin/nginx")["outbound_tcp"]["connections"] == 2
    assert ask(data, "--process", "nginx")["outbound_tcp"]["connections"] == 2
    [first] = answer["first_seen"]
    assert (first["executable"], first["deleted"]) == ("/usr/sbin/nginx", False)
    since = ("--since", "2026-11-02", "--until", "2026-11-03")
    later = json.loads(auditdeck("report", "--json", "--data-dir", data, *since).stdout)
    assert later["first_seen"] == [], "after an upgrade it does not connect for the first time"


def test_time_follows_the_window(tmp_path: Path) -> None:
    data = store(tmp_path, [connection(2, "ada", "/x"), connection(2, "ada", "/x", "refused")])
    window = ("--since", "2026-11-02T11:00:00Z", "--until", "2026-11-02T13:00:00Z")
    time = json.loads(auditdeck("report", "--json", "--data-dir", data, *window).stdout)["over_time"]
    assert time["seconds"] == 300
    assert len(time["points"]) == 24
    assert [point for point in time["points"] if point["connections"]] == [
        {"time": "2026-11-02T12:00:00.000Z", "connections": 1, "failed": 1, "bytes_sent": 0, "bytes_received": 0}
    ]


def test_what_was_lost_is_told(tmp_path: Path) -> None:
    lost = changes(Counters(lost=5, gaps=2, dropped=3, damaged=1), Counters())
    with Writer(tmp_path / "events") as writer:
        writer.append([health_document({"name": "one"}, {**lost, "ring_lost": 7}, 60)])
    result = auditdeck("report", "--data-dir", tmp_path, "--json")
    quality = {name: number for name, number in json.loads(result.stdout)["quality"].items() if number}
    assert quality == {"kernel_lost": 5, "gaps": 2, "dropped": 3, "damaged": 1, "ring_lost": 7}
    shown = auditdeck("report", "--data-dir", tmp_path).stdout
    assert "5 records lost by the kernel" in shown
    assert "7 connections lost because the ring buffer was full" in shown


def test_text_of_programs_does_no_harm(tmp_path: Path) -> None:
    store(tmp_path, [event(2, NAUGHTY, f"/tmp/{NAUGHTY}")])
    page = tmp_path / "page.html"
    shown = auditdeck("report", "--data-dir", tmp_path, *WINDOW).stdout
    assert "\x1b" not in shown
    assert "script" in shown
    assert auditdeck("report", "--data-dir", tmp_path, *WINDOW, "--html", page).status == 0
    html = page.read_text()
    assert "<script>alert" not in html
    assert "\x1b" not in html
    assert "&lt;script&gt;" in html


def test_the_page_needs_nothing_else(tmp_path: Path) -> None:
    store(tmp_path, [event(2, "ada", "/x")])
    page = tmp_path / "page.html"
    assert auditdeck("report", "--data-dir", tmp_path, *WINDOW, "--html", page).status == 0
    html = page.read_text()
    markup = re.sub(r"<(script|style)>.*?</\1>", "", html, flags=re.DOTALL)
    assert not re.search(r'\s(?:src|href)="(?!#)', markup), "nothing is loaded, and there is nowhere to go"
    policy = unescape(re.search(r'Security-Policy" content="([^"]*)"', html)[1])  # type: ignore[index]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    blocks = re.findall(r"<(?:script|style)>(.*?)</(?:script|style)>", html, re.DOTALL)
    assert len(blocks) == 4
    for block in blocks:
        digest = base64.b64encode(hashlib.sha256(block.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy, "the policy knows what stands in the page, and lets nothing else run"


@pytest.mark.parametrize(("count", "said"), [(1, "1 outbound TCP connection\n"), (2, "2 outbound TCP connections\n")])
def test_one_is_not_many(tmp_path: Path, count: int, said: str) -> None:
    store(tmp_path, [event(2, "ada", "/x")] * count)
    page = tmp_path / "page.html"
    shown = auditdeck("report", "--data-dir", tmp_path, *WINDOW, "--html", page)
    assert shown.status == 0
    assert f"<title>{said.strip()}</title>" in page.read_text()
    assert said in auditdeck("report", "--data-dir", tmp_path, *WINDOW).stdout


def test_a_line_that_is_being_written_is_left_for_later(tmp_path: Path) -> None:
    with Writer(tmp_path / "events") as writer:
        writer.append(lines([event(2, "ada", "/x")]))
        with open(segment_path(tmp_path / "events", 1), "ab") as file:
            file.write(lines([event(2, "ada", "/x")])[0][:50])
        assert ask(tmp_path)["outbound_tcp"]["connections"] == 1


def test_errors_say_what_to_do(tmp_path: Path) -> None:
    missing = auditdeck("report", "--data-dir", tmp_path / "none")
    assert missing.status == 1
    assert "auditdeck run" in missing.stderr
    wrong = auditdeck("report", "--data-dir", tmp_path, "--since", "soon")
    assert "'soon' is not a valid time; use 7d" in wrong.stderr


def test_a_window_has_its_begin_and_not_its_end(tmp_path: Path) -> None:
    """So that of two windows side by side each event is in one."""
    times = ["2026-11-01T00:00:00.000Z", "2026-11-02T00:00:00.000Z", "2026-11-03T00:00:00.000Z"]
    data = store(tmp_path, [{**connection(1, "ada", "/usr/bin/curl"), "@timestamp": time} for time in times])

    def connections(since: str, until: str) -> int:
        result = auditdeck("report", "--json", "--data-dir", data, "--since", since, "--until", until)
        found: int = json.loads(result.stdout)["outbound_tcp"]["connections"]
        return found

    assert connections("2026-11-01T00:00:00Z", "2026-11-03T00:00:00Z") == 2
    assert connections("2026-11-02T00:00:00Z", "2026-11-03T00:00:00Z") == 1
    assert connections("2026-11-02T00:00:00.001Z", "2026-11-03T00:00:00Z") == 0
    assert connections("2026-11-02T00:00:00.001Z", "2026-11-03T00:00:00.001Z") == 1


@pytest.mark.parametrize(
    ("time", "told"),
    [
        ("2026-10-31T23:59:59.999Z", 0),
        ("2026-11-01T00:00:00.000Z", 7),
        ("2026-11-03T23:59:59.999Z", 7),
        ("2026-11-04T00:00:00.000Z", 0),
    ],
)
def test_losses_are_told_in_the_window_that_they_are_in(tmp_path: Path, time: str, told: int) -> None:
    lost = changes(Counters(lost=7), Counters())
    document = {**json.loads(health_document({"name": "one"}, lost, 60)), "@timestamp": time}
    quality = ask(store(tmp_path, [document]))["quality"]
    assert quality["kernel_lost"] == told
