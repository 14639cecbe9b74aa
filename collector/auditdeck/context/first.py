"""What connected out of this host before: executables, users and destination networks."""

from __future__ import annotations

import json
import logging
from pathlib import Path

from auditdeck.private_file import append

LIMIT = 100_000
"""Of each kind; a crawler sees millions of networks. What comes after as many is not told to be the first any more."""
REPLACED = " (deleted)"
"""Of an executable that was upgraded while it ran: the same program (d_path() of the kernel)."""

logger = logging.getLogger("auditdeck")


class FirstSeen:
    """Remembers them in a file, one JSON array of kind and value a line, over restarts. For one thread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.known: dict[str, set[str]] = {"executable": set(), "user": set(), "network": set()}
        self.new: list[str] = []
        self.told = False
        if path.exists():
            for line in path.read_bytes().splitlines():
                self.read(line)

    def read(self, line: bytes) -> None:
        try:
            kind, value = json.loads(line)
            self.known[kind].add(value)
        except (ValueError, KeyError, TypeError):
            logger.warning("%s: a line could not be read and is left out", self.path)

    def of(self, executable: str, user: str, network: str) -> list[str]:
        """The kinds of which this connection is the first, `[]` for most; what is "" is unknown and never new.

        `user` is a number, `network` an address without its last part (/24, /48).
        """
        found = []
        for kind, value in (("executable", executable.removesuffix(REPLACED)), ("user", user), ("network", network)):
            known = self.known[kind]
            if value and value not in known and len(known) < LIMIT:
                known.add(value)
                self.new.append(json.dumps([kind, value]) + "\n")
                found.append(kind)
        return found

    def save(self) -> None:
        """After the documents were written: so none is the first only in a document that was never kept."""
        if not self.new:
            return
        try:
            append(self.path, "".join(self.new).encode())
        except OSError as error:
            # It is tried again with the next one; until then a restart may call some the first once more.
            if not self.told:
                logger.warning("%s cannot be written: %s", self.path, error.strerror)
            self.told = True
            return
        self.told = False
        self.new.clear()
