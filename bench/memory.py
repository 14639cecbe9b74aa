"""What decoding keeps in memory over a million processes that are all different.

    python -m bench.memory [PROCESSES]

Each makes one connect and runs one program with arguments of its own; none of them can be found under /proc any more.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from auditdeck.audit.assembler import Assembler
from auditdeck.audit.record import Payload
from auditdeck.context.host import this_host
from auditdeck.context.users import Users
from auditdeck.ecs.context import live_context
from auditdeck.ecs.template import Encoder
from auditdeck.settings.model import Settings

BATCH = 1000
SHOWN = 10
WHO = (
    "auid=4294967295 uid={uid} gid={uid} euid={uid} suid={uid} fsuid={uid} egid={uid} sgid={uid} fsgid={uid} "
    'tty=(none) ses=4294967295 comm="job-{program}" exe="/opt/jobs/bin/job-{program}" key="benchmark"'
)
PATH = (
    'item=0 name="/opt/jobs/bin/job-{program}" inode={inode} dev=fe:00 mode=0100755 ouid=0 ogid=0 rdev=00:00 '
    "nametype=NORMAL cap_fp=0 cap_fi=0 cap_fe=0 cap_fver=0 cap_frootid=0"
)


def processes(count: int, seed: int = 1) -> Iterator[list[Payload]]:
    """The records of each, with arguments, pointers, paths and destinations that seldom come again."""
    chance, serial = random.Random(seed), 0
    for number in range(count):
        pid, program, uid = 1_000_000 + number, chance.randrange(5000), chance.randrange(500)
        who, pointer = WHO.format(uid=uid, program=program), chance.randrange(1 << 47)
        title = f"/opt/jobs/bin/job-{program}\0--task={number}".encode().hex().upper()
        address = bytes(chance.randrange(1, 255) for _ in range(4)).hex().upper()
        path = PATH.format(program=program, inode=chance.randrange(1 << 30))
        execution = [
            (
                1300,
                f"syscall=59 success=yes exit=0 a0={pointer:x} a1={pointer + 64:x} a2={pointer + 256:x} a3=8 items=1",
            ),
            (1309, f'argc=2 a0="/opt/jobs/bin/job-{program}" a1="--task={number}"'),
            (1307, 'cwd="/"'),
            (1302, path),
        ]
        connect = [
            (1300, f"syscall=42 success=no exit=-115 a0=3 a1={pointer + 512:x} a2=10 a3=0 items=0"),
            (1306, f"saddr=020001BB{address}0000000000000000"),
        ]
        records: list[Payload] = []
        for (kind, call), *others in (execution, connect):
            serial += 1
            head = f"audit({1_795_000_000 + serial // 1000}.{serial % 1000:03d}:{serial}): "
            full = f"arch=c000003e {call} ppid=4000000 pid={pid} {who}"
            lines = [(kind, full), *others, (1327, f"proctitle={title}")]
            records += [(kind, (head + body).encode()) for kind, body in lines]
        yield records


def resident() -> float:
    """MiB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise AssertionError


def main(count: int) -> None:
    assembler = Assembler(title_ends=True)
    encoder = Encoder(live_context(Settings(), this_host("bench"), Users()))
    made, began, batch = 0, time.process_time(), list[Payload]()
    print(f"at the start: {resident():.0f} MiB")
    for number, records in enumerate(processes(count), 1):
        batch += records
        if len(batch) >= BATCH or number == count:
            for event in assembler.feed(batch):
                made += len(encoder.encode(event)) > 0
            batch.clear()
        if number % (count // SHOWN) == 0:
            print(f"{number:9,} processes, {made:9,} documents: {resident():.0f} MiB", flush=True)
    print(f"{(time.process_time() - began) / made * 1e6:.0f} µs a document, the making of the records included")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
