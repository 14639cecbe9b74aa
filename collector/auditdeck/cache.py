"""What was worked out before, within bounds."""

from __future__ import annotations

from itertools import islice
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Cache(dict[K, V]):
    """A dictionary of at most `limit` entries: when it is full, the eighth that was kept longest ago goes."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.limit = limit

    def keep(self, key: K, value: V) -> V:
        """Keeps `value` as the newest entry, and returns it."""
        if len(self) >= self.limit:
            for oldest in list(islice(self, max(1, self.limit // 8))):
                del self[oldest]
        self.pop(key, None)
        self[key] = value
        return value
