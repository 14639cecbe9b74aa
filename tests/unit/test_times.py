"""Points in time, as search, report and aureport take them: local, also where clocks change."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from auditdeck.query.times import moment, window
from tests.support.run import auditdeck

NOW = datetime(2026, 11, 24, 13, 45, 30, tzinfo=UTC)


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Sets the local time zone."""

    def choose(name: str) -> None:
        monkeypatch.setenv("TZ", name)
        time.tzset()

    yield choose
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("now", "2026-11-24T13:45:30"),
        ("recent", "2026-11-24T13:35:30"),
        ("this-hour", "2026-11-24T13:00:00"),
        ("today", "2026-11-24T05:00:00"),
        ("yesterday", "2026-11-23T05:00:00"),
        ("this-week", "2026-11-22T05:00:00"),
        ("week-ago", "2026-11-17T05:00:00"),
        ("this-month", "2026-11-01T04:00:00"),
        ("this-year", "2026-01-01T05:00:00"),
        ("2h", "2026-11-24T11:45:30"),
        ("30d", "2026-10-25T13:45:30"),
        ("08:30", "2026-11-24T13:30:00"),
        ("08:30:15", "2026-11-24T13:30:15"),
        ("2026-11-20", "2026-11-20T05:00:00"),
        ("2026-07-20", "2026-07-20T04:00:00"),
        ("11/20/2026", "2026-11-20T05:00:00"),
        ("11/20/26 08:00:01", "2026-11-20T13:00:01"),
        ("2026-11-20 08:00", "2026-11-20T13:00:00"),
        ("2026-11-20T08:00:00", "2026-11-20T13:00:00"),
        ("2026-11-20T08:00:00Z", "2026-11-20T08:00:00"),
        ("2026-11-20T08:00:00+02:00", "2026-11-20T06:00:00"),
        (" today ", "2026-11-24T05:00:00"),
    ],
)
def test_times_are_local(zone: Callable[[str], None], text: str, expected: str) -> None:
    zone("America/New_York")
    assert moment(text, NOW) == datetime.fromisoformat(expected).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "now", "text", "expected"),
    [
        # Clocks were put back on Sunday: the days before have another offset than now.
        ("Europe/Berlin", "2026-10-26T12:00:00", "today", "2026-10-25T23:00:00"),
        ("Europe/Berlin", "2026-10-26T12:00:00", "yesterday", "2026-10-24T22:00:00"),
        ("Europe/Berlin", "2026-10-26T12:00:00", "week-ago", "2026-10-18T22:00:00"),
        ("Europe/Berlin", "2026-10-25T12:00:00", "today", "2026-10-24T22:00:00"),
        ("Europe/Berlin", "2026-10-25T12:00:00", "01:00", "2026-10-24T23:00:00"),
        ("Europe/Berlin", "2026-10-25T12:00:00", "24h", "2026-10-24T12:00:00"),
        # An hour that comes twice, and one that is left out.
        ("Europe/Berlin", "2026-10-26T12:00:00", "2026-10-25 02:30", "2026-10-25T00:30:00"),
        ("Europe/Berlin", "2026-10-25T01:45:00", "this-hour", "2026-10-25T01:00:00"),
        ("Europe/Berlin", "2026-10-25T00:45:00", "this-hour", "2026-10-25T00:00:00"),
        ("Europe/Berlin", "2026-03-30T12:00:00", "2026-03-29 02:30", "2026-03-29T01:30:00"),
        ("Europe/Berlin", "2026-03-30T12:00:00", "yesterday", "2026-03-28T23:00:00"),
        # Midnight is left out there, and comes twice.
        ("America/Santiago", "2026-09-06T12:00:00", "today", "2026-09-06T04:00:00"),
        ("America/Havana", "2026-11-01T12:00:00", "today", "2026-11-01T04:00:00"),
    ],
)
def test_changes_of_clocks(zone: Callable[[str], None], name: str, now: str, text: str, expected: str) -> None:
    zone(name)
    found = moment(text, datetime.fromisoformat(now).replace(tzinfo=UTC))
    assert found == datetime.fromisoformat(expected).replace(tzinfo=UTC)


def test_the_boot() -> None:
    up = float(Path("/proc/uptime").read_text().split()[0])
    assert abs(moment("boot") - (datetime.now(UTC) - timedelta(seconds=up))) < timedelta(seconds=5)


@pytest.mark.parametrize(
    "text",
    ["tomorrow", "25:99", "2026-13-01", "", "x y", "7", "2026", "9999999999d", "7 fortnights", "24:00", "0001-01-01"],
)
def test_what_is_not_a_time_is_said_with_what_is(zone: Callable[[str], None], text: str) -> None:
    zone("Asia/Tokyo")
    with pytest.raises(ValueError, match="is not a valid time; use 7d"):
        moment(text, NOW)


@pytest.mark.parametrize("command", [["search", "-if", "/dev/null", "-ts"], ["report", "--since"]])
def test_commands_say_it_alike(command: list[str]) -> None:
    result = auditdeck(*command, "soon")
    assert result.status == 2
    assert "'soon' is not a valid time; use 7d, 12h, 2026-11-23" in result.stderr


def test_windows_show_their_zone(zone: Callable[[str], None]) -> None:
    since, until = datetime(2026, 10, 20, 8, tzinfo=UTC), datetime(2026, 10, 27, 8, tzinfo=UTC)
    zone("Europe/Berlin")
    assert window(since, until) == "2026-10-20 10:00 CEST to 2026-10-27 09:00 CET"
    zone("UTC")
    assert window(since, until) == "2026-10-20 08:00 to 2026-10-27 08:00 UTC"


@pytest.mark.parametrize(
    ("span", "message"),
    [("soon", "'soon' is not a valid duration"), ("9" * 30 + "d", "is too long"), ("1s", "--expires is too short")],
)
def test_how_long_a_token_is_good(span: str, message: str) -> None:
    assert message in auditdeck("enroll", "--address", "https://stack:9200", "--expires", span).stderr
