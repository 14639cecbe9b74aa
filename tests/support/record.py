"""Real records of the kernel, as an audit log: what happens while `recorded` is open."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from auditdeck.audit.capture import Capture
from auditdeck.audit.client import AuditSocket
from auditdeck.audit.messages import AUDIT_EOE
from auditdeck.audit.record import type_name
from auditdeck.audit.rules.files import read_rules
from auditdeck.audit.rules.loader import load_rules


@dataclass
class Recording:
    """`log` is complete after the block."""

    payloads: list[tuple[int, bytes]] = field(default_factory=list)

    @property
    def log(self) -> bytes:
        """As auditd writes it in RAW format: without EOE."""
        return b"".join(
            b"type=%s msg=%s\n" % (type_name(kind).encode(), payload.rstrip(b"\0\n "))
            for kind, payload in self.payloads
            if kind != AUDIT_EOE
        )


@contextmanager
def recorded(kernel: AuditSocket, rules: Path) -> Iterator[Recording]:
    """Loads the rules and records until the block ends."""
    recording = Recording()
    stopping = threading.Event()
    capture = Capture(receive_buffer=16 << 20, multicast=False, compiled=False)
    capture.register(kernel, enabled=1, backlog_limit=8192)

    def receive() -> None:
        while not stopping.is_set():
            recording.payloads.extend(item for item in capture.records(0.05) if isinstance(item, tuple))

    thread = threading.Thread(target=receive)
    thread.start()
    try:
        statements, errors = read_rules([rules])
        assert not errors
        load_rules(kernel, statements)
        yield recording
        time.sleep(0.3)
    finally:
        stopping.set()
        thread.join()
        capture.unregister()
        capture.close()
