"""The documents of an audit log."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from auditdeck.audit.log import Reading
from auditdeck.ecs.context import Context
from auditdeck.ecs.template import Encoder


def documents(reading: Reading, lines: BinaryIO, context: Context, *, original: bool) -> Iterator[bytes]:
    for batch in document_batches(reading, lines, context, original=original):
        yield from batch


def document_batches(reading: Reading, lines: BinaryIO, context: Context, *, original: bool) -> Iterator[list[bytes]]:
    encoder = Encoder(context, original=original, socket_events=True)
    for batch in reading.batches(lines):
        encoder.check()
        yield [encoder.encode_checked(event) for event in batch]
