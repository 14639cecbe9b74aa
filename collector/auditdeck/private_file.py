"""Files that only their owner can read, from the first byte on, and that no link leads elsewhere (open(2))."""

from __future__ import annotations

import os
from pathlib import Path


def append(path: Path, data: bytes) -> None:
    """Adds to the end of a file, which is made if there is none. Raises OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with open(descriptor, "ab") as file:
        file.write(data)
