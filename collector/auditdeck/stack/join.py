"""The other side of an enrolment: this host fetches a key of its own and writes its settings."""

from __future__ import annotations

import hashlib
import random
import socket
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import yaml
from elasticsearch import ApiError, ConflictError, Elasticsearch, NotFoundError, TransportError

from auditdeck.errors import ProvisionError
from auditdeck.stack.enrolment import Token
from auditdeck.stack.secrets import write

TIMEOUT = 15.0
ANOTHER = "ask for another one on the stack's host: make enroll"


@dataclass(frozen=True, slots=True)
class Joined:
    """What this host has now: files, and the id of its key."""

    settings: Path
    key_id: str


def join(token: Token, folder: Path, host: dict[str, str], *, force: bool = False) -> Joined:
    """Fetches a key for `host` (id, name) and writes auditdeck.yaml, ca.crt and api_key. Raises ProvisionError.

    Nothing is taken if the files cannot be written.
    """
    settings = folder / "auditdeck.yaml"
    text = settings_text(settings, token, folder, force=force)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        authority = fetch_authority(token)
        write(folder / "ca.crt", authority.encode(), mode=0o644)
        encoded, key_id = take_slot(token, folder / "ca.crt", host)
        write(folder / "api_key", encoded.encode() + b"\n")
        write(settings, text.encode(), mode=0o644)
    except OSError as error:
        raise ProvisionError(
            f"cannot write to {folder}: {error.strerror}", "run it as root, or see --folder"
        ) from error
    return Joined(settings, key_id)


def has_joined(folder: Path) -> bool:
    """Whether settings, certificate and key of an earlier join are there."""
    return all((folder / name).exists() for name in ("auditdeck.yaml", "ca.crt", "api_key"))


def settings_text(settings: Path, token: Token, folder: Path, *, force: bool) -> str:
    """The settings with the new output; those that are there stay as they are, comments included."""
    output = {
        "outputs": {
            "elasticsearch": {
                "enabled": True,
                "hosts": token.addresses,
                "ca": str(folder / "ca.crt"),
                "api_key_file": str(folder / "api_key"),
            }
        }
    }
    new = yaml.safe_dump(output, sort_keys=False)
    if not settings.exists():
        return (
            "# This host sends its events to a stack (auditdeck join). Every setting: auditdeck config example\n" + new
        )
    before = settings.read_text()
    try:
        present = yaml.safe_load(before) or {}
    except yaml.YAMLError as error:
        raise ProvisionError(f"{settings} is not valid YAML: {error}", "mend it first") from error
    outputs = present.get("outputs") or {}
    if outputs == output["outputs"]:
        return before
    if outputs and not force:
        raise ProvisionError(
            f"{settings} has outputs already",
            "--force replaces them (the file before is kept as auditdeck.yaml.before), or write there:\n" + new,
        )
    if outputs:
        write(settings.with_name("auditdeck.yaml.before"), before.encode())
        return yaml.safe_dump({**present, **output}, sort_keys=False)
    return before.rstrip("\n") + "\n\n" + new


def fetch_authority(token: Token) -> str:
    """The certificate (PEM) of the stack's authority, as its server shows it: only the one of the fingerprint."""
    problem: Exception | None = None
    for address in token.addresses:
        parts = urlsplit(address)
        try:
            chain = shown_certificates(parts.hostname or "", parts.port or 9200)
        except OSError as error:
            problem = error
            continue
        for certificate in chain:
            if hashlib.sha256(certificate).hexdigest() == token.fingerprint:
                return ssl.DER_cert_to_PEM_cert(certificate)
        raise ProvisionError(
            f"{address} is not the stack of this token: its certificate is signed by another authority",
            "somebody may be in between; or the authority was made anew: " + ANOTHER,
        )
    raise ProvisionError(
        f"cannot reach {' or '.join(token.addresses)}: {problem}",
        "publish Elasticsearch to this host (BIND_ADDRESS in .env of the stack), and look for a firewall between",
    )


def shown_certificates(host: str, port: int) -> list[bytes]:
    """The chain (DER) that a server shows, unverified."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with (
        socket.create_connection((host, port), timeout=TIMEOUT) as plain,
        context.wrap_socket(plain, server_hostname=host) as secured,
    ):
        if hasattr(secured, "get_unverified_chain"):
            return list(secured.get_unverified_chain())
        # Python before 3.13 has it only there.
        return [certificate.public_bytes(2) for certificate in secured._sslobj.get_unverified_chain()]  # type: ignore[attr-defined]


def take_slot(token: Token, ca: Path, host: dict[str, str]) -> tuple[str, str]:
    """One of the keys of the enrolment, encoded, and its id."""
    client = Elasticsearch(token.addresses, api_key=token.key, ca_certs=str(ca), request_timeout=TIMEOUT, max_retries=2)
    slots = list(range(token.slots))
    random.shuffle(slots)
    try:
        with client:
            for slot in slots:
                found = client.get(index=token.enrolment, id=str(slot))
                source = found["_source"]
                if "key" not in source:
                    continue
                taken = {
                    "key_id": source["key_id"],
                    "joined": datetime.now(UTC).isoformat(timespec="milliseconds"),
                    "host": host,
                }
                try:
                    client.index(
                        index=token.enrolment,
                        id=str(slot),
                        document=taken,
                        if_seq_no=found["_seq_no"],
                        if_primary_term=found["_primary_term"],
                    )
                except ConflictError:
                    continue
                return source["key"]["encoded"], source["key_id"]
    except NotFoundError as error:
        raise ProvisionError("the token was used up", ANOTHER) from error
    except ApiError as error:
        if error.status_code in (401, 403):
            raise ProvisionError("the token has expired, or was used up", ANOTHER) from error
        raise ProvisionError(f"Elasticsearch refused: {error}", "see its log") from error
    except TransportError as error:
        raise ProvisionError(f"cannot reach Elasticsearch: {error.message}", "see its log, and the network") from error
    raise ProvisionError("the token was used up: as many hosts joined as it was made for", ANOTHER)
