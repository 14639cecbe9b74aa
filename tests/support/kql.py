"""Kibana's query language, as far as the dashboards use it: parsed, made a query, or applied to a document."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

TOKEN = re.compile(r'\s*(?:(?P<mark>[():])|"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<word>[^\s():"]+))')


@dataclass(frozen=True)
class Is:
    """field: value, with * for any; `*` alone asks that the field is there."""

    field: str
    value: str
    exact: bool


@dataclass(frozen=True)
class Not:
    inner: Query


@dataclass(frozen=True)
class Group:
    """All of them (and), or any (or)."""

    any: bool
    parts: tuple[Query, ...]


Query = Is | Not | Group


def parse(text: str) -> Query:
    """Raises ValueError for what is no KQL, or a part of it that is not known here."""
    tokens = list(split(text))
    if not tokens:
        return Group(False, ())
    parser = Parser(tokens)
    found = parser.alternatives()
    if parser.tokens:
        raise ValueError(f"{text!r}: unexpected {parser.tokens[0][1]!r}")
    return found


def split(text: str) -> Iterator[tuple[str, str]]:
    place = 0
    text = text.rstrip()
    while place < len(text):
        match = TOKEN.match(text, place)
        if not match:
            raise ValueError(f"{text!r}: cannot be read at {place}")
        kind = str(match.lastgroup)
        yield kind, match[kind]
        place = match.end()


class Parser:
    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self.tokens = tokens

    def take(self, kind: str, text: str | None = None) -> str | None:
        if self.tokens and self.tokens[0][0] == kind and (text is None or self.tokens[0][1].lower() == text):
            return self.tokens.pop(0)[1]
        return None

    def alternatives(self) -> Query:
        parts = [self.conjunction()]
        while self.take("word", "or"):
            parts.append(self.conjunction())
        return parts[0] if len(parts) == 1 else Group(True, tuple(parts))

    def conjunction(self) -> Query:
        parts = [self.single()]
        while self.take("word", "and"):
            parts.append(self.single())
        return parts[0] if len(parts) == 1 else Group(False, tuple(parts))

    def single(self) -> Query:
        if self.take("word", "not"):
            return Not(self.single())
        if self.take("mark", "("):
            inner = self.alternatives()
            self.expect(")")
            return inner
        field = self.take("word")
        if field is None:
            raise ValueError(f"a field was expected at {self.tokens[:1]}")
        self.expect(":")
        if self.take("mark", "("):
            values = [self.value(field)]
            while self.take("word", "or"):
                values.append(self.value(field))
            self.expect(")")
            return Group(True, tuple(values))
        return self.value(field)

    def value(self, field: str) -> Is:
        quoted = self.take("quoted")
        if quoted is not None:
            return Is(field, re.sub(r"\\(.)", r"\1", quoted), True)
        word = self.take("word")
        if word is None:
            raise ValueError(f"a value of {field} was expected at {self.tokens[:1]}")
        return Is(field, word, False)

    def expect(self, mark: str) -> None:
        if not self.take("mark", mark):
            raise ValueError(f"{mark!r} was expected at {self.tokens[:1]}")


def fields(query: Query) -> set[str]:
    match query:
        case Is(field):
            return {field}
        case Not(inner):
            return fields(inner)
        case Group(_, parts):
            return set().union(*(fields(part) for part in parts))


def dsl(query: Query) -> dict[str, Any]:
    """For Elasticsearch."""
    match query:
        case Is(field, "*", False):
            return {"exists": {"field": field}}
        case Is(field, value, exact):
            if not exact and "*" in value:
                return {"wildcard": {field: value}}
            return {"term": {field: value}}
        case Not(inner):
            return {"bool": {"must_not": [dsl(inner)]}}
        case Group(True, parts):
            return {"bool": {"should": [dsl(part) for part in parts], "minimum_should_match": 1}}
        case Group(False, parts):
            return {"bool": {"filter": [dsl(part) for part in parts]}} if parts else {"match_all": {}}
    raise AssertionError(query)


def matches(query: Query, document: dict[str, Any]) -> bool:
    """Whether a document is found by it."""
    match query:
        case Is(field, "*", False):
            return bool(values(document, field))
        case Is(field, value, exact):
            found = [str(entry) for entry in values(document, field)]
            return any(entry == value if exact else fnmatch.fnmatchcase(entry, value) for entry in found)
        case Not(inner):
            return not matches(inner, document)
        case Group(True, parts):
            return any(matches(part, document) for part in parts)
        case Group(False, parts):
            return all(matches(part, document) for part in parts)
    raise AssertionError(query)


def values(document: dict[str, Any], field: str) -> list[Any]:
    """The values that a document has in a field: none, one or several."""
    place: Any = document
    for part in field.split("."):
        if not isinstance(place, dict) or part not in place:
            return []
        place = place[part]
    return place if isinstance(place, list) else [place]
