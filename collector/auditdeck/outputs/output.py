"""What every output is: a thread that follows the event log, and its counters."""

from __future__ import annotations

import logging
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from auditdeck.eventlog.cursor import Cursor
from auditdeck.eventlog.reader import Listing, Position, Reader
from auditdeck.eventlog.segment import EVENTS
from auditdeck.outputs.formats.encode import Encode

logger = logging.getLogger("auditdeck")
IDLE = 0.1
TOLD_AGAIN = 600.0
"""Seconds until the same cause of a pause is logged again."""
ENDING = 3.0
"""Seconds for what is under way when an output is to end."""


@dataclass(slots=True)
class Sent:
    """Since the start: documents acknowledged, those among them that were there already, and those refused for good.

    `shortened` were too long for a datagram, `doubled` (at most so many) are there twice. `behind`: bytes of the event
    log that are still to be sent, at the last look. `error` is what keeps the output from going on, "" if nothing does.
    """

    sent: int = 0
    repeated: int = 0
    dead_letters: int = 0
    shortened: int = 0
    doubled: int = 0
    behind: int = 0
    error: str = ""


class Output(ABC):
    """Follows the event log from its saved cursor to its end, and waits there for more, until `stop`."""

    def __init__(self, name: str, data_dir: Path, encode: Encode) -> None:
        self.name = name
        self.data_dir = data_dir
        self.encode = encode
        self.cursor = Cursor(data_dir, name)
        self.listing = Listing(data_dir / EVENTS)
        self.counts = Sent()
        self.told: dict[str, float] = {}
        self.said = False
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.run, name=name, daemon=True)

    def start(self) -> None:
        self.thread.start()

    def stop(self, patience: float) -> None:
        """Sends what is there already for up to `patience` seconds, then ends; the rest is sent by the next run."""
        deadline = time.monotonic() + patience
        while self.behind() and time.monotonic() < deadline and not self.counts.error and self.thread.is_alive():
            time.sleep(0.05)
        self.stopping.set()
        if self.thread.is_alive():
            self.thread.join(ENDING)

    def run(self) -> None:
        while not self.stopping.is_set():
            try:
                with Reader(self.data_dir / EVENTS, self.cursor.position) as reader:
                    self.follow(reader)
            except Exception as error:
                self.trouble(f"{type(error).__name__}: {error}")
                logger.exception("output %s failed; trying again", self.name)
                self.stopping.wait(5)

    @abstractmethod
    def follow(self, reader: Reader) -> None:
        """Delivers what the reader gives and saves the cursor, until `stopping` is set."""

    def encoded(self, lines: list[bytes]) -> list[bytes]:
        """The lines in the output's form. One that cannot be written in it, as it was damaged on the disk, keeps no
        other from being delivered: it is a dead letter, and stays in the event log."""
        try:
            return [made for made in map(self.encode, lines) if made]
        except Exception:
            return [made for line in lines if (made := self.encoded_or_dead(line))]

    def encoded_or_dead(self, line: bytes) -> bytes:
        try:
            return self.encode(line)
        except Exception as error:
            self.counts.dead_letters += 1
            kind = type(error).__name__
            if self.first(kind):
                logger.warning("output %s: not sent, %s: %s: %.120r", self.name, kind, error, line)
            return b""

    def first(self, cause: str) -> bool:
        """Whether something is to be logged: the same cause once in ten minutes."""
        now = time.monotonic()
        self.told = {known: when for known, when in self.told.items() if now - when < TOLD_AGAIN}
        return self.told.setdefault(cause, now) == now

    def save(self, position: Position, more: Mapping[str, int] = MappingProxyType({})) -> None:
        """Saves the cursor. Where that fails it goes on, and saves the next one: after a crash more is sent again."""
        try:
            self.cursor.save(position, more)
        except OSError as error:
            self.trouble(f"cannot save how far it came: {error.strerror or error}", "cursor")

    def trouble(self, error: str, cause: str = "") -> None:
        """Notes what keeps the output from going on, and logs it."""
        if error and self.first(cause or error):
            self.said = True
            logger.warning("output %s: %s", self.name, error)
        elif not error and self.said:
            self.said = False
            logger.info("output %s: goes on", self.name)
        self.counts.error = error

    def behind(self) -> int:
        """Bytes of the event log that were not acknowledged yet; compressed segments count as they are on disk."""
        position = self.cursor.position
        total = 0
        for segment in self.listing.segments():
            if segment.number < position.segment:
                continue
            try:
                size = segment.path.stat().st_size
            except FileNotFoundError:
                continue
            done = position.offset if segment.number == position.segment else 0
            total += size if segment.compressed and not done else max(0, size - done)
        return total


__all__ = ["Output", "Position", "Sent"]
