"""Rule files into the kernel: all or nothing, unless the file itself says -c or -i."""

from __future__ import annotations

import errno
from collections.abc import Iterable
from dataclasses import dataclass, field

from auditdeck.audit.client import AuditSocket
from auditdeck.audit.rules import constants as c
from auditdeck.audit.rules.files import Statement
from auditdeck.audit.rules.rule import Field, Rule
from auditdeck.audit.rules.text import rule_text
from auditdeck.errors import KernelError, RuleError, RuleExists, RulesLocked


@dataclass(slots=True)
class Loaded:
    """What came of loading: rules added and deleted, what the files' -c or -i let pass, and warnings."""

    added: int = 0
    deleted: int = 0
    errors: list[RuleError] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def load_rules(kernel: AuditSocket, statements: Iterable[Statement], *, existing_ok: bool = False) -> Loaded:
    """Carries out the statements in order.

    Raises RuleError at the first that the kernel refuses, after putting back the rules that were there, unless a
    `-c` or `-i` came before it. With `existing_ok` a rule that is loaded already is none to speak of.
    """
    before = kernel.rules()
    loaded = Loaded()
    tolerant = False
    for statement in statements:
        loaded.warnings += [f"{statement.where}: {warning}" for warning in statement.warnings]
        if statement.verb in ("continue", "ignore"):
            tolerant = True
            continue
        try:
            carry_out(kernel, statement, loaded)
        except RuleExists as error:
            if existing_ok:
                continue
            fail(kernel, before, statement, error, loaded, tolerant=tolerant)
        except RulesLocked:
            raise
        except KernelError as error:
            fail(kernel, before, statement, error, loaded, tolerant=tolerant)
    return loaded


def fail(
    kernel: AuditSocket,
    before: list[bytes],
    statement: Statement,
    error: KernelError,
    loaded: Loaded,
    *,
    tolerant: bool,
) -> None:
    reason = f"{error} ({error.hint})" if error.hint else str(error)
    problem = RuleError(f"{reason}: {statement.text}", statement.file, statement.line)
    if not tolerant:
        restore_rules(kernel, before)
        raise problem from error
    loaded.errors.append(problem)


def carry_out(kernel: AuditSocket, statement: Statement, loaded: Loaded) -> None:
    match statement.verb:
        case "add":
            assert statement.rule
            add(kernel, statement.rule)
            loaded.added += 1
        case "delete":
            assert statement.rule
            kernel.delete_rule(statement.rule.to_bytes())
            loaded.deleted += 1
        case "delete_all":
            loaded.deleted += delete_rules(kernel, statement.value)
        case "set":
            kernel.set(**{statement.name: int(statement.value)})
        case "trim":
            kernel.trim()
        case "equivalent":
            mount, _, subtree = statement.value.partition(",")
            kernel.make_equivalent(mount, subtree)
        case "loginuid_immutable":
            kernel.lock_loginuid()
        case "reset_lost":
            kernel.reset_lost()


def add(kernel: AuditSocket, rule: Rule) -> None:
    try:
        kernel.add_rule(rule.to_bytes())
    except KernelError as error:
        first = rule.fields[0] if rule.fields else None
        if error.errno != errno.EINVAL or first is None or first.field != c.FIELDS["dir"]:
            raise
        # As auditctl: kernels that cannot watch a directory watch its path.
        path = Field(c.FIELDS["path"], first.operator, first.value)
        kernel.add_rule(Rule(rule.flags, rule.action, (path, *rule.fields[1:]), rule.syscalls).to_bytes())


def delete_rules(kernel: AuditSocket, key: str = "") -> int:
    """Deletes all rules, or those whose key holds `key`; how many."""
    doomed = [rule for rule in kernel.rules() if not key or key in rule_key(Rule.from_bytes(rule))]
    for rule in doomed:
        kernel.delete_rule(rule)
    return len(doomed)


def rule_key(rule: Rule) -> str:
    return next((str(f.value) for f in rule.fields if f.field == c.FIELDS["key"]), "")


def restore_rules(kernel: AuditSocket, wanted: list[bytes]) -> None:
    """Makes the kernel's rules what they were: the same ones, in the same order."""
    current = kernel.rules()
    if current == wanted:
        return
    kept = [rule for rule in current if rule in wanted]
    if kept == [rule for rule in wanted if rule in current] == wanted[: len(kept)]:
        doomed, missing = [rule for rule in current if rule not in wanted], wanted[len(kept) :]
    else:
        doomed, missing = current, wanted
    for rule in doomed:
        kernel.delete_rule(rule)
    for rule in missing:
        kernel.add_rule(rule)


def texts(kernel: AuditSocket) -> list[str]:
    return [rule_text(Rule.from_bytes(rule)) for rule in kernel.rules()]
