"""Labels of processes: set by a rule's key or an executable, and inherited by all that the process starts."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from auditdeck.cache import Cache

REMEMBERED = 65536
ANCESTORS = 32


@dataclass(frozen=True, slots=True)
class LabelRule:
    """A process gets `label` by an event with this key, or by running a program whose path matches."""

    label: str
    key: str = ""
    executable: re.Pattern[str] | None = None


@dataclass(slots=True)
class Labels:
    """`of(pid, parent, …)`: a process's labels, in order. `parent_of` tells the parent of one that was never seen."""

    rules: tuple[LabelRule, ...] = ()
    parent_of: Callable[[int], int] | None = None
    known: Cache[int, tuple[int, frozenset[str]]] = field(default_factory=lambda: Cache(REMEMBERED))

    def of(self, pid: int, parent: int, executable: str, keys: list[str]) -> list[str]:
        """Asked for every event of a process, in the order of the events."""
        if not self.rules:
            return []
        seen = self.known.get(pid)
        # Another parent: the pid was used again, or the parent ended and left the process to another.
        labels = seen[1] if seen and (seen[0] == parent or parent == 1) else self.inherited(parent)
        for rule in self.rules:
            if (rule.key and rule.key in keys) or (rule.executable and rule.executable.search(executable)):
                labels |= {rule.label}
        self.known.keep(pid, (parent, labels))
        return sorted(labels)

    def inherited(self, pid: int) -> frozenset[str]:
        """The labels of the nearest ancestor that was seen."""
        for _ in range(ANCESTORS):
            if pid <= 1:
                break
            if pid in self.known:
                return self.known[pid][1]
            pid = self.parent_of(pid) if self.parent_of else 0
        return frozenset()
