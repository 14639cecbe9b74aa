"""The same documents as `documents.ecs`, written by putting remembered pieces of JSON together.

Most of what the kernel sends was sent before: all of a SYSCALL record from `auid=` on is the same for every call of a
program, a destination comes again and again, so do titles, paths and argument lists. So each piece of a record is
parsed once, by the plain code, and its JSON remembered under its bytes. A key holds all that its value depends on but
users and addresses; when those change (`Context.generation`) everything is forgotten. Events of other forms go the
plain way, which is also what the tests compare this with.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import orjson

from auditdeck.documents.context import Context
from auditdeck.documents.ecs import (
    ECS_VERSION,
    actor_of,
    arguments_of,
    call_data,
    command_of,
    document,
    executes,
    groups_of,
    how_of,
    other_fields,
    parent_part,
    program_of,
    result_of,
    session_of,
    tags_of,
)
from auditdeck.documents.interpret import argument_kinds
from auditdeck.documents.meaning import Meaning, meanings
from auditdeck.documents.paths import file_of, main_path, path_of, script_of
from auditdeck.documents.people import user_of
from auditdeck.documents.pieces import Files, Form, Head, Ids, Peer, Pieces, Repeated, Tail
from auditdeck.documents.sockets import describe_address, describe_outcome, is_hex
from auditdeck.documents.syscalls import read_call, signed32
from auditdeck.enrich.network import Connect
from auditdeck.enrich.processes import TRUSTED
from auditdeck.events import sockaddr
from auditdeck.events.event import Event
from auditdeck.events.fields import fields, title
from auditdeck.events.record import ENRICHMENT, Payload, type_name
from auditdeck.memory import Memory

SYSCALL, PATH, SOCKADDR, CWD, EXECVE, PROCTITLE = 1300, 1302, 1306, 1307, 1309, 1327
SOCKET_KEY = "netconns_socket"
REMEMBERED = 2048
WHOLE = 512
"""Titles, command lines and whole documents that are remembered: they are large, or seldom come again."""
EVENT_ID = b',"event":{"id":"'
STAMP = b"\x1f"
"""Stands for the stamp in remembered pieces; JSON itself has no such byte, and texts of events neither."""
CALL, ADDRESS = b"%d " % SYSCALL, b"\n%d " % SOCKADDR
IN_HEAD = {"arch", "per", "syscall", "success", "exit", "a0", "a1", "a2", "a3", "items"}
NOT_IN_TAIL = IN_HEAD | {"ppid", "pid"}
NO_FIELDS: dict[str, str] = {}
PLAIN_WORDS = re.compile(rb"[ !#-&(-\[\]-z|-~]*")
IDS = re.compile(rb" ppid=(\d{1,10}) pid=(\d{1,10})")
ARGUMENTS = re.compile(
    rb" a0=([0-9a-f]{1,16}) a1=([0-9a-f]{1,16}) a2=([0-9a-f]{1,16}) a3=([0-9a-f]{1,16})( items=\d{1,4})\Z"
)
BIGGEST = 2048
"""Longer pieces are not remembered: an argument list of 100 kB seldom comes again."""


ECS = f'Z","ecs":{{"version":"{ECS_VERSION}"}}'.encode()


def inner(value: dict[str, Any]) -> bytes:
    """An object's JSON without its braces."""
    return orjson.dumps(value)[1:-1]


def joined(*parts: bytes) -> bytes:
    return b",".join(filter(None, parts))


