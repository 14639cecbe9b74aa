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


class FileOutput(LineOutput):
    """Appends to `path`; a file that was moved away or deleted is made anew, so logrotate needs no signal."""

    def __init__(self, settings: FileSettings, data_dir: Path, encode: Encode) -> None:
        super().__init__("file", data_dir, encode)
        self.settings = settings
        self.path = Path(settings.path)
        self.mode = int(settings.mode, 8)
        self.owner = owner(settings)
        self.file = -1

    def send(self, lines: list[bytes]) -> None:
        if self.file >= 0 and not self.is_current():
            self.disconnect()
        if self.file < 0:
            self.open()
        data = memoryview(b"\n".join(lines) + b"\n")
        while data:
            data = data[os.write(self.file, data) :]
        if self.settings.max_size and os.fstat(self.file).st_size >= self.settings.max_size:
            self.rotate()

    def is_current(self) -> bool:
        try:
            there = os.stat(self.path)
        except FileNotFoundError:
            return False
        ours = os.fstat(self.file)
        return (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)

    def open(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, self.mode)
        os.fchmod(self.file, self.mode)
        if self.owner != (-1, -1):
            os.fchown(self.file, *self.owner)

    def rotate(self) -> None:
        """FILE.1 is the newest of the old ones; compressed ones end in .gz."""
        self.disconnect()
        ending = ".gz" if self.settings.compress else ""
        for number in range(self.settings.keep, 0, -1):
            source = self.numbered(number, ending)
            if source.exists():
                source.unlink() if number == self.settings.keep else source.replace(self.numbered(number + 1, ending))
        if not self.settings.keep:
            self.path.unlink()
        elif self.settings.compress:
            with open(self.path, "rb") as plain, igzip.open(self.numbered(1, ".gz"), "wb", compresslevel=1) as packed:
                while block := plain.read(1 << 20):
                    packed.write(block)
            os.chmod(self.numbered(1, ".gz"), self.mode)
            self.path.unlink()
        else:
            self.path.replace(self.numbered(1, ""))

    def numbered(self, number: int, ending: str) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}{ending}")

    def disconnect(self) -> None:
        if self.file >= 0:
            os.close(self.file)
        self.file = -1


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
