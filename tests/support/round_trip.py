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
from pathlib import Path

from pyroute2 import IPRoute

from tests.support.network import allow_ipv6, namespace, set_up

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 1, 0x1000
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
    with contextlib.ExitStack() as stack:
        number, inside = stack.enter_context(namespace("far"))
        here = stack.enter_context(IPRoute())
        near, there = f"farh{number}", f"farn{number}"
        far = Far(
            f"far{number}",
            f"10.197.{number}.1",
            f"10.197.{number}.2",
            f"fd00:fa:{number:x}::1",
            f"fd00:fa:{number:x}::2",
            f"10.197.{number}.77",
        )
        devices = [tun(near), tun(there)]
        for device in devices:
            stack.callback(os.close, device)
        relay = Relay(*devices, delay)
        [index] = here.link_lookup(ifname=there)
        here.link("set", index=index, net_ns_fd=far.name)
        allow_ipv6(near)
        set_up(here, near, f"{far.near4}/24", f"{far.near6}/64")
        set_up(inside, there, f"{far.ipv4}/24", f"{far.ipv6}/64")
        relay.start()
        stack.callback(relay.stop)
        try:
            yield far
        finally:
            for server in far.servers:
                server.terminate()
                server.wait()
