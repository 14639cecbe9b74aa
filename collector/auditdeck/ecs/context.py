"""What a document needs to know besides the records: this host, its users, sockets, processes and containers."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from auditdeck.context.addresses import OwnAddresses, own_addresses
from auditdeck.context.containers import Containers, open_containers
from auditdeck.context.executions import Executions
from auditdeck.context.first import FirstSeen
from auditdeck.context.host import Host, this_host
from auditdeck.context.labels import LabelRule, Labels
from auditdeck.context.network import Network
from auditdeck.context.parents import Parents
from auditdeck.context.proc import Proc
from auditdeck.context.processes import Processes
from auditdeck.context.users import Users
from auditdeck.ecs.redaction import Redactor, redactor
from auditdeck.settings.model import Redact, Settings


@dataclass(slots=True)
class Context:
    """What is None or off is not asked for. `arguments_limit` is in bytes, 0 for none."""

    host: Host
    users: Users
    network: Network
    processes: Processes
    containers: Containers | None = None
    parents: Parents | None = None
    executions: Executions | None = None
    first: FirstSeen | None = None
    labels: Labels = field(default_factory=Labels)
    redactor: Redactor = field(default_factory=Redactor)
    cgroups: bool = False
    scripts: bool = True
    groups: bool = False
    arguments_limit: int = 0
    reloaded: int = 0

    @property
    def generation(self) -> int:
        """Grows whenever something that was remembered may have become wrong."""
        return self.users.generation + self.network.addresses.generation + self.reloaded

    def redact(self, wanted: Redact) -> None:
        """From now on, in place: the redactor is known to many. Raises SettingsError, and changes nothing then."""
        made = redactor(defaults=wanted.defaults, patterns=wanted.patterns)
        self.redactor.defaults, self.redactor.patterns = made.defaults, made.patterns
        self.reloaded += 1

    def refresh(self) -> None:
        """Notices users and addresses that came or went; in any thread."""
        self.users.refresh()
        self.network.addresses.refresh()

    def is_unknown(self, pid: int) -> bool:
        """Whether a process was gone before anything was asked of it."""
        if not self.processes.live:
            return self.containers is None
        seen = pid in self.processes.known or (self.containers is not None and pid in self.containers.known)
        return not seen and self.processes.proc.is_gone(pid)

    def close(self) -> None:
        self.network.addresses.close()
        if self.containers is not None:
            self.containers.close()


def live_context(settings: Settings, host: Host, users: Users) -> Context:
    """For events of this host as they happen."""
    wanted = settings.enrich
    proc = Proc()
    processes = Processes(host.id or host.name, proc=proc)
    context = configured(Context(host, users, Network(OwnAddresses()), processes), settings)
    if wanted.containers or wanted.cgroups:
        context.containers = open_containers(wanted.docker_socket, proc)
        context.cgroups = wanted.cgroups
    if wanted.parents:
        context.parents = Parents(context.processes)
    if wanted.environment or wanted.hashes:
        context.executions = Executions(tuple(wanted.environment), wanted.hash_limit if wanted.hashes else 0, proc)
    context.labels = Labels(
        tuple(
            LabelRule(rule.label, rule.key, re.compile(rule.executable) if rule.executable else None)
            for rule in wanted.labels
        ),
        processes.parent_of,
    )
    return context


def offline_context(settings: Settings | None = None, host: Host | None = None) -> Context:
    """For old logs: names and addresses are those of this host, nothing is asked of running processes."""
    settings, host = settings or Settings(), host or this_host()
    network = Network(OwnAddresses(own_addresses()), live=False)
    return configured(Context(host, Users(), network, Processes(host.id, live=False)), settings)


def configured(context: Context, settings: Settings) -> Context:
    """With the settings that do not need the running system."""
    context.redactor = redactor(defaults=settings.redact.defaults, patterns=settings.redact.patterns)
    context.scripts, context.groups = settings.enrich.scripts, settings.enrich.groups
    context.arguments_limit = settings.documents.arguments_limit
    return context
