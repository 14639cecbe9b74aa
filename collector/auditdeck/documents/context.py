"""What a document needs to know besides the records: this host, its users, sockets and processes."""

from __future__ import annotations

from dataclasses import dataclass

from auditdeck.enrich.addresses import OwnAddresses, own_addresses
from auditdeck.enrich.host import Host, this_host
from auditdeck.enrich.network import Network
from auditdeck.enrich.processes import Processes
from auditdeck.enrich.users import Users


@dataclass(slots=True)
class Context:
    host: Host
    users: Users
    network: Network
    processes: Processes

    @property
    def generation(self) -> int:
        """Grows whenever something that was remembered may have become wrong."""
        return self.users.generation + self.network.addresses.generation

    def refresh(self) -> None:
        self.users.refresh()
        self.network.addresses.refresh()


def live_context(host: Host | None = None, users: Users | None = None) -> Context:
    """For events of this host as they happen."""
    host = host or this_host()
    return Context(host, users or Users(), Network(OwnAddresses()), Processes(host.id or host.name))


def offline_context(host: Host | None = None) -> Context:
    """For old logs: names and addresses are those of this host, nothing is asked of running processes."""
    host = host or this_host()
    addresses = OwnAddresses(own_addresses())
    return Context(host, Users(), Network(addresses, live=False), Processes(host.id, live=False))
