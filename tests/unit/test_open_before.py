"""Connections that were open before the collector, as the kernel's sock_diag lists them."""

from __future__ import annotations

import socket
from ipaddress import ip_address

from auditdeck.connections.before import CLOSE_WAIT, ESTABLISHED, LISTEN, OpenBefore, Socket, tcp_sockets


def one(cookie: int, peer: str, port: int = 40000, state: int = ESTABLISHED) -> Socket:
    packed = ip_address(peer).packed
    family = socket.AF_INET if len(packed) == 4 else socket.AF_INET6
    nowhere = bytes(16)
    return Socket(family, state, port.to_bytes(2, "big"), b"\x01\xbb", nowhere, packed.ljust(16, b"\0"), cookie)


class Kernel:
    def __init__(self, *sockets: Socket) -> None:
        self.sockets = list(sockets)
        self.dumps = 0

    def __call__(self) -> list[Socket]:
        self.dumps += 1
        return self.sockets


def internal(address: str) -> bool:
    return address.startswith("127.")


def test_outbound_ones_are_those_on_whose_port_nobody_listens() -> None:
    kernel = Kernel(
        one(1, "203.0.113.9"),
        one(2, "2001:db8::9", state=CLOSE_WAIT),
        one(3, "0.0.0.0", 443, LISTEN),
        one(4, "203.0.113.10", 443),
        one(5, "127.0.0.1"),
        one(6, "::ffff:127.0.0.1"),
        one(7, "::ffff:203.0.113.9"),
    )
    assert OpenBefore(internal, kernel).cookies == {1, 2, 7}


def test_those_that_are_closed_are_no_longer_counted_and_new_ones_never() -> None:
    now = 100.0
    kernel = Kernel(one(1, "203.0.113.9"), one(2, "203.0.113.9"))
    before = OpenBefore(internal, kernel, lambda: now)
    kernel.sockets = [one(2, "203.0.113.9"), one(3, "203.0.113.9")]
    assert before.count() == 2, "it does not look each time"
    now += 31
    assert before.count() == 1
    kernel.sockets = []
    now += 31
    assert before.count() == 0
    now += 31
    before.count()
    assert kernel.dumps == 3, "nothing is left to look for"


def test_a_kernel_that_does_not_tell_has_none() -> None:
    def refuse() -> list[Socket]:
        raise FileNotFoundError(2, "no tcp_diag")

    assert OpenBefore(internal, refuse).count() == 0


def test_the_real_kernel_lists_a_real_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1].to_bytes(2, "big")
        with socket.create_connection(server.getsockname()) as client:
            mine = client.getsockname()[1].to_bytes(2, "big")
            found = tcp_sockets()
    assert [made.state for made in found if made.source_port == port and made.state == LISTEN] == [LISTEN]
    [connection] = [made for made in found if made.source_port == mine and made.destination_port == port]
    assert connection.peer == "127.0.0.1"
    assert connection.cookie
