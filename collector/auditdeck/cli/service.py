"""`auditdeck service`: the collector as a systemd service."""

from __future__ import annotations

import click

from auditdeck.stack import service


@click.group("service")
def command() -> None:
    """Run the collector as a hardened systemd service, under a user of its own."""


@command.command("install")
@click.option("--start/--no-start", default=True, help="Start it now and after every boot.")
def install(start: bool) -> None:
    """Write the unit and start it. Run again after an upgrade; what is right stays."""
    for line in service.install(start=start) or ["everything is in place"]:
        click.echo(line, err=True)


@command.command("remove")
def remove() -> None:
    """Stop the service and delete its unit. What was collected stays."""
    for line in service.remove() or ["it is not installed"]:
        click.echo(line, err=True)


@command.command("show")
def show() -> None:
    """Print the unit as it would be installed."""
    click.echo(service.unit(), nl=False)
