"""After the demo traffic no panel is empty: the collector's own events, through the whole stack."""

from __future__ import annotations

import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.support.lens import Panel, by_elasticsearch, panels
from tests.support.stack import TOP, Stack

pytestmark = [pytest.mark.docker, pytest.mark.kernel, pytest.mark.timeout(600)]

# What is 0 while all is well, and is shown as that.
ONLY_FROM_AUDIT = {"outbound-not-counted"}
"""What is there where connections come from audit: in progress when last seen, or of unknown transport."""
MAY_BE_ZERO = {
    "outbound-lost", "outbound-unknown", "health-lost", "health-gaps", "health-dropped", "health-dead", "health-behind",
    "health-backlog", "health-losses",
}  # fmt: skip
PANELS = panels()


@pytest.fixture(scope="module")
def after(running: Stack) -> Stack:
    """The stack, when Elasticsearch has all of the demo and a first word about the collector's health."""
    subprocess.run([sys.executable, TOP / "scripts" / "demo.py"], check=True, timeout=120)
    running.collected()
    client, deadline = running.client(), time.monotonic() + 90
    health = {"term": {"event.dataset": "auditdeck.health"}}
    while not client.count(index="audit-events", query=health)["count"]:
        assert time.monotonic() < deadline, "a collector reports once a minute"
        time.sleep(1)
    client.indices.refresh(index="audit-events")
    return running


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel.name)
def test_no_panel_is_empty(after: Stack, panel: Panel) -> None:
    client = after.client()

    def search(**body: Any) -> Any:
        return client.search(index="audit-*", **body)

    until = datetime.now(UTC) + timedelta(minutes=1)
    rows = by_elasticsearch(search, panel, until - timedelta(days=7), until)
    values = [value for row in rows.values() for value in row.values() if value is not None]
    if panel.name in ONLY_FROM_AUDIT:
        return
    assert values, "there is something to show"
    assert any(values) or panel.name in MAY_BE_ZERO, rows
