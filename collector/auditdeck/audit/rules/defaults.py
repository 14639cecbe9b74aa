"""The rules that auditdeck brings along, as this machine and its kernel can have them."""

from __future__ import annotations

import errno
import re
from pathlib import Path

from auditdeck.audit import architecture
from auditdeck.audit.client import AuditSocket
from auditdeck.audit.rules import constants as c
from auditdeck.audit.rules.files import Statement, read_rules
from auditdeck.audit.rules.rule import Rule
from auditdeck.errors import KernelError, RuleExists

FOR_MACHINE = re.compile(r"\.(?P<arch>\w+)\.rules\Z")


def default_rules(folder: Path) -> list[Statement]:
    """The statements of a folder's files; `name.x86_64.rules` only on that architecture. Raises RuleError."""
    files = []
    for file in sorted(folder.glob("*.rules")):
        match = FOR_MACHINE.search(file.name)
        if match is None or match["arch"] == architecture.native():
            files.append(file)
    statements, errors = read_rules(files)
    if errors:
        raise errors[0]
    return statements


def load_defaults(kernel: AuditSocket, statements: list[Statement]) -> list[str]:
    """Adds the rules; what this kernel is too old for is narrowed less or left out, and said so."""
    notes = []
    for statement in statements:
        assert statement.rule
        try:
            add(kernel, statement.rule)
        except KernelError as error:
            if error.errno != errno.EINVAL:
                raise
            wider = without_family(statement.rule)
            if statement.rule.list == c.IO_URING or wider == statement.rule:
                notes.append(f"this kernel cannot do: {statement.text}")
                continue
            # saddr_fam is there since Linux 5.3; before that all families come and are sorted out here.
            add(kernel, wider)
            notes.append(f"this kernel cannot narrow by address family: {statement.text}")
    return notes


def add(kernel: AuditSocket, rule: Rule) -> None:
    try:
        kernel.add_rule(rule.to_bytes())
    except RuleExists:
        pass


def without_family(rule: Rule) -> Rule:
    fields = tuple(field for field in rule.fields if field.field != c.FIELDS["saddr_fam"])
    return Rule(rule.flags, rule.action, fields, rule.syscalls)
