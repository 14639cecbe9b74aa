"""A collector that is killed at any moment goes on where it was, without help."""

from __future__ import annotations

import json
import os
import random
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from auditdeck.audit.client import AuditSocket
from auditdeck.eventlog.reader import Position, Reader
from tests.support.build import traffic
from tests.support.collector import collector, report, scoped_rules
from tests.support.outside import Outside

pytestmark = pytest.mark.kernel

USER, LASTING = 64131, 8081
"""A port whose server lasts as long as the test."""
KILLS, RATE = int(os.environ.get("KILLS", "8")), int(os.environ.get("RATE", "2000"))
"""More of both: `make soak`."""
LONGEST = 1.2
"""Seconds from the start of collecting to the kill; the moment is chance."""


def documents(data_dir: Path) -> Iterator[dict[str, Any]]:
    """What is in the event log now."""
    with Reader(data_dir / "events") as reader:
        while lines := reader.read():
            yield from (json.loads(line) for line in lines)


def ids(data_dir: Path) -> Counter[str]:
    """How often each event is in the log."""
    return Counter(document["event"]["id"] for document in documents(data_dir))


def ids_from(data_dir: Path, position: Position) -> tuple[set[str], Position]:
    """Of the events from a position on, and where they end."""
    found: set[str] = set()
    with Reader(data_dir / "events", position) as reader:
        while lines := reader.read():
            found |= {json.loads(line)["event"]["id"] for line in lines}
        return found, reader.position


def test_killed_while_busy(tmp_path: Path, audit: AuditSocket, away: Outside) -> None:
    program = traffic("restless")
    away.serve(LASTING, seconds=60 + 10 * KILLS)
    data = tmp_path / "data"
    rules = scoped_rules(tmp_path / "test.rules", [USER])
    config = tmp_path / "auditdeck.yaml"
    config.write_text("event_log: {segment_size: 1MiB}\n")
    command = [
        "setpriv",
        f"--reuid={USER}",
        "--clear-groups",
        program,
        "blocking",
        "100000000",
        away.ipv4,
        LASTING,
        RATE,
    ]
    load = subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE)
    written: set[str] = set()
    position, chance = Position(), random.Random(20261126)
    try:
        for _ in range(KILLS):
            with collector(data, "--rules", rules, "--config", config) as running:
                time.sleep(chance.uniform(0, LONGEST))
                seen, position = ids_from(data, position)
                written |= seen
                running.kill()
        with collector(data, "--rules", rules, "--config", config) as running:
            time.sleep(0.5)
            load.terminate()
            load.wait()
            running.stop()
    finally:
        load.kill()
        load.wait()
    found = ids(data)

    assert written, "events were written before the kills"
    assert written <= set(found), "an event that was in the log once stays there"
    assert set(found.values()) == {1}, "no event is there twice"
    counted = report(data)["outbound_tcp"]
    # Sockets that were made while no collector ran, and closed at once, have no known transport.
    # The end of the load may have interrupted its last connect.
    assert counted["unresolved"] <= 1
    assert counted["connections"] + counted["unknown_transport"] + counted["unresolved"] == sum(
        1 for document in documents(data) if document["event"]["action"] == "connected-to"
    )
    assert counted["unknown_transport"] <= 2 * KILLS
    status = audit.status()
    assert (status.pid, audit.rules()) == (0, []), "the kernel is as it was before the first of them"
