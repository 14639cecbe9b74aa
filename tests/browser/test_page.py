"""`auditdeck serve` and `report --html` as somebody uses them, in a real browser."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect

from auditdeck.eventlog.writer import Writer
from tests.support.run import auditdeck
from tests.support.week import ODD, connection, week
from tests.unit.test_report import connection as dated
from tests.unit.test_serve import HOSTILE

DRAWN = "document.body.dataset.drawn === 'yes'"
WIDTHS = [375, 1280, 1920]


@contextmanager
def served(data_dir: Path) -> Iterator[str]:
    """The address that a server prints."""
    command = [sys.executable, "-m", "auditdeck", "serve", "--port", "0", "--quiet", "--data-dir", str(data_dir)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield server.stdout.readline().strip()
        finally:
            server.terminate()


def write(data_dir: Path, documents: list[dict[str, Any]]) -> None:
    with Writer(data_dir / "events") as writer:
        writer.append([json.dumps(document).encode() for document in documents])


def now() -> dict[str, Any]:
    return connection(datetime.now(UTC), Random(), ODD)


@dataclass
class Site:
    data_dir: Path
    address: str

    def numbers(self, *options: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(auditdeck("report", "--json", "--data-dir", self.data_dir, *options).stdout)
        return found


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    data_dir = tmp_path_factory.mktemp("week")
    # No event leaves the window of seven days while the tests run.
    write(data_dir, week(datetime.now(UTC), days=6))
    with served(data_dir) as address:
        yield Site(data_dir, address)


@contextmanager
def opened(browser: Browser, **options: Any) -> Iterator[Page]:
    """A page in a browser of its own; whatever it complains about, and whatever it asks of others, fails the test."""
    context = browser.new_context(reduced_motion="reduce", **options)
    context.set_default_timeout(10_000)
    page = context.new_page()
    wrong: list[str] = []

    def complain(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            wrong.append(message.text)

    page.on("console", complain)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda request: wrong.append(request.url) if is_far(request.url) else None)
    page.on("dialog", lambda dialog: wrong.append(f"a dialog: {dialog.message}"))
    yield page
    context.close()
    assert wrong == []


def is_far(address: str) -> bool:
    return not re.match(r"http://127\.0\.0\.1:\d+/|file:///|data:|about:", address)


@pytest.fixture
def page(browser: Browser, site: Site) -> Iterator[Page]:
    with opened(browser, viewport={"width": 1280, "height": 800}) as page:
        page.goto(site.address)
        page.wait_for_function(DRAWN)
        yield page


def count(page: Page) -> int:
    return int(page.locator(".count").inner_text().replace(",", ""))


def test_the_way_in_and_the_first_screen(page: Page, site: Site) -> None:
    assert "token" not in page.url
    assert count(page) == site.numbers()["outbound_tcp"]["connections"]
    for seen in ("#how-many", "#chart-users canvas", "#chart-programs canvas", "#over-time"):
        expect(page.locator(seen)).to_be_in_viewport()
    assert page.evaluate("document.cookie") == "", "no script can read the token"


def test_filters_combine_live_in_the_address_and_back_takes_them_away(page: Page, site: Site) -> None:
    whole = count(page)
    page.locator(".shares .named", has_text="app").first.click()
    expect(page.locator(".chip")).to_have_count(1)
    assert count(page) == site.numbers("--user", "app")["outbound_tcp"]["connections"] < whole
    page.locator("table.numbers .named", has_text="mail.py").first.click()
    expect(page.locator(".chip")).to_have_count(2)
    script = "/opt/jobs/mail.py"
    assert count(page) == site.numbers("--user", "app", "--script", script)["outbound_tcp"]["connections"]
    link = page.url
    assert "user=app" in link
    page.go_back()
    expect(page.locator(".chip")).to_have_count(1)
    page.go_back()
    expect(page.locator(".chip")).to_have_count(0)
    page.goto(link)
    expect(page.locator(".chip")).to_have_count(2)
    page.get_by_label("Without the filter user").click()
    expect(page.locator(".chip")).to_have_count(1)


def test_a_number_leads_to_its_events_and_on(page: Page) -> None:
    page.locator("#more-processes summary").click()
    row = page.locator("table.numbers tr", has_text="/tmp/.cache/xmr").first
    row.locator("a", has_text=re.compile(r"^40$")).click()
    expect(page.locator("h1")).to_contain_text("40 events")
    expect(page.locator("tbody tr")).to_have_count(40)
    expect(page.locator("tbody tr").first).to_contain_text("203.0.113.66 port 3333")
    page.locator("tbody tr a", has_text="203.0.113.66").first.click()
    expect(page.locator(".chip", has_text="destination")).to_contain_text("203.0.113.66")
    page.get_by_role("link", name="← All numbers").click()
    expect(page.locator(".count")).to_have_text("40")


def test_events_by_pages(page: Page) -> None:
    page.locator(".count a").click()
    first = page.locator("tbody tr").first.inner_text()
    page.keyboard.press("n")
    expect(page.locator(".pages")).to_contain_text("101 – 200")
    assert page.locator("tbody tr").first.inner_text() != first
    page.keyboard.press("p")
    expect(page.locator(".pages")).to_contain_text("1 – 100")
    assert page.locator("tbody tr").first.inner_text() == first


def drag(page: Page) -> None:
    """Over the middle of the chart of time."""
    page.locator("#chart-time").scroll_into_view_if_needed()
    box = page.locator("#chart-time").bounding_box()
    assert box is not None
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] * 0.4, y)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.6, y, steps=8)
    with page.expect_navigation():
        page.mouse.up()


def test_dragging_over_the_chart_looks_closer(page: Page) -> None:
    whole = count(page)
    drag(page)
    assert re.search(r"since=2\d{3}-.*Z&until=2\d{3}-.*Z", page.url)
    assert 0 < count(page) < whole
    with page.expect_navigation():
        page.wait_for_function(DRAWN)
        box = page.locator("#chart-time").bounding_box()
        assert box is not None
        page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] - 40)
    page.go_back()
    page.go_back()
    assert count(page) == whole


def test_slices_are_links(page: Page) -> None:
    with page.expect_navigation():
        page.locator("#chart-users").click(position={"x": 114, "y": 62})
    assert "user=www-data" in page.url


def test_forms_and_keys(page: Page, site: Site) -> None:
    page.keyboard.press("/")
    page.locator("select[name=field]").select_option("destination")
    page.locator("input[name=value]").fill("203.0.113.66")
    page.keyboard.press("Enter")
    expect(page.locator(".chip")).to_contain_text("destination 203.0.113.66")
    assert count(page) == site.numbers("--destination", "203.0.113.66")["outbound_tcp"]["connections"]
    page.keyboard.press("1")
    expect(page.locator(".spans [aria-current]")).to_have_text("24 h")
    expect(page.locator(".chip")).to_have_count(1)
    page.locator("summary", has_text="From").click()
    page.get_by_label("From (UTC)").fill("2026-01-01T10:00")
    page.get_by_role("button", name="Show").click()
    expect(page.locator(".window")).to_contain_text("1 Jan 2026, 10:00")
    expect(page.locator(".chip")).to_have_count(1)


def test_everything_can_be_reached_by_tab(page: Page) -> None:
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    names = set()
    for _ in range(20):
        page.keyboard.press("Tab")
        names.add(page.evaluate("document.activeElement.textContent.trim()"))
    assert {"24 h", "7 d", "Live", "+ Filter", "www-data"} <= names


def test_the_theme_follows_the_system_until_one_is_chosen(browser: Browser, site: Site) -> None:
    paper = "getComputedStyle(document.body).backgroundColor"
    with opened(browser, color_scheme="dark") as page:
        page.goto(site.address)
        dark = page.evaluate(paper)
        page.keyboard.press("t")
        light = page.evaluate(paper)
        assert light != dark
        page.reload()
        assert page.evaluate(paper) == light, "it was chosen"
        page.locator(".count a").click()
        page.get_by_label("Light or dark").click()
        assert page.evaluate(paper) == dark


def test_new_numbers_come_by_themselves_unless_they_are_held(browser: Browser, tmp_path: Path) -> None:
    write(tmp_path, week(datetime.now(UTC), days=6, connections=500))
    with served(tmp_path) as address, opened(browser) as page:
        page.goto(address)
        page.wait_for_function(DRAWN)
        before = count(page)
        page.locator("#more-destinations summary").click()
        page.locator(".shares .named", has_text="www-data").first.focus()
        write(tmp_path, [now()])
        expect(page.locator(".count")).to_have_text(f"{before + 1:,}", timeout=20_000)
        assert page.locator("#more-destinations").get_attribute("open") is not None
        assert page.evaluate("document.activeElement.textContent.trim()") == "www-data"
        page.keyboard.press("l")
        expect(page.locator("#live")).to_have_attribute("aria-pressed", "false")
        write(tmp_path, [now()])
        page.wait_for_timeout(4000)
        assert count(page) == before + 1
        page.keyboard.press("l")
        write(tmp_path, [now()])
        expect(page.locator(".count")).to_have_text(f"{before + 3:,}", timeout=20_000)
        drag(page)
        assert 0 < count(page) < before, "the chart still listens"


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("path", ["/", "/events"])
def test_nothing_is_wider_than_the_screen(browser: Browser, site: Site, width: int, path: str, tmp_path: Path) -> None:
    with opened(browser, viewport={"width": width, "height": 900}) as page:
        page.goto(site.address)
        page.goto(site.address.partition("/?")[0] + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.screenshot(path=tmp_path / "page.png", full_page=True)


@pytest.mark.parametrize("width", WIDTHS)
def test_hostile_names_change_nothing(browser: Browser, tmp_path: Path, width: int) -> None:
    documents = [dated(2, "ada", "/x")]
    for name in HOSTILE:
        more = {"container": {"id": "1", "name": name}, "user__audit": {"id": "7", "name": name}}
        more |= {"destination__ip": name, "auditdeck__script": name, "process__command_line": name}
        documents += [dated(2, name, name, state, **more) for state in ("established", "refused")]
    write(tmp_path, documents)
    window = ("--since", "2026-11-01", "--until", "2026-11-04")
    frozen = tmp_path / "page.html"
    assert auditdeck("report", "--data-dir", tmp_path, *window, "--html", frozen).status == 0
    with served(tmp_path) as address, opened(browser, viewport={"width": width, "height": 800}) as page:
        top = address.partition("/?")[0]
        page.goto(address)
        for place in (f"{top}/?since=2026-11-01&until=2026-11-04", f"{top}/events?since=2026-11-01", frozen.as_uri()):
            page.goto(place)
            page.wait_for_timeout(300)
            assert page.locator("img").count() == 0
            assert page.evaluate("document.documentElement.scrollWidth") <= width, place
            highest = "Math.max(...[...document.querySelectorAll('tbody tr')].map((row) => row.offsetHeight))"
            assert page.evaluate(highest) < 480, "4,000 characters take a few lines"
            box = page.locator("#chart-users").bounding_box() if "events" not in place else None
            if box:
                page.mouse.move(box["x"] + box["width"] * 0.9, box["y"] + box["height"] / 2)
                page.wait_for_timeout(200)


def test_a_page_without_events_says_what_to_do(browser: Browser, tmp_path: Path) -> None:
    with served(tmp_path) as address, opened(browser) as page:
        page.goto(address)
        expect(page.locator("h1")).to_have_text("No outbound TCP connection was seen in this time.")
        expect(page.locator("main")).to_contain_text("auditdeck run")


@pytest.mark.parametrize(("hours", "points"), [(2, 20), (8 * 24, 50)])
def test_the_frozen_page(browser: Browser, site: Site, tmp_path: Path, hours: int, points: int) -> None:
    file = tmp_path / "page.html"
    until = datetime.now(UTC)
    window = ("--since", (until - timedelta(hours=hours)).isoformat(), "--until", until.isoformat())
    assert auditdeck("report", "--data-dir", site.data_dir, *window, "--html", file).status == 0
    with opened(browser, viewport={"width": 1280, "height": 800}, offline=True) as page:
        page.goto(file.as_uri())
        page.wait_for_function(DRAWN)
        assert count(page) == site.numbers(*window)["outbound_tcp"]["connections"]
        time = json.loads(page.locator("#charts").text_content() or "")["time"]
        assert len(time["points"]) >= points, "its axis follows the window"
        sizes = {tuple(page.locator(f"#chart-{name}").bounding_box()[side] for side in ("width", "height"))  # type: ignore[index]
                 for name in ("users", "programs")}  # fmt: skip
        assert len(sizes) == 1, "rings are of one size"
        assert page.locator("main a[href]").count() == 0
        page.keyboard.press("t")
        page.get_by_label("Light or dark").click()
