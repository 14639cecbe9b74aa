"""The same documents as `ecs.document`, written by filling in templates.

Most of what the kernel sends was sent before: but for its stamp, the arguments of its call and the ids of its process,
an event is the same as an earlier one of the program (`Event.shape`). So the document of a shape is put together once,
of the same parts and in the same order as the plain one, with marks where those values go; its JSON is cut at the
marks, and for each further event the pieces are joined with the values between them. The parts of a shape that is new
are remembered by the records that they were made of: a user, a destination, a title seldom comes alone.

What a part depends on besides its bytes are users and addresses: when those change (`Context.generation`),
everything is forgotten. Events of unusual forms go the plain way, with which the tests compare the others.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import orjson

from auditdeck.audit.event import ITEMS, Event
from auditdeck.audit.fields import fields
from auditdeck.audit.record import may_have_names
from auditdeck.cache import Cache
from auditdeck.context.processes import TRUSTED
from auditdeck.ecs.commands import command_part, title_part
from auditdeck.ecs.context import Context
from auditdeck.ecs.document import (
    CWD,
    EXECVE,
    OF_CALL,
    PATH,
    PROCTITLE,
    SOCKADDR,
    SOCKETCALL,
    SYSCALL,
    URINGOP,
    Parts,
    call_part,
    data_part,
    executes,
    fixed_arguments,
    kind_part,
    meaning_part,
    original_head,
    original_part,
    other_part,
    plain_document,
    read_fields,
    stamp_part,
    timestamp,
)
from auditdeck.ecs.frame import (
    ARGUMENT_MARKS,
    GIVEN,
    NO_VALUES,
    Form,
    Frame,
    Names,
    Piece,
    Runs,
    Skeleton,
    escaped,
    form_of,
    make_frame,
    mark,
    take_apart,
    values_of,
)
from auditdeck.ecs.normalization import Meaning, meanings
from auditdeck.ecs.part import Part, add
from auditdeck.ecs.paths import files_part
from auditdeck.ecs.people import tags_of, who_part
from auditdeck.ecs.policy import opinion_of, told
from auditdeck.ecs.redaction import USER_CMD
from auditdeck.ecs.sockets import address_in, address_part
from auditdeck.ecs.surroundings import NOTHING, Answers, Asking, process_part
from auditdeck.ecs.syscalls import Call, read_call

SOCKET_KEY = "netconns_socket"
SHAPES, REMEMBERED, FORMS = 512, 2048, 16
"""How many shapes, parts, and forms of a shape are remembered: shapes are large, or seldom come again."""
BIGGEST = 2048
"""Longer records are not remembered: an argument list of 100 kB seldom comes again."""
PLAIN_WORDS = re.compile(rb"[ !#-&(-\[\]-z|-~]*")
"""The beginning of a SYSCALL record: nothing in it reaches over its end, as a quote would."""
NOT_IN_TAIL = OF_CALL | {"ppid", "pid"}
UNUSUAL = {SYSCALL, SOCKETCALL, URINGOP, USER_CMD}
"""Records beside the call's that change what the call was, or are read together with others."""
ONE = (EXECVE, PROCTITLE, SOCKADDR)
TEXTS, NAMED, ADDRESS = (b"%d" % EXECVE, b"%d" % PROCTITLE), (b"%d" % PATH, b"%d" % CWD), b"%d" % SOCKADDR
STAMP = b"\x1f"
"""Stands for the stamp in a remembered event.original; texts with that byte go the plain way."""
STAMP_PART = stamp_part(mark("time", '"'), orjson.Fragment(b'"\0moment\0\0serial\0"'), mark("serial"))
ORIGINAL_PART = original_part(mark("original", '"'))


Process = tuple[int, int, float, Skeleton, tuple[bytes, ...], dict[Runs, tuple[bytes, ...]]]
"""`ppid=… pid=…`: its number and its parent's, until when to believe the rest, what is known of it, and the runs filled
with that."""


