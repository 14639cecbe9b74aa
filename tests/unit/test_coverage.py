"""Where nobody watched, nobody says that nothing was lost."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from auditdeck.query.coverage import as_json, coverage

START = datetime(2026, 11, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def minutes(first: int, last: int, host: str = "one") -> list[tuple[str, datetime, float, float]]:
    return [(host, START + timedelta(minutes=n), 60.0, 0.0) for n in range(first, last + 1)]


def test_all_of_it() -> None:
    [found] = coverage(minutes(1, 60), START, START + HOUR)
    assert found.share == 1.0
    assert found.holes == []


def test_a_collector_that_was_killed_and_started_again() -> None:
    [found] = coverage(minutes(1, 20) + minutes(31, 60), START, START + HOUR)
    assert found.holes == [(START + timedelta(minutes=20), START + timedelta(minutes=30))]
    assert found.watched == 50 * 60


def test_before_the_first_report_and_after_the_last() -> None:
    [found] = coverage(minutes(11, 50), START, START + HOUR)
    assert [(end - begin).total_seconds() for begin, end in found.holes] == [600, 600]


def test_time_that_a_report_itself_says_was_not_watched() -> None:
    [found] = coverage([("one", START + HOUR, 3600.0, 90.0)], START, START + HOUR)
    assert found.watched == 3510


def test_a_report_that_reaches_out_of_the_window() -> None:
    [found] = coverage([("one", START + 2 * HOUR, 3 * 3600.0, 0.0)], START, START + HOUR)
    assert found.share == 1.0


def test_hosts_are_apart() -> None:
    found = coverage(minutes(1, 60) + minutes(1, 30, "two"), START, START + HOUR)
    assert [(one.host, one.share) for one in found] == [("one", 1.0), ("two", 0.5)]
    assert as_json(found, START, START + HOUR)["watched_hours"] == 0.75


def test_nobody() -> None:
    assert as_json(coverage([], START, START + HOUR), START, START + HOUR)["share"] == 0.0