class Encoder:
    """Events to lines of JSON, for one thread."""

    def __init__(self, context: Context, *, original: bool = False, socket_events: bool = False) -> None:
        self.context = context
        self.original = original
        self.socket_events = socket_events
        self.original_start = b',"original":"' + start_of(SYSCALL) if original else b""
        self.second = self.time = self.moment = self.prefix = b""
        self.now = 0.0
        self.forget()

    def forget(self) -> None:
        self.generation = self.context.generation
        self.host = b'"host":' + orjson.dumps(self.context.host.document())
        self.heads: Memory[bytes, Head] = Memory(REMEMBERED)
        self.shapes: Memory[bytes, Head] = Memory(REMEMBERED)
        self.fixed: Memory[bytes, tuple[int, ...]] = Memory(REMEMBERED)
        self.tails: Memory[bytes, Tail] = Memory(REMEMBERED)
        self.ids: Memory[bytes, Ids] = Memory(2 * REMEMBERED)
        self.titles: Memory[bytes, bytes] = Memory(WHOLE)
        self.commands: Memory[bytes, bytes] = Memory(WHOLE)
        self.forms: Memory[tuple[Any, ...], Form] = Memory(WHOLE)
        self.addresses: Memory[bytes, sockaddr.SocketAddress] = Memory(REMEMBERED)
        self.peers: Memory[tuple[Any, ...], Peer] = Memory(REMEMBERED)
        self.repeated: Memory[bytes, Repeated] = Memory(WHOLE)

    def encode(self, event: Event) -> bytes:
        """The event's document; b"" for one that only told a socket's protocol."""
        self.check()
        return self.encode_checked(event)

    def check(self) -> None:
        """Forgets everything if names or addresses may have changed; once a batch will do."""
        self.now = time.monotonic()
        if self.generation != self.context.generation:
            self.forget()

    def encode_checked(self, event: Event) -> bytes:
        """As `encode`, for those who call `check` themselves."""
        line = None
        if event.complete and not event.node:
            line = self.quick(event)
        return self.plain(event) if line is None else line

    def plain(self, event: Event) -> bytes:
        made = document(event, self.context, original=self.original)
        if SOCKET_KEY in made.get("tags", ()) and not self.socket_events:
            return b""
        return orjson.dumps(made)

    def quick(self, event: Event) -> bytes | None:
        """None for an event of a form that is left to the plain way."""
        text = event.text or event.packed()
        known = self.repeated.get(text) if ADDRESS in text else None
        if known is not None and self.now < known.ids.until:
            connect = self.context.network.connected(known.ids.pid, known.descriptor, known.to, known.result)
            pieces = known.pieces.get(connect)
            if pieces is None:
                found = self.read(text, connect)
                if found is None:
                    return None
                pieces = known.pieces[connect] = found[0]
            return self.line(event, pieces)
        found = self.read(text)
        if found is None:
            return None
        pieces, repeated = found
        if repeated is not None and len(text) <= BIGGEST and not self.context.labels.rules:
            self.repeated.keep(text, repeated)
        return self.line(event, pieces)

    def line(self, event: Event, pieces: Pieces) -> bytes:
        before, behind = pieces
        if not before:
            return b""
        if event.moment != self.moment:
            self.begin(event.moment)
        serial = event.serial
        if self.original:
            before = before.replace(STAMP, event.stamp)
        return b"".join((self.prefix, serial, before, serial, behind))

    def begin(self, moment: bytes) -> None:
        """A new millisecond."""
        self.moment = moment
        seconds, _, rest = moment.partition(b".")
        if seconds != self.second:
            self.second = seconds
            self.time = f'{{"@timestamp":"{datetime.fromtimestamp(int(seconds), UTC):%Y-%m-%dT%H:%M:%S}.'.encode()
        self.prefix = b"".join((self.time, rest, ECS, EVENT_ID, moment, b":"))

    def read(self, text: bytes, connect: Connect | None = None) -> tuple[Pieces, Repeated | None] | None:
        """The pieces of a document; with what is needed to know it again, for a connect."""
        middle = text.find(b" ppid=")
        end = text.find(b" auid=", middle)
        newline = text.find(b"\n", end)
        if middle < 0 or end < 0 or not text.startswith(CALL) or text.find(b"\n", 0, end) >= 0:
            return None
        if newline < 0:
            newline = len(text)
        raw = text[5:middle]
        head = self.heads.get(raw) or self.find_head(raw)
        raw = text[middle:end]
        ids = self.ids.get(raw)
        if ids is None or self.now > ids.until:
            ids = self.read_ids(raw)
        raw = text[end:newline]
        tail = self.tails.get(raw) or self.read_tail(raw)
        if tail is None or head is None or ids is None:
            return None
        # Without arguments it is a socketcall(2), whose own record has them.
        if tail.socket and head.call.name == "socket" and head.call.arguments and not self.socket_events:
            if head.result >= 0:
                self.context.network.made(ids.pid, head.result, *head.call.arguments[:3])
            return (b"", b""), None
        repeated = None
        rest = text[newline:]
        place = rest.find(ADDRESS)
        if place >= 0 or head.meaning.object == "socket":
            to = self.address(rest[place + 6 :].partition(b"\n")[0] if place >= 0 else b"", head)
            if to is None:
                return None
            if connect is None:
                connect = self.context.network.connected(ids.pid, head.descriptor, to[1], head.result)
            repeated = Repeated(head.descriptor, head.result, to[1], ids, {})
        key = (head.event, head.auditd, head.executes, raw, connect, rest)
        form = self.forms.get(key) or self.read_form(key, head, tail, connect, raw, rest)
        if form is None:
            return None
        pieces = self.pieces(form, head, tail, ids, text[5:end] if self.original else b"")
        if repeated is not None and connect is not None:
            repeated.pieces[connect] = pieces
        return pieces, repeated

    def pieces(self, form: Form, head: Head, tail: Tail, ids: Ids, original: bytes) -> Pieces:
        own, execution = form.own, b""
        if head.own or ids.own or self.context.labels.rules:
            own = joined(own, head.own, ids.own, self.labels(ids, tail))
        if head.executes and self.context.executions is not None:
            found = self.context.executions.of(ids.pid)
            execution = b"," + inner(found) if found else b""
        before = b"".join((form.before, original, form.original, ids.process, execution, form.process))
        end = b',"auditdeck":{' + own + b"}}" if own else b"}"
        return before, b"".join((form.result, head.data, form.rest, ids.container, end))

    def read_form(
        self, key: tuple[Any, ...], head: Head, tail: Tail, connect: Connect | None, raw_tail: bytes, rest: bytes
    ) -> Form | None:
        address = titled = command = cwd = paths = b""
        named: list[Payload] = []
        for line in rest.split(b"\n")[1:]:
            kind, raw = int(line[:4]), line[5:]
            if kind == PROCTITLE:
                titled = self.titles.get(raw) or self.read_title(raw)
            elif kind == SOCKADDR and not address:
                address = raw
            elif kind == EXECVE and not command:
                command = self.commands.get(raw) or self.read_command(raw)
            elif kind in (CWD, PATH):
                named.append((kind, raw))
            else:
                return None
        what, result, data, own = head.event, head.auditd, tail.data, tail.own
        if connect is not None:
            if named:
                return None
            peer = self.peer(address, connect, head)
            what, result, more, thing = peer.event, peer.auditd, peer.parts, peer.object
            data, own = joined(data, peer.data), joined(peer.own, own)
        else:
            files = self.read_files(named, head)
            if files is None:
                return None
            cwd, paths, more, thing, own = files.cwd, files.paths, files.file, files.object, joined(files.own, own)
        program = joined(tail.process, command, titled, cwd)
        form = Form(
            b"".join((b'",', what, self.original_start)),
            b"".join((self.original_rest(raw_tail, rest), b"},", self.host, b',"process":{')),
            b"".join((b"," if program else b"", program, b"},", tail.user, b',"auditd":{"sequence":')),
            b"".join((result, tail.session, b',"data":{')),
            b"".join(
                (
                    b"," if data else b"", data, b"}", paths, b',"summary":{',
                    joined(tail.actor, thing, tail.how), b"}}", tail.tags, more,
                )
            ),
            own,
        )  # fmt: skip
        return self.forms.keep(key, form) if len(rest) <= BIGGEST else form

    def original_rest(self, tail: bytes, rest: bytes) -> bytes:
        """What of event.original comes behind the call and the ids of the process, and a STAMP in each record of it."""
        if not self.original:
            return b""
        made = [escaped(body_of(tail))]
        for line in rest.split(b"\n")[1:]:
            kind, body = int(line[:4]), body_of(line[5:])
            made.append(start_of(kind) + escaped(self.context.redactor.record(kind, body)))
        return b"\\n".join(made) + b'"'

    def labels(self, ids: Ids, tail: Tail) -> bytes:
        found = self.context.labels.of(ids.pid, ids.parent, tail.executable, tail.keys)
        return b'"labels":' + orjson.dumps(found) if found else b""

    def find_head(self, raw: bytes) -> Head | None:
        """Numbers that a program passes, addresses most of all, differ from process to process: where they mean
        nothing but themselves, what is remembered has holes for them."""
        arguments = ARGUMENTS.search(raw)
        if arguments is None:
            head = self.read_head(raw)
            return head and self.heads.keep(raw, head)
        what, values = raw[: arguments.start()], arguments.groups()
        fixed = self.fixed.get(what)
        shape = self.shapes.get(shape_key(what, values, fixed)) if fixed is not None else None
        if shape is None:
            head = self.read_head(raw)
            if head is None:
                return None
            fixed = self.fixed.keep(what, fixed_arguments(head))
            shape = self.shapes.keep(shape_key(what, values, fixed), head.with_holes(values, fixed))
        return self.heads.keep(raw, shape.filled(values)) if shape.holes else shape

    def read_head(self, raw: bytes) -> Head | None:
        found = fields(raw)
        if not found.keys() <= IN_HEAD or not PLAIN_WORDS.fullmatch(raw):
            return None
        call = read_call(found, None)
        meaning = meanings().of([SYSCALL], call.name)
        outcome, result = result_of(found)
        head = Head(
            call,
            meaning,
            signed32(call.arguments[0]) if call.arguments else -1,
            call.result if call.result is not None else 0,
            outcome,
            event_part(meaning, outcome, meaning.type),
            result_part(result),
            inner(call_data(call) | other_fields(found)),
            executes(call),
            b'"arguments":' + orjson.dumps(spelled) if (spelled := arguments_of(call, self.context)) else b"",
        )
        # All that is needed of them was read.
        call.fields = NO_FIELDS
        return head

    def read_tail(self, raw: bytes) -> Tail | None:
        found = fields(body_of(raw))
        if ENRICHMENT in raw or "uid" not in found or not found.keys().isdisjoint(NOT_IN_TAIL):
            return None
        user = user_of(found, {}, self.context.users)
        session, how, tags = session_of(found), how_of(found), tags_of(found)
        groups = groups_of(found, self.context) if self.context.groups else []
        tail = Tail(
            inner(program_of(found)),
            b'"user":' + orjson.dumps(user),
            b',"session":' + orjson.dumps(session) if session else b"",
            inner(other_fields(found)),
            b'"actor":' + orjson.dumps(actor_of(user)),
            b'"how":' + orjson.dumps(how) if how else b"",
            b',"tags":' + orjson.dumps(tags) if tags else b"",
            SOCKET_KEY in tags,
            found.get("exe", ""),
            tags,
            b'"groups":' + orjson.dumps(groups) if groups else b"",
        )
        return self.tails.keep(raw, tail)

    def read_ids(self, raw: bytes) -> Ids | None:
        found = IDS.fullmatch(raw)
        if not found:
            return None
        parent, pid = int(found[1]), int(found[2])
        process: dict[str, Any] = {"pid": pid, "parent": parent_part(parent, self.context)}
        containers = self.context.containers
        container = containers.of(pid, parent) if containers else None
        if entity := self.context.processes.entity_id(pid):
            process["entity_id"] = entity
        within = b',"container":' + orjson.dumps(container) if container else b""
        cgroup = containers.cgroup(pid, parent).path if containers and self.context.cgroups else ""
        own = b'"cgroup":' + orjson.dumps(cgroup) if cgroup else b""
        return self.ids.keep(raw, Ids(pid, parent, self.now + TRUSTED, inner(process), within, own))

    def read_title(self, raw: bytes) -> bytes:
        shown = title(self.context.redactor.record(PROCTITLE, body_of(raw)))
        made = b'"title":' + orjson.dumps(shown) if shown else b""
        return self.titles.keep(raw, made) if len(raw) <= BIGGEST else made

    def read_command(self, raw: bytes) -> bytes:
        body = self.context.redactor.record(EXECVE, body_of(raw))
        made = inner(command_of([body], self.context.arguments_limit))
        return self.commands.keep(raw, made) if len(raw) <= BIGGEST else made

    def read_files(self, named: list[Payload], head: Head) -> Files | None:
        meaning = head.meaning
        if meaning.primary or any(ENRICHMENT in body for _, body in named):
            return None
        named = [(kind, body_of(body)) for kind, body in named]
        cwd = next((fields(body).get("cwd", "") for kind, body in named if kind == CWD), "")
        read = [fields(body) for kind, body in named if kind == PATH]
        paths = [path_of(path, {}, self.context.users) for path in read]
        script = script_of(read, cwd) if head.executes and self.context.scripts else ""
        thing = {"type": meaning.object} if meaning.object else {}
        file = b""
        main = main_path(paths, meaning.path) if meaning.object in ("file", "filesystem") else None
        if main is not None:
            found = file_of(main, cwd)
            file = b',"file":' + orjson.dumps(found)
            thing["primary"] = found["path"]
        return Files(
            b'"script":' + orjson.dumps(script) if script else b"",
            inner({"working_directory": cwd}) if cwd else b"",
            b',"paths":' + orjson.dumps(paths) if paths else b"",
            file,
            b'"object":' + orjson.dumps({name: value for name, value in thing.items() if value}) if thing else b"",
        )

    def address(self, raw: bytes, head: Head) -> tuple[sockaddr.SocketAddress, tuple[str, int]] | None:
        """The other end of a connect to an internet address; None for all other socket calls."""
        if head.call.name != "connect":
            return None
        address = self.addresses.get(raw)
        if address is None:
            found = fields(body_of(raw)).get("saddr", "")
            if ENRICHMENT in raw or not is_hex(found):
                return None
            address = self.addresses.keep(raw, sockaddr.parse(bytes.fromhex(found)))
        return (address, (address.ip, address.port or 0)) if address.ip else None

    def peer(self, raw: bytes, connect: Connect, head: Head) -> Peer:
        key = (raw, connect, head.outcome, head.result == 0)
        return self.peers.get(key) or self.peers.keep(key, self.read_peer(self.addresses[raw], connect, head))

    def read_peer(self, address: sockaddr.SocketAddress, connect: Connect, head: Head) -> Peer:
        result = {"success": "success", "failure": "fail"}.get(head.outcome, head.outcome)
        event: dict[str, Any] = {"outcome": head.outcome, "type": head.meaning.type}
        parts: dict[str, Any] = {"auditd": {"data": {}, "result": result}, "event": event, "auditdeck": {}}
        describe_address(parts, head.call, address, self.context)
        describe_outcome(parts, connect, head.result)
        rest = {name: parts[name] for name in ("destination", "network")}
        to = parts["destination"]
        thing = {"type": head.meaning.object, "primary": to["ip"], "secondary": str(to["port"])}
        return Peer(
            event_part(head.meaning, event["outcome"], event["type"]),
            result_part(parts["auditd"]["result"]),
            inner(parts["auditd"]["data"]),
            b"," + inner(rest),
            inner(parts["auditdeck"]),
            b'"object":' + orjson.dumps(thing),
        )


