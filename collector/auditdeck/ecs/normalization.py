"""What an event means, by system call or record: action, category and type, as normalization.yaml has it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from auditdeck.assets import table
from auditdeck.audit.record import type_name

FILE = Path(__file__).with_name("normalization.yaml")


@dataclass(frozen=True, slots=True)
class Meaning:
    """`category` and `type` are ECS allowed values, `primary` the record fields that may name the object."""

    action: str
    category: tuple[str, ...]
    type: tuple[str, ...]
    object: str = ""
    primary: tuple[str, ...] = ()
    path: str = ""

    @property
    def file(self) -> str | None:
        """Which of its paths an event is about: "created", "deleted", or "" for any; None if it is about no file."""
        return self.path if self.object in ("file", "filesystem") else None


@dataclass(frozen=True, slots=True)
class Meanings:
    syscalls: dict[str, Meaning]
    records: dict[str, Meaning]
    over: dict[str, Meaning]
    beside: dict[str, Meaning]
    actions: dict[str, Meaning]

    def of(self, kinds: Sequence[int], syscall: str) -> Meaning:
        """The meaning of an event with records of these kinds and maybe a system call."""
        names = [type_name(kind) for kind in kinds]
        for name in names:
            if name in self.over:
                return self.over[name]
        opinions = [self.beside[name] for name in names if name in self.beside]
        if syscall:
            meaning = self.syscalls.get(syscall) or Meaning(syscall, ("process",), ("info",))
            more = [category for opinion in opinions for category in opinion.category]
            return replace(meaning, category=tuple(dict.fromkeys([*meaning.category, *more]))) if more else meaning
        if opinions:
            return opinions[0]
        for name in names:
            if name in self.records:
                return self.records[name]
        return Meaning(names[0].lower().replace("_", "-"), ("process",), ("info",))


@cache
def meanings(file: Path = FILE) -> Meanings:
    found = Meanings({}, {}, {}, {}, {})
    for action, entry in table(file).items():
        meaning = Meaning(
            action,
            words(entry, "category"),
            words(entry, "type"),
            entry.get("object", ""),
            words(entry, "primary"),
            entry.get("path", ""),
        )
        found.actions[action] = meaning
        found.syscalls.update(dict.fromkeys(words(entry, "syscalls"), meaning))
        found.records.update(dict.fromkeys(words(entry, "records"), meaning))
        found.over.update(dict.fromkeys(words(entry, "over"), meaning))
        found.beside.update(dict.fromkeys(words(entry, "beside"), meaning))
    return found


def words(entry: dict[str, Any], name: str) -> tuple[str, ...]:
    value = entry.get(name) or ()
    return (value,) if isinstance(value, str) else tuple(value)
