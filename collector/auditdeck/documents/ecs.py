"""One Elastic Common Schema document of one event, field names as Elastic's auditd module has them.

This is the plain form, one record read after the other. `documents.fast` writes the same documents for the events that
come in numbers, and is tested against it.
"""

from __future__ import annotations

import ipaddress
import shlex
from datetime import UTC, datetime
from typing import Any

from auditdeck.documents.context import Context
from auditdeck.documents.meaning import Meaning, meanings
from auditdeck.documents.paths import absolute, file_of, main_path, path_of
from auditdeck.documents.people import user_of
from auditdeck.documents.sockets import describe_socket
from auditdeck.documents.syscalls import Call, integer, read_call, read_uring
from auditdeck.events.assembler import Event
from auditdeck.events.fields import arguments, fields, title
from auditdeck.events.record import Record, milliseconds, serial, type_name

ECS_VERSION = "9.0.0"
SYSCALL, PATH, SOCKETCALL, SOCKADDR, CWD, EXECVE = 1300, 1302, 1304, 1306, 1307, 1309
PROCTITLE, URINGOP = 1327, 1336
READ = {SYSCALL, PATH, SOCKETCALL, SOCKADDR, CWD, EXECVE, PROCTITLE, URINGOP}

# Fields that have a place of their own in the document; all others go to auditd.data.
PLACED: frozenset[str] = frozenset({
    "auid", "uid", "gid", "euid", "egid", "suid", "sgid", "fsuid", "fsgid", "pid", "ppid", "ses", "exe", "comm", "key",
    "res", "result", "success", "items", "subj",
})  # fmt: skip
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
        self.event = event
        self.context = context
        self.records = event.records
        self.read: dict[int, list[dict[str, str]]] = {}
        for record in event.records:
            if record.kind not in (EXECVE, PROCTITLE):
                self.read.setdefault(record.kind, []).append(fields(record.body))
        self.call = self.read_call()
        self.main = self.call.fields if self.call else self.first_record()
        kinds = [record.kind for record in event.records]
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
            "auditdeck": {} if self.event.complete else {"incomplete": True},
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
            process["parent"] = {"pid": parent}
        process |= program_of(self.main)
        if pid is not None and self.call and "exe" not in self.main:
            process |= self.context.processes.program(pid)
        executed = [record.body for record in self.records if record.kind == EXECVE]
        if executed:
            process |= command_of(executed)
        titled = next((record.body for record in self.records if record.kind == PROCTITLE), None)
        if titled is not None and (shown := title(titled)):
            process["title"] = shown
        if cwd := self.cwd():
            process["working_directory"] = cwd
        return process

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
                    if name not in PLACED or (name == "key" and not self.call):
                        data.setdefault(name, value)
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


def command_of(executed: list[bytes]) -> dict[str, Any]:
    """process.args and what follows from it, of EXECVE records."""
    args = arguments(executed)
    return {"args": args, "args_count": len(args), "command_line": shlex.join(args)}


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
    for position in range(4):
        name = f"a{position}"
        if name in call.fields:
            data[name] = call.fields[name]
    return data


def original_line(record: Record) -> str:
    line = f"type={type_name(record.kind)} msg=audit({record.stamp.decode()}): "
    return line + record.body.decode("utf-8", "backslashreplace")


__all__ = ["absolute", "document", "timestamp"]
