"""Records as lines of text, interpreted as `ausearch -i` shows them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, tzinfo

from auditdeck.audit.architecture import ALL_NAMES
from auditdeck.audit.event import Event
from auditdeck.audit.fields import HEX, MESSAGE, fields, text, unclosed, unhex
from auditdeck.audit.record import Record, milliseconds, serial, type_name
from auditdeck.audit.tables import flags
from auditdeck.audit.tables.errors import ERRORS
from auditdeck.audit.tables.io_uring import IO_URING_OPERATIONS
from auditdeck.audit.tables.signals import SIGNALS
from auditdeck.audit.tables.syscalls import SYSCALLS
from auditdeck.context.users import Users
from auditdeck.ecs import interpret
from auditdeck.ecs.keystrokes import keystrokes
from auditdeck.ecs.policy import told_kind
from auditdeck.ecs.syscalls import IPC_CALLS, SOCKETCALLS

SYSCALL, EXECVE, AVC, MQ_OPEN, SECCOMP, NETFILTER_PKT = 1300, 1309, 1400, 1312, 1326, 1324
ADD_GROUP, DEL_GROUP, GRP_MGMT = 1116, 1117, 1132
CRYPTO_KEY_USER, USER_TTY, TTY, KERN_MODULE = 2404, 1124, 1319, 1330
TOKEN = re.compile(rb"""msg='(.*)'|([\w\[\]-]+)=("[^"]*"|\{[^{}]*\}|[^\s']*)|(\S+)""", re.DOTALL)
DEEPEST = 4
"""How many msg='…' within each other are taken apart; real records have one."""
Escape = Callable[[str], str]
NUMBER = re.compile(r"-?[0-9]{1,20}\Z")
OCTAL = re.compile(r"[0-7]{1,8}\Z")
HEX_NUMBER = re.compile(r"[0-9a-fA-F]{1,16}\Z")

UIDS = {
    "auid",
    "uid",
    "euid",
    "suid",
    "fsuid",
    "ouid",
    "oauid",
    "old-auid",
    "iuid",
    "id",
    "inode_uid",
    "sauid",
    "obj_uid",
}
GIDS = {"obj_gid", "gid", "egid", "sgid", "fsgid", "ogid", "igid", "inode_gid", "new_gid"}
TEXTS = {
    "path", "comm", "exe", "file", "name", "watch", "cwd", "cmd", "acct", "dir", "key", "vm", "old-chardev",
    "new-chardev", "old-disk", "new-disk", "old-fs", "new-fs", "old-net", "new-net", "device", "cgroup",
    "apparmor", "operation", "denied_mask", "info", "profile", "requested_mask", "old-rng", "new-rng", "ocomm", "grp",
    "new_group", "invalid_context", "sw", "root_dir", "proctitle",
}  # fmt: skip
CAPABILITY_SETS = {
    "cap_pi", "cap_pe", "cap_pp", "cap_pa", "cap_fi", "cap_fp", "fp", "fi", "old_pp", "old_pi", "old_pe", "old_pa",
    "new_pp", "new_pi", "new_pe", "pp", "pi", "pe", "pa",
}  # fmt: skip
RESULTS = {"0": "no", "1": "yes"}


@dataclass(slots=True)
class Call:
    """What the fields of an event's SYSCALL record need of each other: architecture, name, arguments."""

    arch: str = ""
    name: str = ""
    arguments: tuple[int, ...] = ()