def fixed_arguments(head: Head) -> tuple[int, ...]:
    """Which of the four say more than their number, or decide what else is said."""
    name = head.call.name
    if name == "execve":
        return ()
    if name == "connect":
        return (0,)
    if head.meaning.object == "socket":
        return (0, 1, 2, 3)
    return tuple(position for position, kind in enumerate(argument_kinds().get(name, ())) if kind is not None)


def shape_key(what: bytes, values: tuple[bytes, ...], fixed: tuple[int, ...]) -> bytes:
    """`values` are the arguments, and ` items=` last."""
    return b" ".join((what, values[4], *[values[position] for position in fixed])) if fixed else what + values[4]


def body_of(raw: bytes) -> bytes:
    """As `record_of` has it: without names and without what ends the line."""
    return raw.partition(ENRICHMENT)[0].rstrip(b"\0\r\n ")


def start_of(kind: int) -> bytes:
    """How a record begins in event.original."""
    return f"type={type_name(kind)} msg=audit({STAMP.decode()}): ".encode()


def escaped(body: bytes) -> bytes:
    """As the inside of a JSON string."""
    return orjson.dumps(body.decode("utf-8", "backslashreplace"))[1:-1]


def event_part(meaning: Meaning, outcome: str, types: Iterable[str]) -> bytes:
    return inner(
        {
            "kind": "event",
            "module": "auditd",
            "dataset": "auditd.log",
            "action": meaning.action,
            "category": list(meaning.category),
            "type": list(types),
            "outcome": outcome,
        }
    )


def result_part(result: str) -> bytes:
    return b',"message_type":"syscall","result":' + orjson.dumps(result)
