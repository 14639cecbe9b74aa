"""Connections made through io_uring, which never pass through connect(2)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.build import traffic
from tests.support.collector import as_user, collector, report, scoped_rules
from tests.support.outside import PORT, Outside

pytestmark = [pytest.mark.kernel, pytest.mark.usefixtures("audit")]

USER = 64111


def test_connections_are_counted(tmp_path: Path, away: Outside) -> None:
    program = traffic("ring")
    rules = scoped_rules(tmp_path / "test.rules", [USER])
    with collector(tmp_path / "data", "--rules", rules) as running:
        as_user(USER, program, "uring", "30", away.ipv4, str(PORT))
        as_user(USER, program, "uring", "20", away.ipv6, str(PORT))
        running.stop()

    answer = report(tmp_path / "data")

    totals = answer["outbound_tcp"]
    assert totals["connections"] + totals["unresolved"] + totals["unknown_transport"] == 50
