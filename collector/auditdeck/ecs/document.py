"""One Elastic Common Schema document of one event, field names as Elastic's auditd module has them.

What is known of an event comes from a few sources, each of which makes a part of the document (`ecs.part`); this is the
order in which they are put together. `ecs.template` does the same with parts that it remembers.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Generic, NamedTuple, TypeVar

from auditdeck.audit.event import ENDS, Event
from auditdeck.audit.fields import fields, text
from auditdeck.audit.record import milliseconds, serial, type_name
from auditdeck.context.users import Users
from auditdeck.ecs.commands import command_part, title_part
from auditdeck.ecs.context import Context
from auditdeck.ecs.interpret import argument_kinds, spelled_arguments
from auditdeck.ecs.lines import CAPABILITY_SETS, of_name
from auditdeck.ecs.lines import Call as CallFields
from auditdeck.ecs.normalization import Meaning, meanings
from auditdeck.ecs.part import Part, Whole, together
from auditdeck.ecs.paths import files_part
from auditdeck.ecs.people import tags_of, who_part
from auditdeck.ecs.policy import Opinion, opinion_of, told_kind
from auditdeck.ecs.sockets import address_of, address_part
from auditdeck.ecs.surroundings import Asking, process_part
from auditdeck.ecs.syscalls import Call, integer, read_call, read_uring

ECS_VERSION = "9.0.0"
SYSCALL, PATH, SOCKETCALL, SOCKADDR, CWD, EXECVE, USER_LOGIN = 1300, 1302, 1304, 1306, 1307, 1309, 1112
PROCTITLE, URINGOP = 1327, 1336
READ = {SYSCALL, PATH, SOCKETCALL, SOCKADDR, CWD, EXECVE, PROCTITLE, URINGOP}

# Fields that have a place of their own in the document; all others go to auditd.data.
PLACED: frozenset[str] = frozenset({
    "auid", "uid", "gid", "euid", "egid", "suid", "sgid", "fsuid", "fsgid", "pid", "ppid", "ses", "exe", "comm", "key",
    "res", "result", "success", "items",
})  # fmt: skip
ARGUMENTS = ("a0", "a1", "a2", "a3")
# Pointers to what other records say in full, numbers of descriptors that mean nothing later, and what the call has no
# argument for.
EMPTY_ARGUMENTS = {
    "execve": ARGUMENTS,
    "execveat": ("a1", "a2", "a3"),
    "connect": ARGUMENTS,
    "bind": ARGUMENTS,
    "accept": ("a1", "a2", "a3"),
    "accept4": ("a1", "a2"),
    "socket": ("a3",),
    "listen": ("a2", "a3"),
}
# Fields of other records that are numbers for names.
SPELLED = CAPABILITY_SETS | {"per", "sig", "code", "oflag", "resolve"}
NO_CALL = CallFields()
OF_CALL = frozenset({"arch", "per", "syscall", "success", "exit", "items", *ARGUMENTS})
"""What a SYSCALL record says up to the ids of the process."""
NOT_OTHER = PLACED | OF_CALL
SECCOMP, NETFILTER_CFG, IPC, LOGIN = 1326, 1325, 1303, 1006
NUMBER_KEY = re.compile(rb"(?:^| )key=(\d+)")
OUTCOMES = {
    "yes": "success", "success": "success", "1": "success", "no": "failure", "failed": "failure", "fail": "failure",
    "failure": "failure", "0": "failure",
}  # fmt: skip


T = TypeVar("T")


class Parts(NamedTuple, Generic[T]):
    """What a document is put together from, in this order."""

    stamp: T
    process: T
    kind: T
    who: T
    other: T
    data: T
    meaning: T
    call: T
    command: T
    title: T
    files: T
    address: T
    answers: T
    original: T


def document(event: Event, context: Context, *, original: bool = False) -> dict[str, Any]:
    """The document of an event; `original` keeps the records as they came in event.original."""
    return plain_document(context.redactor.event(event), context, original=original)


def plain_document(event: Event, context: Context, *, original: bool) -> dict[str, Any]:
    """Of an event in which nothing is secret."""
    return together(Records(event, context).parts(original=original))


def read_fields(kind: int, body: bytes) -> dict[str, str]:
    """Of a record, with numbers that mean nothing without each other spelled out."""
    found = fields(body)
    if kind == SECCOMP and "syscall" in found:
        call = read_call(found, None)
        found |= {"arch": call.arch, "syscall": call.name}
    elif kind == NETFILTER_CFG and "family" in found:
        found["family"] = of_name(kind, "family", found["family"], NO_CALL)
    elif kind == LOGIN:
        # Until Linux 3.13 there was only one of those that succeeded.
        found.setdefault("res", "1")
    elif kind == IPC and (match := NUMBER_KEY.search(body)):
        # That of ipc(2), not of a rule.
        found["key"] = match[1].decode()
    return found


def timestamp(stamp: bytes) -> str:
    """RFC 3339, UTC, milliseconds."""
    time = milliseconds(stamp)
    return f"{datetime.fromtimestamp(time // 1000, UTC):%Y-%m-%dT%H:%M:%S}.{time % 1000:03d}Z"


class Records:
    """The records of one event, read."""

    def __init__(self, event: Event, context: Context) -> None:
        self.event = event
        self.context = context
        self.records = event.records
        self.read: dict[int, list[dict[str, str]]] = {}
        self.others: list[tuple[int, dict[str, str]]] = []
        kinds = [told_kind(record.kind, record.body) for record in self.records]
        for kind, record in zip(kinds, self.records, strict=True):
            if kind not in (EXECVE, PROCTITLE):
                found = read_fields(kind, record.body)
                self.read.setdefault(record.kind, []).append(found)
                if kind not in READ:
                    self.others.append((kind, found))
        self.call = self.read_call()
        self.main = self.call.fields if self.call else self.first_record()
        self.first = kinds[0]
        self.opinion = opinion_of(self.others)
        self.meaning = meaning_of(kinds, self.call, self.opinion)

    def read_call(self) -> Call | None:
        if URINGOP in self.read:
            return read_uring(self.read[URINGOP], self.one(SYSCALL))
        if SYSCALL in self.read:
            return read_call(self.read[SYSCALL][0], self.one(SOCKETCALL), self.names())
        return None

    def first_record(self) -> dict[str, str]:
        first: dict[str, str] = {}
        for kind, several in self.read.items():
            for found in several:
                for name, value in found.items():
                    if kind != IPC or name != "key":
                        first.setdefault(name, value)
        return first

    def one(self, kind: int) -> dict[str, str] | None:
        found = self.read.get(kind)
        return found[0] if found else None

    def bodies(self, kind: int) -> list[bytes]:
        return [record.body for record in self.records if record.kind == kind]

    def names(self) -> dict[str, str]:
        for record in self.records:
            if record.names and record.kind not in (PATH, SOCKADDR):
                return fields(record.names)
        return {}

    def parts(self, *, original: bool) -> Parts[Part]:
        event, context, call, main, meaning = self.event, self.context, self.call, self.main, self.meaning
        users, calls = context.users, call is not None
        pid, parent = integer(main.get("pid")), integer(main.get("ppid"))
        address = address_of(self.one(SOCKADDR))
        executed = call is not None and executes(call)
        arguments = call.arguments if call else ()
        asking = Asking(
            context,
            call,
            (address.ip, address.port or 0) if address and address.ip else None,
            main.get("exe", ""),
            tags_of(main),
            executed and context.executions is not None,
        )
        host = {"name": event.node.decode("utf-8", "backslashreplace")} if event.node else context.host.document()
        return Parts(
            stamp=stamp_part(timestamp(event.stamp), event.stamp.decode(), serial(event.stamp)),
            process=process_part(pid, parent, context, unnamed=calls and "exe" not in main),
            kind=kind_part(self.first, host, complete=event.complete),
            who=who_part(main, self.names(), users, groups=context.groups, login=self.first == USER_LOGIN),
            other=other_part(main) if call else {},
            data=data_part(self.others, keyed=calls and "key" in main),
            meaning=meaning_part(meaning, main, self.others, self.opinion, of_call=calls),
            call=call_part(call, users) if call else source_part(origin_of(main, meaning)),
            command=command_part(self.bodies(EXECVE), context.arguments_limit),
            title=title_part(next(iter(self.bodies(PROCTITLE)), b"")),
            files=files_part(
                self.read.get(PATH, []),
                [fields(record.names) for record in self.records if record.kind == PATH],
                (self.one(CWD) or {}).get("cwd", ""),
                users,
                preference=meaning.file,
                scripts=executed and context.scripts,
            ),
            address=address_part(
                address, call.name if call else "", context.network.addresses, is_object=meaning.object == "socket"
            ),
            answers=asking.part(asking.ask(pid, parent or 0, arguments)),
            original=original_part(original_text(event)) if original else {},
        )


def stamp_part(time: Any, identity: Any, sequence: Any) -> Part:
    return {"@timestamp": time, "event": {"id": identity}, "auditd": {"sequence": sequence}}


def kind_part(first: int, host: Part, *, complete: bool) -> Part:
    """Of the type of the event's first record."""
    return {
        "ecs": {"version": ECS_VERSION},
        "event": {"kind": "event", "module": "auditd", "dataset": "auditd.log"},
        "host": Whole(host),
        "auditd": {"message_type": type_name(first).lower()},
        "auditdeck": {} if complete else {"incomplete": True},
    }


