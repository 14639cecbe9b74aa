"""`auditdeck config`: settings checked, shown with where they come from, and written out."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from auditdeck.cli.options import Common, common, go_audit_option, print_json
from auditdeck.settings.model import Model, Settings, leaves
from auditdeck.settings.read import first_problem, load
from auditdeck.visible import visible

WIDEST = 80
"""A line that is longer does not move what stands beside the others."""


@click.group("config")
def command() -> None:
    """The settings: check them, show where each comes from, print a commented file or its JSON Schema."""


@command.command("check")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False), required=False)
@go_audit_option
@common
def check(given: Common, file: Path | None) -> int:
    """Check a settings file (by default the one that other commands take) and the variables of the environment.

    Every problem is shown with its file, line and key; exit status 1 if there is one.
    """
    settings, found = load(file or given.file, os.environ, go_audit=given.go_audit)
    if given.json:
        problems = [{"place": one.place, "key": one.key, "message": one.message} for one in found.problems]
        print_json({"checked": found.name, "problems": problems})
    else:
        for problem in found.problems:
            click.echo(visible(str(problem)), err=True)
        if settings is not None and not given.quiet:
            click.echo(f"{found.name}: OK")
    return 1 if settings is None else 0


@command.command("show")
@go_audit_option
@common
def show(given: Common) -> None:
    """Show every setting with where it comes from: file and line, variable, option, or the default.

    Secrets are not shown.
    """
    from auditdeck.settings.example import shown, written

    settings, found = load(given.file, os.environ, go_audit=given.go_audit)
    if settings is None:
        raise first_problem(found)
    rows = []
    for path, kind in leaves(Settings):
        value, default = at(settings, path), at(Settings(), path)
        place = found.places.get(path) or ("default" if value == default else found.name)
        if given.data_dir and path == ("data_dir",):
            value, place = str(given.data_dir), "--data-dir"
        rows.append((".".join(path), value, kind, place))
    if given.json:
        print_json([{"key": key, "value": shown(value, kind), "from": place} for key, value, kind, place in rows])
        return
    lines = [(f"{key}: {written(value, kind)}", place) for key, value, kind, place in rows]
    width = max(len(line) for line, _ in lines if len(line) < WIDEST)
    for line, place in lines:
        click.echo(f"{line:<{width}}  # {visible(place)}")


def at(settings: Model, path: tuple[str, ...]) -> Any:
    value: Any = settings
    for name in path:
        value = getattr(value, name)
    return value


@command.command("schema")
def schema() -> None:
    """Print the JSON Schema of the settings, for editors."""
    from auditdeck.settings.example import schema

    print_json(schema())


@command.command("example")
def example() -> None:
    """Print a settings file with every setting, its default and a comment."""
    from auditdeck.settings.example import example

    click.echo(example(), nl=False)
