"""What was given: values as YAML reads them, and of each where it stands and how it is written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, TypeVar

import yaml

from auditdeck.assets import LOADER

Path = tuple[str | int, ...]
"""The keys (and places in lists, from 0) that lead to a value."""
NULL = "tag:yaml.org,2002:null"
MOST = 20_000
"""Values of a file."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong: at a file and line or in a variable, with a key, and what to do."""

    place: str
    key: str
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.message}"


@dataclass(slots=True)
class Given:
    """`values` are nested; `places` and `texts` (scalars as they are written) are by path."""

    name: str
    values: Any = field(default_factory=dict)
    places: dict[Path, str] = field(default_factory=dict)
    texts: dict[Path, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def place(self, path: Path) -> str:
        """Of a value, or of the section that it belongs to."""
        while path and path not in self.places:
            path = path[:-1]
        return self.places.get(path, self.name)

    def problem(self, path: Path, message: str) -> None:
        problem = Problem(self.place(path), dotted(path), message)
        if problem not in self.problems:
            self.problems.append(problem)

    def refuse(self, path: Path, message: str) -> None:
        """As `problem`, with the key in front."""
        self.problem(path, f"{dotted(path)}: {message}" if path else message)

    def put(self, path: Path, other: Given) -> None:
        """The value `other` in place of whatever was there; sections are copied, since YAML may share them."""
        self.places = under(path, other.places) | {
            where: at for where, at in self.places.items() if not is_in(where, path)
        }
        self.texts = under(path, other.texts) | {
            where: at for where, at in self.texts.items() if not is_in(where, path)
        }
        self.places[path] = other.name
        self.problems += other.problems
        place = self.values
        for name in path[:-1]:
            section = place.get(str(name)) or {}
            if not isinstance(section, dict):
                return
            place[str(name)] = place = dict(section)
        place[str(path[-1])] = other.values


def dotted(path: Path) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")


def is_in(path: Path, section: Path) -> bool:
    return path[: len(section)] == section


def under(path: Path, table: dict[Path, T]) -> dict[Path, T]:
    return {(*path, *inner): value for inner, value in table.items()}


def read_yaml(text: str, name: str, *, numbered: bool = True) -> Given:
    """What is not YAML, or stands there twice, is among the problems. `numbered`: places are the name with a line."""
    given = Given(name, values=None)

    def place(line: int) -> str:
        return f"{name}:{line + 1}" if numbered else name

    try:
        loader = LOADER(text)
        node = loader.get_single_node()
        if node is None:
            return given
        values = list(islice(nodes(node), MOST + 1))
        if len(values) > MOST:
            given.problem((), f"this has more than {MOST:,} values; aliases (*) within aliases make many of few")
            return given
        first: dict[Path, int] = {}
        for path, line, _ in values:
            if path in first:
                message = f"{dotted(path)}: this key is on line {first[path] + 1} already; keep one of them"
                given.problems.append(Problem(place(line), dotted(path), message))
            first.setdefault(path, line)
        # From here on with merged keys (<<), which others may override.
        given.values = loader.construct_document(node)
        for path, line, value in [((), 0, node), *values]:
            given.places[path] = place(line)
            if isinstance(value, yaml.ScalarNode) and value.tag != NULL:
                given.texts[path] = value.value
    except yaml.MarkedYAMLError as error:
        # The end of the text may be told as a line after the last.
        line = min(error.problem_mark.line, text.count("\n")) if error.problem_mark else 0
        given.problems.append(Problem(place(line), "", f"this is not valid YAML: {error.problem}"))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        given.problems.append(Problem(name, "", f"this is not valid YAML: {' '.join(str(error).split())}"))
    return given


def nodes(node: yaml.Node, path: Path = ()) -> Iterator[tuple[Path, int, yaml.Node]]:
    """Each value with its path and the line of its key, from 0."""
    if isinstance(node, yaml.MappingNode):
        pairs = [(key.value if isinstance(key, yaml.ScalarNode) else "", key, value) for key, value in node.value]
    elif isinstance(node, yaml.SequenceNode):
        pairs = [(number, item, item) for number, item in enumerate(node.value)]
    else:
        return
    for name, key, value in pairs:
        yield (*path, name), key.start_mark.line, value
        yield from nodes(value, (*path, name))
