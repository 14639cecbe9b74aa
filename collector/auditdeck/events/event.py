"""An event: all records of one stamp, as a list or as one text.

The text has a line for each record, its type and its body: `1300 arch=c000003e syscall=42 …`, `1306 saddr=…`. It is
made by the compiled part (`auditdeck.native`), or when it is first asked for; equal texts make equal documents, but
for stamp and surroundings.
"""

from __future__ import annotations

from auditdeck.events.record import Payload, Record, record_of

SYSCALL = 1300
ENDS = b"\0\r\n "


class Event:
    """`complete` is false if a timeout or the limit of open events ended the wait for more; `node` is the host that a
    log of several hosts names, b"" for this one. `moment` and `serial` are what is before and behind the stamp's colon.
    """

    __slots__ = ("complete", "listed", "moment", "node", "serial", "text")

    def __init__(self, stamp: bytes, items: list[Payload], complete: bool = True, node: bytes = b"") -> None:
        self.moment, _, self.serial = stamp.partition(b":")
        self.listed: list[Payload] | None = items
        self.text: bytes | None = None
        self.complete = complete
        self.node = node

    @property
    def stamp(self) -> bytes:
        return self.moment + b":" + self.serial

    @property
    def is_call(self) -> bool:
        """Whether it is a system call's."""
        return self.listed is None or self.listed[0][0] == SYSCALL

    @property
    def items(self) -> list[Payload]:
        """The records as netlink has them."""
        if self.listed is None:
            head = b"audit(" + self.stamp + b"): "
            self.listed = [(int(line[:4]), head + line[5:]) for line in (self.text or b"").split(b"\n")]
        return self.listed

    @property
    def records(self) -> list[Record]:
        return [record_of(kind, payload) for kind, payload in self.items]

    def packed(self) -> bytes:
        """The text; b"" for an event that cannot be written like this, because a record has line ends within."""
        if self.text is None:
            start = len(self.moment) + len(self.serial) + 10
            lines = [b"%d %s" % (kind, payload[start:].rstrip(ENDS)) for kind, payload in self.listed or ()]
            text = b"\n".join(lines)
            odd = text.count(b"\n") != len(lines) - 1 or b"\0" in text or b"\x1f" in text
            self.text = b"" if odd or not all(line[4:5] == b" " for line in lines) else text
        return self.text


class Packed(Event):
    """A whole event of a system call, from its text."""

    __slots__ = ()

    def __init__(self, moment: bytes, serial: bytes, text: bytes) -> None:
        self.moment = moment
        self.serial = serial
        self.text = text
        self.listed = None
        self.complete = True
        self.node = b""
