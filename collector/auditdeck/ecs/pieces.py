"""What `documents.fast` remembers of records and documents: JSON, as far as it is the same each time."""

from __future__ import annotations

from dataclasses import dataclass, replace

from auditdeck.audit.sockaddr import SocketAddress
from auditdeck.cache import Cache
from auditdeck.context.network import Connect
from auditdeck.ecs.normalization import Meaning
from auditdeck.ecs.syscalls import Call


@dataclass(slots=True)
class Head:
    """A SYSCALL record up to `items=`: which call with which result. `descriptor` is its first argument.

    `holes` are the arguments that `data` has %b for.
    """

    call: Call
    meaning: Meaning
    descriptor: int
    result: int
    outcome: str
    event: bytes
    auditd: bytes
    data: bytes
    executes: bool
    own: bytes
    holes: tuple[int, ...] = ()

    def with_holes(self, values: list[bytes], fixed: tuple[int, ...]) -> Head:
        """For any values of the arguments that are not fixed: `data` is then a format for those of them in it."""
        data = self.data.replace(b"%", b"%%")
        holes = []
        for position in range(4):
            text = b'"a%d":"%b"' % (position, values[position])
            if position not in fixed and text in data:
                holes.append(position)
                data = data.replace(text, b'"a%d":"%%b"' % position)
        return replace(self, data=data, holes=tuple(holes)) if holes else self

    def filled(self, values: list[bytes]) -> Head:
        """With the values of the four arguments, of which it takes those that it has holes for."""
        if not self.holes:
            return self
        return Head(
            self.call, self.meaning, self.descriptor, self.result, self.outcome, self.event, self.auditd,
            self.data % tuple([values[position] for position in self.holes]), self.executes, self.own,
        )  # fmt: skip


@dataclass(slots=True)
class Tail:
    """A SYSCALL record from `auid=` on: who, with what program, by which rule."""

    process: bytes
    user: bytes
    session: bytes
    data: bytes
    actor: bytes
    how: bytes
    tags: bytes
    socket: bool
    executable: str
    keys: list[str]
    own: bytes


@dataclass(slots=True)
class Ids:
    """`ppid=… pid=…`; the entity id is asked for again after `until`."""

    pid: int
    parent: int
    until: float
    process: bytes
    container: bytes
    own: bytes


@dataclass(slots=True)
class Files:
    """The PATH and CWD records of an event; `own` is what of them goes to auditdeck.*."""

    own: bytes
    cwd: bytes
    paths: bytes
    file: bytes
    object: bytes


@dataclass(slots=True)
class Form:
    """The rest of a document, but for what the head says of the call and the ids of the process: what stands before
    and behind the two. `own` is what of it goes to auditdeck.*; `original` is the rest of event.original, and what
    stands between that and the process. `end` is how the document ends if nothing else goes to auditdeck.*."""

    before: bytes
    original: bytes
    process: bytes
    result: bytes
    rest: bytes
    own: bytes
    end: bytes


@dataclass(slots=True)
class Peer:
    """What a connect's address, transport and result make of its document."""

    event: bytes
    auditd: bytes
    data: bytes
    parts: bytes
    own: bytes
    object: bytes


@dataclass(slots=True)
class Use:
    """What a call makes of its arguments: `fixed` say more than their number; `only` is the head for whatever they are,
    where a document has none of them."""

    fixed: tuple[int, ...]
    only: Head | None


@dataclass(slots=True)
class Shape:
    """An event without its stamp, the arguments of its call, and the ids of its process.

    Up to `auid=` the SYSCALL record says `call` and `items`; `raw_tail` is what follows, `rest` the other records.
    `addressed` says that there is a SOCKADDR record, `address` and `to` are what it has of an internet address. `heads`
    are remembered by the arguments, `forms` by what the connect was.
    """

    call: bytes
    items: bytes
    raw_tail: bytes
    rest: bytes
    tail: Tail
    use: Use
    addressed: bool
    address: SocketAddress | None
    to: tuple[str, int]
    heads: Cache[bytes, Head]
    forms: Cache[Connect | None, Form]
