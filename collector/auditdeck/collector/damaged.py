"""damaged.log: records that could not be read, kept as they came, but for the secrets in them."""

from __future__ import annotations

import logging
import time
from pathlib import Path

from auditdeck.audit.record import Payload
from auditdeck.ecs.redaction import Redactor
from auditdeck.private_file import append

logger = logging.getLogger("auditdeck")


class DamagedLog:
    """A line a record: time, type and bytes. Only its owner can read it, from the first byte on."""

    def __init__(self, path: Path, redactor: Redactor) -> None:
        self.path = path
        self.redactor = redactor

    def append(self, items: list[Payload]) -> None:
        """Raises OSError."""
        lines = [f"{time.time():.3f} type={kind} ".encode() + self.redacted(kind, raw) + b"\n" for kind, raw in items]
        append(self.path, b"".join(lines))

    def redacted(self, kind: int, payload: bytes) -> bytes:
        try:
            shown = self.redactor.record(kind, payload)
        except Exception:
            logger.exception("a damaged record of type %s could not be searched for secrets", kind)
            return b"(%d bytes left out)" % len(payload)
        self.redactor.count += shown is not payload
        return shown
