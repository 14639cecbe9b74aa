"""`auditdeck serve`: who may look, what a browser may do with it, the numbers, the addresses, and harmless text."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from starlette.testclient import TestClient

from auditdeck.serve.app import make_app
from auditdeck.serve.pages import ASSETS
from auditdeck.serve.source import Source
from tests.support.run import auditdeck
from tests.unit.test_report import EVENTS, connection, store

TOKEN = "correct-horse"
WINDOW = "since=2026-11-01&until=2026-11-04"
HOSTILE = [
    "<img src=x onerror=alert(1)>",
    "'\"><script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "{{ 7 * 7 }} {a|b} ${1}",
    "/tmp/\u202egnp.exe",
    "/tmp/\x1b[31m\x00\n",
    "/" + "a" * 3999,
    "javascript:alert(1)",
    "&amp;lt; %3Cimg%3E + ?a=b&c#d",
]


def client(data: Path, token: str | None = TOKEN, **more: Any) -> TestClient:
    made = TestClient(make_app(Source(data), token), base_url="http://127.0.0.1", follow_redirects=False, **more)
    if token is not None:
        made.cookies.set("auditdeck-80", token)
    return made


@pytest.fixture
def page(tmp_path: Path) -> Iterator[TestClient]:
    with client(store(tmp_path, EVENTS)) as made:
        yield made


def text_of(html: str) -> str:
    """What a reader sees."""
    html = re.sub(r"<script.*?</script>|<head>.*?</head>", "", html, flags=re.DOTALL)
    html = re.sub(r'<(?=/?(?:td|tr|li|b|d[dt]|h\d|p|div)\b|span class="n|svg)', " <", html)
    return " ".join(unescape(re.sub(r"<[^>]*>", "", html)).split())


# Who may look


def test_the_token_is_given_once_and_kept_as_a_cookie(page: TestClient) -> None:
    page.cookies.clear()
    refused = page.get("/")
    assert refused.status_code == 401
    assert "Open the address" in refused.text
    assert "ada" not in refused.text
    entered = page.get(f"/?{WINDOW}&token={TOKEN}&user=ada")
    assert entered.status_code == 303
    assert entered.headers["location"] == "/?since=2026-11-01&until=2026-11-04&user=ada"
    cookie = entered.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert page.get(entered.headers["location"]).status_code == 200, "the client kept the cookie"


@pytest.mark.parametrize("path", ["/", "/events", "/answer.json", "/changes", "/choose", "/nothing", "//", "/events/"])
@pytest.mark.parametrize("token", [None, "", "wrong", "ä"])
def test_nothing_without_the_token(page: TestClient, path: str, token: str | None) -> None:
    page.cookies.clear()
    answer = page.get(path if token is None else f"{path}?token={quote(token)}")
    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers


def test_only_what_the_package_brings_is_open(page: TestClient) -> None:
    page.cookies.clear()
    assert page.get("/assets/page.css").status_code == 200
    for path in ("/assets/../events", "/assets/%2e%2e/app.py", "/assets/..%2fapp.py", "/assets//etc/passwd"):
        assert page.get(path).status_code in (401, 404), path


@pytest.mark.parametrize("path", ["//elsewhere.example/", "/\\elsewhere.example/"])
def test_the_way_in_leads_nowhere_else(page: TestClient, path: str) -> None:
    location = page.get(f"http://127.0.0.1{path}?token={TOKEN}").headers["location"]
    assert re.match(r"/[^/\\]", location), location


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200), ("127.0.0.1:8765", 200), ("localhost:8765", 200), ("LOCALHOST", 200), ("[::1]:8765", 200),
        ("evil.example", 421), ("evil.example:8765", 421), ("127.0.0.1.evil.example", 421), ("", 421), ("[", 421),
        ("localhost.evil.example", 421), ("127.0.0.1@evil.example", 421),
    ],
)  # fmt: skip
def test_a_site_that_points_its_name_here_sees_nothing(page: TestClient, host: str, status: int) -> None:
    for path in ("/", "/assets/page.css"):
        assert page.get(path, headers={"Host": host}).status_code == status


def test_a_unix_socket_needs_no_token(tmp_path: Path) -> None:
    with client(store(tmp_path, EVENTS), None) as page:
        assert page.get("/").status_code == 200
        assert page.get("/", headers={"Host": "evil.example"}).status_code == 421


def test_only_reading(page: TestClient) -> None:
    for method in ("POST", "PUT", "DELETE"):
        assert page.request(method, "/").status_code == 405


@pytest.mark.parametrize("path", ["/", "/events", "/answer.json", "/nothing", "/?user=a&user=b", "/assets/charts.js"])
def test_what_a_browser_may_do(page: TestClient, path: str) -> None:
    headers = page.get(path).headers
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert policy.pop("default-src") == "'none'"
    assert policy.pop("base-uri") == policy.pop("frame-ancestors") == "'none'"
    assert set(policy.values()) == {"'self'"}
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-content-type-options"] == "nosniff"
    assert "server" not in headers


def test_the_page_keeps_to_that(page: TestClient) -> None:
    for path in (f"/?{WINDOW}", f"/events?{WINDOW}", "/nothing"):
        html = page.get(path).text
        assert not re.search(r'\sstyle="|\son\w+="|javascript:|https?://', html)
        scripts = re.findall(r"<script([^>]*)>", html)
        assert all('src="/assets/' in each or 'type="application/json"' in each for each in scripts)


# Numbers


@pytest.mark.parametrize(
    "filters",
    ["", "user=ada", "login=", "process=curl", "process=/opt/app&user=bob", "container=web", "destination=2001:db8::1",
     "port=80", "host=two", "script=/opt/app", "unit=nginx.service", "state=failed", "user=nobody"],
)  # fmt: skip
def test_the_same_numbers_as_the_report(tmp_path: Path, filters: str) -> None:
    data = store(tmp_path, EVENTS)
    options = ["--since", "2026-11-01", "--until", "2026-11-04"]
    for name, _, value in (each.partition("=") for each in filters.split("&") if each):
        options += [f"--{'login-user' if name == 'login' else name}", value]
    expected = json.loads(auditdeck("report", "--json", "--data-dir", data, *options).stdout)
    with client(data) as page:
        assert page.get(f"/answer.json?{WINDOW}&{filters}").json() == expected
        html = page.get(f"/?{WINDOW}&{filters}").text
    shown = json.loads(re.search(r'id="charts">(.*?)</script>', html, re.DOTALL)[1])  # type: ignore[index]
    points = expected["over_time"]["points"]
    assert [point[1:] for point in shown["time"]["points"]] == [[p["connections"], p["failed"]] for p in points]
    assert sum(each["value"] for each in shown["users"]) == expected["outbound_tcp"]["connections"]
    assert sum(each[2] for each in shown["streams"]) == expected["outbound_tcp"]["connections"]
    for row in (*expected["users"], *expected["processes"]):
        name = row.get("user") or row["executable"]
        assert re.search(rf"{re.escape(name)} {row['connections']:,} {row['share']:.1%}", text_of(html)), name


def links(html: str) -> list[tuple[str, str]]:
    return [
        (unescape(href), text_of(text)) for href, text in re.findall(r'<a [^>]*?href="([^"]*)"[^>]*>(.*?)</a>', html)
    ]


def test_every_number_leads_to_exactly_the_events_behind_it(page: TestClient) -> None:
    found = [(href, text) for href, text in links(page.get(f"/?{WINDOW}").text) if href.startswith("/events")]
    assert len(found) > 20
    for href, number in found:
        html = page.get(href).text
        assert text_of(html).count("2026-11-0") == int(number), href
        assert re.search(rf"\b{number} events?\b", text_of(html)), href


def test_every_name_leads_to_a_page_with_that_filter(page: TestClient) -> None:
    found = {text: href for href, text in links(page.get(f"/?{WINDOW}&user=ada").text) if href.startswith("/?")}
    assert found["/opt/app"] == "/?since=2026-11-01&until=2026-11-04&user=ada&process=%2Fopt%2Fapp"
    both = page.get(found["/opt/app"]).text
    assert "process /opt/app" in text_of(both)
    without = [href for href, text in links(both) if text == "×"]
    assert without == [f"/?{WINDOW}&process=%2Fopt%2Fapp", f"/?{WINDOW}&user=ada"]


def test_those_without_a_name_can_be_asked_for(page: TestClient) -> None:
    found = {text: href for href, text in links(page.get(f"/?{WINDOW}").text)}
    assert found["unset"] == f"/?{WINDOW}&login="
    assert "login unset" in text_of(page.get(found["unset"]).text)


def test_events_come_by_pages_that_do_not_move(tmp_path: Path) -> None:
    data = store(tmp_path, [connection(2, "ada", "/x", event__id=f"{n:03}", destination__port=n) for n in range(250)])
    with client(data) as page:
        seen: list[str] = []
        href = "/events?since=2026-11-01"
        while href:
            html = page.get(href).text
            seen += re.findall(r"port</span> (\d+)", html)
            href = next((href for href, text in links(html) if text == "Earlier →"), "")
            assert not href or "until=20" in href
        assert sorted(map(int, seen)) == list(range(250))


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/?usr=ada", "'usr' is not a filter"), ("/?user=a&user=b", "'user' is given twice"),
        ("/?since=soon", "'soon' is not a valid time"), ("/?span=3w", "'3w' is not a span"),
        ("/?since=2026-11-02&until=2026-11-01", "'since' must be before 'until'"), ("/?port=x", "'x' is not a port"),
        ("/?port=65536", "'65536' is not a port"), ("/?state=good", "'good' is not a state"),
        ("/events?page=0", "'0' is not the number of a page"), ("/?since=99999999999d", "is not a valid time"),
        ("/choose?field=nothing&value=1", "'nothing' is not a filter"),
    ],
)  # fmt: skip
def test_a_wrong_address_is_told_in_one_sentence(page: TestClient, path: str, said: str) -> None:
    answer = page.get(path)
    assert answer.status_code == 400
    assert said in text_of(answer.text)


@pytest.mark.parametrize(
    ("form", "address"),
    [
        ("field=user&value=ada&span=24h", "/?span=24h&user=ada"),
        ("field=user&value=eve&user=ada", "/?user=eve"),
        ("field=login&value=&path=/events&state=failed", "/events?login=&state=failed"),
        ("since=2026-11-01T10:00&until=&user=ada", "/?since=2026-11-01T10%3A00Z&user=ada"),
        ("field=user&value=ada&path=//evil.example", "/?user=ada"),
    ],
)
def test_forms_lead_to_an_address(page: TestClient, form: str, address: str) -> None:
    answer = page.get(f"/choose?{form}")
    assert (answer.status_code, answer.headers["location"]) == (303, address)


def test_where_nobody_reported_nothing_is_called_good(page: TestClient) -> None:
    said = text_of(page.get(f"/?{WINDOW}").text)
    assert "No collector reported in this time" in said
    assert "Watched unknown" in said
    assert "no loss" not in said


# Text from outside


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_text(tmp_path: Path, name: str) -> None:
    event = connection(
        2, name, name, auditdeck__script=name, container={"id": "1", "name": name}, destination__ip=name,
        user__audit={"id": "7", "name": name}, process__command_line=name,
    )  # fmt: skip
    failed = connection(2, name, name, "refused", destination__ip=name)
    data = store(tmp_path, [event, event, failed, connection(2, "ada", "/x")])
    with client(data) as page:
        frozen = tmp_path / "page.html"
        window = ("--since", "2026-11-01", "--until", "2026-11-04")
        assert auditdeck("report", "--data-dir", data, *window, "--html", frozen).status == 0
        plain = page.get(f"/?{WINDOW}").text
        library = (ASSETS / "echarts.min.js").read_text()
        for html in (plain, page.get(f"/events?{WINDOW}").text, frozen.read_text().replace(library, "")):
            assert "<img" not in html
            assert "<script>alert" not in html
            assert not re.search("[\x00\x1b\u202e]", html)
            assert "49" not in text_of(html) or "{{ 7" not in name
        assert name.encode("unicode_escape").decode()[:40] in unescape(plain) or name[:40] in unescape(plain)
        href = next(href for href, text in links(plain) if "process=" in href and href.startswith("/?"))
        assert page.get(href).status_code == 200
        assert page.get(href.replace("/?", "/answer.json?")).json()["outbound_tcp"]["connections"] == 2


# While it runs


def test_what_was_written_since_is_seen(tmp_path: Path) -> None:
    from auditdeck.eventlog.writer import Writer

    with Writer(tmp_path / "events") as writer, client(tmp_path) as page:
        assert "No outbound TCP connection was seen" in page.get(f"/?{WINDOW}").text
        for number in (1, 2):
            writer.append([json.dumps(connection(2, "ada", "/x")).encode()])
            assert page.get(f"/answer.json?{WINDOW}").json()["outbound_tcp"]["connections"] == number


def test_the_same_view_again_costs_nothing_until_something_is_written(tmp_path: Path) -> None:
    source = Source(store(tmp_path, EVENTS))
    from auditdeck.serve.address import Address

    address = Address.read([("since", "2026-11-01")])
    first = source.answer(address)
    assert source.answer(address)[1] is first[1]
    with open(next((tmp_path / "events").glob("*.ndjson")), "ab") as file:
        file.write(json.dumps(EVENTS[0]).encode() + b"\n")
    assert source.answer(address)[1] is not first[1]


def start(*options: str) -> tuple[subprocess.Popen[str], str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "auditdeck", "serve", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def test_the_command_on_a_free_port_tells_changes_and_ends_at_once(tmp_path: Path) -> None:
    import httpx2 as httpx

    process, address = start("--data-dir", str(store(tmp_path, EVENTS)), "--port", "0")
    try:
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/\?token=[\w-]{43}", address)
        with httpx.Client(follow_redirects=True, timeout=20) as browser:
            assert "outbound TCP connection" in browser.get(address).text
            with browser.stream("GET", httpx.URL(address).copy_with(path="/changes", query=b"")) as stream:
                assert stream.headers["content-type"].startswith("text/event-stream")
                lines = stream.iter_lines()
                assert next(lines) == "retry: 3000"
                with open(next((tmp_path / "events").glob("*.ndjson")), "ab") as file:
                    file.write(json.dumps(EVENTS[0]).encode() + b"\n")
                assert next(line for line in lines if line.startswith("event")) == "event: changed"
                process.terminate()
                process.wait(10)
    finally:
        process.kill()
        process.communicate()


def test_the_command_on_a_unix_socket(tmp_path: Path) -> None:
    import httpx2 as httpx

    path = tmp_path / "page.sock"
    process, address = start("--data-dir", str(store(tmp_path, EVENTS)), "--socket", str(path))
    try:
        assert address == str(path)
        assert path.stat().st_mode & 0o777 == 0o600
        with httpx.Client(transport=httpx.HTTPTransport(uds=str(path))) as browser:
            assert browser.get("http://localhost/").status_code == 200
        second = auditdeck("serve", "--data-dir", tmp_path, "--socket", path)
        assert second.status == 1
        assert "cannot listen on" in second.stderr
        process.terminate()
        process.wait(10)
        assert not path.exists()
    finally:
        process.kill()
        process.communicate()


def test_errors_say_what_to_do(tmp_path: Path) -> None:
    missing = auditdeck("serve", "--data-dir", tmp_path / "none")
    assert missing.status == 1
    assert "auditdeck run" in missing.stderr
    with socket.create_server(("127.0.0.1", 0)) as taken:
        busy = auditdeck("serve", "--data-dir", tmp_path, "--port", taken.getsockname()[1])
    assert "Address already in use --port 0 takes a free port" in busy.stderr
    far = auditdeck("serve", "--data-dir", tmp_path, "--listen", "no.such.host.invalid", "--port", "0")
    assert "'no.such.host.invalid' is not an address of this host" in far.stderr
    (tmp_path / "file").write_text("")
    wrong = auditdeck("serve", "--data-dir", tmp_path, "--socket", tmp_path / "file")
    assert "cannot listen on" in wrong.stderr
    assert (tmp_path / "file").exists()


def test_without_its_packages_it_says_which(tmp_path: Path) -> None:
    program = "import sys; sys.modules['uvicorn'] = None; from auditdeck.cli.main import main; main()"
    command = [sys.executable, "-c", program, "serve", "--data-dir", str(tmp_path)]
    found = subprocess.run(command, capture_output=True, text=True)
    assert found.returncode == 1
    assert found.stderr.splitlines() == [
        "auditdeck: `auditdeck serve` needs the package uvicorn",
        "           pip install 'auditdeck[serve]'",
    ]
