"""Lines to a file, with the rotation that one wants: its own, or that of logrotate(8)."""

from __future__ import annotations

import grp
import os
import pwd
import sys
from pathlib import Path

from isal import igzip

from auditdeck.errors import SettingsError
from auditdeck.outputs.formats.encode import Encode
from auditdeck.outputs.lines import LineOutput
from auditdeck.settings.model import FileSettings

OTHERS_WRITE = 0o022
MOST_AHEAD = 64 << 20


class FileOutput(LineOutput):
    """Appends to `path`; a file that was moved away or deleted is made anew, so logrotate needs no signal.

    It knows how far it wrote: what a full disk or a crash left behind the last line that its cursor vouches for is not
    written again, and half a line is completed.
    """

    def __init__(self, settings: FileSettings, data_dir: Path, encode: Encode) -> None:
        super().__init__("file", data_dir, encode)
        self.settings = settings
        self.path = Path(settings.path)
        self.mode = int(settings.mode, 8)
        self.owner = owner(settings)
        self.file = -1
        self.ahead = b""
        """Bytes at the end of the file that are still to be written, as the cursor has it."""
        self.length = 0
        self.known: dict[str, int] = {}

    def send(self, lines: list[bytes]) -> None:
        if self.file >= 0 and not self.is_current():
            self.disconnect()
        if self.file < 0:
            self.open()
        # Before the next lines, not behind the last ones: these are to be settled in the file that they are in.
        if self.settings.max_size and self.length >= self.settings.max_size and not self.ahead:
            self.rotate()
            self.open()
        data = b"\n".join(lines) + b"\n"
        if self.ahead.startswith(data):
            self.ahead = self.ahead[len(data) :]
            return
        there = self.ahead if data.startswith(self.ahead) else b""
        if not there and self.is_torn():
            os.write(self.file, b"\n")
        self.ahead = there
        rest = memoryview(data)[len(there) :]
        while rest:
            written = os.write(self.file, rest)
            self.ahead += bytes(rest[:written])
            rest = rest[written:]
        self.ahead = b""
        self.length = os.fstat(self.file).st_size

    def settled(self) -> dict[str, int]:
        """Which file, and its length without what is ahead; it is on the disk then."""
        if self.file < 0:
            return {}
        os.fdatasync(self.file)
        return {**identity(os.fstat(self.file)), "length": self.length - len(self.ahead)}

    def is_current(self) -> bool:
        try:
            there = os.stat(self.path)
        except FileNotFoundError:
            return False
        ours = os.fstat(self.file)
        return identity(there) == identity(ours) and ours.st_size >= self.length

    def open(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        if self.path.parent.stat().st_mode & OTHERS_WRITE:
            flags |= os.O_NOFOLLOW
        self.file = os.open(self.path, flags, self.mode)
        os.fchmod(self.file, self.mode)
        if self.owner != (-1, -1):
            os.fchown(self.file, *self.owner)
        found = os.fstat(self.file)
        if identity(found) != self.known or found.st_size < self.length:
            self.ahead = b""
        self.known, self.length = identity(found), found.st_size
        if not self.ahead:
            self.ahead = self.written_since()

    def written_since(self) -> bytes:
        """What stands behind the length that was saved with the cursor."""
        saved = self.cursor.more
        if self.known.items() <= saved.items() and saved.get("length", self.length) < self.length:
            return os.pread(self.file, min(self.length - saved["length"], MOST_AHEAD), saved["length"])
        return b""

    def is_torn(self) -> bool:
        """Whether the file ends within a line."""
        return self.length > 0 and os.pread(self.file, 1, self.length - 1) != b"\n"

    def rotate(self) -> None:
        """FILE.1 is the newest of the old ones; compressed ones end in .gz."""
        self.disconnect()
        for number in range(self.settings.keep, 0, -1):
            for ending in ("", ".gz"):
                source = self.numbered(number, ending)
                if source.exists() and number == self.settings.keep:
                    source.unlink()
                elif source.exists():
                    source.replace(self.numbered(number + 1, ending))
        if not self.settings.keep:
            self.path.unlink()
            return
        # Moved first: whatever happens while it is compressed, its lines are nowhere twice.
        self.path.replace(self.numbered(1, ""))
        if self.settings.compress:
            self.pack(self.numbered(1, ""), self.numbered(1, ".gz"))

    def pack(self, source: Path, target: Path) -> None:
        partial = target.with_name(target.name + ".partial")
        partial.unlink(missing_ok=True)
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, self.mode)
        with open(descriptor, "wb") as raw, open(source, "rb") as plain:
            os.fchmod(raw.fileno(), self.mode)
            with igzip.open(raw, "wb", compresslevel=1) as packed:
                while block := plain.read(1 << 20):
                    packed.write(block)
        partial.replace(target)
        source.unlink()

    def numbered(self, number: int, ending: str) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}{ending}")

    def disconnect(self) -> None:
        if self.file >= 0:
            os.close(self.file)
        self.file = -1


def identity(found: os.stat_result) -> dict[str, int]:
    return {"device": found.st_dev, "inode": found.st_ino}


class StdoutOutput(LineOutput):
    """Lines to standard output; everything else that auditdeck says goes to standard error."""

    def __init__(self, data_dir: Path, encode: Encode) -> None:
        super().__init__("stdout", data_dir, encode)

    def send(self, lines: list[bytes]) -> None:
        sys.stdout.buffer.write(b"\n".join(lines) + b"\n")
        sys.stdout.buffer.flush()


def owner(settings: FileSettings) -> tuple[int, int]:
    """User and group as numbers, -1 for one that is not to be changed. Raises SettingsError."""
    try:
        user = pwd.getpwnam(settings.user).pw_uid if settings.user else -1
    except KeyError:
        raise SettingsError(f"outputs.file.user: there is no user {settings.user!r} on this host") from None
    try:
        group = grp.getgrnam(settings.group).gr_gid if settings.group else -1
    except KeyError:
        raise SettingsError(f"outputs.file.group: there is no group {settings.group!r} on this host") from None
    return user, group
