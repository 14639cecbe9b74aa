"""auditdeck: who opened which outbound TCP connections, from the Linux kernel's audit subsystem.

As a library: the audit socket, rules in auditctl's syntax, records, events and documents (docs/library.md). Names are
loaded when they are first used, so that the commands start quickly.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"

if TYPE_CHECKING:
    from auditdeck.audit.assembler import Assembler
    from auditdeck.audit.capture import Capture
    from auditdeck.audit.client import AuditSocket
    from auditdeck.audit.event import Event
    from auditdeck.audit.fields import arguments, fields
    from auditdeck.audit.log import read_log
    from auditdeck.audit.messages import Status
    from auditdeck.audit.record import Record, read_line, record_of, type_name
    from auditdeck.audit.rules.files import parse_line, read_rules
    from auditdeck.audit.rules.rule import Rule
    from auditdeck.audit.rules.text import rule_text
    from auditdeck.audit.sockaddr import SocketAddress
    from auditdeck.audit.sockaddr import parse as parse_sockaddr
    from auditdeck.context.users import Users
    from auditdeck.ecs.context import Context, offline_context
    from auditdeck.ecs.document import document
    from auditdeck.ecs.lines import interpreted_lines
    from auditdeck.ecs.template import Encoder
    from auditdeck.errors import AuditdeckError, KernelError, RuleError

__all__ = [
    "Assembler", "AuditSocket", "AuditdeckError", "Capture", "Context", "Encoder", "Event", "KernelError", "Record",
    "Rule", "RuleError", "SocketAddress", "Status", "Users", "arguments", "document", "fields", "interpreted_lines",
    "offline_context", "parse_line", "parse_sockaddr", "read_line", "read_log", "read_rules",
    "record_of", "rule_text", "type_name",
]  # fmt: skip
PLACES = {
    "Assembler": "audit.assembler", "AuditSocket": "audit.client", "AuditdeckError": "errors",
    "Capture": "audit.capture", "Context": "ecs.context", "Encoder": "ecs.template",
    "Event": "audit.event", "KernelError": "errors", "Record": "audit.record", "Rule": "audit.rules.rule",
    "RuleError": "errors", "SocketAddress": "audit.sockaddr", "Status": "audit.messages", "Users": "context.users",
    "arguments": "audit.fields", "document": "ecs.document", "fields": "audit.fields",
    "interpreted_lines": "ecs.lines", "offline_context": "ecs.context", "parse_line": "audit.rules.files",
    "parse_sockaddr": "audit.sockaddr", "read_line": "audit.record",
    "read_log": "audit.log", "read_rules": "audit.rules.files",
    "record_of": "audit.record", "rule_text": "audit.rules.text", "type_name": "audit.record",
}  # fmt: skip
INSIDE = {"parse_sockaddr": "parse"}


def __getattr__(name: str) -> Any:
    if name not in PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{PLACES[name]}"), INSIDE.get(name, name))


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
