"""A network with a round trip: two TUN devices, one in a namespace of its own, and a relay that delays every packet.

Loopback and veth answer within connect(2), so that a non-blocking connect is never in progress there.
"""

from __future__ import annotations

import contextlib
import fcntl
import heapq
import os
import select
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 1, 0x1000
NUMBERS = count()
SERVER = Path(__file__).with_name("far_server.py")
OPEN, DROPPED, CLOSED = 8080, 8082, 9


@dataclass
class Far:
    """The other side, `delay` seconds away in each direction. A host that is not there: `nobody`."""

    name: str
    near4: str
    ipv4: str
    near6: str
    ipv6: str
    nobody: str
    servers: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def mapped(self) -> str:
        return f"::ffff:{self.ipv4}"

    def run(self, *command: str) -> None:
        subprocess.run(["ip", "netns", "exec", self.name, *command], check=True, capture_output=True)

    def serve(self, port: int = OPEN, *options: str) -> None:
        """Answers every connection: reads as many bytes as the first line asks for, sends as many as it says."""
        command = ["ip", "netns", "exec", self.name, sys.executable, str(SERVER), str(port), *options]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert server.stdout
        assert server.stdout.readline().strip() == "ready"
        self.servers.append(server)

    def drop(self, port: int = DROPPED) -> None:
        """Nobody answers there."""
        for program in ("iptables", "ip6tables"):
            self.run(program, "-A", "INPUT", "-p", "tcp", "--dport", str(port), "-j", "DROP")


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


def tun(name: str) -> int:
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH", name.encode(), IFF_TUN | IFF_NO_PI))
    return device


class Relay(threading.Thread):
    """Carries packets between two devices, each after the delay."""

    def __init__(self, one: int, other: int, delay: float) -> None:
        super().__init__(daemon=True)
        self.others = {one: other, other: one}
        self.delay = delay
        self.stopping = threading.Event()

    def run(self) -> None:
        waiting: list[tuple[float, int, int, bytes]] = []
        number = 0
        while not self.stopping.is_set():
            pause = waiting[0][0] - time.monotonic() if waiting else 0.2
            ready, _, _ = select.select(list(self.others), [], [], max(0.0, min(0.2, pause)))
            now = time.monotonic()
            for device in ready:
                with contextlib.suppress(BlockingIOError):
                    while True:
                        packet = os.read(device, 65536)
                        number += 1
                        heapq.heappush(waiting, (now + self.delay, number, self.others[device], packet))
            while waiting and waiting[0][0] <= time.monotonic():
                _, _, device, packet = heapq.heappop(waiting)
                with contextlib.suppress(OSError):
                    os.write(device, packet)

    def stop(self) -> None:
        self.stopping.set()
        self.join(5)


@contextmanager
def round_trip(delay: float = 0.02) -> Iterator[Far]:
    numbers = ((os.getpid() + following) % 200 + 20 for following in NUMBERS)
    number = next(number for number in numbers if not Path(f"/run/netns/far{number}").exists())
    name, here, there = f"far{number}", f"farh{number}", f"farn{number}"
    far = Far(
        name,
        f"10.197.{number}.1",
        f"10.197.{number}.2",
        f"fd00:fa:{number:x}::1",
        f"fd00:fa:{number:x}::2",
        f"10.197.{number}.77",
    )
    ip("netns", "add", name)
    devices = [tun(here), tun(there)]
    relay = Relay(*devices, delay)
    try:
        ip("link", "set", there, "netns", name)
        Path(f"/proc/sys/net/ipv6/conf/{here}/disable_ipv6").write_text("0")
        for words in (("addr", "add", f"{far.near4}/24", "dev", here), ("addr", "add", f"{far.near6}/64", "dev", here)):
            ip(*words)
        ip("link", "set", here, "up")
        ip("-n", name, "addr", "add", f"{far.ipv4}/24", "dev", there)
        ip("-n", name, "addr", "add", f"{far.ipv6}/64", "dev", there)
        ip("-n", name, "link", "set", there, "up")
        ip("-n", name, "link", "set", "lo", "up")
        relay.start()
        yield far
    finally:
        for server in far.servers:
            server.terminate()
            server.wait()
        relay.stop()
        for device in devices:
            os.close(device)
        ip("netns", "del", name)
