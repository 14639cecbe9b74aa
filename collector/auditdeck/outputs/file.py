"""Lines to a file, with the rotation that one wants: its own, or that of logrotate(8)."""

from __future__ import annotations

import errno
import grp
import os
import pwd
import stat
import sys
from pathlib import Path

from isal import igzip

from auditdeck.errors import SettingsError
from auditdeck.outputs.formats.encode import Encode
from auditdeck.outputs.lines import LineOutput
from auditdeck.settings.model import FileSettings

OTHERS_WRITE = 0o022
NO_SYNC = {errno.EINVAL, errno.EROFS, errno.ENOSYS}
"""Of fdatasync(2): what has no disk behind it, such as a pipe."""


class FileOutput(LineOutput):
    """Appends to `path`; a file that was moved away or deleted is made anew, so logrotate needs no signal.

    It knows how far it wrote: what a full disk or a crash left behind the last line that its cursor vouches for is
    compared with what is to be written; what is there is not written again, and half a line is completed.
    """

    def __init__(self, settings: FileSettings, data_dir: Path, encode: Encode) -> None:
        super().__init__("file", data_dir, encode)
        self.settings = settings
        self.path = Path(settings.path)
        self.target = settings.path
        self.mode = int(settings.mode, 8)
        self.owner = owner(settings)
        self.file = -1
        self.vouched = 0
        """Bytes at the beginning of the file that are delivered."""
        self.known: dict[str, int] = {}

    def send(self, lines: list[bytes]) -> None:
        if self.file >= 0 and not self.is_current():
            self.disconnect()
        if self.file < 0:
            self.open()
        # Before the next lines, not behind the last ones: these are to be settled in the file that they are in.
        if self.settings.max_size and self.vouched >= self.settings.max_size:
            self.rotate()
            self.open()
        self.write(b"\n".join(lines) + b"\n")

    def write(self, data: bytes) -> None:
        """Raises OSError; what is written by then is not written again."""
        size = os.fstat(self.file).st_size
        there = os.pread(self.file, len(data), self.vouched) if size > self.vouched else b""
        if not data.startswith(there):
            # Somebody else's.
            self.vouched, there = size, b""
            if os.pread(self.file, 1, size - 1) != b"\n":
                self.vouched += os.write(self.file, b"\n")
        rest = memoryview(data)[len(there) :]
        while rest:
            rest = rest[os.write(self.file, rest) :]
        self.vouched += len(data)

    def settled(self) -> dict[str, int]:
        """Which file, and how much of it is delivered; it is on the disk then."""
        if self.file < 0:
            return {}
        try:
            os.fdatasync(self.file)
        except OSError as error:
            if error.errno not in NO_SYNC:
                raise
        return {**self.known, "length": self.vouched}

    def is_current(self) -> bool:
        try:
            there = os.stat(self.path)
        except FileNotFoundError:
            return False
        return identity(there) == self.known and (there.st_size >= self.vouched or not stat.S_ISREG(there.st_mode))

    def open(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
        others_write = self.path.parent.stat().st_mode & OTHERS_WRITE
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | (os.O_NOFOLLOW if others_write else 0)
        try:
            self.file = os.open(self.path, flags, self.mode)
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise OSError(errno.ELOOP, "it is a link, in a folder where others may write") from error
            raise
        found = os.fstat(self.file)
        if others_write and found.st_uid not in (0, os.geteuid(), self.owner[0]):
            raise PermissionError(errno.EPERM, "it belongs to somebody else, in a folder where others may write")
        if stat.S_ISREG(found.st_mode):
            os.fchmod(self.file, self.mode)
            if self.owner != (-1, -1):
                os.fchown(self.file, *self.owner)
        if self.settings.max_size and not self.known:
            self.finish_packing()
        if identity(found) != self.known:
            self.known = identity(found)
            saved = self.cursor.more
            # Of a file that the cursor does not know, all of it may have been written after it was saved.
            self.vouched = saved.get("length", 0) if self.known.items() <= saved.items() else 0
        if found.st_size < self.vouched:
            self.vouched = 0

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
        new = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        old = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(partial, new, self.mode), "wb") as raw, open(os.open(source, old), "rb") as plain:
            os.fchmod(raw.fileno(), self.mode)
            if self.owner != (-1, -1):
                os.fchown(raw.fileno(), *self.owner)
            with igzip.open(raw, "wb", compresslevel=1) as packed:
                while block := plain.read(1 << 20):
                    packed.write(block)
            raw.flush()
            os.fsync(raw.fileno())
        partial.replace(target)
        source.unlink()

    def finish_packing(self) -> None:
        """A run that was killed may have left a file beside what it made of it, or half of that."""
        self.numbered(1, ".gz.partial").unlink(missing_ok=True)
        if self.numbered(1, ".gz").exists():
            self.numbered(1, "").unlink(missing_ok=True)

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

        self.rest = b""
        """Of lines that were written in part before it failed."""

    def send(self, lines: list[bytes]) -> None:
        # Not by sys.stdout: a reader that hangs would hold its lock, which the interpreter wants at its end.
        self.rest = self.rest or b"\n".join(lines) + b"\n"
        while self.rest:
            self.rest = self.rest[os.write(sys.stdout.fileno(), self.rest) :]


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
