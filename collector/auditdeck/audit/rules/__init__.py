"""Audit rules: auditctl's syntax (auditctl(8), audit.rules(7)) to and from `struct audit_rule_data`."""

from auditdeck.audit.rules.files import Statement, parse_line, read_rules
from auditdeck.audit.rules.loader import delete_rules, load_rules
from auditdeck.audit.rules.rule import Field, Rule
from auditdeck.audit.rules.text import rule_text

__all__ = ["Field", "Rule", "Statement", "delete_rules", "load_rules", "parse_line", "read_rules", "rule_text"]
