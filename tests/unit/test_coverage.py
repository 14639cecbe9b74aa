"""Where nobody watched, nobody says that nothing was lost."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from auditdeck.collector.health import health_document
from auditdeck.eventlog.status import write_status
from auditdeck.eventlog.writer import Writer
from auditdeck.query.answers import Question, ask
from auditdeck.query.columns import LOSSES
from auditdeck.query.coverage import as_json, coverage
from auditdeck.report.sentences import coverage as sentence

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
    assert (found.watched, found.unwatched) == (3510, 90)


def test_a_few_seconds_without_rules_in_a_whole_week_are_told() -> None:
    week = timedelta(days=7)
    found = coverage([("one", START + week, week.total_seconds(), 12.0)], START, START + week)
    text = sentence(as_json(found, START, START + week))
    assert text == "For 12 s audit was switched off, or rules were missing."


def test_a_report_that_reaches_out_of_the_window() -> None:
    [found] = coverage([("one", START + 2 * HOUR, 3 * 3600.0, 0.0)], START, START + HOUR)
    assert found.share == 1.0


def test_hosts_are_apart() -> None:
    found = coverage(minutes(1, 60) + minutes(1, 30, "two"), START, START + HOUR)
    assert [(one.host, one.share) for one in found] == [("one", 1.0), ("two", 0.5)]
    assert as_json(found, START, START + HOUR)["watched_hours"] == 0.75


def test_nobody() -> None:
    assert as_json(coverage([], START, START + HOUR), START, START + HOUR)["share"] == 0.0


def test_the_last_moments_of_a_collector_that_runs_are_watched(tmp_path: Path) -> None:
    """Its next health document is up to a minute away."""
    now = datetime.now(UTC)
    document = health_document({"name": "one"}, dict.fromkeys(LOSSES, 0), 3600.0)
    with Writer(tmp_path / "events") as writer:
        writer.append([document])
    since = {"host": "one", "seconds": 40.0, "unwatched": 0.0}
    write_status(tmp_path / "status.json", {"counters": {}, "unreported": since})
    hour = Question(now - timedelta(minutes=50), now + timedelta(seconds=30))
    found = ask(tmp_path, hour)["coverage"]
    assert found["share"] == pytest.approx(1.0, abs=0.001)
    assert sentence(found) == ""
