"""A go-audit.yaml, key by key, as settings of auditdeck (github.com/slackhq/go-audit, go-audit.yaml.example)."""

from __future__ import annotations

import logging
from typing import Any

from auditdeck.errors import SettingsError

logger = logging.getLogger("auditdeck")

KEYS = {"socket_buffer", "events", "message_tracking", "output", "log", "extras", "rules", "filters"}
WITHOUT_MEANING = {
    "message_tracking.enabled": "gaps are always counted",
    "message_tracking.log_out_of_order": "records may come in any order",
    "message_tracking.max_out_of_order": "a missing record is waited for two seconds",
    "log.flags": "the form of auditdeck's own messages is fixed",
    "extras.containers.containerd": "containers have their id, and Docker's their image",
    "extras.containers.pid_cache": "containers are remembered anyway",
    "extras.containers.docker_cache": "containers are remembered anyway",
    "extras.containers.docker_api_version": "the version is found out",
}
COMPRESSION = {0: "gzip", 1: "zlib", 2: "none"}
PLACES = {
    "stdout": {"enabled"},
    "syslog": {"enabled", "network", "address", "priority", "tag"},
    "file": {"enabled", "path", "mode", "user", "group"},
    "gelf": {"enabled", "network", "address", "compression"},
}


def is_go_audit(values: dict[str, Any]) -> bool:
    """Whether all keys are go-audit's, with the two without which it does not start: rules (a list) and output."""
    return values.keys() <= KEYS and isinstance(values.get("rules"), list) and isinstance(values.get("output"), dict)


def from_go_audit(values: dict[str, Any], where: str) -> dict[str, Any]:
    """The same in auditdeck's keys. Raises SettingsError."""
    logger.info("%s is a go-audit.yaml: events are written as go-audit does", where)
    for name in values.keys() - KEYS:
        raise SettingsError(f"{where}: unknown key `{name}` in a go-audit.yaml", f"use {', '.join(sorted(KEYS))}")
    made: dict[str, Any] = {}
    for path, reason in WITHOUT_MEANING.items():
        *sections, key = path.split(".")
        place = values
        for section in sections:
            place = section_of(place, section, where)
        if place.get(key):
            logger.warning("%s: %s has no meaning here: %s", where, path, reason)
    receive = section_of(values, "socket_buffer", where).get("receive")
    if receive:
        made["kernel"] = {"receive_buffer": receive}
    extras = section_of(values, "extras", where)
    containers = section_of(extras, "containers", where)
    made["enrich"] = {
        "containers": bool(containers.get("enabled")),
        "cgroups": bool(section_of(extras, "cgroups", where).get("enabled")),
        **({} if containers.get("docker") else {"docker_socket": ""}),
    }
    events = section_of(values, "events", where)
    made["documents"] = {"min_type": events.get("min", 1300), "max_type": events.get("max", 1399)}
    rules = values.get("rules") or []
    if not isinstance(rules, list):
        raise SettingsError(f"{where}: rules must be a list, as go-audit has it")
    made["rules"] = {"default": False, "lines": [str(rule) for rule in rules]}
    made["filters"] = [filter_of(entry, number, where) for number, entry in enumerate(values.get("filters") or [], 1)]
    made["outputs"] = outputs_of(section_of(values, "output", where), where)
    return made


def outputs_of(output: dict[str, Any], where: str) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name, given in output.items():
        if name not in PLACES or not isinstance(given, dict):
            raise SettingsError(f"{where}: go-audit has no output.{name}", f"use {', '.join(PLACES)}")
        if given.get("enabled") and "attempts" in given:
            logger.warning("%s: output.%s.attempts has no meaning here: attempts go on for ever", where, name)
        kept = {key: value for key, value in given.items() if key in PLACES[name]}
        if "mode" in kept and not isinstance(kept["mode"], str):
            # YAML reads 0600 as the number 384.
            kept["mode"] = f"{kept['mode']:04o}"
        compression = kept.pop("compression", None)
        if isinstance(compression, dict):
            kept["compression"] = COMPRESSION.get(compression.get("type", 0), "gzip")
            kept["compression_level"] = compression.get("level", 1)
        made[name] = {"form": "go-audit", **kept}
    if sum(bool(section.get("enabled")) for section in made.values()) > 1:
        raise SettingsError(f"{where}: only one output of go-audit can be enabled at a time", "see output")
    return made


def filter_of(entry: Any, number: int, where: str) -> dict[str, Any]:
    if not isinstance(entry, dict) or "message_type" not in entry or "regex" not in entry:
        raise SettingsError(f"{where}: filter {number} needs message_type and regex")
    unknown = entry.keys() - {"syscall", "message_type", "regex"}
    if unknown:
        raise SettingsError(f"{where}: filter {number} has an unknown key: {', '.join(sorted(unknown))}")
    return dict(entry)


def section_of(values: dict[str, Any], name: str, where: str) -> dict[str, Any]:
    section = values.get(name) or {}
    if not isinstance(section, dict):
        raise SettingsError(f"{where}: {name} must be a section with keys")
    return section
