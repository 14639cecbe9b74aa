"""The kernel's audit subsystem in tests: there is one a machine, so what a test finds it puts back."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict

import pytest

from auditdeck.audit.client import AuditSocket, process_alive
from auditdeck.audit.messages import Status
from auditdeck.audit.rules.loader import restore_rules
from auditdeck.collector.session import RESTORED
from auditdeck.errors import KernelError

IN_CI = bool(os.environ.get("CI"))


def why_not() -> str:
    """Why the kernel's audit cannot be used here; "" if it can."""
    if os.geteuid() != 0:
        return "needs root"
    try:
        with AuditSocket() as audit:
            status = audit.status()
    except KernelError as error:
        return str(error)
    if status.locked:
        return "the kernel's audit rules are locked until the next boot"
    if status.pid and process_alive(status.pid) and status.pid != os.getpid():
        return f"another audit daemon runs (pid {status.pid})"
    return ""


def skip_if(reason: str, promise: str) -> None:
    """Skips the test for a reason, if there is one; in CI, of which `promise` says what it can do, it fails."""
    if reason and IN_CI:
        pytest.fail(f"{promise}, but: {reason}")
    if reason:
        pytest.skip(reason)


def require_audit() -> None:
    skip_if(why_not(), "CI has the kernel's audit")


@contextmanager
def preserved() -> Iterator[AuditSocket]:
    """The kernel's audit, with rules and settings put back at the end."""
    with AuditSocket() as audit:
        before: Status = audit.status()
        rules = audit.rules()
        restore_rules(audit, [])
        try:
            yield audit
        finally:
            restore_rules(audit, rules)
            found = asdict(before)
            audit.set(**{name: found[name] for name in RESTORED})
