"""auditdeck: who opened which outbound TCP connections, from the Linux kernel's audit subsystem.

As a library: the audit socket, rules in auditctl's syntax, records, events and documents (docs/library.md). Names are
loaded when they are first used, so that the commands start quickly.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"

if TYPE_CHECKING:
    from auditdeck.audit.assembler import Assembler as Assembler
    from auditdeck.audit.capture import Capture as Capture
    from auditdeck.audit.client import AuditSocket as AuditSocket
    from auditdeck.audit.event import Event as Event
    from auditdeck.audit.fields import arguments as arguments
    from auditdeck.audit.fields import fields as fields
    from auditdeck.audit.messages import Status as Status
    from auditdeck.audit.record import Record as Record
    from auditdeck.audit.record import read_line as read_line
    from auditdeck.audit.record import record_of as record_of
    from auditdeck.audit.record import type_name as type_name
    from auditdeck.audit.rules.files import parse_line as parse_line
    from auditdeck.audit.rules.files import read_rules as read_rules
    from auditdeck.audit.rules.rule import Rule as Rule
    from auditdeck.audit.rules.text import rule_text as rule_text
    from auditdeck.audit.sockaddr import SocketAddress as SocketAddress
    from auditdeck.audit.sockaddr import parse as parse_sockaddr  # noqa: F401
    from auditdeck.context.users import Users as Users
    from auditdeck.ecs.context import Context as Context
    from auditdeck.ecs.context import offline_context as offline_context
    from auditdeck.ecs.document import document as document
    from auditdeck.ecs.lines import interpreted_lines as interpreted_lines
    from auditdeck.ecs.template import Encoder as Encoder
    from auditdeck.errors import AuditdeckError as AuditdeckError
    from auditdeck.errors import KernelError as KernelError
    from auditdeck.errors import RuleError as RuleError

PLACES = {
    "Assembler": "audit.assembler", "AuditSocket": "audit.client", "AuditdeckError": "errors",
    "Capture": "audit.capture", "Context": "ecs.context", "Encoder": "ecs.template",
    "Event": "audit.assembler", "KernelError": "errors", "Record": "audit.record", "Rule": "audit.rules.rule",
    "RuleError": "errors", "SocketAddress": "audit.sockaddr", "Status": "audit.messages", "Users": "context.users",
    "arguments": "audit.fields", "document": "ecs.document", "fields": "audit.fields",
    "interpreted_lines": "ecs.lines", "offline_context": "ecs.context", "parse_line": "audit.rules.files",
    "parse_sockaddr": "audit.sockaddr", "read_line": "audit.record", "read_rules": "audit.rules.files",
    "record_of": "audit.record", "rule_text": "audit.rules.text", "type_name": "audit.record",
}  # fmt: skip
INSIDE = {"parse_sockaddr": "parse"}


def __getattr__(name: str) -> Any:
    if name not in PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{PLACES[name]}"), INSIDE.get(name, name))


def __dir__() -> list[str]:
    return sorted([*PLACES, "__version__"])
