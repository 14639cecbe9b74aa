"""Decoding a recorded log beside the tools that do the same: CPU µs an event, on one core.

    python -m bench.decode [EVENTS]

The log is recorded from this kernel: connects, executed programs and opened files, repeated with serials of their own
up to the wanted size; ausearch, whose cost grows faster than the log, gets a twentieth of it. laurel and ausearch are
Debian's; go-libaudit's auparse is used where it is on PATH or named by
LIBAUDIT_AUPARSE.
"""

from __future__ import annotations

import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from tests.support.audit import preserved
from tests.support.build import traffic
from tests.support.outside import PORT, outside
from tests.support.record import recorded

from bench.peers import laurel_settings

USER = 64311
REPEAT = 5
SLOW = "ausearch -i"
SERIAL = re.compile(rb"msg=audit\((\d+\.\d+):(\d+)\)")


def record(path: Path, wanted: int) -> int:
    """A log of about `wanted` events of the mixed load; how many it has."""
    rules = path.with_name("corpus.rules")
    lines = [
        f"-a always,exit -F arch=b64 -S {call} -F uid={USER} -k corpus" for call in ("connect", "execve", "openat")
    ]
    rules.write_text("\n".join(lines) + "\n")
    with preserved() as audit, outside() as away, recorded(audit, rules) as recording:
        away.serve()
        command = [traffic("corpus"), "mixed", "9000", away.ipv4, str(PORT), "3000"]
        subprocess.run([str(word) for word in command], user=USER, group=USER, cwd="/", check=True, capture_output=True)
    log = recording.log
    serials = {int(found[1]) for found in SERIAL.findall(log)}
    span = max(serials) - min(serials) + 1
    copies = max(1, wanted // len(serials))
    with open(path, "wb") as out:
        for copy in range(copies):
            out.write(SERIAL.sub(partial(moved, copy * span), log))
    return copies * len(serials)


def moved(shift: int, match: re.Match[bytes]) -> bytes:
    """The stamp with a later serial."""
    return b"msg=audit(%s:%d)" % (match[1], int(match[2]) + shift)


def cost(command: list[str], log: Path, feed: bool) -> float:
    """CPU seconds of a command and its children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with open(log, "rb") as lines:
        subprocess.run(["taskset", "-c", "0", *command], stdin=lines if feed else subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def tools(log: Path, folder: Path) -> dict[str, tuple[list[str], bool]]:
    """Commands by name; whether they read the log from standard input."""
    auparse = os.environ.get("LIBAUDIT_AUPARSE") or shutil.which("go-libaudit-auparse") or "missing"
    found: dict[str, tuple[list[str], bool]] = {
        "auditdeck decode": ([sys.executable, "-m", "auditdeck", "decode", str(log)], False),
        "laurel": (["/usr/sbin/laurel", "--config", str(laurel_settings(folder))], True),
        SLOW: (["/usr/sbin/ausearch", "-i", "-if", str(log.with_name("short.log"))], False),
        "go-libaudit auparse -i": ([auparse, "-i", "-format", "json", "-in", str(log)], False),
    }
    for name, (command, _) in list(found.items()):
        if not Path(command[0]).exists():
            print(f"left out: {name} ({command[0]})")
            del found[name]
    return found


def main(wanted: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        log = folder / "audit.log"
        short = record(log.with_name("short.log"), wanted // 20)
        events = record(log, wanted)
        print(f"{events:,} events, {log.stat().st_size / events:.0f} bytes each")
        runs: dict[str, list[float]] = {}
        chosen = tools(log, folder)
        for _ in range(REPEAT):
            for tool, (command, feed) in chosen.items():
                runs.setdefault(tool, []).append(cost(command, log, feed) * 1e6 / (short if tool == SLOW else events))
                time.sleep(0.2)
        ours = statistics.median(runs["auditdeck decode"])
        for tool, taken in runs.items():
            taken.sort()
            middle = statistics.median(taken)
            spread = f"{taken[0]:6.1f} / {middle:6.1f} / {taken[-1]:6.1f}"
            print(f"  {tool:24} {spread} µs an event   ratio {ours / middle:.2f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 300_000)
