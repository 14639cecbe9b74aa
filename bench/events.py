"""Made-up connect events in the kernel's own words, as varied as those of a busy host, for measurements."""

from __future__ import annotations

import random
from collections.abc import Iterator

from auditdeck.audit.event import Event

SYSCALL, SOCKADDR, PROCTITLE = 1300, 1306, 1327
PORTS = [443] * 12 + [80] * 4 + [5432, 6379, 3306, 22, 8080, 9200, 53, 25, 8443, 9092]
FOLDERS = ["/usr/bin", "/usr/sbin", "/opt/app/bin", "/usr/lib/apt/methods", "/home/ada/.local/bin"]


def connects(count: int, seed: int = 1) -> Iterator[Event]:
    """60 users, 300 programs, some twenty connections a process, 5,000 addresses; a few of each are common."""
    chance = random.Random(seed)
    programs = [f"{chance.choice(FOLDERS)}/{chance.choice('abcdefgh')}program-{number}" for number in range(300)]
    addresses = [bytes(chance.randrange(1, 255) for _ in range(4)) for _ in range(5000)]
    alive = [process(chance, programs) for _ in range(400)]
    milliseconds = 1_795_000_000_000
    for serial in range(1, count + 1):
        milliseconds += int(chance.expovariate(0.2))
        place = int(chance.random() ** 2 * len(alive))
        if chance.random() < 0.05:
            alive[place] = process(chance, programs)
        pid, parent, uid, session, program, title, base = alive[place]
        stamp = f"{milliseconds // 1000}.{milliseconds % 1000:03d}:{serial}".encode()
        good = chance.random() < 0.6
        result = "success=yes exit=0" if good else "success=no exit=-115"
        head = b"audit(" + stamp + b"): "
        call = (
            f"arch=c000003e syscall=42 {result} a0={chance.randrange(3, 40):x} a1={base + 16 * chance.randrange(8):x} "
            f"a2=10 a3=0 items=0 ppid={parent} pid={pid} auid={uid} uid={uid} gid={uid} euid={uid} suid={uid} "
            f"fsuid={uid} egid={uid} sgid={uid} fsgid={uid} tty=(none) ses={session} "
            f'comm="{program.rpartition("/")[2][:15]}" exe="{program}" subj=unconfined key="netconns_out"'
        )
        address = addresses[int(chance.random() ** 3 * len(addresses))]
        raw = b"\x02\x00" + chance.choice(PORTS).to_bytes(2, "big") + address + bytes(8)
        yield Event(
            stamp,
            [
                (SYSCALL, head + call.encode()),
                (SOCKADDR, head + b"saddr=" + raw.hex().upper().encode()),
                (PROCTITLE, head + b"proctitle=" + title.encode().hex().upper().encode()),
            ],
        )


def process(chance: random.Random, programs: list[str]) -> tuple[int, int, int, int, str, str, int]:
    program = programs[int(chance.random() ** 2 * len(programs))]
    uid = int(chance.random() ** 2 * 60)
    title = f"{program}\0--job={chance.randrange(10_000)}\0--quiet"
    base = 0x7F0000000000 + chance.randrange(1 << 36)
    return (
        chance.randrange(300, 400_000),
        chance.randrange(1, 3000),
        uid,
        chance.randrange(1, 500),
        program,
        title,
        base,
    )
