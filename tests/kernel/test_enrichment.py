"""What is added to an event while its process lives: on the real kernel, with real processes."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from auditdeck.eventlog.reader import Reader
from tests.support.collector import Collector, collector, scoped_rules

pytestmark = [pytest.mark.kernel, pytest.mark.usefixtures("audit")]

USER = 64191
SETTINGS = """
enrich:
  groups: true
  hashes: true
  labels: [{label: job, executable: "/env$"}, {label: marked, key: execve-sleep}]
redact: {patterns: ['(?P<secret>letmein)']}
filters: [{executable: "/uname$"}]
"""


def executed(data_dir: Path) -> list[dict[str, Any]]:
    with Reader(data_dir / "events") as reader:
        documents = [json.loads(line) for lines in iter(reader.read, []) for line in lines]
    return [document for document in documents if document["event"]["action"] == "executed"]


@pytest.fixture
def documents(tmp_path: Path) -> list[dict[str, Any]]:
    rules, config = scoped_rules(tmp_path / "test.rules", [USER]), tmp_path / "auditdeck.yaml"
    config.write_text(SETTINGS)
    script = tmp_path / "script.sh"
    script.write_text("#!/bin/sh\nsleep 0.4\n/bin/true --password=hunter2 letmein\n/bin/uname >/dev/null\n")
    script.chmod(0o755)
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents[:2]:
        parent.chmod(0o755)
    with collector(tmp_path / "data", "--rules", rules, "--config", config) as running:
        environment = {"PATH": "/usr/bin:/bin", "LD_LIBRARY_PATH": "/odd", "OTHER": "x"}
        command = ["/usr/bin/env", str(script)]
        subprocess.run(command, user=USER, group=100, extra_groups=[], cwd="/usr", env=environment, check=True)
        running.stop()
        check_status(running)
    return executed(tmp_path / "data")


def check_status(running: Collector) -> None:
    status = running.status()
    assert status["filters"] == {"executable=/uname$": 1}
    assert status["redacted"] >= 1


def of(documents: list[dict[str, Any]], name: str) -> dict[str, Any]:
    [found] = [document for document in documents if document["process"]["name"] == name]
    return found


def test_what_is_known_of_a_process(documents: list[dict[str, Any]]) -> None:
    script, sleep, true = of(documents, "script.sh"), of(documents, "sleep"), of(documents, "true")
    assert script["auditdeck"]["script"].endswith("/script.sh")
    assert script["process"]["executable"] == os.path.realpath("/bin/sh")
    assert script["process"]["env_vars"] == ["LD_LIBRARY_PATH=/odd"]
    assert script["process"]["working_directory"] == "/usr"
    assert "script" not in sleep["auditdeck"]

    assert sleep["process"]["hash"]["sha256"] == hashlib.sha256(Path("/bin/sleep").read_bytes()).hexdigest()
    assert sleep["process"]["parent"]["executable"] == os.path.realpath("/bin/sh")
    assert sleep["process"]["parent"]["name"] == "script.sh"
    assert sleep["process"]["parent"]["entity_id"] == script["process"]["entity_id"]
    assert sleep["process"]["parent"]["start"].endswith("Z")
    assert sleep["auditdeck"]["groups"] == ["users"]

    assert of(documents, "env")["auditdeck"]["labels"] == ["job"]
    assert script["auditdeck"]["labels"] == sleep["auditdeck"]["labels"] == true["auditdeck"]["labels"] == ["job"]

    assert true["process"]["args"] == ["/bin/true", "--password=[redacted]", "[redacted]"]
    assert not [document for document in documents if document["process"]["name"] == "uname"]


def test_secrets_reach_no_file(tmp_path: Path, documents: list[dict[str, Any]]) -> None:
    assert documents
    for path in (tmp_path / "data").rglob("*"):
        if path.is_file():
            assert b"hunter2" not in path.read_bytes()
            assert b"letmein" not in path.read_bytes() or path.suffix == ".yaml"
