"""One Elastic Common Schema document of one event, field names as Elastic's auditd module has them.

This is the plain form, one record read after the other. `documents.fast` writes the same documents for the events that
come in numbers, and is tested against it.
"""

from __future__ import annotations

import ipaddress
import shlex
from datetime import UTC, datetime
from typing import Any

from auditdeck.audit.event import Event
from auditdeck.audit.fields import arguments, fields, title
from auditdeck.audit.record import Record, milliseconds, serial, type_name
from auditdeck.ecs.context import Context
from auditdeck.ecs.interpret import spelled_arguments
from auditdeck.ecs.lines import CAPABILITY_SETS, of_name
from auditdeck.ecs.lines import Call as CallFields
from auditdeck.ecs.normalization import Meaning, meanings
from auditdeck.ecs.paths import absolute, file_of, main_path, path_of, script_of
from auditdeck.ecs.people import user_of
from auditdeck.ecs.sockets import describe_socket
from auditdeck.ecs.syscalls import Call, integer, read_call, read_uring

ECS_VERSION = "9.0.0"
SYSCALL, PATH, SOCKETCALL, SOCKADDR, CWD, EXECVE = 1300, 1302, 1304, 1306, 1307, 1309
PROCTITLE, URINGOP = 1327, 1336
READ = {SYSCALL, PATH, SOCKETCALL, SOCKADDR, CWD, EXECVE, PROCTITLE, URINGOP}

