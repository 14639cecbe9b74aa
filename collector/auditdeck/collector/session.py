"""Being there: how auditdeck takes its place in the kernel's audit subsystem, and takes back what it changed."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import orjson

from auditdeck.audit.capture import Capture
from auditdeck.audit.client import AuditSocket, daemon_running, process_alive
from auditdeck.audit.messages import Status
from auditdeck.audit.rules.files import Statement
from auditdeck.audit.rules.loader import Loaded, load_rules, restore_rules
from auditdeck.errors import DaemonRunning, KernelError, NotPermitted, RulesLocked

Mode = Literal["auto", "unicast", "multicast"]
logger = logging.getLogger("auditdeck")
RESTORED = ("enabled", "failure", "rate_limit", "backlog_limit", "backlog_wait_time")
PATIENCE = 10.0


class Session:
    """Opens the audit socket in the wanted mode, loads rules, and takes back on `close` what it changed itself: its
    rules go, rules that it deleted come back, and settings that still are as it set them become what they were. What
    others changed in the meantime stays.

    What was found is written to `state` first, so that the next start after a crash still knows what to put back.
    """

    def __init__(
        self, state: Path, *, receive_buffer: int, mode: Mode = "auto", take_over: bool = False, compiled: bool = True
    ) -> None:
        self.state = state
        self.compiled = compiled
        self.receive_buffer = receive_buffer
        self.mode = mode
        self.take_over = take_over
        self.notes: list[str] = []
        self.control = AuditSocket()
        self.found = self.control.status()
        self.found_rules: list[bytes] = []
        self.own_rules: list[bytes] = []
        self.deleted_rules: list[bytes] = []
        self.wanted: dict[str, int] = {}
        self.capture: Capture | None = None
        self.crashed = False

    @property
    def locked(self) -> bool:
        return self.found.locked

    @property
    def multicast(self) -> bool:
        """Whether it listens beside another daemon, or could if there were one."""
        return self.capture is not None and self.capture.multicast

    def open(self, settings: dict[str, int]) -> Capture:
        """Starts to receive; `settings` as in `AuditSocket.set`, for unicast mode."""
        self.remember()
        multicast = self.choose()
        self.capture = Capture(receive_buffer=self.receive_buffer, multicast=multicast, compiled=self.compiled)
        if self.locked:
            self.notes.append("the kernel's audit rules are locked (-e 2): its rules and settings stay as they are")
        else:
            self.wanted = {"enabled": 1} if multicast else {"enabled": 1, **settings}
        wanted = self.wanted
        if multicast:
            if wanted and not self.found.enabled:
                self.control.set(**wanted)
            return self.capture
        try:
            self.capture.register(self.control, **wanted)
        except DaemonRunning as error:
            if not self.take_over:
                raise
            self.end_daemon(error.pid)
            self.capture.register(self.control, **wanted)
        return self.capture

    def choose(self) -> bool:
        """Whether to listen beside another daemon."""
        pid = self.found.pid
        other = pid if pid and pid != os.getpid() and process_alive(pid) else 0
        if pid and not other:
            self.notes.append(f"the audit daemon with pid {pid} is gone: taking its place")
        if self.mode == "multicast":
            return True
        if not other:
            return False
        if self.mode == "auto" and not self.take_over:
            self.notes.append(f"{daemon_running(other)}: listening beside it (multicast)")
            return True
        if not self.take_over:
            raise daemon_running(other)
        self.end_daemon(other)
        return False

    def end_daemon(self, pid: int) -> None:
        """Asks another daemon to end (SIGTERM) and waits until it has."""
        self.notes.append(f"{daemon_running(pid)}: ending it (--take-over)")
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + PATIENCE
        while process_alive(pid):
            if time.monotonic() > deadline:
                raise KernelError(
                    f"the audit daemon (pid {pid}) did not end within {PATIENCE:.0f} s", "stop it by hand"
                )
            time.sleep(0.05)

    def load(self, statements: list[Statement]) -> Loaded:
        """Loads rules beside those that are there; does nothing but say so if they are locked."""
        if self.locked:
            return Loaded()
        return load_rules(self.control, statements, existing_ok=True)

    def remember(self) -> None:
        left = read_state(self.state)
        if left is not None and not self.locked:
            self.crashed = True
            self.found, self.found_rules, self.deleted_rules = left
            self.notes.append("the last run ended without putting the kernel's audit state back: doing so at the end")
            return
        with contextlib.suppress(NotPermitted):
            self.found_rules = self.control.rules()
        self.save()

    def save(self) -> None:
        saved = {
            "status": asdict(self.found),
            "rules": [rule.hex() for rule in self.found_rules],
            "deleted": [rule.hex() for rule in self.deleted_rules],
            "boot": boot_id(),
        }
        try:
            self.state.parent.mkdir(parents=True, exist_ok=True)
            self.state.write_bytes(orjson.dumps(saved))
        except OSError as error:
            self.notes.append(
                f"the kernel's state could not be written to {self.state} ({error.strerror}): it is put back "
                "at the end, but not after a crash"
            )

    def note_rules(self, before: list[bytes]) -> None:
        """After loading: which rules are its own, and which of those `before` it deleted."""
        if self.locked:
            return
        now = self.control.rules()
        self.own_rules = [rule for rule in now if rule not in self.found_rules]
        if deleted := [rule for rule in before if rule in self.found_rules and rule not in now]:
            self.deleted_rules += deleted
            self.save()

    def restore(self) -> None:
        """Takes back what it changed; records still come until `close`. Raises KernelError."""
        if self.wanted:
            with contextlib.suppress(RulesLocked):
                self.restore_rules()
                self.restore_settings()
        self.wanted = {}

    def restore_rules(self) -> None:
        """Its own rules go; those that it deleted come back where they were."""
        now = self.control.rules()
        found = [rule for rule in self.found_rules if rule in now or rule in self.deleted_rules]
        since = [rule for rule in now if rule not in self.found_rules and rule not in self.own_rules]
        restore_rules(self.control, found + since)

    def restore_settings(self) -> None:
        """Those that are as it set them. `enabled` stays if another daemon came that lives on it."""
        now, before = asdict(self.control.status()), asdict(self.found)
        settings = {
            name: before[name] for name, value in self.wanted.items() if name in RESTORED and now[name] == value
        }
        other = now["pid"] not in (0, os.getpid(), before["pid"]) and process_alive(now["pid"])
        if other:
            settings.pop("enabled", None)
        self.control.set(**settings)

    def close(self) -> None:
        """Takes everything back, and unregisters; what cannot be taken back is logged."""
        try:
            self.restore()
        except KernelError as error:
            logger.error("the kernel's audit state could not be put back: %s", error)
        if self.capture is not None:
            if not self.capture.multicast:
                self.capture.unregister()
            self.capture.close()
        self.control.close()
        self.state.unlink(missing_ok=True)


def read_state(path: Path) -> tuple[Status, list[bytes], list[bytes]] | None:
    """What a run that did not end properly had found, and the rules that it deleted; None if there was none since this
    boot."""
    try:
        saved: dict[str, Any] = orjson.loads(path.read_bytes())
        if saved["boot"] != boot_id():
            return None
        rules, deleted = ([bytes.fromhex(rule) for rule in saved.get(name, ())] for name in ("rules", "deleted"))
        return Status(**saved["status"]), rules, deleted
    except (OSError, ValueError, KeyError, TypeError):
        return None


def boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
