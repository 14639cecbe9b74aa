"""Elasticsearch as the stack needs it: users, lifecycle, templates, roles, the data stream, the collector's key."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elasticsearch import ApiError, AuthenticationException, Elasticsearch, NotFoundError, SSLError, TransportError

from auditdeck.errors import ProvisionError
from auditdeck.stack.progress import Progress
from auditdeck.stack.secrets import Secrets, write

STREAM = "audit-events"
KEY_NAME = "auditdeck-collector"
KEY_ROLE = {"collector": {"indices": [{"names": ["audit-*"], "privileges": ["create_doc"]}]}}
HASH = "auditdeck_hash"


@dataclass(slots=True)
class Cluster:
    """A cluster that answers, as the user elastic."""

    client: Elasticsearch
    assets: Path
    progress: Progress

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """One request; the answer's body. Raises ApiError."""
        headers = {"accept": "application/json"} | ({"content-type": "application/json"} if body is not None else {})
        return self.client.perform_request(method, path, headers=headers, body=body).body

    @property
    def version(self) -> str:
        number: str = self.ask("GET", "/")["version"]["number"]
        return number

    def find(self, path: str) -> Any:
        """As `ask` with GET; None if there is no such thing."""
        try:
            return self.ask("GET", path)
        except NotFoundError:
            return None


def connect(url: str, secrets: Secrets, assets: Path, progress: Progress, patience: float) -> Cluster:
    """Waits until Elasticsearch answers, and logs in. Raises ProvisionError with what to do."""
    client = log_in(url, secrets, secrets.elastic_password)
    deadline = time.monotonic() + patience
    told = time.monotonic()
    while True:
        try:
            answer = client.perform_request("GET", "/_security/_authenticate", headers={"accept": "application/json"})
            break
        except AuthenticationException:
            client = change_password(url, secrets, progress)
        except SSLError as error:
            raise ProvisionError(
                f"the certificate of {url} cannot be verified: {error.message}",
                "Elasticsearch runs with certificates of another authority: restart it (docker compose restart)",
            ) from error
        except (TransportError, ApiError) as error:
            if time.monotonic() > deadline:
                raise ProvisionError(
                    f"Elasticsearch did not answer at {url} within {patience:.0f} s: {error}",
                    "docker compose logs elasticsearch says why",
                ) from error
            if time.monotonic() - told > 10:
                progress.step("  … still waiting")
                told = time.monotonic()
            time.sleep(1)
    progress.note(f"logged in as {answer.body['username']}", changed=False)
    return Cluster(client, assets, progress)


def log_in(url: str, secrets: Secrets, password: str) -> Elasticsearch:
    return Elasticsearch(
        url, basic_auth=("elastic", password), ca_certs=str(secrets.ca), request_timeout=30, max_retries=0
    )


def change_password(url: str, secrets: Secrets, progress: Progress) -> Elasticsearch:
    """The password that the user chose anew is set with the one before it."""
    before = secrets.root / "init" / "elastic_password.old"
    if before.exists():
        client = log_in(url, secrets, before.read_text().strip())
        try:
            client.security.change_password(username="elastic", password=secrets.elastic_password)
        except AuthenticationException:
            pass
        else:
            before.unlink()
            progress.note("password of elastic", changed=True, done="changed")
            return log_in(url, secrets, secrets.elastic_password)
    raise ProvisionError(
        "Elasticsearch refuses the password of the user elastic: its data is from an earlier run with another one",
        "give that one (ELASTIC_PASSWORD_FILE), or set it anew (docker compose exec elasticsearch "
        "bin/elasticsearch-reset-password -u elastic -i), or begin without the old data (docker compose down -v)",
    )


def provision(cluster: Cluster, secrets: Secrets, *, retention_days: int, rotate: bool) -> None:
    """Everything of Elasticsearch's, in the order of dependence."""
    keep_kibana_user(cluster, secrets)
    keep_policy(cluster, retention_days)
    changed = keep_templates(cluster)
    keep_roles(cluster)
    keep_stream(cluster, mapping_changed=changed)
    keep_aliases(cluster)
    keep_api_key(cluster, secrets, rotate=rotate)


def keep_kibana_user(cluster: Cluster, secrets: Secrets) -> None:
    password = secrets.kibana_password
    try:
        cluster.client.options(basic_auth=("kibana_system", password)).security.authenticate()
        cluster.progress.note("password of kibana_system", changed=False)
    except ApiError:
        cluster.client.security.change_password(username="kibana_system", password=password)
        cluster.progress.note("password of kibana_system", changed=True, done="set")


def keep_policy(cluster: Cluster, retention_days: int) -> None:
    for name, body in read_assets(cluster.assets / "ilm"):
        policy = body["policy"]
        policy["phases"]["delete"]["min_age"] = f"{retention_days}d"
        digest = sign(policy, "_meta")
        found = cluster.find(f"/_ilm/policy/{name}")
        meta = found[name]["policy"].get("_meta", {}) if found else {}
        put(cluster, f"lifecycle policy {name}", f"/_ilm/policy/{name}", body, meta.get(HASH), digest)


