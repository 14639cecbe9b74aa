"""Saved objects of Kibana: readable files here, NDJSON there.

In `kibana/saved-objects/TYPE/ID.json` everything is nested JSON with sorted keys. Kibana wants some of it as JSON
inside strings (panelsJSON and the like); these are packed for the import and unpacked after an export. A drawing in
Vega (`spec`) is packed with line breaks, since people edit that text in Kibana; if as HJSON, it stays text.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from auditdeck.errors import ProvisionError

PACKED = frozenset({
    "fieldAttrs", "fieldFormatMap", "fields", "ignoreParentSettingsJSON", "optionsJSON", "panelsJSON",
    "runtimeFieldMap", "searchSourceJSON", "sourceFilters", "uiStateJSON", "visState",
})  # fmt: skip
DRAWING = frozenset({"spec"})
"""What is packed within what is packed."""
KEPT = {"attributes", "coreMigrationVersion", "id", "references", "type", "typeMigrationVersion"}

Object = dict[str, Any]


def read_bundle(folder: Path) -> list[Object]:
    """All saved objects in the form of the import API, always in the same order. Raises ProvisionError."""
    found = []
    for path in sorted(folder.glob("*/*.json")):
        try:
            readable = json.loads(path.read_text())
        except ValueError as error:
            raise ProvisionError(
                f"{path}: {error}", "it must be JSON; `auditdeck provision --export-dashboards`"
            ) from error
        if (readable.get("type"), readable.get("id")) != (path.parent.name, path.stem):
            raise ProvisionError(f"{path} holds the object {readable.get('type')}/{readable.get('id')}", "rename it")
        found.append(packed(readable))
    return found


def write_object(folder: Path, exported: Object) -> bool:
    """Puts an exported object back into its readable file; whether that changed it."""
    readable = unpacked({name: value for name, value in exported.items() if name in KEPT})
    path = folder / exported["type"] / f"{exported['id']}.json"
    text = json.dumps(readable, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    if path.exists() and path.read_text() == text:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return True


def packed(value: Any, name: str = "", names: frozenset[str] = PACKED) -> Any:
    if name in names and not isinstance(value, str):
        if name == "spec":
            return json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False)
        inner = packed(value, names=DRAWING)
        return json.dumps(inner, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    if isinstance(value, dict):
        return {key: packed(inner, key, names) for key, inner in value.items()}
    if isinstance(value, list):
        return [packed(inner, names=names) for inner in value]
    return value


def unpacked(value: Any, name: str = "", names: frozenset[str] = PACKED) -> Any:
    if name in names and isinstance(value, str):
        try:
            inner = json.loads(value)
        except ValueError:
            if name != "spec":
                raise
            return value
        return inner if name == "spec" else unpacked(inner, names=DRAWING)
    if isinstance(value, dict):
        return {key: unpacked(inner, key, names) for key, inner in value.items()}
    if isinstance(value, list):
        return [unpacked(inner, names=names) for inner in value]
    return value


def ndjson(objects: list[Object]) -> bytes:
    return b"".join(json.dumps(entry, sort_keys=True, ensure_ascii=False).encode() + b"\n" for entry in objects)
