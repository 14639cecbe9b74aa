"""auditdeck: who opened which outbound TCP connections, from the Linux kernel's audit subsystem.

As a library: the audit socket, rules in auditctl's syntax, records, events and documents (docs/library.md). Names are
loaded when they are first used, so that the commands start quickly.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from auditdeck.documents.context import Context as Context
    from auditdeck.documents.context import offline_context as offline_context
    from auditdeck.documents.ecs import document as document
    from auditdeck.documents.fast import Encoder as Encoder
    from auditdeck.documents.lines import interpreted_lines as interpreted_lines
    from auditdeck.enrich.users import Users as Users
    from auditdeck.errors import AuditdeckError as AuditdeckError
    from auditdeck.errors import KernelError as KernelError
    from auditdeck.errors import RuleError as RuleError
    from auditdeck.events.assembler import Assembler as Assembler
    from auditdeck.events.event import Event as Event
    from auditdeck.events.fields import arguments as arguments
    from auditdeck.events.fields import fields as fields
    from auditdeck.events.record import Record as Record
    from auditdeck.events.record import read_line as read_line
    from auditdeck.events.record import record_of as record_of
    from auditdeck.events.record import type_name as type_name
    from auditdeck.events.sockaddr import SocketAddress as SocketAddress
    from auditdeck.events.sockaddr import parse as parse_sockaddr  # noqa: F401
    from auditdeck.kernel.capture import Capture as Capture
    from auditdeck.kernel.messages import Status as Status
    from auditdeck.kernel.netlink import AuditSocket as AuditSocket
    from auditdeck.kernel.rules.files import parse_line as parse_line
    from auditdeck.kernel.rules.files import read_rules as read_rules
    from auditdeck.kernel.rules.rule import Rule as Rule
    from auditdeck.kernel.rules.text import rule_text as rule_text

PLACES = {
    "Assembler": "events.assembler", "AuditSocket": "kernel.netlink", "AuditdeckError": "errors",
    "Capture": "kernel.capture", "Context": "documents.context", "Encoder": "documents.fast",
    "Event": "events.assembler", "KernelError": "errors", "Record": "events.record", "Rule": "kernel.rules.rule",
    "RuleError": "errors", "SocketAddress": "events.sockaddr", "Status": "kernel.messages", "Users": "enrich.users",
    "arguments": "events.fields", "document": "documents.ecs", "fields": "events.fields",
    "interpreted_lines": "documents.lines", "offline_context": "documents.context", "parse_line": "kernel.rules.files",
    "parse_sockaddr": "events.sockaddr", "read_line": "events.record", "read_rules": "kernel.rules.files",
    "record_of": "events.record", "rule_text": "kernel.rules.text", "type_name": "events.record",
}  # fmt: skip
INSIDE = {"parse_sockaddr": "parse"}


def __getattr__(name: str) -> Any:
    if name not in PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{PLACES[name]}"), INSIDE.get(name, name))


def __dir__() -> list[str]:
    return sorted([*PLACES, "__version__"])
