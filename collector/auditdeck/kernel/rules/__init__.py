"""Audit rules: auditctl's syntax (auditctl(8), audit.rules(7)) to and from `struct audit_rule_data`."""

from auditdeck.kernel.rules.files import Statement, parse_line, read_rules
from auditdeck.kernel.rules.loader import delete_rules, load_rules
from auditdeck.kernel.rules.rule import Field, Rule
from auditdeck.kernel.rules.text import rule_text

__all__ = ["Field", "Rule", "Statement", "delete_rules", "load_rules", "parse_line", "read_rules", "rule_text"]
