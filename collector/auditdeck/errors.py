"""Every error that auditdeck raises on purpose.

    AuditdeckError
    ├── KernelError              the kernel's audit subsystem refused a request
    │   ├── NotPermitted         no CAP_AUDIT_CONTROL, or not in the initial pid namespace
    │   ├── NotInitialNamespace  not in the initial user namespace
    │   ├── RulesLocked          rules are immutable (-e 2) until the next boot
    │   ├── RuleExists           the same rule is loaded already
    │   └── DaemonRunning        another audit daemon holds the audit socket
    ├── TracepointError          the kernel's tracepoints cannot be used: connections come from audit then
    ├── RuleError                a rule file: names file, line and reason
    ├── SettingsError            a settings file or variable: names the key
    ├── CheckpointError          a search cannot go on where the last one ended
    ├── StoreError               the event log or the local store on disk
    ├── MissingPackage           a Python package that comes with an extra is not installed
    └── ServeError               `auditdeck serve` cannot begin

Each message is one sentence that says what is wrong, and `hint` what to do.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class AuditdeckError(Exception):
    """Base of all errors; `hint` is what the user can do about it."""

    hint: str

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class KernelError(AuditdeckError):
    """The kernel refused an audit request; `errno` as it answered (positive)."""

    def __init__(self, message: str, hint: str = "", errno: int = 0) -> None:
        super().__init__(message, hint)
        self.errno = errno


class NotPermitted(KernelError):
    """EPERM: missing capability, or a pid namespace that is not the initial one."""


class NotInitialNamespace(KernelError):
    """ECONNREFUSED: not in the initial user namespace, or audit is not there at all."""


class RulesLocked(KernelError):
    """EPERM while `enabled` is 2."""


class RuleExists(KernelError):
    """EEXIST on adding a rule."""


class MissingPackage(AuditdeckError):
    """`packages.py` says which extra brings it."""


class CheckpointError(AuditdeckError):
    """`status` is ausearch's exit status for it."""

    def __init__(self, message: str, hint: str, status: int) -> None:
        super().__init__(message, hint)
        self.status = status


class DaemonRunning(KernelError):
    """EEXIST on registering as the audit daemon; `pid` of the one that is there."""

    def __init__(self, message: str, hint: str = "", errno: int = 0, pid: int = 0) -> None:
        super().__init__(message, hint, errno)
        self.pid = pid


class TracepointError(AuditdeckError):
    """A BPF program cannot be loaded or attached here."""


class RuleError(AuditdeckError):
    """A line of a rule file that cannot be used."""

    def __init__(self, reason: str, file: str = "", line: int = 0) -> None:
        super().__init__(f"{file}:{line}: {reason}" if file else reason)
        self.reason = reason
        self.file = file
        self.line = line

    def at(self, file: str, line: int) -> RuleError:
        return RuleError(self.reason, file, line)


class SettingsError(AuditdeckError):
    """A settings file or an environment variable that cannot be used."""


class StoreError(AuditdeckError):
    """The event log or the local store cannot be read or written."""


class ServeError(AuditdeckError):
    """`auditdeck serve` cannot listen, or lacks a package."""


class ProvisionError(AuditdeckError):
    """The stack cannot be set up; `status` of the HTTP answer that says so, 0 if it was none."""

    def __init__(self, message: str, hint: str = "", status: int = 0) -> None:
        super().__init__(message, hint)
        self.status = status


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The end of a message about a word that is not known; nothing if no other is like it."""
    found = get_close_matches(word, known, 1)
    return f"; did you mean {found[0]}?" if found else ""