@dataclass(slots=True)
class Head:
    """A SYSCALL record up to the ids of its process. Of its arguments the `fixed` ones decide about the document;
    `shown`: others are in it."""

    text: bytes
    call: Call
    fixed: tuple[int, ...]
    shown: bool


@dataclass(slots=True)
class Tail:
    """The rest of a SYSCALL record: who did it."""

    fields: dict[str, str]
    who: Piece


@dataclass(slots=True)
class Text:
    """An EXECVE or PROCTITLE record with secrets replaced, and its part."""

    body: bytes
    piece: Piece
    hidden: bool


@dataclass(slots=True)
class Base:
    """A SYSCALL record and the types of those beside it: who did what. `socket`, `preference` and `scripts` are what
    addresses and paths are read for."""

    head: Head
    tail: Tail
    meaning: Meaning
    said: Piece
    asking: Asking
    socket: bool
    preference: str | None
    scripts: bool
    silent: bool


@dataclass(slots=True)
class Shape:
    """An event without its stamp, the arguments of its call, and the ids of its process.

    `pieces` are those that need nothing else; `original` is event.original up to the arguments, up to the ids, and the
    rest. `values`: the arguments are needed. `silent`: it is only asked for, there is no document. `hidden`: something
    in it was. `more`: any of these. `again`: it came more than once.
    """

    head: Head
    pieces: tuple[Piece, ...]
    asking: Asking | None
    original: tuple[bytes, bytes, bytes] | None
    values: bool
    silent: bool
    hidden: bool
    more: bool
    again: bool
    forms: Cache[Any, Form]


