"""Which rules the kernel is to have: auditdeck's own, and those of the settings and options."""

from __future__ import annotations

import logging

from auditdeck.assets import asset
from auditdeck.audit.rules.defaults import default_rules, load_defaults
from auditdeck.audit.rules.files import Statement, parse_line
from auditdeck.audit.rules.loader import restore_rules
from auditdeck.collector.session import Session
from auditdeck.errors import AuditdeckError
from auditdeck.settings.model import Settings

CONNECT_KEYS = ("netconns_out", "netconns_socket")
"""Of the rules that watch what the tracepoint tells better."""

logger = logging.getLogger("auditdeck")


class Rules:
    """`load` may be called again with other statements."""

    def __init__(self, settings: Settings, statements: list[Statement], *, tracepoint: bool) -> None:
        self.default = settings.rules.default
        self.exclude_eoe = settings.kernel.exclude_eoe
        # Whether audit's own events of connect(2) are asked for, beside the tracepoint or for want of it.
        self.connects = not tracepoint or settings.connections.udp or settings.outputs.needs_original
        self.statements = statements
        self.without_eoe = False

    def load(self, session: Session) -> list[str]:
        """What there is to say of it. Raises RuleError and KernelError; none of these rules is loaded then."""
        if session.locked:
            return []
        before = session.control.rules()
        notes = load_defaults(session.control, self.defaults()) if self.default else []
        try:
            loaded = session.load(self.statements)
        except AuditdeckError:
            restore_rules(session.control, before)
            raise
        self.without_eoe = self.exclude_eoe and self.leave_out_eoe(session)
        session.note_rules(before)
        return notes + loaded.warnings + [str(error) for error in loaded.errors]

    def load_instead(self, session: Session) -> list[str]:
        """As `load`, in the place of those that are loaded; they stay if these cannot be."""
        if session.locked:
            return ["the kernel's audit rules are locked (-e 2): they stay as they are"]
        before = session.control.rules()
        restore_rules(session.control, [rule for rule in before if rule not in session.own_rules])
        try:
            return self.load(session)
        except AuditdeckError:
            restore_rules(session.control, before)
            raise

    def defaults(self) -> list[Statement]:
        """Those that auditdeck brings along, without the ones whose answers the tracepoint gives."""
        statements = default_rules(asset("rules"))
        if self.connects:
            return statements
        return [statement for statement in statements if not any(f"-k {key}" in statement.text for key in CONNECT_KEYS)]

    def leave_out_eoe(self, session: Session) -> bool:
        """Tells the kernel to leave out the records that only end events: a quarter of what it would send.

        Not beside another daemon, which may wait for them.
        """
        if session.multicast:
            return False
        statement = parse_line("-a always,exclude -F msgtype=EOE")
        assert statement
        try:
            session.load([statement])
        except AuditdeckError as error:
            logger.info("the kernel goes on sending EOE: %s", error)
            return False
        return True
