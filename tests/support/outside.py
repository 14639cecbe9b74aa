"""A network namespace on a veth pair: an "outside" that this machine can connect to without leaving itself."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from tests.support.build import traffic

PORT = 8080
NUMBERS = count()


@dataclass
class Outside:
    """Addresses in the namespace; nothing listens but at what `serve` was called for."""

    name: str
    ipv4: str
    ipv6: str
    servers: list[subprocess.Popen[str]] = field(default_factory=list)

    def serve(self, port: int = PORT, seconds: int = 120) -> None:
        """A server for both families."""
        program = str(traffic("traffic-server"))
        command = ["ip", "netns", "exec", self.name, program, "serve", str(seconds), "::", str(port)]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert server.stdout
        assert server.stdout.readline().strip() == "ready"
        self.servers.append(server)


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@contextmanager
def outside() -> Iterator[Outside]:
    # A namespace that was deleted is gone only some time later, so each has a number of its own; a run that was killed
    # may have left its own behind.
    numbers = ((os.getpid() + following) % 200 + 20 for following in NUMBERS)
    number = next(number for number in numbers if not Path(f"/run/netns/deck{number}").exists())
    name, here, there = f"deck{number}", f"deckh{number}", f"deckn{number}"
    there4, there6 = f"10.199.{number}.2", f"fd00:dec:{number:x}::2"
    ip("netns", "add", name)
    found = Outside(name, there4, there6)
    try:
        ip("link", "add", here, "type", "veth", "peer", "name", there, "netns", name)
        ip("addr", "add", f"10.199.{number}.1/24", "dev", here)
        Path(f"/proc/sys/net/ipv6/conf/{here}/disable_ipv6").write_text("0")
        ip("addr", "add", f"fd00:dec:{number:x}::1/64", "dev", here, "nodad")
        ip("link", "set", here, "up")
        ip("-n", name, "addr", "add", f"{there4}/24", "dev", there)
        ip("-n", name, "addr", "add", f"{there6}/64", "dev", there, "nodad")
        ip("-n", name, "link", "set", there, "up")
        ip("-n", name, "link", "set", "lo", "up")
        yield found
    finally:
        for server in found.servers:
            server.terminate()
            server.wait()
        ip("netns", "del", name)
