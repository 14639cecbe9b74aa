"""A real collector in a process of its own, as a user runs it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from auditdeck.assets import asset
from auditdeck.audit import architecture
from tests.support.waiting import wait_for

COMMAND = [sys.executable, "-m", "auditdeck"]


def scoped_rules(path: Path, uids: list[int], extra: str = "") -> Path:
    """The default rules, each for these users only, so that nothing else on the machine is seen."""
    lines = []
    for file in sorted(asset("rules").glob("*.rules")):
        if file.name.count(".") > 1 and f".{architecture.native()}." not in file.name:
            continue
        for line in file.read_text().splitlines():
            if line.startswith("-a"):
                rule, key, name = line.rpartition(" -k ")
                lines += [f"{rule} -F uid={uid}{key}{name}" for uid in uids]
    path.write_text("\n".join(lines) + "\n" + extra)
    return path


@dataclass
class Collector:
    process: subprocess.Popen[str]
    data_dir: Path
    log: Path

    def wait_ready(self) -> None:
        deadline = time.monotonic() + 15
        while time.monotonic() < deadline:
            if "collecting" in self.log.read_text():
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.02)
        raise AssertionError(f"the collector did not start: {self.log.read_text()}")

    def wait_status(self) -> None:
        """Until it has written its first status: that is due after five seconds."""
        wait_for((self.data_dir / "status.json").exists)

    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = json.loads((self.data_dir / "status.json").read_text())
        return status

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(30) == 0, self.log.read_text()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(30)


@contextmanager
def collector(data_dir: Path, *options: str | Path, source: str = "audit", **variables: str) -> Iterator[Collector]:
    """With the rules that are named, and no others. The tracepoint sees everyone: its tests count by user."""
    data_dir.mkdir(parents=True, exist_ok=True)
    log = data_dir / f"run-{time.monotonic_ns()}.log"
    command = [*COMMAND, "run", "--data-dir", str(data_dir), "--no-default-rules", *map(str, options)]
    with open(log, "w") as output:
        environment = {**os.environ, "AUDITDECK_CONNECTIONS__SOURCE": source, **variables}
        process = subprocess.Popen(command, stderr=output, stdout=output, text=True, env=environment)
        running = Collector(process, data_dir, log)
    try:
        running.wait_ready()
        yield running
    finally:
        if running.process.poll() is None:
            running.process.terminate()
            try:
                running.process.wait(30)
            except subprocess.TimeoutExpired:
                running.kill()


def report(data_dir: Path, *options: str) -> dict[str, Any]:
    command = [*COMMAND, "report", "--json", "--data-dir", str(data_dir), *options]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    answer: dict[str, Any] = json.loads(result.stdout)
    return answer


def shares(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of a table of the report: who, how many, and what part of all."""
    return [
        {name: value for name, value in entry.items() if name in ("user", "executable", "connections", "share")}
        for entry in entries
    ]


def as_user(uid: int, *command: str | Path) -> subprocess.CompletedProcess[str]:
    """Runs a program as a user that need not exist."""
    return subprocess.run(
        [str(word) for word in command],
        user=uid,
        group=uid,
        extra_groups=[],
        cwd="/",
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": os.environ["PATH"]},
    )
