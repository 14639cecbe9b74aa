"""What reading a compressed file raises whose bytes have changed."""

from __future__ import annotations

from isal import isal_zlib

ERROR: type[Exception] = isal_zlib.error  # type: ignore[assignment]
DAMAGED: tuple[type[Exception], ...] = (OSError, EOFError, ERROR)
