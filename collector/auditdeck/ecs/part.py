"""Parts of documents: what one source knows of an event, in the form of the document it goes into.

A part is made by one function of what its docstring says, and by nothing else: so the same bytes make the same part,
and `ecs.template` remembers it. A field is added where its part is made, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

Part = dict[str, Any]

ORDER = ("@timestamp", "ecs", "event", "host", "process", "user", "auditd", "tags", "container", "auditdeck")
"""The beginning of every document; what else there is follows."""


class Whole(Part):
    """An object that no other part adds to, or whose names are anyone's."""


def together(parts: Iterable[Part]) -> dict[str, Any]:
    """The document: later parts over earlier ones. What has a value keeps its place."""
    made: dict[str, Any] = {name: {} for name in ORDER}
    for part in parts:
        add(made, part)
    return {name: value for name, value in made.items() if value != {}}


def add(into: Part, part: Part) -> None:
    for name, value in part.items():
        if type(value) is not dict:
            into[name] = value
        elif value:
            inner = into.get(name)
            if type(inner) is not dict:
                inner = into[name] = {}
            add(inner, value)
