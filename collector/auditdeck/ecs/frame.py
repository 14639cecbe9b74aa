"""Documents with places for values: the JSON of parts without their values, cut where those go.

A mark is a byte that JSON never has (NUL; in strings it is written as an escape), so no text of an event can be taken
for one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from operator import itemgetter
from typing import Any

import orjson

from auditdeck.cache import Cache
from auditdeck.ecs.document import Parts
from auditdeck.ecs.part import Part, together

GIVEN = ("time", "moment", "serial", "original", "a0", "a1", "a2", "a3")
"""Names of marks, in the order in which their values are given for each event."""


NO_VALUES = (b"", b"", b"", b"")


def mark(name: object, around: str = "") -> orjson.Fragment:
    return orjson.Fragment(f"{around}\0{name}\0{around}".encode())


ARGUMENT_MARKS = tuple([mark(f"a{place}", '"') for place in range(4)])

Names = tuple[str | tuple[str] | tuple[str, orjson.Fragment] | None, ...]
UP = None


@dataclass(slots=True, eq=False)
class Skeleton:
    """The names of a part, without its values: which of them there are decides about commas.

    That of an object is a tuple, the names in it and UP follow; a pair has a mark for its value.
    """

    names: Names


@dataclass(slots=True)
class Piece:
    """A part: its skeleton, and its values as JSON."""

    skeleton: Skeleton
    values: tuple[bytes, ...]


@dataclass(slots=True)
class Frame:
    """The document of all events whose parts have the same skeletons, as JSON in pieces.

    Every other piece is to be filled; `places` are where its value is among all: those that are given for each event,
    those of the process, and those of the other parts, which begin at `known`. `pick` takes them all.
    """

    pieces: list[bytes]
    places: tuple[int, ...]
    pick: Callable[[Any], Any]
    known: int


@dataclass(slots=True, eq=False)
class Runs:
    """Pieces of a form that are the same for all events of a process: formats, and what takes their values of its."""

    runs: tuple[tuple[bytes, Callable[[Any], Any]], ...]

    def fill(self, values: tuple[bytes, ...]) -> tuple[bytes, ...]:
        return tuple([run % pick(values) for run, pick in self.runs])


@dataclass(slots=True)
class Form:
    """A frame filled as far as a shape and the kind of its process say. Every other piece is filled for each event."""

    pieces: list[bytes]
    pick: Callable[[Any], Any]
    runs: Runs


def take_apart(part: Part, names: list[Any], values: list[bytes]) -> None:
    for name, value in part.items():
        if type(value) is dict:
            names.append((name,))
            take_apart(value, names, values)
            names.append(UP)
        elif type(value) is orjson.Fragment:
            names.append((name, value))
        else:
            names.append(name)
            values.append(orjson.dumps(value))


def with_marks(names: Iterator[Any], numbers: Iterator[int]) -> Part:
    """A part of these names, with marks for its values."""
    part: Part = {}
    for name in names:
        if name is UP:
            break
        if type(name) is str:
            part[name] = mark(next(numbers))
        else:
            part[name[0]] = name[1] if len(name) > 1 else with_marks(names, numbers)
    return part


def make_frame(parts: Parts[Piece]) -> Frame:
    numbers = count(len(GIVEN))
    marked = together([with_marks(iter(piece.skeleton.names), numbers) for piece in parts])
    rest, *cut = orjson.dumps(marked).split(b"\0")
    places = [int(name) if name.isdigit() else GIVEN.index(name.decode()) for name in cut[::2]]
    pieces = [rest]
    for following in cut[1::2]:
        pieces += (b"", following)
    return Frame(pieces, tuple(places), itemgetter(*places), len(GIVEN) + len(parts.process.values))


def form_of(frame: Frame, values: tuple[bytes, ...], first: int, known: Cache[tuple[Any, ...], Runs]) -> Form:
    """Of a frame and the values that its parts have; `first` is where runs begin in what is given; `known`
    are those of other forms."""
    pieces: list[bytes] = []
    places: list[int] = []
    runs: list[tuple[bytes, tuple[int, ...]]] = []
    rest, *cut = frame.pieces[::2]
    for place, following in zip(frame.places, cut, strict=True):
        number = place - len(GIVEN)
        if place >= frame.known:
            rest += values[number] + following
            continue
        if number < 0:
            pieces += (rest, b"")
            places.append(place)
        elif places and places[-1] >= first:
            run, taken = runs.pop()
            runs.append((run + rest.replace(b"%", b"%%") + b"%b", (*taken, number)))
        else:
            pieces += (rest, b"")
            places.append(first + len(runs))
            runs.append((b"%b", (number,)))
        rest = following
    pieces.append(rest)
    key = tuple(runs)
    made = known.get(key)
    if made is None:
        made = known.keep(key, Runs(tuple([(run, itemgetter(*taken)) for run, taken in runs])))
    return Form(pieces, itemgetter(*places), made)


def escaped(body: bytes) -> bytes:
    """As the inside of a JSON string."""
    return orjson.dumps(body.decode("utf-8", "backslashreplace"))[1:-1]


def values_of(arguments: bytes) -> tuple[bytes, ...]:
    """Of ` a0=… a1=… a2=… a3=…`."""
    return tuple([argument[3:] for argument in arguments[1:].split(b" ")])
