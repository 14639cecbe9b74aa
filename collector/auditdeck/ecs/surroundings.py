"""What no record says: of a process, asked for once, and of an event, asked for each time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import orjson

from auditdeck.context.network import EAGAIN, EINPROGRESS, Connect
from auditdeck.context.sockets import Descriptor
from auditdeck.ecs.context import Context
from auditdeck.ecs.part import Part, Whole
from auditdeck.ecs.sockets import connect_part, listening_part, made_part
from auditdeck.ecs.syscalls import Call, signed32


def process_part(pid: int | None, parent: int | None, context: Context, *, unnamed: bool = False) -> Part:
    """Of the process and its parent: remembered for TRUSTED seconds (`context.processes`).

    `unnamed`: the records leave the program out.
    """
    process: Part = {} if pid is None else {"pid": pid}
    own: Part = {}
    part = {"process": process, "auditdeck": own}
    if parent is not None:
        process["parent"] = {"pid": parent, **(context.parents.of(parent) if context.parents else {})}
    if pid is None:
        return part
    if unnamed:
        process |= context.processes.program(pid)
    if entity := context.processes.entity_id(pid):
        process["entity_id"] = entity
    if context.containers and pid:
        if container := context.containers.of(pid, parent or 0):
            part["container"] = Whole(container)
        if context.cgroups and (cgroup := context.containers.cgroup(pid, parent or 0).path):
            own["cgroup"] = cgroup
    return part


class Made(NamedTuple):
    """A socket that was made: its transport, "" if it is no inet socket, and its address family."""

    transport: str
    family: int


Answers = tuple[Connect | Made | Descriptor | None, tuple[str, ...], bytes]
"""Of the network, of labels, and of what a program was executed with, as JSON: to be compared with other answers."""
NOTHING: Answers = (None, (), b"")


@dataclass(slots=True)
class Asking:
    """What an event is asked for, each time and in the order of the events: some answers depend on earlier events.

    `to` is the address of a connect, `executed` whether a program just began. `wanted` is how many arguments of the
    call it takes to ask.
    """

    context: Context
    call: Call | None
    to: tuple[str, int] | None
    executable: str
    tags: list[str]
    executed: bool
    network: str = ""
    wanted: int = 0

    def __post_init__(self) -> None:
        call = self.call
        if call is None:
            return
        result = call.result if call.result is not None else -1
        if call.name == "connect" and self.to:
            self.network, self.wanted = "connect", 1
        elif call.name == "socket" and result >= 0:
            self.network, self.wanted = "socket", 3
        elif call.name == "listen" and call.success:
            self.network, self.wanted = "listen", 1

    @property
    def needed(self) -> bool:
        return bool(self.network or self.executed or self.context.labels.rules)

    @property
    def result(self) -> int:
        call = self.call
        if call is None or call.result is None:
            return 0
        # Not done at once, so it goes on; what becomes of it no record tells.
        return -EINPROGRESS if call.io_uring and call.result == -EAGAIN else call.result

    def ask(self, pid: int | None, parent: int, arguments: Sequence[int]) -> Answers:
        context = self.context
        found: Connect | Made | Descriptor | None = None
        number, process = signed32(arguments[0]) if arguments else -1, pid or 0
        if self.network == "connect" and self.to:
            found = context.network.connected(process, number, self.to, self.result)
        elif self.network == "socket" and len(arguments) >= 3:
            found = Made(context.network.made(process, self.result, *arguments[:3]), arguments[0])
        elif self.network == "listen":
            found = context.network.listening(process, number)
        if pid is None:
            return (found, (), b"")
        labels: tuple[str, ...] = ()
        if context.labels.rules:
            labels = tuple(context.labels.of(pid, parent, self.executable, self.tags))
        executed = context.executions.of(pid) if self.executed and context.executions else {}
        return (found, labels, orjson.dumps(executed) if executed else b"")

    def part(self, answers: Answers) -> Part:
        found, labels, executed = answers
        part: Part = {}
        if isinstance(found, Connect):
            part = connect_part(found, self.result)
        elif isinstance(found, Descriptor):
            part = listening_part(found)
        elif found and found.transport:
            part = made_part(found.transport, found.family)
        if labels:
            part.setdefault("auditdeck", {})["labels"] = list(labels)
        if executed:
            part["process"] = orjson.loads(executed)
        return part
