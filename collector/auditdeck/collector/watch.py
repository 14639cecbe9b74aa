"""Whether the kernel still says what it was asked to say: audit on, our registration, our rules.

What is not so is logged, put back where `kernel.keep` is `restore`, and its time counted as not watched. How each of
these can be taken away: auditctl(8), -e and -D.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from typing import Literal

from auditdeck.audit.messages import Status
from auditdeck.audit.rules.constants import ACTIONS, LISTS
from auditdeck.audit.rules.loader import restore_rules
from auditdeck.audit.rules.rule import Rule
from auditdeck.collector.health import Counters
from auditdeck.collector.rules import Rules
from auditdeck.collector.session import Session
from auditdeck.errors import AuditdeckError, KernelError

Keep = Literal["restore", "report"]
NEVER, EXCLUDE = ACTIONS["never"], LISTS["exclude"]

logger = logging.getLogger("auditdeck")


class KernelWatch:
    """`look` every few seconds; `troubles` is what was wrong at the last look, as sentences."""

    def __init__(
        self, session: Session, counters: Counters, keep: Keep = "restore", clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.session = session
        self.counters = counters
        self.keep = keep
        self.clock = clock
        self.lost_before = session.control.status().lost
        self.looked = clock()
        self.mended = True
        self.troubles: list[str] = []
        self.lock = threading.Lock()

    def reload(self, rules: Rules) -> list[str]:
        """Other rules in the place of those that are loaded, as Rules.load_instead; the moment between them counts as
        not watched."""
        with self.lock:
            began = self.clock()
            notes = rules.load_instead(self.session)
            self.counters.unwatched += self.clock() - began
            return notes

    def look(self) -> None:
        with self.lock:
            self.look_once()

    def look_once(self) -> None:
        """Time counts as not watched from the last look that found all well,
        or put it right, to the one that finds it so."""
        try:
            status = self.count()
            rules = self.session.control.rules()
        except KernelError as error:
            self.note([f"the kernel's audit state cannot be read: {error}"])
            return
        missing = [rule for rule in self.session.own_rules if rule not in rules]
        self.note([*self.off(status), *self.unregistered(status), *self.deleted(missing), *self.suppressed(rules)])
        if self.troubles and self.keep == "restore":
            self.mended = self.put_back(status, rules, missing)

    def count(self) -> Status:
        """Takes over the kernel's own counts. Raises KernelError."""
        status = self.session.control.status()
        self.counters.lost = max(0, status.lost - self.lost_before)
        self.counters.backlog = status.backlog
        return status

    def off(self, status: Status) -> list[str]:
        return [] if status.enabled else ["audit was switched off (auditctl -e 0)"]

    def unregistered(self, status: Status) -> list[str]:
        if self.session.multicast or status.pid == os.getpid():
            return []
        return [f"the kernel sends its records to {f'process {status.pid}' if status.pid else 'nobody'}"]

    def deleted(self, missing: list[bytes]) -> list[str]:
        count = len(self.session.own_rules)
        return [f"{len(missing)} of auditdeck's {count} audit rules were deleted"] if missing else []

    def suppressed(self, rules: list[bytes]) -> list[str]:
        """Rules of others that came later and keep events from being recorded. They are not ours to delete."""
        own, known = self.session.own_rules, [*self.session.own_rules, *self.session.found_rules]
        # Of a list the first rule that matches decides: what stands behind all of ours takes nothing from them.
        last = {Rule.from_bytes(rule).list: place for place, rule in enumerate(rules) if rule in own}
        count = 0
        for place, rule in enumerate(rules):
            if rule not in known:
                read = Rule.from_bytes(rule)
                never = read.action == NEVER
                count += not never if read.list == EXCLUDE else never and place < last.get(read.list, 0)
        return [f"audit rules of others keep events from being recorded: {count}"] if count else []

    def note(self, troubles: list[str]) -> None:
        now = self.clock()
        if troubles or not self.mended:
            self.counters.unwatched += now - self.looked
        self.looked = now
        for trouble in troubles:
            if trouble not in self.troubles:
                logger.error("not everything is watched: %s", trouble)
        if self.troubles and not troubles:
            logger.warning("everything is watched again")
        self.troubles = troubles
        self.mended = not troubles

    def put_back(self, status: Status, rules: list[bytes], missing: list[bytes]) -> bool:
        """Whether all of it could be."""
        session = self.session
        try:
            if missing:
                others = [rule for rule in rules if rule not in session.own_rules]
                restore_rules(session.control, others + session.own_rules)
            if not status.enabled:
                session.control.set(enabled=1)
            if not session.multicast and not status.pid and session.capture is not None:
                session.capture.register_again()
        except AuditdeckError as error:
            logger.error("it could not be put back: %s; trying again", error)
            return False
        return not self.suppressed(rules)
