"""A go-audit.yaml, key by key, as settings of auditdeck (github.com/slackhq/go-audit, go-audit.yaml.example)."""

from __future__ import annotations

import logging
from typing import Any

from auditdeck.errors import did_you_mean
from auditdeck.settings.given import Given, Path, dotted

logger = logging.getLogger("auditdeck")

KEYS = {"socket_buffer", "events", "message_tracking", "output", "log", "extras", "rules", "filters", "canary"}
WITHOUT_MEANING = {
    "message_tracking.enabled": "gaps are always counted",
    "message_tracking.log_out_of_order": "records may come in any order",
    "message_tracking.max_out_of_order": "a missing record is waited for two seconds",
    "log.flags": "the form of auditdeck's own messages is fixed",
    "canary": "gaps are always counted",
    "extras.metadata.enabled": "pairs are not added to events",
    "extras.containers.containerd": "containers have their id, and Docker's their image",
    "extras.containers.pid_cache": "containers are remembered anyway",
    "extras.containers.docker_cache": "containers are remembered anyway",
    "extras.containers.docker_api_version": "the version is found out",
}
COMPRESSION = {"0": "gzip", "1": "zlib", "2": "none"}
SYSLOG = {"priority": 132, "tag": "go-audit"}
"""Its defaults where they are others (cmd/audit.go)."""
PLACES = {
    "stdout": {"enabled"},
    "syslog": {"enabled", "network", "address", "priority", "tag"},
    "file": {"enabled", "path", "mode", "user", "group"},
    "gelf": {"enabled", "network", "address", "compression"},
}
MOVED: dict[Path, Path] = {
    ("kernel", "receive_buffer"): ("socket_buffer", "receive"),
    ("documents", "min_type"): ("events", "min"),
    ("documents", "max_type"): ("events", "max"),
    ("enrich", "containers"): ("extras", "containers", "enabled"),
    ("enrich", "cgroups"): ("extras", "cgroups", "enabled"),
    ("rules", "lines"): ("rules",),
    ("filters",): ("filters",),
    ("outputs",): ("output",),
}


def is_go_audit(values: dict[str, Any]) -> bool:
    """Whether all keys are go-audit's, with the two without which it does not start: rules (a list) and output."""
    return values.keys() <= KEYS and isinstance(values.get("rules"), list) and isinstance(values.get("output"), dict)


def from_go_audit(given: Given) -> Given:
    """The same in auditdeck's keys, at the places where they stand."""
    logger.info("%s is a go-audit.yaml: events are written as go-audit does", given.name)
    for name in given.values.keys() - KEYS:
        given.problem((name,), f"unknown key `{name}` in a go-audit.yaml; use {', '.join(sorted(KEYS))}")
    for path, reason in WITHOUT_MEANING.items():
        *sections, key = path.split(".")
        if section_of(given, *sections).get(key):
            logger.warning("%s: %s has no meaning here: %s", given.place((*sections, key)), path, reason)
    containers, events = section_of(given, "extras", "containers"), section_of(given, "events")
    values = {
        "kernel": {"receive_buffer": section_of(given, "socket_buffer").get("receive") or None},
        "enrich": {
            "containers": bool(containers.get("enabled")),
            "cgroups": bool(section_of(given, "extras", "cgroups").get("enabled")),
            **({} if containers.get("docker") else {"docker_socket": ""}),
        },
        "documents": {"min_type": events.get("min", 1300), "max_type": events.get("max", 1399)},
        "rules": {"default": False, "lines": given.values.get("rules")},
        "filters": given.values.get("filters"),
        "outputs": outputs_of(given),
    }
    check_filters(given)
    return Given(given.name, values, moved(given.places), moved(given.texts), given.problems)


def outputs_of(given: Given) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name in map(str, section_of(given, "output")):
        output = section_of(given, "output", name)
        if name not in PLACES:
            if output.get("enabled"):
                given.problem(("output", name), f"output.{name} cannot be taken over; use {', '.join(PLACES)}")
            continue
        for key in output.keys() - PLACES[name] - {"attempts"}:
            known = did_you_mean(str(key), PLACES[name]) or f"; use {', '.join(sorted(PLACES[name]))}"
            given.problem(("output", name, key), f"unknown key `output.{name}.{key}` in a go-audit.yaml{known}")
        if output.get("enabled") and "attempts" in output:
            place = given.place(("output", name, "attempts"))
            logger.warning("%s: output.%s.attempts has no meaning here: attempts go on for ever", place, name)
        kept = {key: value for key, value in output.items() if key in PLACES[name]}
        compression = kept.pop("compression", None)
        if isinstance(compression, dict):
            kind = str(compression.get("type", 0))
            kept["compression"] = COMPRESSION.get(kind, kind)
            kept["compression_level"] = compression.get("level", 1)
        made[name] = {"form": "go-audit", **(SYSLOG if name == "syslog" else {}), **kept}
    if sum(bool(section.get("enabled")) for section in made.values()) > 1:
        given.problem(("output",), "only one output of go-audit can be enabled at a time")
    return made


def check_filters(given: Given) -> None:
    """What go-audit asks of a filter; auditdeck's own may have less, and more."""
    filters = given.values.get("filters")
    for number, entry in enumerate(filters if isinstance(filters, list) else []):
        if not isinstance(entry, dict) or not {"message_type", "regex"} <= entry.keys():
            given.problem(("filters", number), f"filter {number + 1} needs message_type and regex")
        elif unknown := entry.keys() - {"syscall", "message_type", "regex"}:
            names = ", ".join(sorted(map(str, unknown)))
            given.problem(("filters", number), f"filter {number + 1} has an unknown key: {names}")


def section_of(given: Given, *path: str) -> dict[str, Any]:
    """A section, empty if it is not there."""
    section: Any = given.values
    for name in path:
        section = section.get(name) or {}
        if not isinstance(section, dict):
            given.problem(path, f"{dotted(path)} must be a section with keys")
            return {}
    found: dict[str, Any] = section
    return found


def moved(table: dict[Path, str]) -> dict[Path, str]:
    return {
        (*new, *path[len(old) :]): value
        for new, old in MOVED.items()
        for path, value in table.items()
        if path[: len(old)] == old
    }
