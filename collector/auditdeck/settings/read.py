"""Settings from a file and the environment, each value checked: what is wrong is told with its place and its key."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path as File
from typing import Any, Literal, TypeVar, get_args, get_origin

import msgspec

from auditdeck.errors import SettingsError, did_you_mean
from auditdeck.settings.environment import put_variables
from auditdeck.settings.given import Given, Path, dotted, read_yaml
from auditdeck.settings.goaudit import KEYS, from_go_audit, is_go_audit
from auditdeck.settings.model import Model, Settings, is_text, plain

DEFAULT_FILE = File("/etc/auditdeck/auditdeck.yaml")
M = TypeVar("M", bound=Model)
NOUNS = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}


def read_settings(
    file: File | None = None, environment: Mapping[str, str] = os.environ, *, go_audit: bool = False
) -> Settings:
    """The settings of a file (by default /etc/auditdeck/auditdeck.yaml, where it exists) and the environment.

    A go-audit.yaml is known by its keys, or with `go_audit` taken for one. Raises SettingsError that names the file,
    the line and the key.
    """
    settings, given = load(file, environment, go_audit=go_audit)
    if settings is None:
        raise first_problem(given)
    return settings


def first_problem(given: Given) -> SettingsError:
    first, *others = given.problems
    return SettingsError(str(first), f"and {len(others)} more; `auditdeck config check` lists them" if others else "")


def load(file: File | None, environment: Mapping[str, str], *, go_audit: bool = False) -> tuple[Settings | None, Given]:
    """The settings, or None if there are problems; and what they were made of.

    Raises SettingsError for a file that cannot be read at all.
    """
    file = file or (DEFAULT_FILE if DEFAULT_FILE.exists() else None)
    given = read_yaml(text_of(file), str(file)) if file else Given("defaults")
    if not isinstance(given.values, dict):
        if given.values is not None:
            given.problem((), f"{shown(given.values)} is not a section; write keys with values")
        given.values = {}
    if go_audit or is_go_audit(given.values):
        given = from_go_audit(given)
    put_variables(given, environment)
    settings = Checker(given).section(Settings, given.values, ())
    return (None if given.problems else settings), given


def text_of(file: File) -> str:
    try:
        return file.read_text()
    except OSError as error:
        raise SettingsError(f"cannot read the settings file {file}: {error.strerror}", "see --config") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"the settings file {file} is not UTF-8 text") from error


@dataclass(slots=True)
class Checker:
    """Makes the model of what was given; what is wrong goes to its problems. An empty value is the default."""

    given: Given

    def section(self, kind: type[M], values: Any, path: Path) -> M | None:
        if not isinstance(values, dict):
            self.given.refuse(path, f"{shown(values)} is not a section; write keys with values")
            return None
        before = len(self.given.problems)
        fields = {field.name: field for field in msgspec.structs.fields(kind)}
        for name in values:
            if name not in fields:
                self.unknown(path, str(name), list(fields))
        made = {}
        for name, field in fields.items():
            if values.get(name) is not None:
                made[name] = self.value(field.type, values[name], (*path, name))
            elif field.required:
                self.given.refuse((*path, name), "this is missing")
        if len(self.given.problems) > before:
            return None
        section = kind(**made)
        for name, message in section.problems():
            self.given.refuse((*path, name) if name else path, message)
        return section

    def unknown(self, path: Path, name: str, known: list[str]) -> None:
        advice = did_you_mean(name, known)
        if not path and name in KEYS:
            advice += "; go-audit has it: its file is taken with `auditdeck run --go-audit FILE`"
        advice = advice or f"; use {', '.join(known)}"
        self.given.problem((*path, name), f"unknown key `{dotted((*path, name))}`{advice}")

    def value(self, kind: Any, value: Any, path: Path) -> Any:
        base, _ = plain(kind)
        if isinstance(base, type) and issubclass(base, Model):
            return self.section(base, value, path)
        if get_origin(base) is list:
            if not isinstance(value, list):
                self.given.refuse(path, f"{shown(value)} is not a list; write [a, b], or a line with - for each")
                return None
            return [self.value(get_args(base)[0], item, (*path, number)) for number, item in enumerate(value)]
        return self.leaf(kind, value, path)

    def leaf(self, kind: Any, value: Any, path: Path) -> Any:
        base, notes = plain(kind)
        if is_text(kind):
            # What YAML takes for a number, a date or a truth value is a text where a text is due.
            value = self.given.texts.get(path, value)
            if not isinstance(value, str):
                self.given.refuse(path, f"{shown(value)} is not a text")
                return None
        try:
            found = value
            for note in notes:
                found = note.extra["read"](found) if note.extra and note.extra["read"] else found
            return msgspec.convert(found, kind, strict=False)
        except msgspec.ValidationError:
            self.given.refuse(path, f"{shown(value)} is not {expected(base, notes)}")
        except (ValueError, OverflowError) as error:
            self.given.refuse(path, str(error))
        return None


def expected(base: Any, notes: list[msgspec.Meta]) -> str:
    """What would be right."""
    if get_origin(base) is Literal:
        *most, last = map(str, get_args(base))
        return f"valid; use {', '.join(most)} or {last}"
    noun = NOUNS.get(base, "a name or a number")
    bounds = {
        name: limit for note in notes for name in ("ge", "gt", "le") if (limit := getattr(note, name)) is not None
    }
    match bounds:
        case {"ge": low, "le": high}:
            return f"{noun} from {low} to {high}"
        case {"le": high}:
            return f"{noun} of at most {high}"
        case {"ge": low}:
            return f"{noun} of at least {low}"
        case {"gt": low}:
            return f"{noun} of more than {low}"
    return noun


def shown(value: Any) -> str:
    match value:
        case None:
            return "nothing"
        case dict():
            return "a section"
        case list():
            return "a list"
        case bool():
            return str(value).lower()
    return repr(value)
