"""`auditdeck verify`: whether the event log is as it was written."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any, BinaryIO

import click

from auditdeck.cli.options import Shared, print_json, shared
from auditdeck.errors import StoreError
from auditdeck.eventlog.chain import read_key
from auditdeck.eventlog.segment import EVENTS
from auditdeck.eventlog.verification import Head, Verification, heads_in, verify
from auditdeck.private_file import require_readable
from auditdeck.query.agreement import disagreements
from auditdeck.visible import visible


@click.command("verify")
@click.option(
    "--heads",
    type=click.File("rb"),
    metavar="FILE",
    help="Heads of the chain that were kept elsewhere (auditdeck.health.chain), in any form; - for standard input.",
)
@shared
def command(shared: Shared, heads: BinaryIO | None) -> int:
    """Check that no event of the event log was removed, edited, moved or added since it was written.

    Exit status 1 if something is wrong; segments that were written before auditdeck kept hashes are not covered. What
    this can and cannot see, and how to check by hand, is in docs/integrity.md.
    """
    kept = heads_in(heads.read().decode(errors="replace")) if heads else []
    found = checked(shared, kept)
    if shared.json:
        print_json(as_json(found))
    else:
        for problem in found.problems:
            click.echo(visible(problem.text))
        shared.say(summary(shared, found))
    return 1 if found.problems else 0


def checked(shared: Shared, heads: Iterable[Head] = ()) -> Verification:
    """The event log, and Parquet that is to agree with it. Raises StoreError."""
    folder = shared.data_dir / EVENTS
    require_readable(folder)
    if not folder.is_dir():
        raise StoreError(f"there is no event log in {shared.data_dir}", "see --data-dir")
    key = read_key(shared.settings.event_log.sign_key_file)
    try:
        found = verify(folder, key, heads)
        found.problems += disagreements(shared.data_dir, {problem.segment for problem in found.problems})
    except OSError as error:
        raise StoreError(f"cannot read the event log: {error}", "see its owner and mode") from error
    return found


def as_json(found: Verification) -> dict[str, Any]:
    return {"verified": not found.problems, **asdict(found)}


def summary(shared: Shared, found: Verification) -> str:
    """What was looked at, in a sentence each."""
    text = f"{found.lines:,} events in {found.segments:,} segments are as they were written."
    if found.not_covered:
        text += f" {len(found.not_covered):,} segments were written before there were hashes."
    if found.not_yet:
        text += f" {found.not_yet:,} of the events were written after the last mark."
    if found.unsigned and shared.settings.event_log.sign_key_file:
        text += f" {found.unsigned:,} entries are not signed."
    if found.heads:
        text += f" {found.heads:,} heads that were kept elsewhere fit."
    return text
