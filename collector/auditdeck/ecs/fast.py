"""The same documents as `documents.ecs`, written by putting remembered pieces of JSON together.

Most of what the kernel sends was sent before: but for its stamp, the arguments of its call and the ids of its process,
an event is the same as an earlier one of the program (`Event.shape`). Where it is not, a destination comes again and
again, and so do users, titles, paths and argument lists. So each piece is parsed once, by the plain code, and its JSON
remembered under its bytes. A key holds all that its value depends on but users and addresses; when those change
(`Context.generation`) everything is forgotten. Events of other forms go the plain way, which is also what the tests
compare this with.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import orjson

from auditdeck.audit import sockaddr
from auditdeck.audit.event import ITEMS, Event
from auditdeck.audit.fields import fields, title
from auditdeck.audit.record import ENRICHMENT, Payload
from auditdeck.cache import Cache
from auditdeck.context.network import Connect
from auditdeck.context.processes import TRUSTED
from auditdeck.ecs.context import Context
from auditdeck.ecs.document import (
    ECS_VERSION,
    actor_of,
    arguments_of,
    call_data,
    command_of,
    document,
    executes,
    groups_of,
    how_of,
    original_head,
    other_fields,
    parent_part,
    program_of,
    result_of,
    session_of,
    tags_of,
)
from auditdeck.ecs.interpret import argument_kinds
from auditdeck.ecs.normalization import Meaning, meanings
from auditdeck.ecs.original import STAMP, START
from auditdeck.ecs.paths import file_of, main_path, path_of, script_of
from auditdeck.ecs.people import user_of
from auditdeck.ecs.pieces import Files, Form, Head, Ids, Peer, Shape, Tail, Use
from auditdeck.ecs.sockets import describe_address, describe_outcome, is_hex
from auditdeck.ecs.syscalls import read_call, signed32

SYSCALL, PATH, SOCKADDR, CWD, EXECVE, PROCTITLE = 1300, 1302, 1306, 1307, 1309, 1327
SOCKET_KEY = "netconns_socket"
REMEMBERED = 2048
WHOLE = 512
"""Titles, command lines and whole documents that are remembered: they are large, or seldom come again."""
EVENT_ID = b',"event":{"id":"'
ADDRESS = b"\n%d " % SOCKADDR
IN_HEAD = {"arch", "per", "syscall", "success", "exit", "a0", "a1", "a2", "a3", "items"}
NOT_IN_TAIL = IN_HEAD | {"ppid", "pid"}
NO_FIELDS: dict[str, str] = {}
PLAIN_WORDS = re.compile(rb"[ !#-&(-\[\]-z|-~]*")
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
        self.original_start = START + start_of(SYSCALL) if original else b""
        self.meanings = meanings()
        self.second = self.time = self.moment = self.prefix = b""
        self.now = 0.0
        self.forget()

    def forget(self) -> None:
        self.generation = self.context.generation
        self.host = b'"host":' + orjson.dumps(self.context.host.document())
        self.shapes: Cache[bytes, Shape] = Cache(WHOLE)
        self.uses: Cache[bytes, Use] = Cache(REMEMBERED)
        self.heads: Cache[tuple[bytes, bytes], Head] = Cache(REMEMBERED)
        self.tails: Cache[bytes, Tail] = Cache(REMEMBERED)
        self.ids: Cache[bytes, Ids] = Cache(2 * REMEMBERED)
        self.children: Cache[int, Ids] = Cache(REMEMBERED)
        self.titles: Cache[bytes, bytes] = Cache(WHOLE)
        self.commands: Cache[bytes, bytes] = Cache(WHOLE)
        self.files: Cache[tuple[Any, ...], Files] = Cache(WHOLE)
        self.forms: Cache[tuple[Any, ...], Form] = Cache(WHOLE)
        self.addresses: Cache[bytes, sockaddr.SocketAddress] = Cache(REMEMBERED)
        self.peers: Cache[tuple[Any, ...], Peer] = Cache(REMEMBERED)

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
        raw = event.split() if event.shape is None else event.shape
        arguments = event.arguments
        if not arguments:
            return None
        shape = self.shapes.get(raw) or self.read_shape(raw, arguments)
        if shape is None:
            return None
        head = shape.use.only or shape.heads.get(arguments) or self.find_head(shape, arguments)
        if head is None:
            return None
        ids = self.ids.get(event.ids)
        if ids is None or self.now > ids.until:
            ids = self.read_ids(event.ids)
        if shape.tail.socket and head.call.name == "socket" and not self.socket_events:
            if head.result >= 0:
                self.context.network.made(ids.pid, head.result, *head.call.arguments[:3])
            return b""
        connect = None
        if shape.addressed or head.meaning.object == "socket":
            if shape.address is None or head.call.name != "connect":
                return None
            connect = self.context.network.connected(ids.pid, head.descriptor, shape.to, head.result)
        form = shape.forms.get(connect) or self.find_form(shape, head, connect)
        return None if form is None else self.line(event, shape, form, head, ids)

    def line(self, event: Event, shape: Shape, form: Form, head: Head, ids: Ids) -> bytes:
        if event.moment != self.moment:
            self.begin(event.moment)
        before, execution, end, serial = form.before, b"", form.end, event.serial
        if self.original:
            text = b"".join((before, shape.call, event.arguments, shape.items, event.ids, form.original))
            before = text.replace(STAMP, event.stamp)
        if head.own or ids.own or self.context.labels.rules:
            end = ending(joined(form.own, head.own, ids.own, self.labels(ids, shape.tail)))
        if head.executes and self.context.executions is not None:
            found = self.context.executions.of(ids.pid)
            execution = b"," + inner(found) if found else b""
        return b"".join(
            (
                self.prefix, serial, before, ids.process, execution, form.process, serial, form.result, head.data,
                form.rest, ids.container, end,
            )
        )  # fmt: skip

    def begin(self, moment: bytes) -> None:
        """A new millisecond."""
        self.moment = moment
        seconds, _, rest = moment.partition(b".")
        if seconds != self.second:
            self.second = seconds
            self.time = f'{{"@timestamp":"{datetime.fromtimestamp(int(seconds), UTC):%Y-%m-%dT%H:%M:%S}.'.encode()
        self.prefix = b"".join((self.time, rest, ECS, EVENT_ID, moment, b":"))

    def read_shape(self, raw: bytes, arguments: bytes) -> Shape | None:
        items = raw.find(ITEMS)
        end = raw.find(b" auid=", items)
        newline = raw.find(b"\n", end)
        if newline < 0:
            newline = len(raw)
        call, count, raw_tail, rest = raw[5:items], raw[items:end], raw[end:newline], raw[newline:]
        tail = self.tails.get(raw_tail) or self.read_tail(raw_tail)
        use = self.uses.get(call + count) or self.read_use(call, arguments, count)
        if tail is None or use is None:
            return None
        address, place = None, rest.find(ADDRESS)
        if place >= 0:
            address = self.address(rest[place + 6 :].partition(b"\n")[0])
        to = (address.ip, address.port or 0) if address else ("", 0)
        shape = Shape(call, count, raw_tail, rest, tail, use, place >= 0, address, to, Cache(64), Cache(16))
        return self.shapes.keep(raw, shape) if len(raw) <= BIGGEST else shape

    def read_use(self, call: bytes, arguments: bytes, items: bytes) -> Use | None:
        head = self.read_head(call + arguments + items)
        # Without arguments it is a socketcall(2), whose own record has them.
        if head is None or not head.call.arguments:
            return None
        fixed, values = fixed_arguments(head), values_of(arguments)
        head = self.heads.keep(head_key(call + items, values, fixed), head.with_holes(values, fixed))
        return self.uses.keep(call + items, Use(fixed, None if fixed or head.holes else head))

    def find_head(self, shape: Shape, arguments: bytes) -> Head | None:
        """Numbers that a program passes, addresses most of all, differ from process to process: where they mean
        nothing but themselves, what is remembered has holes for them."""
        values = values_of(arguments)
        key = head_key(shape.call + shape.items, values, shape.use.fixed)
        known = self.heads.get(key)
        if known is None:
            head = self.read_head(shape.call + arguments + shape.items)
            if head is None:
                return None
            known = self.heads.keep(key, head.with_holes(values, shape.use.fixed))
        return shape.heads.keep(arguments, known.filled(values))

    def find_form(self, shape: Shape, head: Head, connect: Connect | None) -> Form | None:
        """Another descriptor, another result: many shapes have the same form."""
        key = (head.event, head.auditd, head.executes, shape.raw_tail, connect, shape.rest)
        form = self.forms.get(key)
        if form is None:
            form = self.read_form(shape, head, connect)
            if form is None:
                return None
            if len(shape.rest) <= BIGGEST:
                self.forms.keep(key, form)
        return shape.forms.keep(connect, form)

    def read_form(self, shape: Shape, head: Head, connect: Connect | None) -> Form | None:
        tail = shape.tail
        address = titled = command = cwd = paths = b""
        named: list[Payload] = []
        for line in shape.rest.split(b"\n")[1:]:
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
        if connect is not None and shape.address is not None:
            if named:
                return None
            peer = self.peer(address, shape.address, connect, head)
            what, result, more, thing = peer.event, peer.auditd, peer.parts, peer.object
            data, own = joined(data, peer.data), joined(peer.own, own)
        else:
            key = (head.call.name, head.executes, *named)
            files = self.files.get(key)
            if files is None:
                files = self.read_files(named, head)
                if files is None:
                    return None
                if len(shape.rest) <= BIGGEST:
                    self.files.keep(key, files)
            cwd, paths, more, thing, own = files.cwd, files.paths, files.file, files.object, joined(files.own, own)
        program = joined(tail.process, command, titled, cwd)
        before = b"".join((b'",', what, self.original_start))
        original = b"".join((self.original_rest(shape.raw_tail, shape.rest), b"},", self.host, b',"process":{'))
        return Form(
            before if self.original else before + original,
            original,
            b"".join((b"," if program else b"", program, b"},", tail.user, b',"auditd":{"sequence":')),
            b"".join((result, tail.session, b',"data":{')),
            b"".join(
                (
                    b"," if data else b"", data, b"}", paths, b',"summary":{',
                    joined(tail.actor, thing, tail.how), b"}}", tail.tags, more,
                )
            ),
            own,
            ending(own),
        )  # fmt: skip

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

    def read_head(self, raw: bytes) -> Head | None:
        found = fields(raw)
        if not found.keys() <= IN_HEAD or not PLAIN_WORDS.fullmatch(raw):
            return None
        call = read_call(found, None)
        meaning = self.meanings.of([SYSCALL], call.name)
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

    def read_ids(self, raw: bytes) -> Ids:
        """Of ` ppid=… pid=…`."""
        parent, pid = map(int, raw[6:].split(b" pid="))
        if not self.context.is_unknown(pid):
            return self.ids.keep(raw, self.read_process(pid, parent))
        # All that is said of it is its parent's.
        child = self.children.get(parent)
        if child is None or self.now > child.until:
            child = self.children.keep(parent, self.read_process(pid, parent))
        process = b'"pid":%d%b' % (pid, child.process[child.process.index(b",") :])
        return self.ids.keep(raw, Ids(pid, parent, child.until, process, child.container, child.own))

    def read_process(self, pid: int, parent: int) -> Ids:
        process: dict[str, Any] = {"pid": pid, "parent": parent_part(parent, self.context)}
        containers = self.context.containers
        container = containers.of(pid, parent) if containers else None
        if entity := self.context.processes.entity_id(pid):
            process["entity_id"] = entity
        within = b',"container":' + orjson.dumps(container) if container else b""
        cgroup = containers.cgroup(pid, parent).path if containers and self.context.cgroups else ""
        own = b'"cgroup":' + orjson.dumps(cgroup) if cgroup else b""
        return Ids(pid, parent, self.now + TRUSTED, inner(process), within, own)

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

    def address(self, raw: bytes) -> sockaddr.SocketAddress | None:
        """An internet address; None for all others."""
        address = self.addresses.get(raw)
        if address is None:
            found = fields(body_of(raw)).get("saddr", "")
            if ENRICHMENT in raw or not is_hex(found):
                return None
            address = self.addresses.keep(raw, sockaddr.parse(bytes.fromhex(found)))
        return address if address.ip else None

    def peer(self, raw: bytes, address: sockaddr.SocketAddress, connect: Connect, head: Head) -> Peer:
        key = (raw, connect, head.outcome, head.result == 0)
        return self.peers.get(key) or self.peers.keep(key, self.read_peer(address, connect, head))

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


def values_of(arguments: bytes) -> list[bytes]:
    """Of ` a0=… a1=… a2=… a3=…`."""
    return [argument[3:] for argument in arguments[1:].split(b" ")]


def head_key(what: bytes, values: list[bytes], fixed: tuple[int, ...]) -> tuple[bytes, bytes]:
    return what, b" ".join([values[position] for position in fixed])


def ending(own: bytes) -> bytes:
    """The end of a document, with what goes to auditdeck.*."""
    return b',"auditdeck":{' + own + b"}}" if own else b"}"


def body_of(raw: bytes) -> bytes:
    """As `record_of` has it: without names and without what ends the line."""
    return raw.partition(ENRICHMENT)[0].rstrip(b"\0\r\n ")


def start_of(kind: int) -> bytes:
    return original_head(kind, STAMP.decode()).encode()


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
