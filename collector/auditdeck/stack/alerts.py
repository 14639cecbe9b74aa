"""Alert rules of Kibana: made by the init job, disabled; a user's changes to them stay.

A file of `kibana/alerts/` is the body of Kibana's "create rule" request, with the rule's id in it (a UUID, as Kibana
wants it) and the name by which people enable it as the file's name.
"""

from __future__ import annotations

import hashlib
import json
from http import HTTPStatus
from pathlib import Path
from typing import Any

from auditdeck.errors import ProvisionError
from auditdeck.stack.elasticsearch import read_assets
from auditdeck.stack.kibana import Kibana
from auditdeck.stack.secrets import Secrets, write

CHANGEABLE = ("name", "tags", "schedule", "params")
"""What an update of auditdeck changes. Actions (whom to tell) and whether a rule is enabled are the user's."""


def provision_alerts(kibana: Kibana, secrets: Secrets, assets: Path, *, overwrite: bool) -> None:
    """Creates what is missing, updates what a newer version has otherwise; never enables, never disables."""
    memory = secrets.root / "init" / "alerts.json"
    known: dict[str, dict[str, str]] = json.loads(memory.read_text()) if memory.exists() else {}
    for name, rule in read_assets(assets / "alerts"):
        what, before = f"alert rule {name}", known.get(name, {})
        found = find(kibana, rule["id"])
        wanted = digest_of(rule)
        if found is None:
            body = {key: value for key, value in rule.items() if key != "id"}
            answer = json.loads(kibana.ask("POST", path_of(rule), body))
            kibana.progress.note(what, changed=True, done="created, disabled")
        elif digest_of(found) != before.get("there") and not overwrite:
            kibana.progress.warn(f"{what}: was changed in Kibana and stays (--overwrite replaces it)")
            continue
        elif (digest_of(found), wanted) == (before.get("there"), before.get("file")):
            kibana.progress.note(what, changed=False)
            continue
        else:
            changed = {key: rule[key] for key in CHANGEABLE} | {"actions": found["actions"]}
            answer = json.loads(kibana.ask("PUT", path_of(rule), changed))
            kibana.progress.note(what, changed=True, done="updated")
        known[name] = {"file": wanted, "there": digest_of(answer)}
    write(memory, json.dumps(known, indent=1, sort_keys=True).encode())


def switch_alert(kibana: Kibana, assets: Path, name: str, *, enable: bool) -> str:
    """Enables or disables one of auditdeck's rules; its title."""
    rules = dict(read_assets(assets / "alerts"))
    if name not in rules:
        raise ProvisionError(f"there is no alert rule {name!r}", f"use {', '.join(rules)}")
    rule = rules[name]
    if find(kibana, rule["id"]) is None:
        raise ProvisionError(f"the alert rule {name} is not in Kibana yet", "run the init job first: docker compose up")
    kibana.ask("POST", f"{path_of(rule)}/_{'enable' if enable else 'disable'}")
    return str(rule["name"])


def find(kibana: Kibana, identity: str) -> dict[str, Any] | None:
    """The rule as Kibana has it; None if it has none. Raises ProvisionError."""
    try:
        found: dict[str, Any] = json.loads(kibana.ask("GET", f"/api/alerting/rule/{identity}"))
    except ProvisionError as error:
        if error.status == HTTPStatus.NOT_FOUND:
            return None
        raise
    return found


def path_of(rule: dict[str, Any]) -> str:
    return f"/api/alerting/rule/{rule['id']}"


def digest_of(rule: dict[str, Any]) -> str:
    parts = {key: rule.get(key) for key in CHANGEABLE}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]