def keep_templates(cluster: Cluster) -> bool:
    """Whether something changed that the data stream's next index is to have."""
    nodes = cluster.ask("GET", "/_cluster/health")["number_of_data_nodes"]
    changed = False
    for name, body in read_assets(cluster.assets / "component-templates"):
        if "settings" in body["template"]:
            body["template"]["settings"]["index"]["number_of_replicas"] = 1 if nodes > 1 else 0
        digest = sign(body, "_meta")
        path = f"/_component_template/{name}"
        found = cluster.find(path)
        meta = found["component_templates"][0]["component_template"].get("_meta", {}) if found else {}
        changed |= put(cluster, f"component template {name}", path, body, meta.get(HASH), digest)
    for name, body in read_assets(cluster.assets / "index-templates"):
        digest = sign(body, "_meta")
        path = f"/_index_template/{name}"
        found = cluster.find(path)
        meta = found["index_templates"][0]["index_template"].get("_meta", {}) if found else {}
        changed |= put(cluster, f"index template {name}", path, body, meta.get(HASH), digest)
    return changed


def keep_roles(cluster: Cluster) -> None:
    for name, body in read_assets(cluster.assets / "roles"):
        digest = sign(body, "metadata")
        path = f"/_security/role/{name}"
        found = cluster.find(path)
        put(cluster, f"role {name}", path, body, (found or {}).get(name, {}).get("metadata", {}).get(HASH), digest)


def keep_stream(cluster: Cluster, *, mapping_changed: bool) -> None:
    if cluster.find(f"/_data_stream/{STREAM}") is None:
        cluster.ask("PUT", f"/_data_stream/{STREAM}")
        cluster.progress.note(f"data stream {STREAM}", changed=True)
    elif mapping_changed:
        cluster.ask("POST", f"/{STREAM}/_rollover")
        cluster.progress.note(f"data stream {STREAM}", changed=True, done="rolled over, for the new templates")
    else:
        cluster.progress.note(f"data stream {STREAM}", changed=False)


def keep_aliases(cluster: Cluster) -> None:
    """Parts of the data stream by a filter: the controls of a dashboard list what is in theirs."""
    for name, body in read_assets(cluster.assets / "aliases"):
        found = cluster.find(f"/_alias/{name}")
        same = bool(found) and found.get(STREAM, {}).get("aliases", {}).get(name) == body
        if not same:
            cluster.ask("POST", "/_aliases", {"actions": [{"add": {"index": STREAM, "alias": name, **body}}]})
        cluster.progress.note(f"alias {name}", changed=not same, done="updated" if found else "created")


def keep_api_key(cluster: Cluster, secrets: Secrets, *, rotate: bool) -> None:
    """The collector's key may append to audit-*, and nothing else."""
    path = secrets.api_key
    if not rotate and path.exists() and key_works(cluster, path.read_text().strip()):
        cluster.progress.note("API key of the collector", changed=False)
        return
    old = cluster.ask("GET", f"/_security/api_key?name={KEY_NAME}&active_only=true")["api_keys"]
    made = cluster.ask("POST", "/_security/api_key", {"name": KEY_NAME, "role_descriptors": KEY_ROLE})
    write(path, made["encoded"].encode() + b"\n")
    if old:
        cluster.ask("DELETE", "/_security/api_key", {"ids": [key["id"] for key in old]})
    cluster.progress.note("API key of the collector", changed=True, done="replaced" if old else "created")


def key_works(cluster: Cluster, key: str) -> bool:
    try:
        cluster.client.options(api_key=key).security.authenticate()
    except ApiError:
        return False
    return True


def put(cluster: Cluster, what: str, path: str, body: Any, found: str | None, digest: str) -> bool:
    """Puts an object unless the one that is there was made from the same; whether it did."""
    if found == digest:
        cluster.progress.note(what, changed=False)
        return False
    cluster.ask("PUT", path, body)
    cluster.progress.note(what, changed=True, done="updated" if found else "created")
    return True


def sign(body: dict[str, Any], meta: str) -> str:
    """Puts a digest of an object into its own metadata, where the next run finds it."""
    digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:16]
    body.setdefault(meta, {})[HASH] = digest
    return digest


def read_assets(folder: Path) -> list[tuple[str, dict[str, Any]]]:
    """The objects of a folder by name."""
    found = []
    for path in sorted(folder.glob("*.json")):
        try:
            found.append((path.stem, json.loads(path.read_text())))
        except ValueError as error:
            raise ProvisionError(f"{path}: {error}", "it must be JSON, as Elasticsearch takes it") from error
    return found