class Encoder:
    """Events to lines of JSON, for one thread."""

    def __init__(self, context: Context, *, original: bool = False, socket_events: bool = False) -> None:
        self.context = context
        self.original = original
        self.socket_events = socket_events
        self.second = self.day = self.moment = self.time = self.before = b""
        self.now = 0.0
        self.forget()

    def forget(self) -> None:
        self.generation = self.context.generation
        self.skeletons: Cache[Names, Skeleton] = Cache(REMEMBERED)
        self.frames: Cache[tuple[Skeleton, ...], Frame] = Cache(SHAPES)
        self.shapes: Cache[bytes, Shape] = Cache(SHAPES)
        self.bases: Cache[bytes, Base] = Cache(REMEMBERED)
        self.heads: Cache[bytes, Head] = Cache(REMEMBERED)
        self.calls: Cache[tuple[Any, ...], Piece] = Cache(REMEMBERED)
        self.meant: Cache[tuple[Any, ...], tuple[Meaning, Piece]] = Cache(REMEMBERED)
        self.tails: Cache[bytes, Tail] = Cache(REMEMBERED)
        self.texts: Cache[bytes, Text] = Cache(SHAPES)
        self.files: Cache[tuple[Any, ...], Piece] = Cache(SHAPES)
        self.addresses: Cache[tuple[Any, ...], tuple[Piece, tuple[str, int] | None]] = Cache(REMEMBERED)
        self.answers: Cache[tuple[Any, ...], Piece] = Cache(REMEMBERED)
        self.processes: Cache[bytes, Process] = Cache(2 * REMEMBERED)
        self.children: Cache[int, Process] = Cache(REMEMBERED)
        self.runs: Cache[tuple[Any, ...], Runs] = Cache(SHAPES)
        self.nothing = self.piece({})
        self.kind = self.piece(kind_part(SYSCALL, self.context.host.document(), complete=True))
        self.stamp = self.piece(STAMP_PART)
        self.end = self.piece(ORIGINAL_PART) if self.original else self.nothing

    def piece(self, part: Part) -> Piece:
        names: list[Any] = []
        values: list[bytes] = []
        take_apart(part, names, values)
        key = tuple(names)
        return Piece(self.skeletons.get(key) or self.skeletons.keep(key, Skeleton(key)), tuple(values))

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
        # A serial that begins with zero is no JSON number.
        if not event.complete or event.node or event.serial < b"1":
            return self.plain(event)
        text = event.split() if event.shape is None else event.shape
        shape = self.shapes.get(text)
        if shape is None:
            shape = self.read(text, event.arguments)
            if shape is None:
                return self.plain(event)
        process = self.processes.get(event.ids)
        if process is None or self.now > process[2]:
            process = self.look_up(event.ids)
        pid, parent, _, skeleton, known, done = process
        key: Any = skeleton
        values: tuple[bytes, ...] = ()
        answers = NOTHING
        original = b""
        if shape.more:
            if shape.values:
                values = values_of(event.arguments)
                if fixed := shape.head.fixed:
                    key = (key, *[values[place] for place in fixed])
            if (asking := shape.asking) is not None:
                words = event.arguments.split(b" ", asking.wanted + 1)[1:-1]
                answers = asking.ask(pid, parent, [int(word[3:], 16) for word in words])
                if shape.silent:
                    return b""
                key = (key, answers)
            if shape.original is not None:
                before, items, rest = shape.original
                original = b"".join((before, event.arguments, items, event.ids, rest)).replace(STAMP, event.stamp)
            self.context.redactor.count += shape.hidden
        if event.moment != self.moment:
            self.begin(event.moment)
        given = (self.time, self.before, event.serial, original)
        form = shape.forms.get(key)
        if form is None:
            frame, all_known = self.frame(shape, Piece(skeleton, known), event.arguments, answers)
            if not shape.again:
                shape.again = True
                frame.pieces[1::2] = frame.pick(given + (values or NO_VALUES) + all_known)
                return b"".join(frame.pieces)
            first = len(GIVEN) if values else len(GIVEN) - 4
            form = shape.forms.keep(key, form_of(frame, all_known, first, self.runs))
        runs = done.get(form.runs)
        if runs is None:
            runs = done[form.runs] = form.runs.fill(known)
        pieces = form.pieces
        pieces[1::2] = form.pick(given + values + runs)
        return b"".join(pieces)

    def plain(self, event: Event) -> bytes:
        """What has no usual form."""
        shown = self.context.redactor.event(event)
        self.context.redactor.count += shown is not event
        made = plain_document(shown, self.context, original=self.original)
        if SOCKET_KEY in made.get("tags", ()) and not self.socket_events:
            return b""
        return orjson.dumps(made)

    def begin(self, moment: bytes) -> None:
        """A new millisecond."""
        if moment[:-4] != self.second:
            self.day = timestamp(moment + b":0")[:-4].encode()
            self.second = moment[:-4]
        self.time = self.day + moment[-3:] + b"Z"
        self.before = moment + b":"
        self.moment = moment

    def frame(
        self, shape: Shape, process: Piece, arguments: bytes, answers: Answers
    ) -> tuple[Frame, tuple[bytes, ...]]:
        """Of an event, and the values that its parts have for it."""
        answer = self.nothing
        if shape.asking is not None:
            asked = (answers, shape.asking.result)
            answer = self.answers.get(asked) or self.answers.keep(asked, self.piece(shape.asking.part(answers)))
        who, data, meaning, command, title, files, address = shape.pieces
        call = self.call(shape.head, arguments)
        parts = Parts(
            self.stamp, process, self.kind, who, self.nothing, data, meaning, call, command, title, files, address,
            answer, self.end,
        )  # fmt: skip
        key = tuple([piece.skeleton for piece in parts])
        frame = self.frames.get(key) or self.frames.keep(key, make_frame(parts))
        return frame, tuple(chain.from_iterable([piece.values for piece in parts]))

    def read(self, text: bytes, arguments: bytes) -> Shape | None:
        """None for a shape that is left to the plain way."""
        if not arguments:
            return None
        first, *lines = text.split(b"\n")
        key = first + b"".join([told(line) for line in lines] if b"\n142" in text else [line[:4] for line in lines])
        base = self.bases.get(key) or self.read_base(key, first, lines, arguments)
        if base is None or may_have_names(text):
            return None
        command = title = files = address = self.nothing
        data, asking, hidden, meaning = self.nothing, base.asking, False, base.said
        named: list[bytes] = []
        others: list[bytes] = []
        for line in lines:
            kind = line[:4]
            if kind in TEXTS:
                read = self.texts.get(line) or self.read_text(line)
                hidden |= read.hidden
                if kind == TEXTS[0]:
                    command = read.piece
                else:
                    title = read.piece
            elif kind in NAMED:
                named.append(line)
            elif kind == ADDRESS:
                address, asking = self.address(line, base)
            else:
                others.append(line)
        if named:
            files = self.paths(named, base)
        if others:
            kinds = [int(told(line)) for line in others]
            found = [(kind, read_fields(kind, line[5:])) for kind, line in zip(kinds, others, strict=True)]
            opinion = opinion_of(found)
            if opinion is not None or base.meaning.primary:
                main = base.head.call.fields | base.tail.fields
                meaning = self.piece(meaning_part(base.meaning, main, found, opinion))
            data = self.piece(data_part(found, keyed="key" in base.tail.fields))
        original = self.read_original(first, lines) if self.original else None
        values = bool(base.head.fixed) or base.head.shown
        shape = Shape(
            base.head,
            (base.tail.who, data, meaning, command, title, files, address),
            asking if asking.needed else None,
            original,
            values,
            base.silent,
            hidden,
            asking.needed or values or base.silent or hidden or self.original,
            False,
            Cache(FORMS),
        )
        return self.shapes.keep(text, shape) if len(text) <= BIGGEST else shape

    def read_base(self, key: bytes, first: bytes, lines: list[bytes], arguments: bytes) -> Base | None:
        end = first.find(b" auid=", first.find(ITEMS))
        head = self.heads.get(first[:end]) or self.read_head(first[:end], arguments)
        tail = self.tails.get(first[end:]) or self.read_tail(first[end:])
        kinds = [SYSCALL, *[int(told(line)) for line in lines]]
        if (
            head is None
            or tail is None
            or not UNUSUAL.isdisjoint(kinds[1:])
            or any(kinds.count(kind) > 1 for kind in ONE)
        ):
            return None
        meaning, said = self.meaning(head, tail, tuple(kinds))
        tags, context, executed = tags_of(tail.fields), self.context, executes(head.call)
        base = Base(
            head,
            tail,
            meaning,
            said,
            Asking(context, head.call, None, tail.fields["exe"], tags, executed and context.executions is not None),
            meaning.object == "socket",
            meaning.file,
            executed and context.scripts,
            SOCKET_KEY in tags and not self.socket_events,
        )
        return self.bases.keep(key, base)

    def meaning(self, head: Head, tail: Tail, kinds: tuple[int, ...]) -> tuple[Meaning, Piece]:
        key = (head.text, kinds)
        known = self.meant.get(key)
        if known is None:
            meaning = meanings().of(kinds, head.call.name)
            known = meaning, self.piece(meaning_part(meaning, head.call.fields | tail.fields))
            # Else the rest of the record may name the object, or say how it ended.
            if not meaning.primary and "success" in head.call.fields:
                self.meant.keep(key, known)
        return known

    def read_head(self, text: bytes, arguments: bytes) -> Head | None:
        items = text.find(ITEMS)
        raw = text[5:items] + arguments + text[items:]
        found = fields(raw)
        call = read_call(found, None)
        # Without arguments it is a socketcall(2), whose own record has them.
        if not found.keys() <= OF_CALL or not PLAIN_WORDS.fullmatch(raw) or not call.arguments:
            return None
        fixed = fixed_arguments(call.name)
        marks: dict[str, Any] = {f"a{place}": ARGUMENT_MARKS[place] for place in range(4) if place not in fixed}
        call.fields |= marks
        shown = b"\0" in orjson.dumps(call_part(call, self.context.users))
        return self.heads.keep(text, Head(text, call, fixed, shown))

    def call(self, head: Head, arguments: bytes) -> Piece:
        values = values_of(arguments) if head.fixed else ()
        key = (head.text, *[values[place] for place in head.fixed])
        return self.calls.get(key) or self.calls.keep(key, self.read_call(head, values))

    def read_call(self, head: Head, values: Sequence[bytes]) -> Piece:
        given = {f"a{place}": values[place].decode() for place in head.fixed}
        numbers = tuple([int(value, 16) for value in values])
        call = replace(head.call, fields=head.call.fields | given, arguments=numbers)
        return self.piece(call_part(call, self.context.users))

    def read_tail(self, text: bytes) -> Tail | None:
        found = fields(text)
        if "exe" not in found or not found.keys().isdisjoint(NOT_IN_TAIL):
            return None
        who = who_part(found, {}, self.context.users, groups=self.context.groups)
        add(who, other_part(found))
        return self.tails.keep(text, Tail(found, self.piece(who)))

    def read_text(self, line: bytes) -> Text:
        kind = int(line[:4])
        body = self.context.redactor.record(kind, line[5:])
        part = command_part([body], self.context.arguments_limit) if kind == EXECVE else title_part(body)
        text = Text(body, self.piece(part), body != line[5:])
        return self.texts.keep(line, text) if len(line) <= BIGGEST else text

    def paths(self, lines: list[bytes], base: Base) -> Piece:
        """Of PATH and CWD records."""
        key = (base.preference, base.scripts, *lines)
        known = self.files.get(key)
        if known is not None:
            return known
        found = [fields(line[5:]) for line in lines]
        paths = [path for line, path in zip(lines, found, strict=True) if line[:4] == NAMED[0]]
        cwd = next((read.get("cwd", "") for line, read in zip(lines, found, strict=True) if line[:4] == NAMED[1]), "")
        names: list[dict[str, str]] = [{}] * len(paths)
        piece = self.piece(
            files_part(paths, names, cwd, self.context.users, preference=base.preference, scripts=base.scripts)
        )
        return self.files.keep(key, piece) if sum(map(len, lines)) <= BIGGEST else piece

    def address(self, line: bytes, base: Base) -> tuple[Piece, Asking]:
        """Of a SOCKADDR record, with what is to be asked if it leads somewhere."""
        call = base.head.call
        key = (line, call.name, base.socket)
        known = self.addresses.get(key)
        if known is None:
            address = address_in(line[5:])
            part = address_part(address, call.name, self.context.network.addresses, is_object=base.socket)
            to = (address.ip, address.port or 0) if address and address.ip else None
            known = self.addresses.keep(key, (self.piece(part), to))
        piece, to = known
        asking = base.asking
        if to is None:
            return piece, asking
        return piece, Asking(asking.context, call, to, asking.executable, asking.tags, asking.executed)

    def read_original(self, first: bytes, lines: list[bytes]) -> tuple[bytes, bytes, bytes]:
        items = first.find(ITEMS)
        end = first.find(b" auid=", items)
        made = [escaped(first[end:])]
        for line in lines:
            body = self.read_text(line).body if line[:4] in TEXTS else line[5:]
            made.append(start_of(int(line[:4]), body) + escaped(body))
        return start_of(SYSCALL, b"") + first[5:items], first[items:end], b"\\n".join(made)

    def look_up(self, ids: bytes) -> Process:
        """Of ` ppid=… pid=…`."""
        first, _, last = ids[6:].partition(b" pid=")
        parent, pid = int(first), int(last)
        if not self.context.is_unknown(pid):
            return self.processes.keep(ids, self.ask(pid, parent))
        # All that is said of it is its parent's.
        child = self.children.get(parent)
        if child is None or self.now > child[2]:
            child = self.children.keep(parent, self.ask(pid, parent))
        _, _, until, skeleton, values, _ = child
        return self.processes.keep(ids, (pid, parent, until, skeleton, (b"%d" % pid, *values[1:]), {}))

    def ask(self, pid: int, parent: int) -> Process:
        piece = self.piece(process_part(pid, parent, self.context))
        return pid, parent, self.now + TRUSTED, piece.skeleton, piece.values, {}


def start_of(kind: int, body: bytes) -> bytes:
    return original_head(kind, body, STAMP.decode()).encode()
