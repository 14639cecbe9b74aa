"""Files for their owner, and for the group of their folder if it may read that (event_log.group): from the first byte
on, and no link leads elsewhere (open(2))."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

from auditdeck.errors import StoreError

ALONE = os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW


def append(path: Path, data: bytes) -> None:
    """Adds to the end of a file, which is made for its owner alone if there is none. Raises OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | ALONE, 0o600)
    with open(descriptor, "ab") as file:
        file.write(data)


def open_shared(path: Path | str, flags: int) -> int:
    """The descriptor of a file, which is made if there is none; its folder's group may read it. Raises OSError."""
    descriptor = os.open(path, flags | ALONE, 0o600)
    share(descriptor, os.path.dirname(path))
    return descriptor


def share(descriptor: int, folder: str | Path) -> None:
    """Lets the group of its folder read a file, if it may read the folder. Raises OSError.

    A file whose group this user may not set stays as it is.
    """
    above, found = os.stat(folder), os.fstat(descriptor)
    if not above.st_mode & stat.S_IRGRP:
        return
    with contextlib.suppress(PermissionError):
        if found.st_gid != above.st_gid:
            os.fchown(descriptor, -1, above.st_gid)
        if not found.st_mode & stat.S_IRGRP:
            os.fchmod(descriptor, stat.S_IMODE(found.st_mode) | stat.S_IRGRP)


def make_folder(folder: Path, group: int | None) -> None:
    """A folder for its owner alone, or for a group as well (a number). Raises OSError."""
    folder.mkdir(mode=0o700, exist_ok=True)
    if group is not None:
        os.chown(folder, -1, group)
    os.chmod(folder, 0o700 if group is None else 0o750)


def share_folder(folder: Path, group: int) -> None:
    """A folder and the files that are in it, for a group. Raises OSError."""
    make_folder(folder, group)
    for path in folder.iterdir():
        if path.is_file() and not path.is_symlink():
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                share(descriptor, folder)
            finally:
                os.close(descriptor)


def require_readable(*folders: Path) -> None:
    """Raises StoreError if one of them is there and may not be read by this user."""
    for folder in folders:
        try:
            os.stat(folder)
        except FileNotFoundError:
            continue
        except PermissionError:
            raise refused(folder) from None
        if not os.access(folder, os.R_OK | os.X_OK):
            raise refused(folder)


def refused(path: Path | str) -> StoreError:
    return StoreError(
        f"this user may not read {path}", "ask as root, as the user that collects, or see event_log.group"
    )