# Fields that have a place of their own in the document; all others go to auditd.data.
PLACED: frozenset[str] = frozenset({
    "auid", "uid", "gid", "euid", "egid", "suid", "sgid", "fsuid", "fsgid", "pid", "ppid", "ses", "exe", "comm", "key",
    "res", "result", "success", "items", "subj",
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
OF_CALL = {"arch", "syscall", "exit", "a0", "a1", "a2", "a3"}
OUTCOMES = {
    "yes": "success", "success": "success", "1": "success", "no": "failure", "failed": "failure", "fail": "failure",
    "failure": "failure", "0": "failure",
}  # fmt: skip
KEY_SEPARATOR = "\x01"
UNSET = "4294967295"


def document(event: Event, context: Context, *, original: bool = False) -> dict[str, Any]:
    """The document of an event; `original` keeps the records as they came in event.original."""
    return Builder(event, context).build(original=original)


def timestamp(stamp: bytes) -> str:
    """RFC 3339, UTC, milliseconds."""
    time = milliseconds(stamp)
    return f"{datetime.fromtimestamp(time // 1000, UTC):%Y-%m-%dT%H:%M:%S}.{time % 1000:03d}Z"


class Builder:
    """Reads the records of one event into the parts of its document."""

    def __init__(self, event: Event, context: Context) -> None:
        self.event = context.redactor.event(event)
        self.context = context
        self.records = self.event.records
        self.read: dict[int, list[dict[str, str]]] = {}
        for record in self.records:
            if record.kind not in (EXECVE, PROCTITLE):
                self.read.setdefault(record.kind, []).append(fields(record.body))
        self.call = self.read_call()
        self.main = self.call.fields if self.call else self.first_record()
        kinds = [record.kind for record in self.records]
        self.meaning: Meaning = meanings().of(kinds, self.call.name if self.call else "")

    def read_call(self) -> Call | None:
        if URINGOP in self.read:
            return read_uring(self.read[URINGOP], self.one(SYSCALL))
        if SYSCALL in self.read:
            return read_call(self.read[SYSCALL][0], self.one(SOCKETCALL))
        return None

    def first_record(self) -> dict[str, str]:
        first: dict[str, str] = {}
        for record in self.records:
            for found in self.read.get(record.kind, []):
                for name, value in found.items():
                    first.setdefault(name, value)
        return first

    def one(self, kind: int) -> dict[str, str] | None:
        found = self.read.get(kind)
        return found[0] if found else None

    def build(self, *, original: bool) -> dict[str, Any]:
        process = self.process()
        parts: dict[str, Any] = {
            "@timestamp": timestamp(self.event.stamp),
            "ecs": {"version": ECS_VERSION},
            "event": self.what(original=original),
            "host": self.host(),
            "process": process,
            "user": user_of(self.main, self.names(), self.context.users),
            "auditd": self.auditd(),
            "tags": self.tags(),
            "container": self.container(),
            "auditdeck": self.own(),
        }
        self.add_file(parts)
        self.add_source(parts)
        if self.call:
            describe_socket(parts, self.call, self.one(SOCKADDR), self.context)
        self.summarise(parts)
        return {name: part for name, part in parts.items() if part not in ({}, [])}

    def what(self, *, original: bool) -> dict[str, Any]:
        what: dict[str, Any] = {
            "id": self.event.stamp.decode(),
            "kind": "event",
            "module": "auditd",
            "dataset": "auditd.log",
            "action": self.meaning.action,
            "category": list(self.meaning.category),
            "type": list(self.meaning.type),
            "outcome": result_of(self.main)[0],
        }
        if original:
            what["original"] = "\n".join(original_line(record) for record in self.records)
        return what

    def host(self) -> dict[str, Any]:
        host = self.context.host.document()
        if self.event.node:
            return {"name": self.event.node.decode("utf-8", "backslashreplace")}
        return host

    def process(self) -> dict[str, Any]:
        process: dict[str, Any] = {}
        pid = integer(self.main.get("pid"))
        if pid is not None:
            process["pid"] = pid
            entity = self.context.processes.entity_id(pid)
            if entity:
                process["entity_id"] = entity
        parent = integer(self.main.get("ppid"))
        if parent is not None:
            process["parent"] = parent_part(parent, self.context)
        process |= program_of(self.main)
        if pid is not None and self.call and "exe" not in self.main:
            process |= self.context.processes.program(pid)
        executed = [record.body for record in self.records if record.kind == EXECVE]
        if executed:
            process |= command_of(executed, self.context.arguments_limit)
        if pid is not None and self.call and executes(self.call) and self.context.executions:
            process |= self.context.executions.of(pid)
        titled = next((record.body for record in self.records if record.kind == PROCTITLE), None)
        if titled is not None and (shown := title(titled)):
            process["title"] = shown
        if cwd := self.cwd():
            process["working_directory"] = cwd
        return process

    def container(self) -> dict[str, Any]:
        pid, parent = integer(self.main.get("pid")), integer(self.main.get("ppid"))
        return self.context.containers.of(pid, parent or 0) if self.context.containers and pid else {}

    def own(self) -> dict[str, Any]:
        """What ECS has no place for."""
        own: dict[str, Any] = {} if self.event.complete else {"incomplete": True}
        if self.context.groups and (groups := groups_of(self.main, self.context)):
            own["groups"] = groups
        if self.call and (spelled := arguments_of(self.call, self.context)):
            own["arguments"] = spelled
        if self.call and executes(self.call) and self.context.scripts:
            script = script_of(self.read.get(PATH, []), self.cwd())
            own |= {"script": script} if script else {}
        pid, parent = integer(self.main.get("pid")), integer(self.main.get("ppid"))
        if pid and self.context.cgroups and self.context.containers:
            cgroup = self.context.containers.cgroup(pid, parent or 0).path
            own |= {"cgroup": cgroup} if cgroup else {}
        if pid is not None:
            labels = self.context.labels.of(pid, parent or 0, self.main.get("exe", ""), self.tags())
            own |= {"labels": labels} if labels else {}
        return own

    def cwd(self) -> str:
        return (self.one(CWD) or {}).get("cwd", "")

    def names(self) -> dict[str, str]:
        for record in self.records:
            if record.names and record.kind not in (PATH, SOCKADDR):
                return fields(record.names)
        return {}

    def tags(self) -> list[str]:
        return tags_of(self.main)

    def auditd(self) -> dict[str, Any]:
        first = self.records[0]
        auditd: dict[str, Any] = {
            "sequence": serial(self.event.stamp),
            "message_type": type_name(first.kind).lower(),
            "result": result_of(self.main)[1],
        }
        if session := session_of(self.main):
            auditd["session"] = session
        data = self.data()
        if data:
            auditd["data"] = data
        paths = self.paths()
        if paths:
            auditd["paths"] = paths
        return auditd

    def data(self) -> dict[str, str]:
        data: dict[str, str] = {}
        if self.call:
            data.update(call_data(self.call))
        for record in self.records:
            if record.kind in READ:
                continue
            for found in self.read.get(record.kind, []):
                for name, value in found.items():
                    if name not in PLACED or (name == "key" and not (self.call and "key" in self.main)):
                        shown = of_name(record.kind, name, value, NO_CALL) if name in SPELLED else value
                        data.setdefault(name, shown)
        if self.call:
            for name, value in other_fields(self.call.fields).items():
                data.setdefault(name, value)
        return data

    def paths(self) -> list[dict[str, Any]]:
        users = self.context.users
        names = [fields(record.names) for record in self.records if record.kind == PATH]
        return [path_of(path, name, users) for path, name in zip(self.read.get(PATH, []), names, strict=True)]

    def add_file(self, parts: dict[str, Any]) -> None:
        paths = parts["auditd"].get("paths")
        if not paths or self.meaning.object not in ("file", "filesystem"):
            return
        path = main_path(paths, self.meaning.path)
        if path:
            parts["file"] = file_of(path, self.cwd())

    def add_source(self, parts: dict[str, Any]) -> None:
        if self.call or "addr" not in self.main:
            return
        try:
            parts["source"] = {"ip": str(ipaddress.ip_address(self.main["addr"]))}
        except ValueError:
            parts["source"] = {"address": self.main["addr"]}

    def summarise(self, parts: dict[str, Any]) -> None:
        what: dict[str, Any] = {"type": self.meaning.object}
        if self.meaning.object == "socket":
            for side in ("destination", "source", "server"):
                if "ip" in parts.get(side, {}):
                    what["primary"] = parts[side]["ip"]
                    what["secondary"] = str(parts[side].get("port", ""))
            if "primary" not in what:
                what["primary"] = parts["auditd"].get("data", {}).get("path", "")
        elif "file" in parts:
            what["primary"] = parts["file"]["path"]
        else:
            what["primary"] = next((self.main[name] for name in self.meaning.primary if name in self.main), "")
        summary = {
            "actor": actor_of(parts["user"]),
            "object": {name: value for name, value in what.items() if value},
            "how": how_of(self.main),
        }
        parts["auditd"]["summary"] = {name: value for name, value in summary.items() if value}


def result_of(fields: dict[str, str]) -> tuple[str, str]:
    """event.outcome and auditd.result."""
    outcome = OUTCOMES.get(fields.get("success", fields.get("res", fields.get("result", ""))), "unknown")
    return outcome, {"failure": "fail"}.get(outcome, outcome)


def session_of(fields: dict[str, str]) -> str:
    session = fields.get("ses", "")
    return "unset" if session == UNSET else session


def program_of(fields: dict[str, str]) -> dict[str, str]:
    """process.name and process.executable."""
    return {target: fields[source] for source, target in (("comm", "name"), ("exe", "executable")) if source in fields}


def command_of(executed: list[bytes], limit: int = 0) -> dict[str, Any]:
    """process.args and what follows from it, of EXECVE records; more than `limit` bytes are cut in the middle."""
    args = arguments(executed)
    count = len(args)
    if limit and sum(map(len, args)) + count > limit:
        args = cut(args, limit)
    return {"args": args, "args_count": count, "command_line": shlex.join(args)}


def cut(args: list[str], limit: int) -> list[str]:
    """The first and the last arguments, each half of the limit, and between them a marker that says what is missing."""
    first: list[str] = []
    last: list[str] = []
    for kept, source in ((first, iter(args)), (last, reversed(args))):
        room = limit // 2
        for argument in source:
            if len(first) + len(last) >= len(args):
                break
            if len(argument) + 1 > room:
                if not kept:
                    kept.append(argument[:room] if kept is first else argument[-room:])
                break
            kept.append(argument)
            room -= len(argument) + 1
    size = sum(map(len, args)) - sum(map(len, first)) - sum(map(len, last))
    return [*first, f"<{size} bytes cut>", *reversed(last)]


def arguments_of(call: Call, context: Context) -> dict[str, str]:
    """Arguments that are flags, modes, users and the like, spelled out."""
    if call.name in EMPTY_ARGUMENTS or not call.arguments:
        return {}
    return dict(spelled_arguments(call.name, call.arguments, context.users))


def executes(call: Call) -> bool:
    return call.name in ("execve", "execveat") and call.success is not False


def parent_part(parent: int, context: Context) -> dict[str, Any]:
    return {"pid": parent, **(context.parents.of(parent) if context.parents else {})}


def groups_of(fields: dict[str, str], context: Context) -> list[str]:
    uid, gid = integer(fields.get("uid")), integer(fields.get("gid"))
    return context.users.groups_of(uid, gid) if uid is not None and gid is not None else []


def tags_of(fields: dict[str, str]) -> list[str]:
    return [key for key in fields.get("key", "").split(KEY_SEPARATOR) if key]


def actor_of(user: dict[str, Any]) -> dict[str, str]:
    """auditd.summary.actor: who logged in, and as whom it was done."""
    actor = {
        "primary": user.get("audit", {}).get("name") or user.get("audit", {}).get("id") or "unset",
        "secondary": user.get("name") or user.get("id"),
    }
    return {name: value for name, value in actor.items() if value}


def how_of(fields: dict[str, str]) -> str:
    return fields.get("exe", fields.get("comm", ""))


def other_fields(fields: dict[str, str]) -> dict[str, str]:
    """Fields of a SYSCALL record that stand nowhere else in the document."""
    return {name: value for name, value in fields.items() if name == "subj" or name not in PLACED | OF_CALL}


def call_data(call: Call) -> dict[str, str]:
    data = {"syscall": call.name} if not call.io_uring else {"uring_op": call.io_uring}
    if call.arch:
        data["arch"] = call.arch
    if call.exit:
        data["exit"] = call.exit
    for name in ARGUMENTS:
        if name in call.fields and name not in EMPTY_ARGUMENTS.get(call.name, ()):
            data[name] = call.fields[name]
    return data


def original_line(record: Record) -> str:
    return original_head(record.kind, record.stamp.decode()) + record.body.decode("utf-8", "backslashreplace")


def original_head(kind: int, stamp: str) -> str:
    """How a record begins in event.original."""
    return f"type={type_name(kind)} msg=audit({stamp}): "


__all__ = ["absolute", "document", "timestamp"]
