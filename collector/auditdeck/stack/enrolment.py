"""How other hosts join: each gets an API key of its own, by a token that many may use once each until it expires.

An enrolment is an index with as many slots as hosts may join; in each lies a key that may append to audit-* and nothing
else. The token holds the address, the fingerprint of the authority, and a key that may only read and write this index
and expires by itself. To join, a host takes a slot: it puts its own name there in place of the key, which Elasticsearch
allows to one only (if_seq_no, the "optimistic concurrency control" of its documentation).
"""

from __future__ import annotations

import base64
import json
import re
import secrets
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from auditdeck import __version__
from auditdeck.errors import ProvisionError
from auditdeck.stack.elasticsearch import KEY_ROLE, Cluster

PREFIX = "auditdeck-enrolment-"
HOSTS = "auditdeck-hosts"
"""The index of the hosts that joined."""
MAPPINGS = {
    "dynamic": False,
    "properties": {
        "key": {"type": "object", "enabled": False},
        "key_id": {"type": "keyword"},
        "joined": {"type": "date"},
        "revoked": {"type": "date"},
        "host": {"properties": {"id": {"type": "keyword"}, "name": {"type": "keyword"}}},
    },
}
SETTINGS = {"number_of_shards": 1, "auto_expand_replicas": "0-1", "hidden": True}
MARK = "auditdeck-join-1-"
"""Begins every token; the number is that of its form."""
ANY_MARK = re.compile(r"auditdeck-join-(\d+)-")
MOST = 1000


@dataclass(frozen=True, slots=True)
class Token:
    """`addresses` are URLs of Elasticsearch, `fingerprint` the SHA-256 of the authority's certificate (DER) in hex,
    `key` the encoded API key of the enrolment, `enrolment` its index, `slots` how many hosts may join."""

    addresses: list[str]
    fingerprint: str
    key: str
    enrolment: str
    slots: int

    def __str__(self) -> str:
        return MARK + base64.urlsafe_b64encode(json.dumps(asdict(self)).encode()).decode().rstrip("=")


def read_token(text: str) -> Token:
    """Raises ProvisionError."""
    text = text.strip()
    mend = "copy it whole, as `auditdeck enroll` printed it"
    if not text.startswith(MARK):
        if (other := ANY_MARK.match(text)) is not None:
            raise ProvisionError(
                f"this token is of form {other[1]}, and auditdeck {__version__} reads form 1",
                "install here the version of auditdeck that the stack has",
            )
        raise ProvisionError(f"this is not a token for joining: it must begin with {MARK}", mend)
    packed = text.removeprefix(MARK)
    try:
        return Token(**json.loads(base64.urlsafe_b64decode(packed + "=" * (-len(packed) % 4))))
    except (ValueError, TypeError) as error:
        raise ProvisionError("the token is damaged", mend) from error


def enroll(cluster: Cluster, addresses: list[str], fingerprint: str, *, hosts: int, expires: timedelta) -> Token:
    """A token by which so many hosts can join."""
    settle(cluster)
    name = PREFIX + secrets.token_hex(6)
    cluster.ask("PUT", f"/{name}", {"settings": {"index": SETTINGS}, "mappings": MAPPINGS})
    until = datetime.now(UTC) + expires
    for slot in range(hosts):
        made = cluster.ask(
            "POST",
            "/_security/api_key",
            {
                "name": f"{name}-{slot}",
                "role_descriptors": KEY_ROLE,
                "metadata": {"auditdeck": {"enrolment": name, "slot": slot}},
            },
        )
        cluster.ask("PUT", f"/{name}/_doc/{slot}", {"key": {"encoded": made["encoded"]}, "key_id": made["id"]})
    role = {"enrolment": {"indices": [{"names": [name], "privileges": ["read", "index"]}]}}
    seconds = int(expires.total_seconds())
    bootstrap = cluster.ask(
        "POST",
        "/_security/api_key",
        {
            "name": name,
            "expiration": f"{seconds}s",
            "role_descriptors": role,
            "metadata": {"auditdeck": {"enrolment": name, "until": until.isoformat()}},
        },
    )
    return Token(addresses, fingerprint, bootstrap["encoded"], name, hosts)


def settle(cluster: Cluster) -> None:
    """Enters the hosts that joined, and ends enrolments that are over: their keys that nobody took are revoked."""
    for name in sorted(cluster.ask("GET", f"/{PREFIX}*?expand_wildcards=all") or {}):
        bootstrap = cluster.ask("GET", f"/_security/api_key?name={name}")["api_keys"]
        over = all(key["invalidated"] or is_past(key.get("expiration")) for key in bootstrap)
        left = 0
        cluster.ask("POST", f"/{name}/_refresh")
        for hit in every(cluster, name):
            slot = hit["_source"]
            if "host" in slot:
                if cluster.find(f"/{HOSTS}/_doc/{slot['key_id']}") is None:
                    keep_registry(cluster)
                    entry = {key: slot[key] for key in ("key_id", "joined", "host")}
                    cluster.ask("PUT", f"/{HOSTS}/_doc/{slot['key_id']}?refresh=true", entry)
            elif over:
                cluster.ask("DELETE", "/_security/api_key", {"ids": [slot["key_id"]]})
            else:
                left += 1
        if not left:
            if not over:
                cluster.ask("DELETE", "/_security/api_key", {"ids": [key["id"] for key in bootstrap]})
            cluster.ask("DELETE", f"/{name}")


def keep_registry(cluster: Cluster) -> None:
    if not cluster.find(f"/{HOSTS}"):
        cluster.ask("PUT", f"/{HOSTS}", {"settings": {"index": SETTINGS}, "mappings": MAPPINGS})


def every(cluster: Cluster, index: str) -> list[dict[str, Any]]:
    found = cluster.ask("POST", f"/{index}/_search?ignore_unavailable=true", {"size": 10_000})
    hits: list[dict[str, Any]] = found["hits"]["hits"]
    return hits


def is_past(milliseconds: int | None) -> bool:
    return milliseconds is not None and milliseconds / 1000 < datetime.now(UTC).timestamp()


def revoke(cluster: Cluster, host: str) -> int:
    """Takes the keys of a host (its name or id) away; how many there were. What it sent stays."""
    settle(cluster)
    now = datetime.now(UTC).isoformat()
    revoked = 0
    for hit in every(cluster, HOSTS):
        entry = hit["_source"]
        if host in (entry["host"]["name"], entry["host"]["id"]) and "revoked" not in entry:
            cluster.ask("DELETE", "/_security/api_key", {"ids": [entry["key_id"]]})
            cluster.ask("PUT", f"/{HOSTS}/_doc/{hit['_id']}?refresh=true", {**entry, "revoked": now})
            revoked += 1
    return revoked
