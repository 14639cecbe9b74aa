"""`auditdeck join`: this host sends its events to a stack from now on."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from auditdeck.cli.options import Shared, print_json, shared
from auditdeck.context.host import host_root, this_host


@click.command("join")
@click.argument("token", envvar="AUDITDECK_TOKEN", required=False)
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    default="/etc/auditdeck",
    show_default=True,
    help="Where settings, certificate and key are written.",
)
@click.option("--once", is_flag=True, help="Do nothing if this host has joined already.")
@click.option("--force", is_flag=True, help="Replace the outputs of settings that are there.")
@click.option("--start/--no-start", default=True, help="Install and start the systemd unit, where systemd runs.")
@shared
def command(shared: Shared, token: str | None, folder: Path, once: bool, force: bool, start: bool) -> None:
    """Join a stack with a TOKEN of `auditdeck enroll`.

    "-" reads it from standard input; AUDITDECK_TOKEN may hold it too.

    Fetches an API key for this host alone, which may append events and nothing else, and writes the settings. What the
    settings said before stays.
    """
    from auditdeck.stack.enrolment import read_token
    from auditdeck.stack.join import has_joined, join
    from auditdeck.stack.service import has_systemd, install

    wanted = shared.settings.host
    host = this_host(wanted.name, host_root(wanted.root))
    if once and has_joined(folder):
        shared.say(f"this host has joined already: {folder / 'auditdeck.yaml'}")
        if start and has_systemd() and folder == Path("/etc/auditdeck"):
            install(start=True)
        return
    if not token:
        raise click.UsageError("Missing the token: auditdeck enroll prints one on the stack's host (make enroll).")
    found = read_token(sys.stdin.read() if token == "-" else token)
    joined = join(found, folder, {"id": host.id, "name": host.name}, force=force)
    started = False
    if start and has_systemd() and folder == Path("/etc/auditdeck"):
        install(start=True)
        started = True
    if shared.json:
        print_json({"settings": str(joined.settings), "key_id": joined.key_id, "started": started})
        return
    shared.say(f"{host.name} has joined; its settings are in {joined.settings}.")
    shared.say(
        "It collects now: auditdeck status" if started else f"Start it: auditdeck run --config {joined.settings}"
    )
