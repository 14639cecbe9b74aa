"""The forms in which an output writes a document."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from auditdeck.context.users import Users
from auditdeck.ecs.original import START, place_of
from auditdeck.outputs.formats.fluentd import Fluentd
from auditdeck.outputs.formats.goaudit import GoAudit
from auditdeck.settings.model import OutputForm

Encode = Callable[[bytes], bytes]


def encoder(form: OutputForm, users: Users, *, original: bool) -> Encode:
    """From a line of the event log to a line of the form; b"" for a document that the form has no place for.

    `original` says whether the user wants event.original in ECS documents; other forms are made of it.
    """
    if form == "ecs":
        return same if original else without_original
    if form == "raw":
        return raw
    return (GoAudit if form == "go-audit" else Fluentd)(users).encode


def raw(line: bytes) -> bytes:
    """The records as a log of auditd has them, a line each."""
    place = place_of(line)
    if place:
        original: str = orjson.loads(line[place[0] - 1 : place[1] + 1])
    else:
        original = orjson.loads(line).get("event", {}).get("original", "")
    return original.encode()


def same(line: bytes) -> bytes:
    return line


def without_original(line: bytes) -> bytes:
    place = place_of(line)
    if place:
        return line[: place[0] - len(START)] + line[place[1] + 1 :]
    if b'"original":' not in line:
        return line
    document: dict[str, Any] = orjson.loads(line)
    document["event"].pop("original", None)
    return orjson.dumps(document)