def interpreted_lines(event: Event, users: Users, zone: tzinfo | None = None, *, escape: Escape = str) -> Iterator[str]:
    """With names for numbers, the last record first; times in `zone`, by default that of this machine.

    `escape` makes a value harmless where it is shown.
    """
    time = milliseconds(event.stamp)
    moment = datetime.fromtimestamp(time // 1000, zone)
    stamp = f"{moment:%Y-%m-%d %H:%M:%S}.{time % 1000:03d}:{serial(event.stamp)}"
    node = f"node={text(event.node)} " if event.node else ""
    for record in reversed(event.records):
        body = interpreted(record, users, escape=escape)
        yield f"{node}type={type_name(told_kind(record.kind, record.body))} msg=audit({stamp}) : {body}"


def interpreted(record: Record, users: Users, depth: int = 0, escape: Escape = str) -> str:
    """The body of a record with each of its fields spelled out, and all between them as it is.

    Where auditd's enrichment has a name it is that, and not this host's.
    """
    call = call_of(record)
    names = fields(record.names)
    body = record.body
    start = unclosed(body)
    if start >= 0 and depth < DEEPEST:
        # Cut within the message.
        parts = body[:start], body[start + len(MESSAGE) :]
        return MESSAGE.decode().join(
            interpreted(record._replace(body=part), users, depth + 1, escape) for part in parts
        )
    made: list[str] = []
    at = 0
    for match in TOKEN.finditer(body):
        nested, name, raw, word = match.groups()
        made.append(text(body[at : match.start()]))
        at = match.end()
        if word is not None:
            made.append(text(word))
        elif nested is None:
            made.append(f"{name.decode()}={escape(field(record.kind, name.decode(), raw, call, users, names))}")
        elif depth >= DEEPEST:
            made.append(text(match[0]))
        else:
            made.append(f"msg='{interpreted(record._replace(body=nested), users, depth + 1, escape)}'")
    return "".join([*made, text(body[at:])])


def call_of(record: Record) -> Call:
    if record.kind not in (SYSCALL, SECCOMP):
        return Call()
    found = {name: raw.decode("ascii", "replace") for _, name, raw, _ in TOKEN.findall(record.body) if name}
    arch = ALL_NAMES.get(as_hex(found.get(b"arch", "")), "")
    number = found.get(b"syscall", "")
    name = SYSCALLS.get(arch, {}).get(int(number), "") if NUMBER.match(number) else ""
    arguments = []
    for position in range(4):
        value = found.get(b"a%d" % position, "")
        if not HEX_NUMBER.match(value):
            break
        arguments.append(int(value, 16))
    return Call(arch, name, tuple(arguments))


def as_hex(value: str) -> int:
    return int(value, 16) if HEX_NUMBER.match(value) else -1


def field(kind: int, name: str, raw: bytes, call: Call, users: Users, names: dict[str, str]) -> str:
    """One value, by the name of its field and the type of its record (auparse_interpret_field(3))."""
    value = text(raw)
    if raw[:1] == b'"':
        # Of what is no text to audit the quotes stay.
        return value.strip('"') if name in TEXTS or is_argument(kind, name) else value
    if is_argument(kind, name):
        return text(unhex(raw))
    told = names.get(name.upper(), "unknown-")
    if not told.startswith("unknown-"):
        return told
    if name in TEXTS:
        return text_field(kind, name, raw)
    if name in UIDS or name in GIDS:
        return account(kind, name, value, users)
    if kind == SYSCALL and re.fullmatch("a[0-3]", name) and HEX_NUMBER.match(value):
        spelled = interpret.argument(call.name, int(name[1]), call.arguments, users)
        return f"0x{value}" if spelled is None else spelled
    return of_name(kind, name, value, call)


def is_argument(kind: int, name: str) -> bool:
    return kind == EXECVE and name[:1] == "a" and name != "argc" and not name.endswith("_len")


def text_field(kind: int, name: str, raw: bytes) -> str:
    if name in ("name", "id") and kind == CRYPTO_KEY_USER:
        return text(raw)
    shown = text(unhex(raw.upper() if name == "proctitle" else raw).rstrip(b"\0"))
    return (
        shown.replace("\0", " ") if name == "proctitle" else shown.replace("\x01", " key=") if name == "key" else shown
    )


def account(kind: int, name: str, value: str, users: Users) -> str:
    if not NUMBER.match(value):
        return value
    as_group = name in GIDS or (name == "id" and kind in (ADD_GROUP, DEL_GROUP, GRP_MGMT))
    return (interpret.group_name if as_group else interpret.user_name)(int(value), users)


def of_name(kind: int, name: str, value: str, call: Call) -> str:
    number = int(value) if NUMBER.match(value) else None
    hexadecimal = as_hex(value)
    marked = as_hex(value[2:]) if value.startswith("0x") else -1
    match name:
        case "arch" if hexadecimal in ALL_NAMES:
            return ALL_NAMES[hexadecimal]
        case "syscall" if kind in (SYSCALL, SECCOMP):
            return syscall_name(value, call)
        case "uring_op" if number is not None:
            return IO_URING_OPERATIONS.get(number, value)
        case "exit" if number is not None:
            return interpret.exit_value(number, ERRORS.get(-number, ""))
        case "per" if hexadecimal >= 0:
            return interpret.personality(hexadecimal)
        case "mode" if OCTAL.match(value):
            return (interpret.mode if kind == MQ_OPEN else interpret.file_mode)(int(value, 8))
        case "family" if number is not None:
            return interpret.NETFILTER_FAMILIES.get(number, f"unknown-netfilter-protocol({value})")
        case "icmptype" if number is not None:
            return interpret.ICMP_TYPES.get(number, f"unknown-icmp-type({value})")
        case "proto" if number is not None:
            return interpret.protocols().get(number, "undefined protocol")
        case "hook" if hexadecimal >= 0:
            return interpret.NETFILTER_HOOKS.get(hexadecimal, f"unknown-hook({value})")
        case "action" if kind == NETFILTER_PKT and hexadecimal >= 0:
            return interpret.NETFILTER_ACTIONS.get(hexadecimal, f"unknown-action({value})")
        case "macproto":
            return {0x0800: "IP", 0x0806: "ARP"}.get(as_hex(value.removeprefix("0x")), "UNKNOWN")
        case "saddr" if kind not in (AVC, NETFILTER_PKT):
            return saddr(value)
        case "perm" | "perm_mask" if number is not None:
            return interpret.permissions(number)
        case "prom" | "old_prom" if number is not None:
            return "yes" if number else "no"
        case "capability" if number is not None:
            return flags.CAPABILITY.get(number, f"unknown-capability({number})")
        case "res" | "result":
            return RESULTS.get(value, value)
        case "sig" | "sigev_signo" if number is not None:
            return SIGNALS.get(number, f"unknown-signal({number})")
        case "ses":
            return "unset" if value == "4294967295" else value
        case "code" if marked >= 0:
            return interpret.SECCOMP.get(flags.SECCOMP.get(marked & 0xFFFF0000, ""), value)
        case "oflag" if marked >= 0:
            return interpret.open_flags(marked)
        case "flags" if marked >= 0:
            return interpret.mapping(marked)
        case "resolve" if marked >= 0:
            return interpret.joined(flags.RESOLVE, marked)
        case "ioctlcmd" if marked >= 0:
            return flags.IOCTL.get(marked, value)
        case "resp" if number is not None:
            return {1: "allow", 2: "deny"}.get(number, "unknown")
        case "list" if number is not None:
            return LISTS.get(number, value)
        case "nl-mcgrp":
            return "audit-netlink-multicast" if value == "1" else "audit-none"
    if name in CAPABILITY_SETS and hexadecimal >= 0:
        return interpret.capabilities(hexadecimal)
    if name == "data" and kind in (TTY, USER_TTY):
        return keystrokes(bytes.fromhex(value)) if HEX.match(value.encode()) else value
    return value


LISTS = {0: "user", 1: "task", 4: "exit", 5: "exclude", 6: "filesystem", 7: "io_uring"}


def syscall_name(value: str, call: Call) -> str:
    if not call.name:
        return f"unknown-syscall({value})"
    inner = {"socketcall": SOCKETCALLS, "ipc": IPC_CALLS}.get(call.name, {})
    if call.arguments and call.arguments[0] in inner:
        return f"{call.name}({inner[call.arguments[0]]})"
    return call.name


def saddr(value: str) -> str:
    try:
        return interpret.address(bytes.fromhex(value))
    except ValueError:
        return f"malformed-host({value})"
