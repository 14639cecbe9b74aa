"""What a collector costs while nothing happens, how soon it collects, and how long events take.

python -m bench.idle
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.support.audit import preserved
from tests.support.outside import outside

from bench.live import Load, latency, rules
from bench.peers import Auditdeck
from bench.process import cpu_seconds, peak_memory

IDLE_SECONDS = 20
STARTS = 7


def idle(folder: Path) -> tuple[float, int]:
    """Share of a core, and KiB."""
    peer = Auditdeck(folder, rules(Load("idle", "connect", 1, 0)))
    peer.start()
    try:
        time.sleep(2)
        before = cpu_seconds(peer.pids())
        time.sleep(IDLE_SECONDS)
        return (cpu_seconds(peer.pids()) - before) / IDLE_SECONDS, peak_memory(peer.pids())
    finally:
        peer.stop()


def start_up(folder: Path) -> float:
    """Seconds from the start of the process until it says that it collects, rules loaded."""
    peer = Auditdeck(folder, rules(Load("start", "connect", 1, 0)))
    folder.mkdir(parents=True)
    command = peer.command()
    began = time.monotonic()
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, cwd=folder, text=True)
    try:
        assert process.stderr
        for line in process.stderr:
            if "collecting" in line:
                return time.monotonic() - began
        raise AssertionError("it did not start")
    finally:
        process.terminate()
        process.communicate()


def main() -> None:
    with preserved(), tempfile.TemporaryDirectory() as name:
        starts = sorted(start_up(Path(name) / str(number)) for number in range(STARTS))
        print(f"start to collecting: {starts[0] * 1000:.0f} / {statistics.median(starts) * 1000:.0f} / "
              f"{starts[-1] * 1000:.0f} ms ({sys.version.split()[0]})")  # fmt: skip
        share, memory = idle(Path(name) / "idle")
        print(f"idle: {share:.3%} of a core, {memory / 1024:.0f} MiB")
    with outside() as away:
        away.serve(seconds=300)
        delays = sorted(latency(Auditdeck, away, samples=60))
        middle, longest = statistics.median(delays) * 1000, delays[-1] * 1000
        print(f"from call to event log: median {middle:.0f} ms, highest {longest:.0f} ms")


if __name__ == "__main__":
    main()
