"""The saved objects of the stand-in for Kibana: as strict as Kibana is about their form."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

# The newest versions that Kibana 8.12 knows; what carries these goes into 8.12 and every newer one.
TYPE_VERSIONS = {
    "index-pattern": (8, 0, 0), "search": (8, 0, 0), "dashboard": (8, 9, 0), "lens": (8, 9, 0),
    "visualization": (8, 5, 0), "tag": (8, 0, 0),
}  # fmt: skip
CORE_VERSION = (8, 12, 2)
ATTRIBUTES = {
    "index-pattern": {
        "allowHidden", "allowNoIndex", "fieldAttrs", "fieldFormatMap", "fields", "name", "runtimeFieldMap",
        "sourceFilters", "timeFieldName", "title", "type", "typeMeta",
    },
    "dashboard": {
        "controlGroupInput", "description", "hits", "kibanaSavedObjectMeta", "optionsJSON", "panelsJSON",
        "refreshInterval", "timeFrom", "timeRestore", "timeTo", "title", "version",
    },
    "search": {
        "breakdownField", "columns", "description", "grid", "headerRowHeight", "hideAggregatedPreview", "hideChart",
        "hits", "isTextBasedQuery", "kibanaSavedObjectMeta", "refreshInterval", "rowHeight", "rowsPerPage",
        "sampleSize", "sort", "timeRange", "timeRestore", "title", "usesAdHocDataView", "version", "viewMode",
    },
    "lens": {"description", "state", "title", "visualizationType"},
    "visualization": {
        "description", "kibanaSavedObjectMeta", "savedSearchRefName", "title", "uiStateJSON", "version", "visState",
    },
    "tag": {"color", "description", "name"},
}  # fmt: skip
STRINGS = {"panelsJSON", "optionsJSON", "fieldFormatMap", "fieldAttrs", "fields", "visState", "uiStateJSON"}


class Refused(Exception):
    """The whole request is refused, with an HTTP status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Objects:
    """Saved objects and settings, kept in one file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.state: dict[str, Any] = {"objects": {}, "settings": {}, "rules": {}}
        if path.exists():
            self.state = json.loads(path.read_text())

    def save(self) -> None:
        self.path.write_text(json.dumps(self.state))

    def take(self, lines: bytes, *, overwrite: bool) -> dict[str, Any]:
        """An import; Kibana answers 200 with success: false for objects that it refuses one by one."""
        entries = [json.loads(line) for line in lines.splitlines() if line.strip()]
        stored: dict[str, Any] = self.state["objects"]
        for entry in entries:
            check(entry)
        coming = {f"{entry['type']}/{entry['id']}" for entry in entries}
        errors = []
        good = []
        for entry in entries:
            name = f"{entry['type']}/{entry['id']}"
            missing = [r for r in entry.get("references", []) if f"{r['type']}/{r['id']}" not in coming | set(stored)]
            error: dict[str, Any] | None = None
            if missing:
                error = {"type": "missing_references", "references": missing}
            elif name in stored and not overwrite:
                error = {"type": "conflict"}
            if error:
                errors.append({"type": entry["type"], "id": entry["id"], "error": error})
            else:
                good.append(entry)
        now = datetime.now(UTC).isoformat(timespec="microseconds")
        for entry in good:
            stored[f"{entry['type']}/{entry['id']}"] = {**entry, "managed": False, "updated_at": now}
        self.save()
        answer: dict[str, Any] = {"success": not errors, "successCount": len(good)}
        if errors:
            answer["errors"] = errors
        return answer

    def export(self, wanted: list[dict[str, str]]) -> bytes:
        stored = self.state["objects"]
        missing = [entry for entry in wanted if f"{entry['type']}/{entry['id']}" not in stored]
        if missing:
            raise Refused(400, f"Error fetching objects to export: {json.dumps(missing)}")
        return b"".join(json.dumps(stored[f"{entry['type']}/{entry['id']}"]).encode() + b"\n" for entry in wanted)


def check(entry: dict[str, Any]) -> None:
    kind = entry.get("type")
    if kind not in ATTRIBUTES:
        raise Refused(400, f"Unsupported saved object type: {kind}")
    for name, newest in (("coreMigrationVersion", CORE_VERSION), ("typeMigrationVersion", TYPE_VERSIONS[kind])):
        if name not in entry:
            raise Refused(422, f"{kind}/{entry['id']} has no {name}: every migration would run over it")
        if tuple(map(int, entry[name].split("."))) > newest:
            raise Refused(422, f"{kind}/{entry['id']} belongs to a more recent version of Kibana [{entry[name]}]")
    for name, value in entry["attributes"].items():
        if name not in ATTRIBUTES[kind]:
            raise Refused(400, f"[attributes.{name}]: definition for this key is missing")
        if name in STRINGS and not isinstance(value, str):
            raise Refused(400, f"[attributes.{name}]: expected value of type [string]")
