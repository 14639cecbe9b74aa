"""Documents that Elasticsearch refuses for good, kept with the reason until `auditdeck resend`."""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

from auditdeck.private_file import append

NAME = "dead-letters.ndjson"
MOST = 64 << 20
"""Bytes that are kept; what comes after is in the event log alone, within its bounds."""
MANY_KINDS = 100

logger = logging.getLogger("auditdeck")


class DeadLetters:
    """A line a document: the error, and the document as it was, or its text if it is not JSON. For its owner alone."""

    def __init__(self, data_dir: Path, most: int = MOST) -> None:
        self.path = data_dir / NAME
        self.most = most
        self.kinds: set[str] = set()
        self.told = ""

    def add(self, line: bytes, error: dict[str, Any]) -> None:
        """The first of each kind of error is logged, and that no more can be kept."""
        kind = str(error["type"])
        if kind not in self.kinds and len(self.kinds) < MANY_KINDS:
            self.kinds.add(kind)
            logger.warning(
                "Elasticsearch refuses a document for good: %s: %.300s (%s)", kind, error["reason"], self.path
            )
        letter = orjson.dumps({"error": error, **content(line)}) + b"\n"
        try:
            with self.locked():
                trouble = "it is full" if self.size() + len(letter) > self.most else ""
                if not trouble:
                    append(self.path, b"\n" + letter if self.is_torn() else letter)
        except OSError as failed:
            trouble = failed.strerror or str(failed)
        if trouble and trouble != self.told:
            logger.error("%s: %s; what is refused now is in the event log alone", self.path, trouble)
        self.told = trouble

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Against a collector, or `auditdeck resend`, that writes the file at the same time (flock(2)).

        The folder is locked: the file itself is replaced. Raises OSError.
        """
        folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)

    def size(self) -> int:
        """Bytes."""
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0

    def is_torn(self) -> bool:
        """Whether the file ends within a line, as a full disk leaves it."""
        if not self.size():
            return False
        with open(self.path, "rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read(1) != b"\n"

    def letters(self) -> Iterator[bytes]:
        """The lines. Raises OSError."""
        try:
            with open(self.path, "rb") as file:
                yield from filter(None, map(bytes.strip, file))
        except FileNotFoundError:
            return

    def count(self) -> int:
        """How many are kept. Raises OSError."""
        return sum(1 for _ in self.letters())

    def remove(self, gone: Collection[bytes]) -> None:
        """Takes lines out; what a collector adds meanwhile stays. Raises OSError."""
        with self.locked():
            left = [letter for letter in self.letters() if letter not in gone]
            if not left:
                self.path.unlink(missing_ok=True)
                return
            before = self.path.stat()
            partial = self.path.with_suffix(".partial")
            partial.unlink(missing_ok=True)
            append(partial, b"\n".join(left) + b"\n")
            # Root may send again what is a service's own.
            os.chown(partial, before.st_uid, before.st_gid)
            partial.replace(self.path)


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
