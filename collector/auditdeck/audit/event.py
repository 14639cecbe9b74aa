"""An event: all records of one stamp, as a list or as one text.

The text has a line for each record, its type and its body: `1300 arch=c000003e syscall=42 …`, `1306 saddr=…`. Of it the
`arguments` and the `ids` of the process (` a0=3 a1=7ffd… a2=10 a3=0`, ` ppid=1 pid=2`) stand apart: they differ where
all else comes again and again. What is left is the `shape`. These three are made by the compiled part
(`auditdeck.audit.ext`), or when they are first asked for; if they are equal so are the documents, but for stamp and
surroundings.
"""

from __future__ import annotations

import re

from auditdeck.audit.record import Payload, Record, record_of

SYSCALL = 1300
ENDS = b"\0\r\n "
CALL = re.compile(
    rb"( a0=[0-9a-f]{1,16} a1=[0-9a-f]{1,16} a2=[0-9a-f]{1,16} a3=[0-9a-f]{1,16})"
    rb"( items=\d{1,10})( ppid=\d{1,10} pid=\d{1,10}) auid="
)
ITEMS = b" items="


class Event:
    """`complete` is false if a timeout or the limit of open events ended the wait for more; `node` is the host that a
    log of several hosts names, b"" for this one. `moment` and `serial` are what is before and behind the stamp's colon.

    `shape` is None until `split` was called; b"" then says that there is no text, as a record has line ends within.
    `arguments` and `ids` are b"" for an event without a call of the usual form.
    """

    __slots__ = ("arguments", "complete", "ids", "listed", "moment", "node", "serial", "shape")

    def __init__(self, stamp: bytes, items: list[Payload], complete: bool = True, node: bytes = b"") -> None:
        self.moment, _, self.serial = stamp.partition(b":")
        self.listed: list[Payload] | None = items
        self.arguments = self.ids = b""
        self.shape: bytes | None = None
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
            self.listed = [(int(line[:4]), head + line[5:]) for line in self.text.split(b"\n")]
        return self.listed

    @property
    def records(self) -> list[Record]:
        return [record_of(kind, payload) for kind, payload in self.items]

    @property
    def text(self) -> bytes:
        """b"" if there is none."""
        shape = self.split() if self.shape is None else self.shape
        if not self.arguments:
            return shape
        items = shape.find(ITEMS)
        after = shape.find(b" auid=", items)
        return b"".join((shape[:items], self.arguments, shape[items:after], self.ids, shape[after:]))

    def split(self) -> bytes:
        """The shape; b"" if there is no text."""
        if self.shape is not None:
            return self.shape
        start = len(self.moment) + len(self.serial) + 10
        lines = [b"%d %s" % (kind, payload[start:].rstrip(ENDS)) for kind, payload in self.listed or ()]
        text = b"\n".join(lines)
        if (
            text.count(b"\n") >= len(lines)
            or b"\0" in text
            or b"\x1f" in text
            or any(line[4:5] != b" " for line in lines)
        ):
            text = b""
        self.shape = text
        start = text.find(b" a0=", 5)
        call = CALL.match(text, start) if start >= 0 and text.startswith(b"%d " % SYSCALL) else None
        before = text[:start]
        if call is not None and b"\n" not in before and ITEMS not in before:
            self.arguments, self.ids = call[1], call[3]
            self.shape = before + call[2] + text[call.end(3) :]
        return self.shape


class Packed(Event):
    """A whole event of a system call, from its parts."""

    __slots__ = ()

    complete = True
    node = b""

    def __init__(self, moment: bytes, serial: bytes, arguments: bytes, ids: bytes, shape: bytes) -> None:
        self.moment = moment
        self.serial = serial
        self.arguments = arguments
        self.ids = ids
        self.shape = shape
        self.listed = None
