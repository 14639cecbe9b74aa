"""The whole cost of a connection: of the program that makes it, of the kernel's audit thread, and of the collector.

    python -m bench.connections [--repeat 5] [--quick] [--only NAME] [--json FILE]

CPU in µs a connection, each above the same program unwatched, on the same load in turn: auditdeck with the tracepoint,
auditdeck with audit's rules, and the other collectors that are there, with the rules that they need for that question.
BASELINE=FOLDER adds an older auditdeck: a clone with its .venv.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from tests.support.audit import preserved
from tests.support.build import traffic
from tests.support.outside import PORT, Outside, outside

from bench.live import KNOWN, add_rules_of
from bench.peers import BACKLOG, Auditd, Auditdeck, GoAudit, Laurel, Peer
from bench.process import cpu_seconds, peak_memory

OUT, MADE = "netconns_out", "netconns_socket"
LOADS = {"200/s": (4_000, 200), "5,000/s": (50_000, 5_000), "unpaced": (200_000, 0)}
QUICK = {"200/s": (1_000, 200), "5,000/s": (25_000, 5_000), "unpaced": (50_000, 0)}
FIELDS = ("program", "kernel", "collector", "whole", "speed", "missing", "memory")


def rules() -> list[str]:
    """What auditdeck's own rules ask for, for the user of the load."""
    return [
        f"-a always,exit -F arch=b64 -S connect -F saddr_fam=2 -F uid={KNOWN} -k {OUT}",
        f"-a always,exit -F arch=b64 -S socket -F a0=2 -F success=1 -F uid={KNOWN} -k {MADE}",
    ]


@dataclass
class Tracepoint(Auditdeck):
    """auditdeck as it is by default."""

    source: ClassVar[str] = "tracepoint"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.name = "auditdeck"
        self.rules = []

    def needle(self, key: str) -> bytes:  # noqa: ARG002
        return b'"user":{"id":"%d"' % KNOWN


@dataclass
class Rules(Auditdeck):
    """auditdeck where BPF is not allowed."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.name = "auditdeck, audit"


@dataclass
class Baseline(Auditdeck):
    """An older auditdeck."""

    source: ClassVar[str] = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.name = "baseline"

    @staticmethod
    def missing() -> str:
        return "" if os.environ.get("BASELINE") else "an older auditdeck (name its clone in BASELINE)"

    def command(self) -> list[str]:
        return [f"{os.environ['BASELINE']}/.venv/bin/python", *super().command()[1:]]


PEERS: list[type[Peer]] = [Tracepoint, Rules, Baseline, GoAudit, Auditd, Laurel]


@dataclass(frozen=True)
class Load:
    count: int
    rate: int


def generate(load: Load, away: Outside) -> tuple[float, float]:
    """CPU seconds of the program, and the seconds that it took."""
    command = [traffic("generator"), "nonblocking", str(load.count), away.ipv4, str(PORT), str(load.rate)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = subprocess.run([str(word) for word in command], user=KNOWN, group=KNOWN, extra_groups=[], cwd="/",
                            capture_output=True, text=True, check=True)  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return spent, float(result.stdout.split()[2])


def audit_thread() -> int:
    """The kernel's kauditd, which prepares records."""
    for path in Path("/proc").glob("[0-9]*/comm"):
        try:
            if path.read_text() == "kauditd\n":
                return int(path.parent.name)
        except OSError:
            continue
    return 0


def ticks(pid: int) -> float:
    """CPU seconds of a kernel thread, from schedstat: its first number is in ns (proc_pid_schedstat)."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9
    except OSError:
        return 0.0


def unwatched(load: Load, away: Outside) -> tuple[float, float]:
    with preserved() as audit:
        audit.set(enabled=0)
        return generate(load, away)


def measure(kind: type[Peer], load: Load, away: Outside, alone: tuple[float, float]) -> dict[str, float]:
    with preserved() as audit, tempfile.TemporaryDirectory() as folder:
        peer = kind(Path(folder) / "peer", rules())
        audit.set(enabled=1, backlog_limit=BACKLOG, backlog_wait_time=0)
        if not peer.loads_rules:
            add_rules_of(rules(), audit)
        peer.start()
        try:
            pids, kernel = peer.pids(), audit_thread()
            before, thread = cpu_seconds(pids), ticks(kernel)
            program, seconds = generate(load, away)
            peer.settle()
            collector, thread = cpu_seconds(pids) - before, ticks(kernel) - thread
            memory = peak_memory(pids)
        finally:
            peer.stop()
        found = peer.count(OUT)
        each = 1e6 / load.count
        parts = {"program": (program - alone[0]) * each, "kernel": thread * each, "collector": collector * each}
        return {
            **parts,
            "whole": sum(parts.values()),
            "speed": alone[1] / seconds if not load.rate else 1.0,
            "missing": max(0, load.count - found),
            "memory": memory / 1024,
        }


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--repeat", type=int, default=5)
    options.add_argument("--quick", action="store_true")
    options.add_argument("--only", default="", help="loads whose name contains this")
    options.add_argument("--json", type=Path)
    given = options.parse_args()
    peers = []
    for kind in PEERS:
        if kind.missing():
            print(f"left out: {kind.missing()}")
        else:
            peers.append(kind)
    results: dict[str, dict[str, list[dict[str, float]]]] = {}
    with outside() as away:
        away.serve(seconds=7200)
        for name, (count, rate) in (QUICK if given.quick else LOADS).items():
            if given.only not in name:
                continue
            load = Load(count, rate)
            runs: dict[str, list[dict[str, float]]] = {}
            print(f"\n{name}: {count:,} connections", flush=True)
            for _ in range(given.repeat):
                alone = unwatched(load, away)
                for kind in peers:
                    runs.setdefault(kind.__name__, []).append(measure(kind, load, away, alone))
                    time.sleep(0.5)
            for label, taken in runs.items():
                shown = "  ".join(f"{field} {statistics.median(run[field] for run in taken):,.2f}" for field in FIELDS)
                print(f"  {label:12} {shown}", flush=True)
            results[name] = runs
    if given.json:
        given.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
