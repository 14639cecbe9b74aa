"""Ten thousand connections a second: nothing lost, every one counted, and each answered for within seconds."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from auditdeck.audit.client import AuditSocket
from tests.support.build import traffic
from tests.support.collector import as_user, collector, report, scoped_rules, shares
from tests.support.outside import PORT, Outside

pytestmark = pytest.mark.kernel

USER = 64121
RATE, SECONDS = 10_000, 10


def test_nothing_is_lost(tmp_path: Path, audit: AuditSocket, away: Outside) -> None:
    program = traffic("busy")
    rules = scoped_rules(tmp_path / "test.rules", [USER])
    lost = audit.status().lost
    with collector(tmp_path / "data", "--rules", rules) as running:
        as_user(USER, program, "blocking", str(RATE * SECONDS), away.ipv4, str(PORT), str(RATE))
        ended = time.monotonic()
        while report(tmp_path / "data")["outbound_tcp"]["connections"] < RATE * SECONDS:
            assert time.monotonic() - ended < 3, "an event is in the report within 3 s of its system call"
        running.stop()

    answer = report(tmp_path / "data")

    assert audit.status().lost == lost
    assert not any(answer["quality"].values()), answer["quality"]
    assert answer["outbound_tcp"]["connections"] == RATE * SECONDS
    assert shares(answer["users"]) == [{"user": str(USER), "connections": RATE * SECONDS, "share": 1.0}]
