"""The form of fluentd's filter go_audit_parser (fluent-plugin-go-audit-parser): records by name, fields read."""

from __future__ import annotations

import re
from typing import Any

import orjson

from auditdeck.audit.record import type_name
from auditdeck.audit.tables.syscalls import SYSCALLS
from auditdeck.cache import Cache
from auditdeck.context.users import Users
from auditdeck.ecs.original import REMEMBERED, OfOriginal
from auditdeck.outputs.formats.goaudit import go_audit

FIELD = re.compile(r"""([^\s=]+)=('[^']*'|"[^"]*"|\S+)""")
UIDS = {"uid", "euid", "suid", "ouid", "fsuid", "auid"}
NUMBERS = {"gid", "egid", "sgid", "ogid", "fsgid", "exit", "item", "items", "pid", "ppid", "ses", "argc", "inode"}
# What the plugin's own table calls otherwise.
OLD_NAMES = {17: "pread", 18: "pwrite", 283: "timerfd"}
LEADING = re.compile(r"\s*([+-]?\d{1,20})(?!\d)")


def fluentd(document: dict[str, Any], users: Users) -> dict[str, Any] | None:
    """The record that the filter passes on; None for a document without event.original.

    As there, the timestamp is the event's time and no field, and system calls are named by the table of x86-64.
    """
    raw = go_audit(document, users)
    if raw is None:
        return None
    messages: dict[str, Any] = {}
    for message in raw["messages"]:
        fields: dict[str, Any] = {"type": message["type"]}
        for name, value in pairs(message["data"]):
            fields[name] = convert(name, value, raw["uid_map"])
        title = type_name(message["type"]).lower()
        if title == "path":
            title += str(fields.get("item", ""))
        messages[title] = fields
    return {"sequence": raw["sequence"], "messages": messages, "message_types": list(messages)}


def pairs(text: str) -> list[tuple[str, str]]:
    return [(name, value[1:-1] if value[0] in "'\"" else value) for name, value in FIELD.findall(text)]


def convert(name: str, value: str, uid_map: dict[str, str]) -> Any:
    if name == "syscall":
        number = leading(value)
        return OLD_NAMES.get(number) or SYSCALLS["x86_64"].get(number)
    if name == "msg":
        return dict(pairs(value))
    if name == "saddr":
        return sockaddr(value)
    if name == "proctitle":
        return printable(value)
    if name in UIDS:
        return {"id": leading(value), "name": uid_map.get(value)}
    if name in NUMBERS:
        return leading(value)
    return value


def leading(text: str) -> int:
    """A number as Ruby's to_i reads it, but 0 for one of more than 64 bits, which no field has."""
    match = LEADING.match(text)
    number = int(match[1]) if match else 0
    return number if -(2**63) <= number < 2**64 else 0


def printable(text: str) -> str:
    raw = bytes.fromhex(text) if len(text) % 2 == 0 and re.fullmatch("[0-9A-Fa-f]*", text) else text.encode()
    return re.sub(r"[^ -~]", " ", raw.decode("latin-1"))


def sockaddr(text: str) -> dict[str, Any]:
    try:
        raw = bytes.fromhex(text)
    except ValueError:
        return {"unknown": text[4:]}
    family = int.from_bytes(raw[:2], "little")
    found: dict[str, Any] = {}
    rest = ""
    if family == 1:
        end = text.find("00", 4)
        end = len(text) if end < 0 else end
        found = {"family": "local", "path": printable(text[4:end])}
        rest = text[end:] if len(text) > end + 1 else ""
    elif family == 2:
        found = {"family": "inet", "port": int.from_bytes(raw[2:4], "big"), "ip": ".".join(map(str, raw[4:8]))}
        rest = text[16:]
    elif family == 10:
        groups = [text[place : place + 4].lower() for place in range(16, min(len(text), 48), 4)]
        found = {"family": "inet6", "port": int.from_bytes(raw[2:4], "big"), "flow_info": text[8:16]}
        found |= {"ip": ":".join(groups), "scope_id": text[48:56]}
        rest = text[56:]
    else:
        rest = text[4:]
    return found | ({"unknown": rest} if rest or not found else {})


class Fluentd(OfOriginal):
    """Lines of the event log in this form."""

    make = staticmethod(fluentd)

    def forget(self) -> None:
        super().forget()
        self.calls: Cache[bytes, bytes] = Cache(REMEMBERED)

    def begin(self, call: re.Match[bytes]) -> bytes:
        serial, what, arguments, items, parent, process = call.group(2, 3, 4, 5, 6, 7)
        fields = self.calls.get(what) or self.read_call(what)
        head = b'{"sequence":%b,"messages":{"syscall":{"type":1300,%b,"%b","items":%b,"ppid":%b,"pid":%b,"auid":'
        written = arguments.replace(b"=", b'":"').replace(b" ", b'","')
        return head % (serial, fields, written, items, parent, process)

    def read_call(self, what: bytes) -> bytes:
        found = {name: convert(name, value, {}) for name, value in pairs(what.decode())}
        return self.calls.keep(what, orjson.dumps(found)[1:-1])
