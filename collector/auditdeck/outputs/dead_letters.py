"""Documents that Elasticsearch refuses for good, kept with the reason until `auditdeck resend`."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from auditdeck.private_file import append

NAME, RESENDING = "dead-letters.ndjson", "dead-letters.resending.ndjson"
MOST = 64 << 20
"""Bytes that are kept; what comes after is in the event log alone, within its bounds."""

logger = logging.getLogger("auditdeck")


class DeadLetters:
    """A line a document: the error, and the document as it was, or its text if it is not JSON. For its owner alone."""

    def __init__(self, data_dir: Path, most: int = MOST) -> None:
        self.path = data_dir / NAME
        self.resending = data_dir / RESENDING
        self.most = most
        self.reasons: set[str] = set()
        self.full = False

    def add(self, line: bytes, error: dict[str, Any]) -> None:
        """Raises OSError. The first of a kind of error is logged."""
        kind = str(error.get("type", "error"))
        if kind not in self.reasons:
            self.reasons.add(kind)
            reason = str(error.get("reason", ""))[:300]
            logger.warning("Elasticsearch refuses a document for good: %s: %s (it is in %s)", kind, reason, self.path)
        letter = orjson.dumps({"error": error, **content(line)}) + b"\n"
        if self.size() + len(letter) > self.most:
            if not self.full:
                self.full = True
                logger.error("%s is full: what is refused is in the event log alone", self.path)
            return
        self.full = False
        append(self.path, letter)

    def size(self) -> int:
        """Bytes."""
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0

    def count(self) -> int:
        """How many are kept. Raises OSError."""
        return sum(1 for path in (self.path, self.resending) for _ in lines_of(path))

    def take(self) -> list[bytes]:
        """The lines of the documents that are kept, to be sent again; they stay on the disk until `keep_only`, so that
        nothing is lost if this ends before. Raises OSError."""
        if self.path.exists():
            # What a collector refuses meanwhile goes to a new file.
            self.move(b"".join(line + b"\n" for path in (self.resending, self.path) for line in lines_of(path)))
        return [line for letter in lines_of(self.resending) if (line := document_of(letter))]

    def move(self, letters: bytes) -> None:
        partial = self.resending.with_suffix(".partial")
        partial.unlink(missing_ok=True)
        append(partial, letters)
        partial.replace(self.resending)
        self.path.unlink()

    def keep_only(self, refused: list[tuple[bytes, dict[str, Any]]]) -> None:
        """Of those that were taken, and what is not a document. Raises OSError."""
        others = [letter + b"\n" for letter in lines_of(self.resending) if not document_of(letter)]
        if others:
            append(self.path, b"".join(others))
        for line, error in refused:
            self.add(line, error)
        self.resending.unlink(missing_ok=True)


def content(line: bytes) -> dict[str, Any]:
    try:
        return {"document": orjson.Fragment(line) if orjson.loads(line) is not None else None}
    except ValueError:
        return {"text": line.decode(errors="backslashreplace")}


def document_of(letter: bytes) -> bytes:
    """The line of the event log; b"" for what is not a document."""
    try:
        document = orjson.loads(letter).get("document")
    except (ValueError, AttributeError):
        return b""
    return orjson.dumps(document) if isinstance(document, dict) else b""


def lines_of(path: Path) -> Iterator[bytes]:
    try:
        with open(path, "rb") as file:
            yield from filter(None, map(bytes.strip, file))
    except FileNotFoundError:
        return
