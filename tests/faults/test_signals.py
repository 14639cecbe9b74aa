"""How a collector ends by signals, and how a service reads its settings again."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import signal
import subprocess
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from auditdeck.audit.client import AuditSocket
from auditdeck.audit.rules.loader import texts
from tests.support.collector import COMMAND, Collector, as_user, collector
from tests.support.waiting import wait_for

pytestmark = pytest.mark.kernel

USER = 64420


@pytest.fixture(autouse=True)
def hangups() -> Iterator[None]:
    """As a shell or a service manager starts programs, also where these tests run under nohup(1)."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGQUIT])
def test_it_ends_in_order(tmp_path: Path, audit: AuditSocket, number: signal.Signals) -> None:
    with collector(tmp_path / "data", source="tracepoint") as running:
        running.process.send_signal(number)
        assert running.process.wait(20) == 0
    assert "stopped:" in running.log.read_text()
    assert not (tmp_path / "data" / "kernel-state.json").exists()
    assert audit.status().pid == 0


def test_a_terminal_that_closes_ends_it_in_order(tmp_path: Path, audit: AuditSocket) -> None:
    """The kernel sends SIGHUP when the other end of the terminal is closed (tty_ioctl(4), setsid(2))."""
    ours, theirs = pty.openpty()
    log = tmp_path / "log"

    def take_terminal() -> None:
        fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)

    with open(log, "w") as output:
        process = subprocess.Popen(
            [*COMMAND, "run", "--data-dir", str(tmp_path / "data"), "--no-default-rules"],
            stdin=theirs, stdout=output, stderr=output, start_new_session=True, preexec_fn=take_terminal,
        )  # fmt: skip
    os.close(theirs)
    try:
        wait_for(lambda: "collecting" in log.read_text())
        os.close(ours)
        assert process.wait(20) == 0
    finally:
        if process.poll() is None:
            process.kill()
    assert "stopped:" in log.read_text()
    assert audit.status().pid == 0


def rule(name: str) -> str:
    return f"-a always,exit -F arch=b64 -S {name} -F uid={USER} -k {name}\n"


def said(running: Collector, text: str) -> Callable[[], bool]:
    return lambda: text in running.log.read_text()


def commands(data_dir: Path) -> list[str]:
    lines = [line for path in (data_dir / "events").glob("*.ndjson") for line in path.read_text().splitlines()]
    found = [made for made in map(json.loads, lines) if made.get("user", {}).get("id") == str(USER)]
    return [made["process"]["command_line"] for made in found if "command_line" in made.get("process", {})]


def test_a_service_reads_rules_filters_and_redaction_again(tmp_path: Path, audit: AuditSocket) -> None:
    rules, settings = tmp_path / "test.rules", tmp_path / "auditdeck.yaml"
    execve = rule("execve").replace("-S execve", "-S execve -F exit=0")
    rules.write_text(execve + rule("mkdir"))
    settings.write_text("documents: {socket_events: false}\n")
    with collector(tmp_path / "data", "--rules", rules, "--config", settings, source="tracepoint") as running:
        as_user(USER, "/bin/echo", "order=66")
        rules.write_text(execve + rule("chmod"))
        settings.write_text(
            "redact: {patterns: ['order=(?P<secret>\\d+)']}\nfilters: [{executable: /usr/bin/id}]\n"
            "kernel: {failure: 0}\n"
        )
        time.sleep(0.5)
        running.process.send_signal(signal.SIGHUP)
        wait_for(said(running, "were read again"))
        assert "kernel take effect at the next start" in running.log.read_text()
        loaded = "\n".join(texts(audit))
        assert "chmod" in loaded
        assert "mkdir" not in loaded
        as_user(USER, "/bin/echo", "order=66")
        as_user(USER, "/usr/bin/id")
        time.sleep(0.5)
        running.stop()
    assert commands(tmp_path / "data") == ["/bin/echo order=66", "/bin/echo 'order=[redacted]'"]
    assert audit.rules() == []


@pytest.mark.parametrize(
    ("wrong", "text"),
    [("rules", "-S nonsense"), ("filters", "filters: [{executable: '('}]"), ("settings", "kernl: {}"),
     ("kernel", "-w /nowhere/at/all -p wa -k nothing")],
)  # fmt: skip
def test_one_wrong_line_changes_nothing(tmp_path: Path, audit: AuditSocket, wrong: str, text: str) -> None:
    rules, settings = tmp_path / "test.rules", tmp_path / "auditdeck.yaml"
    rules.write_text(rule("mkdir"))
    settings.write_text("{}\n")
    with collector(tmp_path / "data", "--rules", rules, "--config", settings, source="tracepoint") as running:
        before = audit.rules()
        if wrong in ("rules", "kernel"):
            rules.write_text(rule("chmod") + (f"-a always,exit {text}\n" if wrong == "rules" else f"{text}\n"))
        else:
            rules.write_text(rule("chmod"))
            settings.write_text(text + "\n")
        running.process.send_signal(signal.SIGHUP)
        wait_for(said(running, "nothing was changed: "))
        assert audit.rules() == before
        running.stop()
