"""Kibana's query language, as far as the dashboards use it: parsed, made a query, or applied to a document."""

from __future__ import annotations

import fnmatch
import ipaddress
import operator
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

TOKEN = re.compile(r'\s*(?:(?P<mark>[():])|(?P<sign>[<>]=?)|"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<word>[^\s():"<>]+))')
SIGNS: dict[str, tuple[str, Callable[[Any, Any], bool]]] = {
    ">": ("gt", operator.gt), ">=": ("gte", operator.ge), "<": ("lt", operator.lt), "<=": ("lte", operator.le)
}  # fmt: skip
AGO = re.compile(r"now(?:-(\d+)([dhm]))?")
UNITS = {"d": "days", "h": "hours", "m": "minutes"}


@dataclass(frozen=True)
class Is:
    """field: value, with * for any; `*` alone asks that the field is there."""

    field: str
    value: str
    exact: bool


@dataclass(frozen=True)
class Range:
    """field > value: of numbers, or of times such as now-5m."""

    field: str
    sign: str
    value: str


@dataclass(frozen=True)
class Not:
    inner: Query


@dataclass(frozen=True)
class Group:
    """All of them (and), or any (or)."""

    any: bool
    parts: tuple[Query, ...]


Query = Is | Range | Not | Group


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
        sign = self.take("sign")
        if sign is not None:
            return Range(field, sign, self.value(field).value)
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


def parts(query: Query) -> Iterator[Is | Range]:
    """Every comparison in it."""
    match query:
        case Is() | Range():
            yield query
        case Not(inner):
            yield from parts(inner)
        case Group(_, inner_parts):
            for part in inner_parts:
                yield from parts(part)


def fields(query: Query) -> set[str]:
    return {part.field for part in parts(query)}


def moment(value: str, now: datetime) -> datetime | None:
    """The time that now-7d and the like name; None for what is not a time."""
    match = AGO.fullmatch(value)
    if not match:
        return None
    return now - timedelta(**{UNITS[match[2]]: int(match[1])}) if match[1] else now


def dsl(query: Query, now: datetime | None = None) -> dict[str, Any]:
    """For Elasticsearch; with `now`, times are of then."""
    match query:
        case Is(field, "*", False):
            return {"exists": {"field": field}}
        case Is(field, value, exact):
            if not exact and "*" in value:
                return {"wildcard": {field: value}}
            return {"term": {field: value}}
        case Range(field, sign, value):
            time = moment(value, now) if now else None
            return {"range": {field: {SIGNS[sign][0]: time.isoformat() if time else value}}}
        case Not(inner):
            return {"bool": {"must_not": [dsl(inner, now)]}}
        case Group(True, inner_parts):
            return {"bool": {"should": [dsl(part, now) for part in inner_parts], "minimum_should_match": 1}}
        case Group(False, inner_parts):
            found = [dsl(part, now) for part in inner_parts]
            return {"bool": {"filter": found}} if found else {"match_all": {}}
    raise AssertionError(query)


def matches(query: Query, document: dict[str, Any], now: datetime | None = None) -> bool:
    """Whether a document is found by it."""
    match query:
        case Is(field, "*", False):
            return bool(values(document, field))
        case Is(field, value, exact):
            found = [str(entry) for entry in values(document, field)]
            if field.endswith(".ip") and "/" in value:
                network = ipaddress.ip_network(value)
                return any(ipaddress.ip_address(entry) in network for entry in found)
            return any(entry == value if exact else fnmatch.fnmatchcase(entry, value) for entry in found)
        case Range(field, sign, value):
            compare = SIGNS[sign][1]
            time = moment(value, now) if now else None
            if time:
                return any(compare(datetime.fromisoformat(entry), time) for entry in values(document, field))
            return any(compare(float(entry), float(value)) for entry in values(document, field))
        case Not(inner):
            return not matches(inner, document, now)
        case Group(True, inner_parts):
            return any(matches(part, document, now) for part in inner_parts)
        case Group(False, inner_parts):
            return all(matches(part, document, now) for part in inner_parts)
    raise AssertionError(query)


def values(document: dict[str, Any], field: str) -> list[Any]:
    """The values that a document has in a field: none, one or several."""
    place: Any = document
    for part in field.split("."):
        if not isinstance(place, dict) or part not in place:
            return []
        place = place[part]
    return place if isinstance(place, list) else [place]
