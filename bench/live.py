"""Collectors beside each other on the same load: CPU, memory, losses, latency, and what the audited program loses.

    python -m bench.live [--repeat 5] [--quick]

Every collector gets the same rules, for a user of the load's own, the same backlog and the largest receive buffer that
its settings have. CPU is user and system time of its processes from /proc, memory the sum of their peaks.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.support.audit import preserved
from tests.support.build import traffic
from tests.support.outside import PORT, Outside, outside

from auditdeck.audit.client import AuditSocket
from auditdeck.audit.rules.files import parse_line
from bench.peers import BACKLOG, FORMS, PEERS, Peer
from bench.process import cpu_seconds, peak_memory

Runs = dict[str, list[dict[str, float]]]

FIELDS = ("cpu", "missing", "rate", "memory", "written")
KNOWN, UNKNOWN = 1, 64301
"""A user whom every database of Debian knows, and one that none does."""
KEY = "benchmark"
CONNECT, EXEC = "-S connect -F saddr_fam=2", "-S execve"


@dataclass(frozen=True)
class Load:
    """`rate` in events a second, 0 for as fast as it goes; `user` by default one that has a name."""

    name: str
    kind: str
    count: int
    rate: int
    user: int = KNOWN


LOADS = [
    Load("connect 5,000/s", "connect", 50_000, 5_000),
    Load("connect 200/s", "connect", 4_000, 200),
    Load("exec 300/s", "exec", 6_000, 300),
    Load("connect 20,000/s", "connect", 160_000, 20_000),
    Load("open 5,000/s", "open", 50_000, 5_000),
    Load("mixed 900/s", "mixed", 9_000, 900),
    Load("burst of connects", "connect", 100_000, 0),
    Load("burst of connects, unknown user", "connect", 100_000, 0, user=UNKNOWN),
    Load("burst of execs", "exec", 10_000, 0),
    Load("burst of execs, unknown user", "exec", 10_000, 0, user=UNKNOWN),
]
HOUR = [Load("an hour's worth, 10,000/s", "connect", 720_000, 10_000)]
"""As many events as at 200 a second in an hour; measured only when it is asked for."""
QUICK = [
    Load("connect 5,000/s", "connect", 25_000, 5_000), Load("connect 200/s", "connect", 1_000, 200),
    Load("exec 300/s", "exec", 1_500, 300), Load("burst of connects", "connect", 50_000, 0),
]  # fmt: skip


@dataclass
class Measured:
    """One run: CPU in µs an event, losses in events, rates in events a second, memory in KiB, bytes an event."""

    cpu: float
    missing: int
    kernel_lost: int
    rate: float
    memory: int
    written: float


def rules(load: Load) -> list[str]:
    """Of what programs open, only what the generator itself does: others do so while they start."""
    opened = f"-S openat -F exe={traffic('generator')}"
    calls = {"connect": [CONNECT], "exec": [EXEC], "open": [opened], "mixed": [CONNECT, EXEC, opened]}
    return [f"-a always,exit -F arch=b64 {call} -F uid={load.user} -k {KEY}" for call in calls[load.kind]]


@dataclass(frozen=True)
class Generated:
    """Events a second that were reached, and when the first was made, as time.monotonic()."""

    rate: float
    began: float


def generate(load: Load, away: Outside) -> Generated:
    # As most programs connect: without waiting.
    kind = "nonblocking" if load.kind == "connect" else load.kind
    command = [traffic("generator"), kind, str(load.count), away.ipv4, str(PORT), str(load.rate)]
    result = subprocess.run([str(word) for word in command], user=load.user, group=load.user, extra_groups=[], cwd="/",
                            capture_output=True, text=True, check=True)  # fmt: skip
    good, bad, seconds, began = result.stdout.split()
    assert int(good) + int(bad) == load.count
    return Generated(load.count / float(seconds), float(began))


def add_rules(load: Load, audit: AuditSocket) -> None:
    add_rules_of(rules(load), audit)


def add_rules_of(texts: list[str], audit: AuditSocket) -> None:
    for text in texts:
        statement = parse_line(text)
        assert statement
        assert statement.rule
        audit.add_rule(statement.rule.to_bytes())


@contextmanager
def running(kind: type[Peer], load: Load, audit: AuditSocket, folder: Path) -> Iterator[Peer]:
    peer = kind(folder, rules(load))
    # go-audit leaves it to others to switch audit on.
    audit.set(enabled=1, backlog_limit=BACKLOG, backlog_wait_time=0)
    if not peer.loads_rules:
        add_rules(load, audit)
    peer.start()
    try:
        yield peer
    finally:
        peer.stop()


def measure(kind: type[Peer], load: Load, away: Outside) -> Measured:
    with preserved() as audit, tempfile.TemporaryDirectory() as folder:
        lost = audit.status().lost
        with running(kind, load, audit, Path(folder) / "peer") as peer:
            pids = peer.pids()
            before = cpu_seconds(pids)
            rate = generate(load, away).rate
            peer.settle()
            spent = cpu_seconds(pids) - before
            memory = peak_memory(pids)
            kernel_lost = audit.status().lost - lost
        found = peer.count(KEY)
        # Of an exec the kernel sees one call; the generator itself was started with one.
        missing = max(0, load.count - found)
        return Measured(
            spent * 1e6 / max(found, 1), missing, kernel_lost, rate, memory, peer.bytes_written() / max(found, 1)
        )


def unaudited(load: Load, away: Outside) -> float:
    """The generator's own speed, without audit."""
    with preserved() as audit:
        audit.set(enabled=0)
        return generate(load, away).rate


