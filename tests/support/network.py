"""Network namespaces and devices of a test, made through rtnetlink(7)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from pyroute2 import IPRoute, NetNS, netns

NUMBERS = count()


@contextmanager
def namespace(prefix: str) -> Iterator[tuple[int, NetNS]]:
    """A namespace with its loopback up, and a number that no other has; it is called prefix and number."""
    # One that was deleted is gone only some time later; a run that was killed may have left its own behind.
    numbers = ((os.getpid() + following) % 200 + 20 for following in NUMBERS)
    number = next(number for number in numbers if not Path(f"/run/netns/{prefix}{number}").exists())
    name = f"{prefix}{number}"
    netns.create(name)
    try:
        with NetNS(name) as inside:
            set_up(inside, "lo")
            yield number, inside
    finally:
        netns.remove(name)


def set_up(where: IPRoute, device: str, *addresses: str) -> None:
    """The addresses, with their prefix lengths, and the device up. Those of IPv6 are there at once."""
    [index] = where.link_lookup(ifname=device)
    for address in addresses:
        ip, _, length = address.partition("/")
        nodad = {"flags": 2} if ":" in ip else {}
        where.addr("add", index=index, address=ip, prefixlen=int(length), **nodad)
    where.link("set", index=index, state="up")


def allow_ipv6(device: str) -> None:
    """A device of this namespace."""
    Path(f"/proc/sys/net/ipv6/conf/{device}/disable_ipv6").write_text("0")
