"""One rate for a long time, from the kernel to a file: nothing is lost, memory and descriptors stay as they are.

    python -m bench.steady [SECONDS [RATE]]

Prints a line for each tenth of the time; ends with 1 if something was lost or grew. The first two tenths are not looked
at: caches fill.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.support.audit import preserved
from tests.support.build import traffic
from tests.support.collector import Collector, collector, scoped_rules
from tests.support.outside import PORT, outside

from bench.process import children, cpu_seconds

USER = 64131
STEPS, WARM = 10, 2
MEMORY, DESCRIPTORS = 16 << 10, 8
"""KiB and descriptors that may have come to those after the warm-up: of a segment that is just compressed."""
PATIENCE = 60
"""Seconds until everything is sent, after the last connect."""
SETTINGS = """
event_log: {{max_size: 2GiB}}
outputs: {{file: {{enabled: true, path: {path}, max_size: 256MiB, keep: 1}}}}
"""
LOSSES = ("lost", "gaps", "dropped", "damaged", "overruns", "incomplete")


class Step(NamedTuple):
    """At one moment: KiB resident, open descriptors, documents that the output sent, bytes that it is behind."""

    memory: int
    descriptors: int
    sent: int
    behind: int


def resident(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


def look(running: Collector) -> Step:
    counters, pid = running.status()["counters"], running.process.pid
    descriptors = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    return Step(resident(pid), descriptors, counters["sent"], counters["behind"])


def steps(running: Collector, seconds: int) -> Iterator[Step]:
    began, before = time.monotonic(), cpu_seconds(children(running.process.pid))
    for number in range(1, STEPS + 1):
        time.sleep(max(0.0, began + seconds * number / STEPS - time.monotonic()))
        step, passed = look(running), time.monotonic() - began
        share = (cpu_seconds(children(running.process.pid)) - before) / passed
        memory = f"{step.memory / 1024:5.0f} MiB, {step.descriptors} descriptors"
        sent = f"{step.sent:,} sent, {step.behind / 1024:,.0f} KiB behind"
        print(f"{passed:6.0f} s: {memory}, {sent}, {share:.0%} of a core", flush=True)
        yield step


def wait_sent(running: Collector, count: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while running.status()["counters"]["sent"] < count and time.monotonic() < deadline:
        time.sleep(1)


def main(seconds: int, rate: int) -> int:
    with tempfile.TemporaryDirectory() as folder, preserved(), outside() as away:
        away.serve(seconds=seconds + 120)
        here = Path(folder)
        config = here / "auditdeck.yaml"
        config.write_text(SETTINGS.format(path=here / "events.ndjson"))
        rules = scoped_rules(here / "steady.rules", [USER])
        with collector(here / "data", "--rules", rules, "--config", config) as running:
            running.wait_status()
            words = [traffic("steady"), "blocking", rate * seconds, away.ipv4, PORT, rate]
            load = subprocess.Popen([str(word) for word in words], user=USER, group=USER, stdout=subprocess.PIPE)
            try:
                found = list(steps(running, seconds))
                out, _ = load.communicate(timeout=PATIENCE)
            finally:
                load.kill()
                load.wait()
            made = int(out.split()[0])
            wait_sent(running, made)
            running.stop()
            counters = running.status()["counters"]
    lost = {name: counters[name] for name in LOSSES if counters[name]}
    warm, last = found[WARM - 1], found[-1]
    memory, descriptors = last.memory - warm.memory, last.descriptors - warm.descriptors
    print(f"{made:,} connects in {float(out.split()[2]):.0f} s; {counters['sent']:,} documents sent; lost: {lost or 0}")
    print(f"since the warm-up {memory / 1024:+.0f} MiB, {descriptors:+} descriptors")
    return int(bool(lost) or counters["sent"] < made or memory > MEMORY or descriptors > DESCRIPTORS)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1800, int(sys.argv[2]) if len(sys.argv) > 2 else 10_000))
