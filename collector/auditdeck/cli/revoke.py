"""`auditdeck revoke`: takes a host's key away."""

from __future__ import annotations

from pathlib import Path

import click

from auditdeck.cli.cluster import ELASTICSEARCH, SECRETS, reach
from auditdeck.cli.options import Shared, print_json, shared
from auditdeck.errors import ProvisionError


@click.command("revoke")
@click.argument("host")
@SECRETS
@ELASTICSEARCH
@shared
def command(shared: Shared, host: str, secrets: Path, elasticsearch: str) -> None:
    """Take the key of HOST (its name or id) away: from now on it cannot send. What it sent stays.

    Run it on the stack's host: docker compose run --rm init revoke HOST
    """
    from auditdeck.stack.enrolment import revoke

    count = revoke(reach(elasticsearch, secrets), host)
    if not count:
        raise ProvisionError(f"no host {host!r} has joined with a key of its own", "auditdeck hosts lists them")
    if shared.json:
        print_json({"revoked": count})
    shared.say(f"{host}: {count} {'key' if count == 1 else 'keys'} revoked.")
