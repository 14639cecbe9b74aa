"""The whole stack by docker compose, under a project name and ports of its own."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from elasticsearch import Elasticsearch

TOP = Path(__file__).parent.parent.parent
PORTS = {"ELASTICSEARCH_PORT": "19200", "KIBANA_PORT": "15601"}
PROJECT = "auditdeck-test"


@cache
def images() -> dict[str, str]:
    """The official images, or stand-ins where those cannot be pulled."""
    subprocess.run([TOP / "scripts" / "docker-engine.sh"], check=True)
    found = subprocess.run([TOP / "scripts" / "images.sh", "auto"], check=True, capture_output=True, text=True).stdout
    return dict(line.split("=", 1) for line in found.split())


def are_stand_ins() -> bool:
    return any("stand-in" in image for image in images().values())


@dataclass
class Stack:
    """A stack that is up, or was; `environment` overrides the variables of .env.example."""

    environment: dict[str, str] = field(default_factory=dict)
    first_log: str = ""
    file: str = "compose.yaml"

    def compose(self, *words: str, check: bool = True, **more: str) -> subprocess.CompletedProcess[str]:
        environment = {
            **os.environ,
            "BUILD_CA": os.environ.get("PIP_CERT", "/dev/null"),
            "COMPOSE_PROJECT_NAME": PROJECT,
            "AUDITDECK_IMAGE": PROJECT,
            **images(),
            **PORTS,
            **self.environment,
            **more,
        }
        command = [
            "docker",
            "compose",
            "--ansi",
            "never",
            "--env-file",
            "/dev/null",
            "-f",
            str(TOP / self.file),
            *words,
        ]
        result = subprocess.run(command, env=environment, cwd=TOP, capture_output=True, text=True, check=False)
        assert result.returncode == 0 or not check, f"{words}: {result.stdout[-3000:]}\n{result.stderr[-3000:]}"
        return result

    def up(self, *words: str, **more: str) -> str:
        """Brings it up and waits; what the init job said in its last run."""
        result = self.compose("up", "--wait", *words, check=False, **more)
        said = self.init_log()
        assert result.returncode == 0, f"{result.stderr[-3000:]}\n{said}"
        return said

    def init_log(self) -> str:
        log = self.compose("logs", "--no-log-prefix", "init").stdout
        return log[log.rindex("Host\n") :] if "Host\n" in log else log

    def down(self, *words: str) -> None:
        self.compose("down", "--timeout", "30", *words)

    def secret(self, name: str) -> str:
        words = ("run", "--rm", "--no-deps", "-T", "--entrypoint", "cat", "init", f"/secrets/{name}")
        return self.compose(*words).stdout.strip()

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{PORTS['ELASTICSEARCH_PORT']}"

    def ca(self) -> Path:
        path = Path(tempfile.gettempdir()) / f"{PROJECT}-ca.crt"
        path.write_text(self.secret("init/ca.crt") + "\n")
        return path

    def client(self, **more: Any) -> Elasticsearch:
        """As elastic, or as `api_key=`."""
        if "api_key" not in more:
            more["basic_auth"] = ("elastic", self.secret("init/elastic_password"))
        return Elasticsearch(self.url, ca_certs=str(self.ca()), request_timeout=60, **more)

    def auditdeck(self, *words: str) -> dict[str, Any]:
        """A command in the collector's container that prints JSON."""
        result = self.compose("exec", "-T", "collector", "auditdeck", *words, "--json")
        answer: dict[str, Any] = json.loads(result.stdout)
        return answer

    def collected(self, patience: float = 30) -> None:
        """Until Elasticsearch has all that the collector had written when this was called."""
        deadline = time.monotonic() + patience
        time.sleep(1.2)  # The counters are written once a second.
        written = self.auditdeck("status")["collector"]["counters"]["documents"]
        while (counters := self.auditdeck("status")["collector"]["counters"])["sent"] < written:
            assert time.monotonic() < deadline, counters
            time.sleep(0.5)


@contextmanager
def stack(**environment: str) -> Iterator[Stack]:
    """A stack without anything of an earlier one; nothing of it stays."""
    found = Stack(environment)
    found.down("--volumes")
    found.compose("build")
    try:
        yield found
    finally:
        found.down("--volumes")
