"""Passwords, keys and certificates of the stack: made once, each service with a folder (a volume) of its own.

init/           what only the init job may know: the authority's key, the passwords
elasticsearch/  its certificate and key, the password that it begins with, elasticsearch.yml
kibana/         its certificate and key, kibana.secrets.yml, kibana.yml
collector/      the authority's certificate, the API key
"""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

import yaml

from auditdeck.assets import asset
from auditdeck.errors import ProvisionError
from auditdeck.stack.certificates import Authority, is_good, make_authority, read_authority
from auditdeck.stack.progress import Progress

ELASTIC_UID, ELASTIC_GID = 1000, 0
"""The user of the official images of Elasticsearch and Kibana."""

FOLDERS = ("init", "elasticsearch", "kibana", "collector")
SETTINGS = {"elasticsearch": "elasticsearch.yml", "kibana": "kibana.yml"}
"""Of each service, in the clone and then in its folder, the last file that it waits for."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the user may choose: passwords as files, names under which services are reached, TLS for Kibana, and the
    folder with the settings of the services (None: those of this package)."""

    elastic_password: Path | None = None
    names: tuple[str, ...] = ()
    kibana_tls: bool = True
    settings: Path | None = None


@dataclass(frozen=True, slots=True)
class Secrets:
    """The folder of all secrets, and those that the init job needs itself."""

    root: Path

    @property
    def ca(self) -> Path:
        return self.root / "init" / "ca.crt"

    @property
    def elastic_password(self) -> str:
        return (self.root / "init" / "elastic_password").read_text().strip()

    @property
    def kibana_password(self) -> str:
        return (self.root / "init" / "kibana_password").read_text().strip()

    @property
    def api_key(self) -> Path:
        return self.root / "collector" / "api_key"


def make_secrets(root: Path, wishes: Wishes, progress: Progress) -> Secrets:
    """Makes what is missing; what is there and good stays. Raises ProvisionError."""
    try:
        for folder in FOLDERS:
            (root / folder).mkdir(parents=True, exist_ok=True)
            os.chmod(root / folder, 0o750)
        made = Secrets(root)
        authority = keep_authority(root / "init", progress)
        keep_passwords(root / "init", wishes, progress)
        keep_elasticsearch(root / "elasticsearch", made, authority, wishes, progress)
        keep_kibana(root / "kibana", made, authority, wishes, progress)
        write(root / "collector" / "ca.crt", authority.pem, mode=0o644)
        for service, name in SETTINGS.items():
            # The clone's own may be root's alone (umask 077); the services are not root.
            source = wishes.settings or asset(service)
            write(root / service / name, (source / name).read_bytes(), mode=0o644)
    except OSError as error:
        raise ProvisionError(f"cannot write the secrets: {error}", "see the volumes of the init service") from error
    return made


def keep_authority(folder: Path, progress: Progress) -> Authority:
    try:
        authority = read_authority(folder / "ca.crt", folder / "ca.key")
        progress.note("certificate authority", changed=False)
    except FileNotFoundError:
        authority = make_authority()
        write(folder / "ca.key", authority.key_pem)
        write(folder / "ca.crt", authority.pem, mode=0o644)
        progress.note("certificate authority", changed=True)
    except ValueError as error:
        raise ProvisionError(
            f"the certificate authority is damaged: {error}", "delete the init volume's ca.*"
        ) from error
    return authority


def keep_passwords(folder: Path, wishes: Wishes, progress: Progress) -> None:
    chosen = ""
    if wishes.elastic_password is not None and wishes.elastic_password.is_file():
        chosen = wishes.elastic_password.read_text().strip()
        if chosen and len(chosen) < 6:
            raise ProvisionError("the chosen password of the user elastic is shorter than 6 characters")
    for name, value in (("elastic_password", chosen), ("kibana_password", ""), ("encryption_key", "")):
        path = folder / name
        if path.exists() and not (value and path.read_text().strip() != value):
            progress.note(name.replace("_", " "), changed=False)
            continue
        if path.exists():
            # Elasticsearch still has the old one, with which the new one is set.
            path.replace(folder / f"{name}.old")
        write(path, (value or secrets.token_urlsafe(24)).encode() + b"\n")
        progress.note(name.replace("_", " "), changed=True)


def keep_elasticsearch(folder: Path, made: Secrets, authority: Authority, wishes: Wishes, progress: Progress) -> None:
    keep_certificate(folder, "elasticsearch", authority, wishes, progress)
    write(folder / "elastic_password", made.elastic_password.encode(), mode=0o400)
    write(folder / "ca.crt", authority.pem)
    own(folder)


def keep_kibana(folder: Path, made: Secrets, authority: Authority, wishes: Wishes, progress: Progress) -> None:
    keep_certificate(folder, "kibana", authority, wishes, progress)
    write(folder / "ca.crt", authority.pem)
    key = (made.root / "init" / "encryption_key").read_text().strip()
    settings: dict[str, object] = {
        "elasticsearch.username": "kibana_system",
        "elasticsearch.password": made.kibana_password,
        "xpack.security.encryptionKey": key + "-security",
        "xpack.encryptedSavedObjects.encryptionKey": key + "-objects",
        "xpack.reporting.encryptionKey": key + "-reporting",
    }
    if wishes.kibana_tls:
        settings |= {
            "server.ssl.enabled": True,
            "server.ssl.certificate": "/usr/share/kibana/secrets/kibana.crt",
            "server.ssl.key": "/usr/share/kibana/secrets/kibana.key",
        }
    write(folder / "kibana.secrets.yml", yaml.safe_dump(settings).encode())
    scheme = "https" if wishes.kibana_tls else "http"
    write(folder / "address", f"{scheme}://localhost:5601".encode())
    own(folder)


def keep_certificate(folder: Path, service: str, authority: Authority, wishes: Wishes, progress: Progress) -> None:
    alternatives = [service, "localhost", "127.0.0.1", "::1", *wishes.names]
    path = folder / f"{service}.crt"
    good = is_good(path, authority, alternatives) and (folder / f"{service}.key").exists()
    # The authority's own certificate is shown with it: hosts that join know it by its fingerprint.
    good = good and authority.pem in path.read_bytes()
    if not good:
        certificate, key = authority.issue(service, alternatives)
        write(path, certificate + authority.pem)
        write(folder / f"{service}.key", key)
    progress.note(f"certificate of {service}", changed=not good)


def own(folder: Path) -> None:
    """Gives a folder to the user of Elastic's images, if this is root."""
    if os.geteuid() != 0:
        return
    os.chown(folder, ELASTIC_UID, ELASTIC_GID)
    for path in folder.iterdir():
        os.chown(path, ELASTIC_UID, ELASTIC_GID)


def write(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Replaces a file as a whole, never readable by others for a moment; leaves one that is the same alone."""
    if path.exists() and path.read_bytes() == content:
        return
    partial = path.with_name(path.name + ".partial")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        os.fchmod(file.fileno(), mode)
    partial.replace(path)
