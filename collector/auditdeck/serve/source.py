"""The store, kept open: one view at a time, and the last ones again without asking as long as nothing was written."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from auditdeck.eventlog.segment import EVENTS, PARQUET
from auditdeck.query.answers import answer_now
from auditdeck.query.behind import behind
from auditdeck.query.question import Question
from auditdeck.query.store import Store
from auditdeck.serve.address import Address

KEPT = 32
FRESH = 60.0
"""Seconds for which a view is shown again, although its window has moved on."""

Stamp = tuple[tuple[str, int], ...]


class Source:
    """Raises StoreError if there is no data directory."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.lock = threading.Lock()
        self.store = Store(data_dir).__enter__()
        self.kept: OrderedDict[Address, tuple[float, Stamp, Question, dict[str, Any]]] = OrderedDict()
        self.took = 0.0

    def close(self) -> None:
        self.store.__exit__()

    def answer(self, address: Address) -> tuple[Question, dict[str, Any]]:
        """All numbers of a view (`answers.answer`), and what was asked."""
        with self.lock:
            stamp, now = self.stamp(), time.monotonic()
            if found := self.kept.get(address):
                made, seen, question, numbers = found
                if seen == stamp and now - made < FRESH:
                    self.kept.move_to_end(address)
                    return question, numbers
            question = address.question(datetime.now(UTC))
            numbers = self.store.read(lambda events: answer_now(events, self.data_dir, question))
            self.took = time.monotonic() - now
            self.kept[address] = now, stamp, question, numbers
            while len(self.kept) > KEPT:
                self.kept.popitem(last=False)
            return question, numbers

    def behind(self, address: Address) -> tuple[Question, dict[str, Any]]:
        """The events of a view (`behind.behind`), and what was asked."""
        question = address.question(datetime.now(UTC))
        with self.lock:
            return question, self.store.read(lambda events: behind(events, question, address.page))

    def stamp(self) -> Stamp:
        """Changes with whatever is written."""
        found = []
        for folder in (EVENTS, PARQUET):
            for path in sorted((self.data_dir / folder).glob("*")):
                try:
                    found.append((path.name, path.stat().st_size))
                except FileNotFoundError:
                    continue
        return tuple(found)
