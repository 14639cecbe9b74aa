"""The document of a TCP connection, from what the kernel's state machine said of it.

Field names and habits are those of documents of connect(2) (document.py), so that searches, rules and dashboards serve
both. What comes again and again (who, with which program, where to) is made once and remembered as JSON.
"""

from __future__ import annotations

import errno
import ipaddress
import posixpath
import shlex
import struct
import time
from binascii import b2a_base64
from datetime import UTC, datetime
from hashlib import sha1
from socket import ntohs
from typing import Any, NamedTuple

import orjson

from auditdeck.audit.event import Event
from auditdeck.audit.fields import text
from auditdeck.cache import Cache
from auditdeck.connections.clock import Clock
from auditdeck.connections.layout import ORIGIN, Connection, Origin, origin_of
from auditdeck.connections.state import State, state_of
from auditdeck.connections.tracker import Change, Phase
from auditdeck.context.first import FirstSeen
from auditdeck.context.process_table import TICK, Process, ProcessTable
from auditdeck.context.users import UNSET
from auditdeck.ecs.commands import cut
from auditdeck.ecs.context import Context
from auditdeck.ecs.document import ECS_VERSION
from auditdeck.ecs.first import EGRESS, OWN, network_of
from auditdeck.ecs.people import actor_of, groups_of, user_of
from auditdeck.ecs.redaction import encoded
from auditdeck.ecs.scripts import script_of_arguments

AF_INET = 2
MAPPED = b"\0" * 10 + b"\xff\xff"
TAG = "netconns_out"
REMEMBERED = 8192
LASTING = 2.0
TITLE = 128
"""Bytes of a title, as the kernel's audit has them (MAX_PROCTITLE_AUDIT_LEN)."""
TYPES = {
    Phase.WHOLE: ["connection", "start", "end"],
    Phase.BEGUN: ["connection", "start"],
    Phase.ENDED: ["connection", "end"],
}
OUTCOMES = {"established": "success", "unresolved": "unknown"}
RESULTS = {"established": b"success", "unresolved": b"unknown"}
"""Of a state, as ECS and as audit have it; all others are failures."""
ACTIONS = {Phase.WHOLE: "connected-to", Phase.BEGUN: "connected-to", Phase.ENDED: "disconnected-from"}
PORTS = struct.Struct(">HH")
IDENTITY = struct.Struct("=Q16xI")
"""Of an `Origin`: its process's start and id."""
CGROUP = struct.Struct("=8xQ8xI")
"""Of an `Origin`: its control group and process."""
# struct sockaddr_in and sockaddr_in6, as a SOCKADDR record has them.
SOCKADDR_IN, SOCKADDR_IN6 = struct.Struct("=H2s4s8x"), struct.Struct("=H2s4x16s4x")


class Peer(NamedTuple):
    """The other end: its address as bytes (4 or 16), its port, and what documents say of it."""

    packed: bytes
    port: int
    destination: bytes
    network: bytes
    summary: bytes


class Who(NamedTuple):
    """What documents say of a user, up to the result, and from there to the summary's actor."""

    user: bytes
    actor: bytes


class Program(NamedTuple):
    """What documents say of a process behind its pid, in the summary's `how`, and in `auditdeck`."""

    process: bytes
    how: bytes
    own: bytes


class Template(NamedTuple):
    """A document with places for what differs: `form` for bytes.__mod__, and the ends for the flow's hash."""

    form: bytes
    source: bytes
    destination: bytes
    port: int


