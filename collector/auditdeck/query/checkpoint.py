"""How far a search got, for the next one to go on from there: the file of `ausearch --checkpoint`, in its form.

    dev=0xFE00
    inode=4711
    output=web1 1700000000.123:42 0x514

That is the log that was read last, and the last whole event in it: its node (- for none), its stamp, and the type of
its first record. For the event log, whose files change, device and inode are 0.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from auditdeck.audit.record import type_number
from auditdeck.errors import CheckpointError
from auditdeck.query.search import FoundEvent, Query

FORM = re.compile(r"dev=0x([0-9A-Fa-f]{1,16})\ninode=(\d{1,20})\noutput=(\S+) (\S+) 0x([0-9A-Fa-f]{1,8})\n?")
STAMP = re.compile(r"(\d{1,11})\.(\d{3}):\d{1,18}")
NODE = re.compile(r"node=(\S+) ")
BAD_FILE, NOT_WRITTEN, NOT_FOUND = 10, 11, 12
"""Exit statuses of ausearch(8)."""
BY_TIME = "search by its time: --start checkpoint"


class Place(NamedTuple):
    """An event: its node (- for none), its stamp (`seconds.milliseconds:serial`, or an id), its first record's type."""

    node: str
    stamp: str
    kind: int


@dataclass(frozen=True, slots=True)
class Checkpoint:
    device: int
    inode: int
    last: Place

    @property
    def time(self) -> datetime:
        """Raises CheckpointError if the event has none in its stamp."""
        match = STAMP.fullmatch(self.last.stamp)
        if match is None:
            raise CheckpointError(
                f"{self.last.stamp!r} of the checkpoint has no time", "remove it to begin anew", BAD_FILE
            )
        return datetime.fromtimestamp(int(match[1]), UTC).replace(microsecond=int(match[2]) * 1000)


def place_of(event: FoundEvent, *, in_log: bool) -> Place:
    """`in_log`: its node is the one that a log of several hosts names; in the event log it is the host."""
    match = NODE.match(str(event.get("event.original"))) if in_log else None
    node = (match[1] if match else "") if in_log else str(event.get("host.name"))
    kind = type_number(str(event.get("auditd.message_type")).upper().encode()) or 0
    return Place(node or "-", str(event.get("event.id")), kind)


def read_checkpoint(path: Path) -> Checkpoint | None:
    """None if there is none yet. Raises CheckpointError."""
    try:
        text = path.read_text()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"cannot read the checkpoint {path}: {error}", "name another file", BAD_FILE) from error
    match = FORM.fullmatch(text)
    if match is None:
        raise CheckpointError(f"{path} is not a checkpoint", "name another file, or remove it to begin anew", BAD_FILE)
    return Checkpoint(int(match[1], 16), int(match[2]), Place(match[3], match[4], int(match[5], 16)))


def write_checkpoint(path: Path, log: str | None, last: Place) -> None:
    """As a whole, for the log that was read last. Raises CheckpointError."""
    made = path.with_name(f"{path.name}.new")
    try:
        device, inode = (os.stat(log).st_dev, os.stat(log).st_ino) if log else (0, 0)
        made.write_text(f"dev=0x{device:X}\ninode={inode}\noutput={last.node} {last.stamp} 0x{last.kind:X}\n")
        made.replace(path)
    except OSError as error:
        message = f"cannot write the checkpoint {path}: {error.strerror}"
        raise CheckpointError(message, "name another file", NOT_WRITTEN) from error


def logs_from(checkpoint: Checkpoint, logs: Sequence[str]) -> Sequence[str]:
    """The log of the checkpoint and those after it. Raises CheckpointError if it is not among them."""
    for place, log in enumerate(logs):
        try:
            status = os.stat(log)
        except OSError:
            continue
        if (status.st_dev, status.st_ino) == (checkpoint.device, checkpoint.inode):
            return logs[place:]
    raise CheckpointError("the log of the checkpoint is not among those that are searched", BY_TIME, BAD_FILE)


class Resumed:
    """A search that goes on after the last one, and is noted in the file `path`: in `logs`, or without any in the event
    log. `by_time`: only the time of the checkpoint counts, not its log. Raises CheckpointError."""

    def __init__(self, path: Path, logs: Sequence[str], *, by_time: bool) -> None:
        self.path = path
        self.by_time = by_time
        self.known = read_checkpoint(path)
        self.logs = logs_from(self.known, logs) if self.known and logs and not by_time else list(logs)
        self.last: Place | None = None

    def events(self, events: Iterator[FoundEvent], query: Query) -> Iterator[FoundEvent]:
        """What the query is about, of all events."""
        begun = self.known is None
        for event in events:
            place = place_of(event, in_log=bool(self.logs))
            self.last = place
            if not begun and self.known:
                begun = event.time >= self.known.time if self.by_time else place == self.known.last
                if not (begun and self.by_time):
                    continue
            if query.in_time(event.document["@timestamp"].encode()) and query.matches(event):
                yield event
        if not begun and self.known and not self.by_time:
            stamp = self.known.last.stamp
            raise CheckpointError(f"the event of the checkpoint ({stamp}) is not there any more", BY_TIME, NOT_FOUND)

    def save(self) -> None:
        if self.last:
            write_checkpoint(self.path, self.logs[-1] if self.logs else None, self.last)
