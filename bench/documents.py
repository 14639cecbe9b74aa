"""What a document costs, events that come again beside such that never do: CPU µs an event.

    python -m bench.documents [PYTHON …]

With other interpreters, each with an auditdeck of its own installed, all are measured in turn, and the ratio to the
last one is shown: `python -m bench.documents .venv/bin/python ../older/.venv/bin/python`.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import random
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import auditdeck

LOG = Path(__file__).parent.parent / "tests" / "fixtures" / "audit.log"
CALLS = {"connect": 42, "execve": 59, "openat": 257}
KNOWN, NEW, REPEAT, TURNS = 20_000, 3_000, 3, 5
Items = list[tuple[int, bytes]]


def recorded(number: int) -> tuple[bytes, Items]:
    """The stamp and the records of the first event of a system call."""
    found: dict[bytes, Items] = {}
    for line in LOG.read_bytes().splitlines():
        read = auditdeck.read_line(line)
        if read is not None and read[1] != 1320:
            found.setdefault(read[2].partition(b"): ")[0][6:], []).append(read[1:])
    wanted = b" syscall=%d success=yes" % number
    return next(event for event in found.items() if wanted in event[1][0][1] and len(event[1]) > 2)


def moved(stamp: bytes, items: Items, number: int, change: Callable[[int, bytes], bytes]) -> Any:
    """The same event at another time, its records changed."""
    later = b"1700000%03d.%03d:%d" % (number // 20_000, number // 20 % 1000, 1000 + number)
    made = auditdeck.Event(later, [(kind, change(kind, text.replace(stamp, later))) for kind, text in items])
    made.split()
    return made


def pointers(kind: int, text: bytes) -> bytes:
    return re.sub(rb" a1=\w+", b" a1=7ffc%05x" % random.randrange(1 << 20), text) if kind == 1300 else text


def changes(call: str, number: int) -> dict[str, Callable[[int, bytes], bytes]]:
    """What is new in each event."""

    def process(kind: int, text: bytes) -> bytes:
        ids = b" ppid=%d pid=%d" % (os.getpid(), 5_000_000 + number)
        return re.sub(rb" ppid=\d+ pid=\d+", ids, text) if kind == 1300 else text

    def session(kind: int, text: bytes) -> bytes:
        return re.sub(rb" ses=\d+", b" ses=%d" % (10 + number), text) if kind == 1300 else text

    def subject(kind: int, text: bytes) -> bytes:
        if call == "connect" and kind == 1306:
            return re.sub(rb"saddr=\w{16}", b"saddr=020001BB%08X" % (0x0A000002 + number), text)
        if call == "execve" and kind == 1309:
            return re.sub(rb"argc=.*", b'argc=3 a0="tool" a1="--n" a2="%d"' % number, text)
        if call == "execve" and kind == 1327:
            return re.sub(rb"proctitle=.*", b"proctitle=" + (b"tool\0--n\0%d" % number).hex().upper().encode(), text)
        if call == "openat" and kind == 1302:
            return re.sub(rb'item=(\d) name="[^"]*"', rb'item=\1 name="/srv/data/%d"' % number, text)
        return text

    return {"new process": process, "new session": session, "never again": subject}


def measured() -> dict[str, float]:
    """CPU µs an event by what it is: the least of a few runs."""
    context_of = importlib.import_module(auditdeck.Context.__module__)
    taken: dict[str, float] = {}
    for call, number in CALLS.items():
        stamp, items = recorded(number)
        for surroundings in ("records alone", "live"):
            made = context_of.offline_context() if surroundings == "records alone" else live(context_of)
            known = [moved(stamp, items, n, pointers) for n in range(KNOWN)]
            if surroundings == "live":
                for event in known:
                    event.ids = b" ppid=%d pid=%d" % (os.getppid(), os.getpid())
            taken[f"{call}, known, {surroundings}"] = cost(made, known)
        for what in changes(call, 0):
            new = [moved(stamp, items, n, changes(call, n)[what]) for n in range(NEW)]
            taken[f"{call}, {what}"] = cost(context_of.offline_context(), new)
    return taken


def live(context_of: Any) -> Any:
    settings = context_of.Settings()
    settings.enrich.docker_socket, settings.enrich.environment = "", []
    host = importlib.import_module(context_of.this_host.__module__).this_host("bench")
    return context_of.live_context(settings, host, auditdeck.Users())


def cost(context: Any, events: list[Any]) -> float:
    runs = []
    for _ in range(REPEAT):
        encoder = auditdeck.Encoder(context, socket_events=True)
        encoder.check()
        gc.collect()
        began = time.process_time_ns()
        for event in events:
            encoder.encode_checked(event)
        runs.append((time.process_time_ns() - began) / len(events) / 1000)
    return min(runs)


def main(interpreters: list[str]) -> None:
    runs: dict[str, list[list[float]]] = {}
    for _ in range(TURNS):
        for place, interpreter in enumerate(interpreters):
            out = subprocess.run([interpreter, "-P", __file__, "--once"], check=True, capture_output=True).stdout
            for name, value in json.loads(out).items():
                runs.setdefault(name, [[] for _ in interpreters])[place].append(value)
    for name, values in runs.items():
        middle = [statistics.median(value) for value in values]
        ratio = f"   ratio {middle[0] / middle[-1]:.2f}" if len(middle) > 1 else ""
        print(f"  {name:32}" + "".join(f"{value:8.2f}" for value in middle) + ratio)


if __name__ == "__main__":
    if sys.argv[1:] == ["--once"]:
        print(json.dumps(measured()))
    else:
        main(sys.argv[1:] or [sys.executable])