def meaning_of(kinds: Sequence[int], call: Call | None, opinion: Opinion | None) -> Meaning:
    """Of records of these types; what a security module says is the meaning of a record without a call alone."""
    if call is None and opinion is not None:
        return meanings().actions[opinion.action]
    return meanings().of(kinds, call.name if call else "")


def meaning_part(
    meaning: Meaning,
    fields: dict[str, str],
    others: Sequence[tuple[int, dict[str, str]]] = (),
    opinion: Opinion | None = None,
    *,
    of_call: bool = True,
) -> Part:
    """What was done, to what, and with what result; `fields` are those of the call or of the first record, `others` the
    records beside it, and `opinion` what of them a security module said."""
    result = fields.get("success", fields.get("res", fields.get("result", "")))
    outcome = OUTCOMES.get(result.lower(), "unknown")
    part: Part = {}
    if opinion is not None:
        if not of_call:
            outcome = opinion.outcome
        shown = Whole(module=opinion.module, decision=opinion.decision, enforced=opinion.enforced)
        part["auditdeck"] = {"policy": shown}
    thing = {"type": meaning.object} if meaning.object else {}
    if meaning.object != "socket":
        named = (fields, *[found for _, found in others])
        name = next((read[name] for name in meaning.primary for read in named if name in read), "")
        thing |= {"primary": name} if name else {}
        if not of_call and (origin := origin_of(fields, meaning)):
            thing["secondary"] = origin
    part["event"] = {
        "action": meaning.action,
        "category": list(meaning.category),
        "type": list(meaning.type),
        "outcome": outcome,
    }
    shown_result = {"failure": "fail"}.get(outcome, outcome)
    return part | {"auditd": {"result": shown_result, "summary": {"object": thing}}}


