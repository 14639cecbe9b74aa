"""Connections made inside real containers, and what is known of them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from auditdeck.audit.client import AuditSocket
from auditdeck.eventlog.reader import Reader
from tests.stack.conftest import why_no_docker
from tests.support.audit import preserved, skip_if
from tests.support.collector import collector, scoped_rules
from tests.support.outside import PORT, Outside, outside
from tests.support.stack import images

pytestmark = [pytest.mark.docker, pytest.mark.kernel]

USER = 64181
CONNECT = "import socket, sys; [socket.create_connection((sys.argv[1], int(sys.argv[2])), 5).close() for _ in range(3)]"


@pytest.fixture
def audit() -> Iterator[AuditSocket]:
    skip_if(why_no_docker(), "CI can run containers")
    with preserved() as kernel:
        yield kernel


@pytest.fixture
def away() -> Iterator[Outside]:
    with outside() as found:
        found.serve()
        yield found


def run_container(away: Outside, name: str) -> str:
    """A container that connects three times; its id."""
    image = images()["PYTHON_IMAGE"]
    command = ["docker", "run", "--name", name, "--user", str(USER), "--label", "team=web", image]
    subprocess.run([*command, "python3", "-c", CONNECT, away.ipv4, str(PORT)], check=True, capture_output=True)
    found = subprocess.run(["docker", "inspect", "-f", "{{.Id}}", name], check=True, capture_output=True, text=True)
    subprocess.run(["docker", "rm", name], check=True, capture_output=True)
    return found.stdout.strip()


def connects(data_dir: Path) -> list[dict[str, Any]]:
    with Reader(data_dir / "events") as reader:
        documents = [json.loads(line) for line in iter(reader.read, []) for line in line]
    mine = [document for document in documents if document.get("user", {}).get("id") == str(USER)]
    return [document for document in mine if "state" in document.get("auditdeck", {}).get("connection", {})]


@pytest.mark.usefixtures("audit")
@pytest.mark.parametrize("source", ["audit", "tracepoint"])
@pytest.mark.parametrize("socket", ["/var/run/docker.sock", ""])
def test_the_container_of_a_connection(tmp_path: Path, away: Outside, socket: str, source: str) -> None:
    image = images()["PYTHON_IMAGE"]
    rules, config = scoped_rules(tmp_path / "test.rules", [USER]), tmp_path / "auditdeck.yaml"
    config.write_text(f"enrich: {{docker_socket: '{socket}'}}\n")
    name = f"auditdeck-connects-{'named' if socket else 'nameless'}"
    with collector(tmp_path / "data", "--rules", rules, "--config", config, source=source) as running:
        identity = run_container(away, name)
        running.stop()
    found = connects(tmp_path / "data")
    assert len(found) == 3
    repository, _, tag = image.rpartition(":")
    named = {"runtime": "docker", "name": name, "image": {"name": repository, "tag": [tag]}, "labels": {"team": "web"}}
    for document in found:
        assert document["container"] == {"id": identity, **(named if socket else {})}
        assert document["network"]["direction"] == "egress"
        assert "python3" in document["process"]["executable"]
        connection = document["auditdeck"]["connection"]
        assert connection["source"] == source
        # The client does not wait within connect(2), and may be gone before audit's records are read.
        assert connection["state"] in {"tracepoint": ["established"], "audit": ["established", "unresolved"]}[source]
