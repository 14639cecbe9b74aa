"""`auditdeck resend`: what Elasticsearch refused, once more."""

from __future__ import annotations

import click

from auditdeck.cli.options import Shared, print_json, shared
from auditdeck.errors import SettingsError, StoreError
from auditdeck.outputs.bulk import Bulk
from auditdeck.outputs.dead_letters import DeadLetters
from auditdeck.outputs.elasticsearch import compressed, make_client


@click.command("resend")
@shared
def command(shared: Shared) -> int:
    """Send the documents again that Elasticsearch refused for good, once their cause is mended.

    They are in dead-letters.ndjson in the data directory, each with the reason. Those that are taken leave the file,
    the others stay; none is there twice. Exit status 1 if some stay.
    """
    settings = shared.settings.outputs.elasticsearch
    if not settings.enabled:
        raise SettingsError(
            "there is no Elasticsearch to send to", "set outputs.elasticsearch, or name it with --config"
        )
    letters = DeadLetters(shared.data_dir)
    try:
        lines = letters.take()
        client = make_client(settings)
    except OSError as error:
        raise StoreError(f"cannot read {error.filename}: {error.strerror}", "see --data-dir") from error
    bulk = Bulk(settings.index, compress=compressed(settings))
    sent, refused = 0, []
    for first in range(0, len(lines), settings.bulk_count):
        batch = lines[first : first + settings.bulk_count]
        while batch:
            answer = bulk.send(client, batch)
            sent += answer.sent
            refused += answer.refused
            if answer.trouble:
                raise StoreError(f"{answer.trouble}; {sent:,} were sent, and all are kept", "try again later")
            batch = answer.again
    letters.keep_only(refused)
    if shared.json:
        print_json({"sent": sent, "refused": len(refused)})
    else:
        shared.say(f"{sent:,} documents were taken" + (f", {len(refused):,} refused again" if refused else ""))
    return 1 if refused else 0
