"""Audit switched off and rules deleted under a running collector, by the tools that people do it with."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from auditdeck.audit.client import AuditSocket
from tests.support.build import traffic
from tests.support.collector import COMMAND, Collector, as_user, collector, report, scoped_rules
from tests.support.outside import PORT, Outside
from tests.support.waiting import wait_for

pytestmark = pytest.mark.kernel

USER = 64161
NOTICED = 5.0


def told(running: Collector, text: str) -> Callable[[], bool]:
    return lambda: text in running.log.read_text()


@pytest.mark.parametrize(("change", "text"), [(["-e", "0"], "switched off"), (["-D"], "rules were deleted")])
def test_what_is_taken_away_comes_back_and_its_time_is_told(
    tmp_path: Path, audit: AuditSocket, away: Outside, change: list[str], text: str
) -> None:
    rules = scoped_rules(tmp_path / "test.rules", [USER])
    program = traffic("watched")
    with collector(tmp_path / "data", "--rules", rules) as running:
        loaded = audit.rules()
        as_user(USER, program, "blocking", "10", away.ipv4, str(PORT))
        subprocess.run(["auditctl", *change], check=True, capture_output=True)
        wait_for(told(running, text), NOTICED)
        wait_for(told(running, "everything is watched again"), NOTICED)
        assert audit.status().enabled == 1
        assert audit.rules() == loaded
        as_user(USER, program, "blocking", "10", away.ipv4, str(PORT))
        running.stop()
    found = report(tmp_path / "data")
    assert found["outbound_tcp"]["connections"] == 20
    [host] = found["coverage"]["hosts"]
    assert host["share"] < 1


def test_where_it_is_only_reported_status_fails(tmp_path: Path, audit: AuditSocket) -> None:
    rules = scoped_rules(tmp_path / "test.rules", [USER])
    with collector(tmp_path / "data", "--rules", rules, AUDITDECK_KERNEL__KEEP="report") as running:
        subprocess.run(["auditctl", "-e", "0"], check=True, capture_output=True)
        wait_for(told(running, "switched off"), NOTICED)
        running.wait_status()
        wait_for(lambda: bool(running.status().get("not_watched")), 10)
        assert audit.status().enabled == 0
        command = [*COMMAND, "status", "--data-dir", str(tmp_path / "data")]
        shown = subprocess.run(command, capture_output=True, text=True, check=False)
        assert shown.returncode == 4
        assert "audit was switched off" in shown.stdout
        running.stop()


@pytest.mark.usefixtures("audit")
def test_events_that_nobody_took_after_a_crash_are_counted(tmp_path: Path, away: Outside) -> None:
    rules = scoped_rules(tmp_path / "test.rules", [USER])
    program = traffic("missed")
    with collector(tmp_path / "data", "--rules", rules) as first:
        as_user(USER, program, "blocking", "10", away.ipv4, str(PORT))
        time.sleep(0.5)
        first.process.send_signal(signal.SIGKILL)
        first.process.wait(10)
        as_user(USER, program, "blocking", "10", away.ipv4, str(PORT))
    with collector(tmp_path / "data", "--rules", rules) as second:
        as_user(USER, program, "blocking", "10", away.ipv4, str(PORT))
        time.sleep(0.5)
        second.stop()
    found = report(tmp_path / "data")
    # What waited in the kernel meanwhile may have come after all; what did not is counted.
    missed = 30 - found["outbound_tcp"]["connections"]
    assert 0 <= missed <= 10
    assert found["quality"]["gaps"] >= missed