def call_part(call: Call, users: Users) -> Part:
    """Of a system call, its result, and those of its arguments that say something."""
    data = {"uring_op": call.io_uring} if call.io_uring else {"syscall": call.name}
    if call.arch:
        data["arch"] = call.arch
    if call.exit:
        data["exit"] = call.exit
    if "per" in call.fields:
        data["per"] = call.fields["per"]
    for name in ARGUMENTS:
        if name in call.fields and name not in EMPTY_ARGUMENTS.get(call.name, ()):
            data[name] = call.fields[name]
    spelled = dict(spelled_arguments(call.name, call.arguments, users)) if fixed_arguments(call.name) else {}
    return {"auditd": {"data": data}, "auditdeck": {"arguments": spelled}}


def fixed_arguments(call: str) -> tuple[int, ...]:
    """Which of its arguments a document spells out; the others are in it as they are, if at all."""
    if call in EMPTY_ARGUMENTS:
        return ()
    return tuple(place for place, kind in enumerate(argument_kinds().get(call, ())[:4]) if kind is not None)


def other_part(call: dict[str, str]) -> Part:
    """Of those fields of a call's record that have no other place."""
    return {"auditd": {"data": {name: value for name, value in call.items() if name not in NOT_OTHER}}}


def data_part(others: Iterable[tuple[int, dict[str, str]]], *, keyed: bool) -> Part:
    """Of the records that only this event has: the fields that have no place of their own. `keyed`: the call has the
    key of its rule.

    A field that differs between them has a list of its values, each once, in the order of the records.
    """
    said: dict[str, dict[str, None]] = {}
    for kind, found in others:
        for full, value in found.items():
            name = full.removeprefix("msg.")
            if name not in PLACED or full != name or (name == "key" and (kind == IPC or not keyed)):
                shown = of_name(kind, name, value, NO_CALL) if name in SPELLED else value
                said.setdefault(name, {})[shown] = None
    return {"auditd": {"data": {name: one_or_all(list(values)) for name, values in said.items()}}}


def one_or_all(values: list[str]) -> str | list[str]:
    return values[0] if len(values) == 1 else values


def origin_of(fields: dict[str, str], meaning: Meaning) -> str:
    """Where a record of user space says it came from: for logins and sessions it may be the name of a host."""
    return fields.get("addr") or (fields.get("hostname", "") if meaning.object == "user-session" else "")


def source_part(address: str) -> Part:
    """ECS `source` of an address or the name of a host."""
    if not address:
        return {}
    try:
        return {"source": {"ip": str(ipaddress.ip_address(address))}}
    except ValueError:
        return {"source": {"address": address}}


def original_part(text: Any) -> Part:
    return {"event": {"original": text}}


def executes(call: Call) -> bool:
    return call.name in ("execve", "execveat") and call.success is not False


def original_text(event: Event) -> str:
    """The records as they came, with the node that a log names and auditd's enrichment."""
    node = f"node={text(event.node)} " if event.node else ""
    stamp, start = event.stamp.decode(), len(event.stamp) + 9
    bodies = [(kind, payload[start:].rstrip(ENDS)) for kind, payload in event.items]
    return "\n".join(node + original_head(kind, body, stamp) + text(body) for kind, body in bodies)


def original_head(kind: int, body: bytes, stamp: str) -> str:
    """How a record begins in event.original: with its number where that has another meaning than its name."""
    name = type_name(kind) if told_kind(kind, body) == kind else f"UNKNOWN[{kind}]"
    return f"type={name} msg=audit({stamp}): "


__all__ = ["document", "timestamp"]
