"""What each look-up costs that goes beyond the records: CPU µs for the first event of a process, the others free.

    python -m bench.enrichment [PROCESSES]

The second event of a process within two seconds costs none of it. Measured on processes that run, and on such that are
gone when they are looked for.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from typing import Any

import msgspec

from auditdeck.audit.event import Event
from auditdeck.context.host import this_host
from auditdeck.context.users import Users
from auditdeck.ecs.context import live_context
from auditdeck.ecs.template import Encoder
from auditdeck.settings.model import Settings

REPEAT = 9
GONE = 3_900_000
OFF: dict[str, Any] = {
    "containers": False, "parents": False, "scripts": False, "environment": [], "groups": False, "hashes": False,
}  # fmt: skip
VARIANTS: dict[str, dict[str, Any]] = {
    "none": {},
    "container by the control group": {"containers": True},
    "control group's path": {"containers": True, "cgroups": True},
    "parent": {"parents": True},
    "script of an interpreter": {"scripts": True},
    "environment variables": {"environment": ["LD_PRELOAD", "LD_LIBRARY_PATH"]},
    "groups of the user": {"groups": True},
    "hash of the program": {"hashes": True},
    "labels": {"labels": [{"label": "x", "executable": "/apt$"}]},
    "the defaults": {"containers": True, "parents": True, "scripts": True, "environment": ["LD_PRELOAD"]},
}
CALL = (
    "arch=c000003e syscall=59 success=yes exit=0 a0=55a0b57cf180 a1=55a0b57cf1c0 a2=7ffd0 a3=8 items=2 "
    "ppid=1 pid={pid} auid=4294967295 uid=0 gid=0 euid=0 suid=0 fsuid=0 egid=0 sgid=0 fsgid=0 tty=(none) "
    'ses=4294967295 comm="sleep" exe="/usr/bin/sleep" key="benchmark"'
)
PATH = (
    'item={item} name="{name}" inode=10003007 dev=fe:00 mode=0100755 ouid=0 ogid=0 rdev=00:00 nametype=NORMAL '
    "cap_fp=0 cap_fi=0 cap_fe=0 cap_fver=0 cap_frootid=0"
)
OTHERS = [
    (1309, 'argc=2 a0="sleep" a1="600"'),
    (1307, 'cwd="/"'),
    (1302, PATH.format(item=0, name="/usr/bin/sleep")),
    (1302, PATH.format(item=1, name="/lib64/ld-linux-x86-64.so.2")),
    (1327, "proctitle=736C65657000363030"),
]


def execution(pid: int) -> Event:
    stamp = f"1795000000.000:{pid}"
    lines = [(1300, CALL.format(pid=pid)), *OTHERS]
    event = Event(stamp.encode(), [(kind, f"audit({stamp}): {body}".encode()) for kind, body in lines])
    event.split()
    return event


def cost(wanted: dict[str, Any], pids: list[int]) -> float:
    """µs of CPU for the first event of each process."""
    settings = msgspec.convert({"enrich": OFF | {"docker_socket": ""} | wanted}, Settings)
    encoder = Encoder(live_context(settings, this_host("bench"), Users()))
    encoder.encode(execution(GONE - 1))
    events = [execution(pid) for pid in pids]
    began = time.process_time_ns()
    for event in events:
        encoder.encode(event)
    taken = time.process_time_ns() - began
    encoder.context.close()
    return taken / len(pids) / 1000


def main(count: int) -> None:
    children = [subprocess.Popen(["sleep", "600"]) for _ in range(count)]
    try:
        alive, gone = [child.pid for child in children], list(range(GONE, GONE + count))
        runs: dict[str, list[tuple[float, float]]] = {}
        for _ in range(REPEAT):
            for name, wanted in VARIANTS.items():
                runs.setdefault(name, []).append((cost(wanted, alive), cost(wanted, gone)))
    finally:
        for child in children:
            child.kill()
            child.wait()
    base = [statistics.median(values) for values in zip(*runs["none"], strict=True)]
    print(f"first event of a process, without any: {base[0]:.1f} µs if it runs, {base[1]:.1f} if it is gone")
    for name, taken in runs.items():
        if name != "none":
            more = [statistics.median(values) - least for *values, least in zip(*taken, base, strict=True)]
            print(f"  {name:32} {more[0]:+6.1f} {more[1]:+6.1f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 300)
