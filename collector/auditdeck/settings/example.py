"""The model written out: as a commented file, and as JSON Schema for editors."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator
from typing import Any, get_args, get_origin

import msgspec
import yaml

from auditdeck.settings.model import Model, Settings, plain

WIDTH = 120
HEAD = """\
# Settings of auditdeck, with their defaults (auditdeck config example). Looked for at /etc/auditdeck/auditdeck.yaml, or
# named with --config; `auditdeck config check` checks them.
# A variable overrides a key: AUDITDECK_KERNEL__MODE=multicast. A text is taken whole, a list is ["a", "b"].
# Sizes are 16MiB or 10GiB, times 500ms, 2s, 1h or 7d.
"""


def example() -> str:
    return "\n".join([HEAD, *section(Settings(), ""), ""])


def section(values: Model, indent: str) -> Iterator[str]:
    """The lines of a section; sections within it stand apart."""
    texts = descriptions(type(values))
    fields = msgspec.structs.fields(type(values))
    apart = any(isinstance(getattr(values, field.name), Model) for field in fields)
    for number, field in enumerate(fields):
        if apart and number:
            yield ""
        yield from comment(texts.get(field.name, ""), indent)
        value = getattr(values, field.name)
        if isinstance(value, Model):
            yield f"{indent}{field.name}:"
            yield from section(value, indent + "  ")
        else:
            yield f"{indent}{field.name}: {written(value, field.type)}"


def comment(text: str, indent: str) -> Iterator[str]:
    """Wrapped anew; lines that are indented stay as they are."""
    sentences: list[str] = []
    for line in [*text.split("\n"), "  "]:
        if not line.startswith("  "):
            sentences.append(line)
            continue
        yield from (
            f"{indent}# {part}"
            for part in textwrap.wrap(
                " ".join(sentences), WIDTH - len(indent) - 2, break_long_words=False, break_on_hyphens=False
            )
        )
        sentences.clear()
        if line.strip():
            yield f"{indent}# {line}"


def descriptions(kind: type[Model]) -> dict[str, str]:
    """The text below each field in the source, for those that have one."""
    [definition] = ast.parse(inspect.getsource(kind)).body
    assert isinstance(definition, ast.ClassDef)
    found = {}
    for field, text in zip(definition.body, definition.body[1:], strict=False):
        match field, text:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(words))):
                found[name] = words.replace("\n    ", "\n")
    return found


def written(value: Any, kind: Any) -> str:
    """A value as it is written in the file, on one line."""
    dumped: str = yaml.safe_dump(shown(value, kind), default_flow_style=True, allow_unicode=True, width=1 << 20)
    return dumped.strip().removesuffix("\n...")


def shown(value: Any, kind: Any) -> Any:
    """What YAML can write, without secrets, and of the sections in a list what is not the default."""
    base, notes = plain(kind)
    if get_origin(base) is list:
        return [shown(item, get_args(base)[0]) for item in value]
    if isinstance(value, Model):
        fields = msgspec.structs.fields(type(value))
        return {
            field.name: shown(mine, field.type)
            for field in fields
            if (mine := getattr(value, field.name)) != field.default
        }
    for note in notes:
        if note.extra and note.extra["show"]:
            return note.extra["show"](value)
    return value


def schema() -> dict[str, Any]:
    """JSON Schema (2020-12)."""
    made = msgspec.json.schema(Settings)
    for kind in sections(Settings):
        texts = descriptions(kind)
        for field in msgspec.structs.fields(kind):
            property_ = made["$defs"][kind.__name__]["properties"][field.name]
            if field.name in texts:
                property_["description"] = texts[field.name]
            base, notes = plain(field.type)
            if get_origin(base) is list:
                property_, (base, notes) = property_["items"], plain(get_args(base)[0])
            for note in notes:
                property_.update((note.extra or {}).get("schema", {}))
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "auditdeck.yaml", **made}


def sections(kind: type[Model]) -> Iterator[type[Model]]:
    """A section and all that are below it, also in lists."""
    yield kind
    for field in msgspec.structs.fields(kind):
        base, _ = plain(field.type)
        base = get_args(base)[0] if get_origin(base) is list else base
        if isinstance(base, type) and issubclass(base, Model):
            yield from sections(base)
