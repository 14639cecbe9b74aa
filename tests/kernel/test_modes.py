"""Being the audit daemon, finding another one, and leaving the kernel as it was."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from auditdeck.audit.client import AuditSocket
from auditdeck.audit.rules.files import parse_line
from auditdeck.audit.rules.loader import load_rules
from tests.support.build import traffic
from tests.support.collector import COMMAND, as_user, collector, report, scoped_rules
from tests.support.outside import PORT, Outside

pytestmark = pytest.mark.kernel

USER = 64151


def test_what_was_found_is_put_back(tmp_path: Path, audit: AuditSocket) -> None:
    audit.set(enabled=0, backlog_limit=321, backlog_wait_time=1234, failure=0, rate_limit=0)
    statement = parse_line(f"-a always,exit -F arch=b64 -S mkdir -F uid={USER} -k mine")
    assert statement
    load_rules(audit, [statement])
    found, rules = audit.status(), audit.rules()
    own = scoped_rules(tmp_path / "test.rules", [USER])
    with collector(tmp_path / "data", "--rules", own) as running:
        during = audit.status()
        assert (during.enabled, during.pid, during.backlog_wait_time) == (1, running.process.pid, 0)
        assert during.backlog_limit > 321
        assert audit.rules()[0] == rules[0]
        assert len(audit.rules()) > 10
        running.wait_status()
        shown = subprocess.run(
            [*COMMAND, "status", "--data-dir", str(running.data_dir)], capture_output=True, check=False
        )
        assert shown.returncode == 0, shown.stderr
        running.stop()
    after = audit.status()
    for name in ("enabled", "pid", "backlog_limit", "backlog_wait_time", "failure", "rate_limit"):
        assert getattr(after, name) == getattr(found, name)
    assert audit.rules() == rules


@pytest.mark.usefixtures("audit")
def test_a_living_daemon_is_not_displaced(tmp_path: Path) -> None:
    rules = scoped_rules(tmp_path / "test.rules", [USER])
    with collector(tmp_path / "first", "--rules", rules) as first:
        command = [*COMMAND, "run", "--mode", "unicast", "--data-dir", str(tmp_path / "second"), "--no-default-rules"]
        refused = subprocess.run(command, capture_output=True, text=True, check=False)
        assert refused.returncode == 1
        assert f"pid {first.process.pid}" in refused.stderr
        assert "--take-over" in refused.stderr
        assert first.process.poll() is None
        with collector(tmp_path / "third", "--rules", rules, "--take-over"):
            assert first.process.wait(10) == 0


def test_listening_beside_another_daemon(tmp_path: Path, audit: AuditSocket, away: Outside) -> None:
    rules = scoped_rules(tmp_path / "test.rules", [USER])
    program = traffic("overheard")
    with collector(tmp_path / "first", "--rules", rules) as first, collector(tmp_path / "second") as second:
        assert audit.status().pid == first.process.pid
        assert "multicast" in second.log.read_text()
        as_user(USER, program, "blocking", "120", away.ipv4, str(PORT))
        second.stop()
        first.stop()
    answers = [report(tmp_path / name) for name in ("first", "second")]
    assert answers[0]["outbound_tcp"]["connections"] == 120
    assert answers[0]["users_processes"] == answers[1]["users_processes"]
