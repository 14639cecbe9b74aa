"""event.original in a line of the event log, and forms of other tools, which are made of the records in it.

What an event becomes was made before, but for its call: the same tail of the SYSCALL record and the same other records
come again and again. So a line of a form has two parts: `begin`, written anew up to where the SYSCALL record says
`auid=`, and the rest, made once by the plain function and remembered under the bytes that it was made of.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import orjson

from auditdeck.cache import Cache
from auditdeck.context.users import Users

START, END, BETWEEN = b',"original":"', b'"},"host":{', b'","'
Make = Callable[[dict[str, Any], Users], dict[str, Any] | None]

NUMBER = rb"(0|[1-9]\d{0,17})"
CALL = re.compile(
    rb"type=SYSCALL msg=audit\((\d{1,11}\.\d{3}):%b\): "
    rb"(arch=[0-9a-f]{1,8} (?:per=[0-9a-f]{1,8} )?syscall=\d{1,9} (?:success=(?:yes|no) exit=-?\d{1,19} )?)"
    rb"(a0=[0-9a-f]{1,16} a1=[0-9a-f]{1,16} a2=[0-9a-f]{1,16} a3=[0-9a-f]{1,16})"
    rb" items=%b ppid=%b pid=%b auid=" % (NUMBER, NUMBER, NUMBER, NUMBER)
)
"""Groups: moment, serial, call, arguments, items, ppid, pid."""
TWICE = re.compile(rb"[ ,\x1d](?:arch|per|syscall|success|exit|a[0-3]|items|ppid|pid)=")
CONTAINER, OWN, CGROUP = b',"container":{', b',"auditdeck":{', b'"cgroup":"'
STAMP = b"\x1f"
"""Stands for the stamp in what is remembered; JSON itself has no such byte, and texts of events neither."""
REMEMBERED = 1024
BIGGEST = 4096


def place_of(line: bytes) -> tuple[int, int] | None:
    """Where its text begins and ends between the quotes; None if the line has none, or not as documents are written.

    It is the last field of `event`, and `host` follows. What stands in a string cannot be taken for the names and
    quotes around it: there a quote has a backslash before it.
    """
    end = line.find(END)
    start = line.rfind(START, 0, max(end, 0)) + len(START)
    return (start, end) if start >= len(START) and line.find(BETWEEN, start, end) < 0 else None


class OfOriginal(ABC):
    """Subclasses say which form. For one thread."""

    make: Make

    def __init__(self, users: Users) -> None:
        self.users = users
        self.forget()

    def forget(self) -> None:
        self.generation = self.users.generation
        self.rests: Cache[bytes, bytes] = Cache(REMEMBERED)

    def plain(self, line: bytes) -> bytes:
        """b"" for a document that the form has no place for."""
        made = self.make(orjson.loads(line), self.users)
        return b"" if made is None else orjson.dumps(made)

    def encode(self, line: bytes) -> bytes:
        """As `plain`."""
        self.users.refresh()
        if self.generation != self.users.generation:
            self.forget()
        place = place_of(line)
        call = CALL.match(line, *place) if place else None
        if place is None or call is None:
            return self.plain(line)
        stamp = line[call.start(1) : call.end(2)]
        rest = line[call.end() : place[1]].replace(b"audit(" + stamp, STAMP)
        key = rest + surroundings(line, place[1])
        begin = self.begin(call)
        known = self.rests.get(key)
        if known is not None:
            return begin + known
        made = self.plain(line)
        end = made[len(begin) :]
        if made.startswith(begin) and len(key) <= BIGGEST and stamp not in end and not says_again(rest):
            self.rests.keep(key, end)
        return made

    @abstractmethod
    def begin(self, call: re.Match[bytes]) -> bytes:
        """The line up to `auid=`, which says no more than what `CALL` found."""


def surroundings(line: bytes, end: int) -> bytes:
    """What go-audit's form takes of the document behind event.original: containers, and the control group."""
    places = [line.find(CONTAINER, end)]
    if line.find(CGROUP, end) >= 0:
        places.append(line.find(OWN, end))
    found = [place for place in places if place >= 0]
    return line[min(found) :] if found else b""


def says_again(rest: bytes) -> bool:
    """Whether what follows `auid=` has fields of what stands before it: then the form may have those instead."""
    tail, _, others = rest.partition(b"\\n")
    return TWICE.search(tail) is not None or b"type=SYSCALL " in others
