"""The collector as a whole, without its kernel."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from auditdeck.collector.collector import Collector
from auditdeck.errors import StoreError
from auditdeck.settings.model import Settings

WRITING = "write the event log"


def test_only_what_was_written_says_that_writing_works_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk is said once: no look at counters, which writes nothing, ends it."""
    reported: list[str] = []
    full = True

    def report(state: str) -> None:
        if full:
            raise StoreError("cannot write the event log: No space left on device")
        reported.append(state)

    collector = Collector(Settings(data_dir=str(tmp_path)), [])
    health = SimpleNamespace(due=True, report=report)
    monkeypatch.setattr(collector, "count", lambda: None)
    monkeypatch.setattr(collector, "health", health, raising=False)
    collector.report_health_when_due()
    assert collector.attempts.failing == {WRITING}
    health.due = False
    collector.report_health_when_due()
    assert collector.attempts.failing == {WRITING}
    full, health.due = False, True
    collector.report_health_when_due()
    assert (reported, collector.attempts.failing) == (["running"], set())
