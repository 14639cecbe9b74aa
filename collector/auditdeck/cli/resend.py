"""`auditdeck resend`: what Elasticsearch refused, once more."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import click

from auditdeck.cli.options import Shared, print_json, shared
from auditdeck.errors import SettingsError, StoreError
from auditdeck.outputs.bulk import Bulk
from auditdeck.outputs.dead_letters import DeadLetters, document_of
from auditdeck.outputs.elasticsearch import compressed, make_client
from auditdeck.settings.model import ElasticsearchSettings


@dataclass(slots=True)
class Resent:
    """Documents that were taken, and those that stay: refused again, the last of them for `reason`, or damaged."""

    sent: int = 0
    refused: int = 0
    unreadable: int = 0
    reason: str = ""


@click.command("resend")
@shared
def command(shared: Shared) -> int:
    """Send the documents again that Elasticsearch refused for good, once their cause is mended.

    They are in dead-letters.ndjson in the data directory, each with the reason. Those that are taken leave the file,
    the others stay; none is there twice. The collector may run meanwhile. Exit status 1 if some stay.
    """
    settings = shared.settings.outputs.elasticsearch
    if not settings.enabled:
        raise SettingsError(
            "there is no Elasticsearch to send to", "set outputs.elasticsearch, or name it with --config"
        )
    try:
        result = resend(DeadLetters(shared.data_dir), settings)
    except OSError as error:
        raise StoreError(f"cannot use {error.filename}: {error.strerror}", "run it as root; see --data-dir") from error
    if shared.json:
        print_json(asdict(result))
        return 1 if result.refused else 0
    text = f"{result.sent:,} documents were taken"
    if result.refused:
        text += f", {result.refused:,} refused again: {result.reason[:300]}"
    if result.unreadable:
        text += f"; {result.unreadable:,} stay that are no documents, as they were damaged"
    shared.say(text)
    return 1 if result.refused else 0


def resend(letters: DeadLetters, settings: ElasticsearchSettings) -> Resent:
    """What is taken leaves the file batch by batch. Raises StoreError while Elasticsearch takes nothing; OSError."""
    client = make_client(settings)
    bulk = Bulk(settings.index, compress=compressed(settings))
    kept = [(document_of(letter), letter) for letter in letters.letters()]
    result = Resent(unreadable=sum(not line for line, _ in kept))
    lines = list(dict.fromkeys(line for line, _ in kept if line))
    for first in range(0, len(lines), settings.bulk_count):
        batch = lines[first : first + settings.bulk_count]
        answer = bulk.send(client, batch)
        taken = set(batch).difference(answer.again, (line for line, _ in answer.refused))
        letters.remove({letter for line, letter in kept if line in taken})
        result.sent += len(taken)
        result.refused += len(answer.refused)
        if answer.refused:
            result.reason = answer.refused[0][1]["reason"]
        if answer.trouble:
            raise StoreError(f"{answer.trouble}; {result.sent:,} were taken, the others are kept", "try again later")
    return result