def unread(load: Load, away: Outside) -> float:
    """The generator's speed while the kernel makes records that no collector reads; it prints them to its own log."""
    with preserved() as audit:
        audit.set(enabled=1, backlog_limit=BACKLOG, backlog_wait_time=0)
        add_rules(load, audit)
        return generate(load, away).rate


def latency(kind: type[Peer], away: Outside, samples: int = 40) -> list[float]:
    """Seconds from a system call to its line in the output, one event at a time."""
    load = Load("single", "connect", 1, 0)
    taken = []
    with (
        preserved() as audit,
        tempfile.TemporaryDirectory() as folder,
        running(kind, load, audit, Path(folder) / "peer") as peer,
    ):
        for number in range(samples):
            seen = peer.bytes_written()
            began = generate(load, away).began
            while peer.bytes_written() == seen and time.monotonic() - began < 5:
                time.sleep(0.001)
            taken.append(time.monotonic() - began)
            # So that it happens at any moment between two looks of the collector.
            time.sleep(0.05 + number % 7 * 0.03)
    return taken


def main() -> None:
    given = arguments()
    loads = QUICK if given.quick else LOADS
    loads = [load for load in (loads + HOUR if given.only else loads) if re.search(given.only, load.name)]
    peers = []
    for kind in FORMS if given.forms else PEERS:
        if given.peers and not any(part in kind.__name__.lower() for part in given.peers.split(",")):
            continue
        if kind.missing():
            print(f"left out: {kind.missing()}")
        else:
            peers.append(kind)
    results: dict[str, Runs] = {}
    with outside() as away:
        away.serve(seconds=7200)
        for load in loads:
            results[load.name] = compare(load, peers, away, given.repeat)
        delays = {kind.__name__: latency(kind, away) for kind in peers} if re.search(given.only, "latency") else {}
        for name, taken in delays.items():
            print(f"  from call to output: {name:12} {statistics.median(taken) * 1000:.0f} ms, at most "
                  f"{max(taken) * 1000:.0f} ms")  # fmt: skip
    if given.json:
        given.json.write_text(json.dumps({"loads": results, "latency": delays}, indent=1))


def arguments() -> argparse.Namespace:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--repeat", type=int, default=5)
    options.add_argument("--quick", action="store_true", help="fewer and smaller loads")
    options.add_argument("--only", default="", help="loads whose name matches this regular expression, or latency")
    options.add_argument("--peers", default="", help="collectors whose name contains one of these, with commas")
    options.add_argument("--forms", action="store_true", help="auditdeck alone, with a file in each form of output")
    options.add_argument("--json", type=Path, help="write all runs here")
    return options.parse_args()


def compare(load: Load, peers: list[type[Peer]], away: Outside, repeat: int) -> Runs:
    """Every collector in turn, so that what else the machine does meets all of them."""
    runs: Runs = {}
    print(f"\n{load.name}: {load.count:,} events", flush=True)
    if not load.rate:
        for name, alone in (("without audit", unaudited), ("audited, unread", unread)):
            runs[name] = [{"rate": alone(load, away)} for _ in range(repeat)]
            print(f"  {name:16} {shown(runs[name], 'rate')}", flush=True)
    for _ in range(repeat):
        for kind in peers:
            runs.setdefault(kind.__name__, []).append(asdict(measure(kind, load, away)))
    for kind in peers:
        fields = "  ".join(
            shown(runs[kind.__name__], field) for field in ("cpu", "missing", "rate", "memory", "written")
        )
        print(f"  {kind.__name__:16} {fields}", flush=True)
    return runs


def shown(runs: list[dict[str, float]], field: str) -> str:
    values = sorted(run[field] for run in runs)
    middle = statistics.median(values)
    form = ",.1f" if field == "cpu" else ",.0f"
    return f"{field} {values[0]:{form}}/{middle:{form}}/{values[-1]:{form}}"


if __name__ == "__main__":
    main()
