"""The C library, for the few calls that Python's own modules do not have; errors are in ctypes.get_errno()."""

from __future__ import annotations

import ctypes

libc = ctypes.CDLL(None, use_errno=True)
