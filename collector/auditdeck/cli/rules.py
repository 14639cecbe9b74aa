"""`auditdeck rules`: check, load, list and delete audit rules."""

from __future__ import annotations

from pathlib import Path

import click

from auditdeck.audit.client import AuditSocket
from auditdeck.audit.rules.files import read_rules
from auditdeck.audit.rules.loader import delete_rules, load_rules, texts
from auditdeck.cli.options import Shared, print_json, shared
from auditdeck.errors import RuleError


@click.group("rules")
def command() -> None:
    """Audit rules in auditctl's syntax (auditctl(8), audit.rules(7))."""


FILES = click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE...")


@command.command("check")
@FILES
@shared
def check(shared: Shared, files: tuple[Path, ...]) -> int:
    """Check rule files (or directories of *.rules) without touching the kernel; needs no privileges.

    Every error is shown with its file, line and reason; exit status 1 if there is one.
    """
    statements, errors = read_rules(files)
    warnings = [f"{s.where}: warning: {warning}" for s in statements for warning in s.warnings]
    if shared.json:
        found = [{"file": error.file, "line": error.line, "reason": error.reason} for error in errors]
        print_json({"statements": len(statements), "errors": found, "warnings": warnings})
    else:
        for line in [*warnings, *map(str, errors)]:
            click.echo(line, err=True)
        rules = sum(statement.verb == "add" for statement in statements)
        shared.say(f"{rules} rules, {len(statements) - rules} other statements, {len(errors)} errors")
    return 1 if errors else 0


@command.command("load")
@FILES
@shared
def load(shared: Shared, files: tuple[Path, ...]) -> int:
    """Load rule files into the kernel: all of them or nothing, unless a file says -c or -i (auditctl(8))."""
    statements, errors = read_rules(files)
    tolerant = any(statement.verb in ("continue", "ignore") for statement in statements)
    if errors and not tolerant:
        raise RuleError("\n".join(map(str, errors)))
    with AuditSocket() as kernel:
        loaded = load_rules(kernel, statements)
    problems = [*errors, *loaded.errors]
    if shared.json:
        print_json({"added": loaded.added, "deleted": loaded.deleted, "errors": [str(error) for error in problems]})
    else:
        for line in [*loaded.warnings, *map(str, problems)]:
            click.echo(line, err=True)
        shared.say(f"{loaded.added} rules added, {loaded.deleted} deleted, {len(problems)} errors passed over")
    return 1 if problems and any(statement.verb == "continue" for statement in statements) else 0


@command.command("list")
@shared
def list_rules(shared: Shared) -> None:
    """List the kernel's rules, as `auditctl -l` does."""
    with AuditSocket() as kernel:
        rules = texts(kernel)
    if shared.json:
        print_json(rules)
    else:
        click.echo("\n".join(rules) or "No rules")


@command.command("delete")
@click.option("--key", "-k", default="", help="Only rules whose key contains this.")
@shared
def delete(shared: Shared, key: str) -> None:
    """Delete all rules of the kernel, or those with a key."""
    with AuditSocket() as kernel:
        count = delete_rules(kernel, key)
    if shared.json:
        print_json({"deleted": count})
    else:
        shared.say(f"{count} rules deleted")
