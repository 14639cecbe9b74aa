"""Outputs that take one line after the other: in order, again until it works."""

from __future__ import annotations

import logging
import random
from abc import abstractmethod

from auditdeck.eventlog.reader import Reader
from auditdeck.outputs.output import IDLE, Output
from auditdeck.outputs.wire import Wire

LONGEST_PAUSE = 30.0

logger = logging.getLogger("auditdeck")


class LineOutput(Output):
    """Subclasses deliver lines, or raise OSError when they cannot; what was delivered before that is not repeated."""

    target = "standard output"

    def follow(self, reader: Reader) -> None:
        try:
            while not self.stopping.is_set():
                lines = reader.read(1 << 18)
                if not lines:
                    self.stopping.wait(IDLE)
                    continue
                if not self.deliver(self.encoded(lines)):
                    return
                self.save(reader.position, self.settled())
        finally:
            self.disconnect()

    def deliver(self, lines: list[bytes]) -> bool:
        """All of them, however long it takes; False if `stop` came first."""
        pause = 0.25
        while lines:
            before = len(lines)
            try:
                self.send(lines)
            except OSError as error:
                self.counts.sent += before - len(lines)
                self.disconnect()
                why = error.strerror or str(error)
                self.trouble(f"cannot write to {self.target}: {why}", why)
                if self.stopping.wait(pause * random.uniform(0.5, 1.5)):
                    return False
                pause = min(2 * pause, LONGEST_PAUSE)
            else:
                self.counts.sent += before
                self.trouble("")
                return True
        return True

    def count_form(self, form: int) -> None:
        """What `Wire.send_datagram` made of a message."""
        if form > 0:
            self.counts.shortened += 1
        elif form < 0:
            self.counts.dead_letters += 1
            if self.first("too long"):
                logger.warning("output %s: a message is too long to be sent; it is in the event log alone", self.name)

    def deliver_frames(self, wire: Wire, lines: list[bytes], frames: list[bytes]) -> None:
        """Lines by stream, each in its frame. Raises OSError, with those removed that were delivered."""
        try:
            wire.deliver(frames)
        finally:
            del lines[: len(lines) - len(frames)]

    @abstractmethod
    def send(self, lines: list[bytes]) -> None:
        """Delivers the lines, or removes from the list those that it delivered before it raises OSError."""

    def settled(self) -> dict[str, int]:
        """What is to be known of the target at the next start, saved with the cursor. Raises OSError."""
        return {}

    def disconnect(self) -> None:
        """Lets go of what `send` holds open."""
