"""Kibana as the stack needs it: the saved objects, and the dashboard that it opens with."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import urllib3

from auditdeck.errors import ProvisionError
from auditdeck.stack.bundle import Object, ndjson, read_bundle, write_object
from auditdeck.stack.progress import Progress
from auditdeck.stack.secrets import Secrets, write

LANDING = "/app/dashboards#/view/auditdeck-outbound"
SETTINGS: dict[str, Any] = {
    "defaultRoute": LANDING,
    "timepicker:timeDefaults": '{"from": "now-7d", "to": "now"}',
    # What Discover shows of the events behind a number.
    "defaultColumns": [
        "host.name",
        "event.action",
        "auditd.summary.actor.secondary",
        "auditd.summary.how",
        "auditd.summary.object.primary",
        "event.outcome",
    ],
}


@dataclass(slots=True)
class Kibana:
    """A Kibana, as the user elastic. Raises ProvisionError for answers that are none of success."""

    url: str
    password: str
    ca: Path
    progress: Progress
    pool: urllib3.PoolManager = field(init=False)

    def __post_init__(self) -> None:
        headers = urllib3.make_headers(basic_auth=f"elastic:{self.password}") | {"kbn-xsrf": "auditdeck"}
        self.pool = urllib3.PoolManager(ca_certs=str(self.ca), headers=headers, timeout=120.0, retries=False)

    def ask(self, method: str, path: str, body: Any = None, **more: Any) -> bytes:
        headers = dict(self.pool.headers)
        if body is not None:
            headers["content-type"] = "application/json"
            more["body"] = json.dumps(body).encode()
        try:
            answer = self.pool.request(method, self.url + path, headers=headers, **more)
        except urllib3.exceptions.HTTPError as error:
            raise ProvisionError(f"cannot reach Kibana at {self.url}: {error}", "docker compose logs kibana") from error
        if answer.status >= 300:
            message = f"Kibana answered {answer.status} to {method} {path}: {answer.data.decode()[:500]}"
            raise ProvisionError(message, status=answer.status)
        return answer.data

    def wait(self, patience: float) -> None:
        """Until Kibana says that it is available."""
        deadline = told = time.monotonic()
        deadline += patience
        while True:
            try:
                status = json.loads(self.ask("GET", "/api/status"))
                if status.get("status", {}).get("overall", {}).get("level") == "available":
                    return
                reason = "it is starting"
            except (ProvisionError, ValueError) as error:
                reason = str(error)
            if time.monotonic() > deadline:
                raise ProvisionError(
                    f"Kibana was not ready within {patience:.0f} s: {reason}", "docker compose logs kibana says why"
                )
            if time.monotonic() - told > 10:
                self.progress.step("  … still waiting")
                told = time.monotonic()
            time.sleep(1)

    def export(self, objects: list[Object]) -> dict[str, Object]:
        """Those of the objects that Kibana has, by type/id."""
        names = [{"type": entry["type"], "id": entry["id"]} for entry in objects]
        found: dict[str, Object] = {}
        for name in names:
            body = {"objects": [name], "excludeExportDetails": True}
            try:
                lines = self.ask("POST", "/api/saved_objects/_export", body)
            except ProvisionError as error:
                if " 400 " not in str(error):
                    raise
                continue  # There is no such object.
            found |= {key(entry): entry for entry in map(json.loads, lines.splitlines())}
        return found


def key(entry: Object) -> str:
    return f"{entry['type']}/{entry['id']}"


def provision_kibana(kibana: Kibana, secrets: Secrets, assets: Path, *, overwrite: bool) -> None:
    """Imports what is new or changed here; what someone changed in Kibana stays, unless `overwrite`."""
    objects = read_bundle(assets / "saved-objects")
    memory = secrets.root / "init" / "saved-objects.json"
    known: dict[str, dict[str, str]] = json.loads(memory.read_text()) if memory.exists() else {}
    there = kibana.export(objects)
    wanted = []
    for entry in objects:
        name, digest = key(entry), digest_of(entry)
        before = known.get(name, {})
        found = there.get(name)
        by_hand = found is not None and found.get("updated_at") != before.get("updated_at")
        if found is not None and before.get("digest") == digest and not (by_hand and overwrite):
            kibana.progress.note(name, changed=False)
        elif by_hand and not overwrite:
            kibana.progress.warn(f"{name}: was changed in Kibana and stays (--overwrite replaces it)")
        else:
            wanted.append(entry)
    if wanted:
        import_objects(kibana, wanted)
        after = kibana.export(wanted)
        for entry in wanted:
            name = key(entry)
            kibana.progress.note(name, changed=True, done="updated" if name in there else "created")
            known[name] = {"digest": digest_of(entry), "updated_at": after[name].get("updated_at", "")}
        write(memory, json.dumps(known, indent=1, sort_keys=True).encode())
    keep_settings(kibana)


def import_objects(kibana: Kibana, objects: list[Object]) -> None:
    fields = {"file": ("auditdeck.ndjson", ndjson(objects), "application/ndjson")}
    answer = json.loads(kibana.ask("POST", "/api/saved_objects/_import?overwrite=true", fields=fields))
    if not answer.get("success"):
        # Kibana answers 200 even if it refused objects.
        errors = "; ".join(f"{e['type']}/{e['id']}: {json.dumps(e['error'])}" for e in answer.get("errors", []))
        raise ProvisionError(f"Kibana refused saved objects: {errors}")


def digest_of(entry: Object) -> str:
    return hashlib.sha256(ndjson([entry])).hexdigest()[:16]


def keep_settings(kibana: Kibana) -> None:
    found = json.loads(kibana.ask("GET", "/api/kibana/settings"))["settings"]
    for name, value in SETTINGS.items():
        current = found.get(name, {}).get("userValue")
        if current is None:
            kibana.ask("POST", "/api/kibana/settings", {"changes": {name: value}})
        elif current != value:
            kibana.progress.warn(f"setting {name}: was changed in Kibana and stays")
            continue
        kibana.progress.note(f"setting {name}", changed=current is None, done="set")


def export_dashboards(kibana: Kibana, assets: Path) -> list[str]:
    """Brings changes made in Kibana back into the readable files; the names of those that changed."""
    folder = assets / "saved-objects"
    there = kibana.export(read_bundle(folder))
    return [name for name, entry in sorted(there.items()) if write_object(folder, entry)]