class ConnectionEncoder:
    """`encode(change)`: a line of the event log, b"" for one that is not wanted. For one thread.

    `ends`: whether the end of a connection that was told before is a document of its own.
    """

    def __init__(self, context: Context, table: ProcessTable, clock: Clock, boot_id: str, *, ends: bool = True) -> None:
        self.context = context
        self.table = table
        self.clock = clock
        self.boot = boot_id.replace("-", "")[:12].encode()
        self.ends = ends
        self.host = b'},"host":' + orjson.dumps(context.host.document()) + b',"process":{"pid":'
        self.users: Cache[tuple[int, ...], Who] = Cache(REMEMBERED)
        self.programs: Cache[tuple[object, ...], Program] = Cache(REMEMBERED)
        self.peers: Cache[tuple[bytes, int, int], Peer] = Cache(REMEMBERED)
        self.templates: Cache[tuple[object, ...], Template] = Cache(REMEMBERED)
        self.inside: Cache[tuple[int, int], tuple[float, bytes]] = Cache(REMEMBERED)
        self.generation = -1
        self.second = 0
        self.stamp = b""
        self.now = 0.0
        self.unknown = 0
        """Processes that were gone before anything was known of their program."""

    def check(self) -> None:
        """Before a batch: forgets what users or addresses that came or went have made wrong."""
        self.now = time.monotonic()
        if self.generation != self.context.generation:
            self.generation = self.context.generation
            for known in (self.users, self.peers, self.templates, self.programs):
                known.clear()

    def is_outbound(self, origin: Origin) -> bool:
        """Whether a connection leaves this host."""
        return EGRESS in self.peer(origin).network

    def encode(self, change: Change) -> bytes:
        c, phase = change
        if phase is Phase.ENDED and not self.ends:
            return b""
        error = 0 if c.established else c.error or -(c.segments == 0)
        started, tgid = IDENTITY.unpack_from(c.origin)
        process = self.table.of(tgid, started, c.opened)
        # Which parts there are is part of the key, so that the form has its commas.
        key = (c.origin, process.since if process else 0, phase, c.established > 0, error, c.source_port > 0)
        template = self.templates.get(key)
        first = b""
        if template is None:
            template = self.templates.keep(key, self.compile(c, phase, error, process))
            # What was seen before has its template, or had one.
            if self.context.first is not None and c.established and phase is not Phase.ENDED:
                first = self.first(self.context.first, c, process)
        moment = self.clock.wall(c.closed if phase is Phase.ENDED else c.opened)
        seconds, rest = divmod(moment, 1_000_000_000)
        if seconds != self.second:
            self.second = seconds
            self.stamp = f'{{"@timestamp":"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.'.encode()
        identity = b"%b-%x" % (self.boot, c.opened)
        values: list[object] = [self.stamp, rest // 1_000_000, identity]
        if phase is not Phase.BEGUN:
            values.append(c.closed - c.opened)
        values.append(self.container(c.origin) if self.context.containers is not None else b"")
        community = b""
        if c.source_port:
            port = ntohs(c.source_port)
            values.append(port)
            community = community_id(template.source, template.destination, port, template.port)
        if c.established:
            if phase is not Phase.BEGUN:
                sent, received = c.bytes_sent, c.bytes_received
                values += (sent, received, community, sent + received, identity)
                values += ((c.established - c.opened) // 1000, c.retransmits, c.rtt >> 3)
            else:
                values += (community, identity, (c.established - c.opened) // 1000)
        elif phase is not Phase.BEGUN:
            values += (community, identity, c.retransmits)
        else:
            values += (community, identity)
        line = template.form % tuple(values)
        # Within a string of JSON these quotes would be escaped.
        return line.replace(OWN, OWN + first, 1) if first else line

    def first(self, seen: FirstSeen, c: Connection, process: Process | None) -> bytes:
        """`auditdeck.first` of an outbound connection that is the first of its kind on this host."""
        origin = origin_of(c)
        peer = self.peer(origin)
        if EGRESS not in peer.network:
            return b""
        network = network_of(str(ipaddress.ip_address(peer.packed)))
        kinds = seen.of(process.executable if process else "", str(origin.uid), network)
        return b'"first":' + orjson.dumps(kinds) + b"," if kinds else b""

    def compile(self, c: Connection, phase: Phase, error: int, process: Process | None) -> Template:
        origin = origin_of(c)
        ended = phase is not Phase.BEGUN
        # What has not ended may still be answered.
        state: State = "unresolved"
        if ended or c.established:
            state = state_of(established=c.established > 0, error=c.error, segments=c.segments)
        self.context.network.addresses.look_into(origin.netns, origin.tgid)
        peer = self.peer(origin)
        who = self.users.get(origin[5:11]) or self.read_user(origin)
        program = self.program(origin, process, c.opened)
        source = packed_address(origin.source, origin.family)
        thread = b"%d" % origin.pid
        event = {
            "kind": "event",
            "module": "auditd",
            "dataset": "auditd.log",
            "action": ACTIONS[phase],
            "category": ["network"],
            "type": TYPES[phase],
            "outcome": OUTCOMES.get(state, "failure"),
        }
        slot, number = b"\0b", b"\0d"
        near = b""
        if c.source_port:
            near = b'"ip":"%b","port":' % str(ipaddress.ip_address(source)).encode() + number
        own = b'","source":"tracepoint"'
        if c.established:
            own += b',"establish_time":' + number
        if ended:
            own += b',"retransmits":' + number
        if ended and c.established:
            own += b',"rtt":' + number
        parts = [
            slot, b"\x0003dZ", b'","ecs":{"version":"%b"},"event":{"id":"' % ECS_VERSION.encode(), slot, b"-" + thread,
            b':end",' if phase is Phase.ENDED else b'",', orjson.dumps(event)[1:-1],
            b',"duration":' + number if ended else b"",
            self.host, b"%d" % origin.tgid, program.process,
            b',"thread":{"id":%b}' % thread if origin.pid != origin.tgid else b"",
            who.user, RESULTS.get(state, b"fail"), who.actor, peer.summary, program.how,
            slot,
        ]  # fmt: skip
        if ended and c.established:
            comma = b"," if near else b""
            parts += [
                b',"source":{', near, comma, b'"bytes":' + number, b"},", peer.destination, b',"bytes":' + number,
                b"},", peer.network, slot, b',"bytes":' + number, b"}",
            ]  # fmt: skip
        else:
            parts += [
                b',"source":{' + near + b"}" if near else b"",
                b",",
                peer.destination,
                b"},",
                peer.network,
                slot,
                b"}",
            ]
        if error > 0:
            parts.append(b',"error":{"code":"%b"}' % errno.errorcode.get(error, str(error)).encode())
        parts += [b',"tags":["%b"],"auditdeck":{"connection":{"id":"' % TAG.encode(), slot, b"-" + thread]
        if phase is not Phase.ENDED:
            parts.append(b'","state":"' + state.encode())
        parts += [own, b"}", program.own, b"}}"]
        form = b"".join(parts).replace(b"%", b"%%").replace(b"\0", b"%")
        return Template(form, source, peer.packed, peer.port)

    def read_user(self, origin: Origin) -> Who:
        user = user_of(fields_of(origin), {}, self.context.users)
        session = b"unset" if origin.session == UNSET else b"%d" % origin.session
        made = Who(
            b'},"user":' + orjson.dumps(user) + b',"auditd":{"session":"' + session + b'","result":"',
            b'","summary":{"actor":' + orjson.dumps(actor_of(user)),
        )
        return self.users.keep(origin[5:11], made)

    def program(self, origin: Origin, process: Process | None, moment: int) -> Program:
        key = (origin.tgid, origin.process_started, process.since if process else 0, origin.parent, origin.comm)
        return self.programs.get(key) or self.programs.keep(key, self.read_program(process, origin, moment))

    def read_program(self, process: Process | None, origin: Origin, moment: int) -> Program:
        context = self.context
        name = text(origin.comm.partition(b"\0")[0])
        found: dict[str, Any] = {"name": name}
        own: dict[str, Any] = {}
        if context.processes.live:
            found["entity_id"] = context.processes.identify(origin.tgid, str(origin.process_started // TICK))
        found["parent"] = self.parent(origin, moment)
        executable = process.executable if process is not None else ""
        if not executable:
            self.unknown += 1
        if process is not None:
            found |= described(process, context)
            script = process.script or script_of_arguments(
                executable, [text(word) for word in process.arguments], process.directory
            )
            if script and context.scripts:
                own["script"] = script
        if context.groups and (groups := groups_of(fields_of(origin), context.users)):
            own["groups"] = groups
        if labels := context.labels.of(origin.tgid, origin.parent, executable, [TAG]):
            own["labels"] = labels
        if context.cgroups and context.containers is not None:
            own |= {"cgroup": path} if (path := context.containers.group(*group_of(origin)).path) else {}
        return Program(
            b"," + orjson.dumps(found)[1:-1],
            b',"how":' + orjson.dumps(executable or name) + b"}}",
            b"," + orjson.dumps(own)[1:-1] if own else b"",
        )

    def parent(self, origin: Origin, moment: int) -> dict[str, Any]:
        parent: dict[str, Any] = {"pid": origin.parent}
        if self.context.parents is None:
            return parent
        process = self.table.of(origin.parent, origin.parent_started, moment) if origin.parent else None
        if process is not None and process.executable:
            parent["name"] = posixpath.basename(process.executable)
            parent["executable"] = process.executable
            parent["entity_id"] = self.context.processes.identify(origin.parent, process.ticks)
            began = datetime.fromtimestamp(self.clock.wall(process.started) / 1e9, UTC)
            parent["start"] = f"{began:%Y-%m-%dT%H:%M:%S}.{began.microsecond // 10000:02d}0Z"
        return parent

    def container(self, packed: bytes) -> bytes:
        """Names come from the runtime, perhaps a moment later: so they are asked for again."""
        cgroup, tgid = CGROUP.unpack_from(packed)
        until, known = self.inside.get((cgroup, tgid), (0.0, b""))
        if until > self.now:
            return known
        containers = self.context.containers
        assert containers is not None
        found = containers.of_group(*group_of(Origin._make(ORIGIN.unpack(packed))))
        made = b',"container":' + orjson.dumps(found) if found else b""
        return self.inside.keep((cgroup, tgid), (self.now + LASTING, made))[1]

    def peer(self, origin: Origin) -> Peer:
        key = (origin.destination, origin.destination_port, origin.family)
        return self.peers.get(key) or self.peers.keep(key, self.read_peer(origin))

    def read_peer(self, origin: Origin) -> Peer:
        packed = packed_address(origin.destination, origin.family)
        ip = str(ipaddress.ip_address(packed))
        port = ntohs(origin.destination_port)
        direction = "internal" if self.context.network.addresses.internal(ip) else "egress"
        network = {"transport": "tcp", "type": "ipv6" if len(packed) == 16 else "ipv4", "direction": direction}
        thing = {"type": "socket", "primary": ip, "secondary": str(port)}
        return Peer(
            packed,
            port,
            b'"destination":{"ip":"%s","port":%d' % (ip.encode(), port),
            b'"network":' + orjson.dumps(network)[:-1],
            b',"object":' + orjson.dumps(thing),
        )


def packed_address(raw: bytes, family: int) -> bytes:
    """Four bytes of IPv4, also where it is mapped into IPv6 (RFC 4291, 2.5.5.2), or 16 of IPv6."""
    if family == AF_INET:
        return raw[:4]
    return raw[12:] if raw[:12] == MAPPED else raw


def community_id(source: bytes, destination: bytes, source_port: int, destination_port: int) -> bytes:
    """`network.community_id`: Community ID flow hash, version 1, seed 0, the same from both ends of a connection."""
    if (destination, destination_port) < (source, source_port):
        source, destination, source_port, destination_port = destination, source, destination_port, source_port
    digest = sha1(b"\0\0%b%b\6\0%b" % (source, destination, PORTS.pack(source_port, destination_port))).digest()
    return b',"community_id":"1:%b"' % b2a_base64(digest, newline=False)


def group_of(origin: Origin) -> tuple[int, int, int]:
    return origin.cgroup, origin.tgid, origin.parent


def described(process: Process, context: Context) -> dict[str, Any]:
    """Executable, arguments, title and working directory, as documents of execve(2) have them."""
    found: dict[str, Any] = {}
    if process.executable:
        found["executable"] = process.executable
    if process.directory:
        found["working_directory"] = process.directory
    if process.arguments:
        arguments = context.redactor.arguments(list(process.arguments))
        args = [text(argument) for argument in arguments]
        if context.arguments_limit and sum(map(len, args)) + len(args) > context.arguments_limit:
            args = cut(args, context.arguments_limit)
        if not process.whole:
            args.append("…")
        found |= {
            "args": args,
            "args_count": len(process.arguments),
            "command_line": shlex.join(args),
            "title": text(b" ".join(arguments)[:TITLE]),
        }
    return found


def fields_of(c: Origin) -> dict[str, str]:
    """As the fields of a SYSCALL record."""
    return {
        "auid": str(c.loginuid),
        "uid": str(c.uid),
        "gid": str(c.gid),
        "euid": str(c.euid),
        "egid": str(c.egid),
        "ses": str(c.session),
    }


def as_event(connection: Connection, executable: str) -> Event:
    """The event that audit would have of it, for filters."""
    c = origin_of(connection)
    result = -connection.error if not connection.established else 0
    who = " ".join(f"{name}={value}" for name, value in fields_of(c).items() if name != "ses")
    exe = encoded(executable.encode()) if executable else b"(null)"
    port = c.destination_port.to_bytes(2, "little")
    family = c.family
    packed = (
        SOCKADDR_IN.pack(family, port, c.destination[:4])
        if family == AF_INET
        else SOCKADDR_IN6.pack(family, port, c.destination)
    )
    stamp = b"0.000:0"
    call = (
        f"arch=c000003e syscall=42 success={'yes' if result == 0 else 'no'} exit={result} items=0 "
        f"ppid={c.parent} pid={c.tgid} {who} tty=(none) ses={c.session} comm="
    ).encode()
    comm = encoded(c.comm.partition(b"\0")[0])
    return Event(
        stamp,
        [
            (1300, b"audit(" + stamp + b"): " + call + comm + b" exe=" + exe + b' key="' + TAG.encode() + b'"'),
            (1306, b"audit(" + stamp + b"): saddr=" + packed.hex().upper().encode()),
        ],
    )
