"""`auditdeck enroll`: a token by which other hosts join the stack."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from pathlib import Path

import click

from auditdeck.cli.cluster import ELASTICSEARCH, SECRETS, reach, setting
from auditdeck.cli.moment import Span
from auditdeck.cli.options import Shared, print_json, shared
from auditdeck.errors import ProvisionError
from auditdeck.settings.kinds import duration_text
from auditdeck.stack.secrets import Secrets


@click.command("enroll")
@click.option("--hosts", type=click.IntRange(1, 1000), default=1, show_default=True, help="How many hosts may join.")
@click.option(
    "--expires", type=Span(), default="24h", show_default=True, help="How long the token is good: 30m, 24h, 7d."
)
@click.option("--address", "addresses", multiple=True, help="Where those hosts reach Elasticsearch: https://name:9200.")
@SECRETS
@ELASTICSEARCH
@setting(
    "--names", "CERTIFICATE_NAMES", default="", help="Names of the certificate, with commas: the default addresses."
)
@setting("--port", "ELASTICSEARCH_PORT", default="9200", help="The port that goes with those names.")
@shared
def command(
    shared: Shared,
    hosts: int,
    expires: timedelta,
    addresses: tuple[str, ...],
    secrets: Path,
    elasticsearch: str,
    names: str,
    port: str,
) -> None:
    """Print a token by which other hosts join this stack, each with a key of its own.

    Run it on the stack's host (make enroll), then on the other host: auditdeck join TOKEN. Whoever has the token can
    append events until it expires or is used up, and nothing else.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    from auditdeck.stack.enrolment import enroll

    found = list(addresses) or [f"https://{name.strip()}:{port}" for name in names.split(",") if name.strip()]
    if not found:
        raise ProvisionError(
            "there is no address by which other hosts reach Elasticsearch",
            "set CERTIFICATE_NAMES (this host's name or address) and BIND_ADDRESS in .env, make up, and try again",
        )
    if expires < timedelta(minutes=1):
        raise ProvisionError("--expires is too short", "use at least 1m")
    authority = x509.load_pem_x509_certificate(Secrets(secrets).ca.read_bytes()).public_bytes(Encoding.DER)
    fingerprint = hashlib.sha256(authority).hexdigest()
    cluster = reach(elasticsearch, secrets)
    token = enroll(cluster, found, fingerprint, hosts=hosts, expires=expires)
    if shared.json:
        print_json({"token": str(token), "addresses": found, "hosts": hosts, "expires_in": expires.total_seconds()})
        return
    click.echo(str(token))
    within = duration_text(expires.total_seconds())
    shared.say(
        f"For {hosts} {'host' if hosts == 1 else 'hosts'}, within {within}. On each, as root: auditdeck join TOKEN"
    )
