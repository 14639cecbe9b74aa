"""The go-audit form beside real go-audit: on the same events as they happen, and on recorded ones."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from auditdeck.audit.client import AuditSocket
from auditdeck.audit.log import Reading
from auditdeck.context.users import Users
from auditdeck.ecs.context import offline_context
from auditdeck.ecs.template import Encoder
from auditdeck.outputs.formats.fluentd import fluentd
from auditdeck.outputs.formats.goaudit import go_audit
from auditdeck.settings.model import Settings
from tests.support.build import traffic
from tests.support.collector import as_user, collector
from tests.support.outside import PORT, outside

FIXTURES = Path(__file__).parent.parent / "fixtures" / "go-audit"
USER = 64151
RULES = [
    f"-a always,exit -F arch=b64 -S connect -F uid={USER} -k netconns_out",
    f"-a always,exit -F arch=b64 -S execve -F uid={USER} -k execve",
    "-w {folder} -p wa -k watched",
]
EVENTS = "events: {min: 1100, max: 1399}\n"
Events = dict[int, dict[str, Any]]


def binary() -> str:
    return os.environ.get("GO_AUDIT") or shutil.which("go-audit") or ""


@contextmanager
def go_audit_running(folder: Path, watched: Path) -> Iterator[Path]:
    """The real one, as the audit daemon; its output file."""
    output, config = folder / "go-audit.ndjson", folder / "go-audit.yaml"
    rules = "".join(f"  - {rule.format(folder=watched)}\n" for rule in RULES)
    config.write_text(
        f"socket_buffer: {{receive: 16777216}}\n{EVENTS}message_tracking: {{enabled: false}}\n"
        f"output: {{file: {{enabled: true, attempts: 2, path: {output}, mode: 0600, user: root, group: root}}}}\n"
        f"log: {{flags: 0}}\nrules:\n{rules}"
    )
    with open(folder / "go-audit.log", "w") as log:
        process = subprocess.Popen([binary(), "-config", config], stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 10
        while "Started processing events" not in (folder / "go-audit.log").read_text():
            assert time.monotonic() < deadline, (folder / "go-audit.log").read_text()
            time.sleep(0.05)
        yield output
    finally:
        process.terminate()
        process.wait(10)


def make_events(watched: Path) -> None:
    """Connects, commands with arguments that are written in hex, file watches, and records of user space."""
    program = traffic("go-audited")
    with outside() as away:
        away.serve()
        as_user(USER, program, "blocking", "20", away.ipv4, str(PORT))
        as_user(USER, program, "nonblocking", "20", away.ipv6, str(PORT))
        as_user(USER, "echo", "plain", "two words", 'a "quoted" one', "new\nline", "é", "", "x" * 9000)
        (watched / "a file").write_text("x")
        (watched / "a file").rename(watched / "other")
        (watched / "other").unlink()
        subprocess.run(["auditctl", "-m", "a message of user space"], check=True)
        subprocess.run(["su", "-s", "/bin/true", "nobody"], check=True)
        as_user(USER, program, "udp", "5", away.ipv4, str(PORT))


def by_sequence(path: Path) -> Events:
    found: Events = {}
    for line in path.read_text().splitlines():
        entry = json.loads(line)
        found[entry["sequence"]] = entry
    return found


def same(theirs: Events, ours: Events) -> None:
    """Event for event. docs/formats.md lists what differs, and why."""
    common = theirs.keys() & ours.keys()
    assert len(common) >= 60
    # Events of the moments in which only one of them was there already, or still.
    first, last = max(min(theirs), min(ours)), min(max(theirs), max(ours))
    assert {number for number in theirs if first <= number <= last} == {n for n in ours if first <= n <= last}
    for number in sorted(common):
        assert ours[number] == theirs[number], number


def test_side_by_side(tmp_path: Path, audit: AuditSocket) -> None:  # noqa: ARG001
    if not binary():
        pytest.skip("no go-audit here: name its binary in GO_AUDIT")
    watched = tmp_path / "watched"
    watched.mkdir()
    output, config = tmp_path / "auditdeck.ndjson", tmp_path / "auditdeck.yaml"
    config.write_text(
        f"kernel: {{mode: multicast}}\ndocuments: {{min_type: 1100, max_type: 1399, socket_events: true}}\n"
        f"redact: {{defaults: false}}\nenrich: {{containers: false}}\n"
        f"outputs: {{file: {{enabled: true, form: go-audit, path: {output}}}}}\n"
    )
    with go_audit_running(tmp_path, watched) as theirs, collector(tmp_path / "data", "--config", config) as running:
        time.sleep(0.5)
        make_events(watched)
        # go-audit gives an event without EOE out when the first record after two seconds comes.
        time.sleep(2.5)
        as_user(USER, "true")
        time.sleep(0.5)
        running.stop()
        if keep := os.environ.get("KEEP_GO_AUDIT"):
            shutil.copytree(tmp_path, keep)
        same(by_sequence(theirs), by_sequence(output))


def recorded(users: Users) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    context = offline_context(Settings())
    context.redactor.defaults = False
    encoder = Encoder(context, original=True, socket_events=True)
    with open(FIXTURES / "audit.log", "rb") as lines:
        for event in Reading("audit.log").events(lines):
            document = orjson.loads(encoder.encode(event))
            yield go_audit(document, users) or {}, fluentd(document, users) or {}


@pytest.fixture
def users(tmp_path: Path) -> Users:
    """Those of the machine on which the fixtures were recorded."""
    (tmp_path / "passwd").write_text("root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n")
    (tmp_path / "group").write_text("root:x:0:\n")
    return Users(tmp_path / "passwd", tmp_path / "group")


def test_recorded_events_as_go_audit_wrote_them(users: Users) -> None:
    ours = {made["sequence"]: made for made, _ in recorded(users)}
    same(by_sequence(FIXTURES / "go-audit.ndjson"), ours)


def test_recorded_events_as_fluentd_passed_them_on(users: Users) -> None:
    ours = {made["sequence"]: made for _, made in recorded(users)}
    same(by_sequence(FIXTURES / "fluentd.ndjson"), ours)
