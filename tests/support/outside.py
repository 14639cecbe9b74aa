"""A network namespace on a veth pair: an "outside" that this machine can connect to without leaving itself."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from pyroute2 import IPRoute

from tests.support.build import traffic
from tests.support.network import allow_ipv6, namespace, set_up

PORT = 8080


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


@contextmanager
def outside() -> Iterator[Outside]:
    with namespace("deck") as (number, inside), IPRoute() as here:
        near, far = f"deckh{number}", f"deckn{number}"
        found = Outside(f"deck{number}", f"10.199.{number}.2", f"fd00:dec:{number:x}::2")
        here.link("add", ifname=near, kind="veth", peer={"ifname": far, "net_ns_fd": found.name})
        allow_ipv6(near)
        set_up(here, near, f"10.199.{number}.1/24", f"fd00:dec:{number:x}::1/64")
        set_up(inside, far, f"{found.ipv4}/24", f"{found.ipv6}/64")
        try:
            yield found
        finally:
            for server in found.servers:
                server.terminate()
                server.wait()
