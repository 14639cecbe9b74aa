"""Rule files into the kernel: all of a file, or nothing of it."""

from __future__ import annotations

import errno

import pytest

from auditdeck.audit.client import AuditSocket
from auditdeck.audit.rules.files import Statement, parse_line
from auditdeck.audit.rules.loader import load_rules
from auditdeck.errors import KernelError, RuleError, RuleExists, RulesLocked


class Kernel(AuditSocket):
    """Holds rules, and refuses those that are in `refused`."""

    def __init__(self, *rules: bytes) -> None:
        self.loaded = list(rules)
        self.refused: dict[bytes, KernelError] = {}

    def rules(self) -> list[bytes]:
        return list(self.loaded)

    def add_rule(self, rule: bytes) -> None:
        if rule in self.refused:
            raise self.refused[rule]
        if rule in self.loaded:
            raise RuleExists("it is there")
        self.loaded.append(rule)

    def delete_rule(self, rule: bytes) -> None:
        self.loaded.remove(rule)


def lines(*texts: str) -> list[Statement]:
    found = [parse_line(text, "test.rules", number) for number, text in enumerate(texts, 1)]
    return [statement for statement in found if statement is not None]


def data(statement: Statement) -> bytes:
    assert statement.rule
    return statement.rule.to_bytes()


MKDIR, RMDIR, CHMOD = (f"-a always,exit -F arch=b64 -S {call} -k {call}" for call in ("mkdir", "rmdir", "chmod"))
BEFORE = data(lines(MKDIR)[0])


@pytest.mark.parametrize("deletes", [False, True])
def test_a_refused_rule_leaves_everything_as_it_was(deletes: bool) -> None:
    kernel = Kernel(BEFORE)
    statements = lines(*(["-D"] if deletes else []), RMDIR, CHMOD)
    kernel.refused = {data(statements[-1]): KernelError("no", errno=errno.EINVAL)}
    with pytest.raises(RuleError) as failed:
        load_rules(kernel, statements)
    assert (failed.value.file, failed.value.line) == ("test.rules", len(statements))
    assert kernel.loaded == [BEFORE]


@pytest.mark.parametrize("option", ["-c", "-i"])
def test_a_file_that_says_so_goes_on(option: str) -> None:
    kernel = Kernel(BEFORE)
    statements = lines(option, RMDIR, CHMOD)
    kernel.refused = {data(statements[1]): KernelError("no", errno=errno.EINVAL)}
    loaded = load_rules(kernel, statements)
    assert kernel.loaded == [BEFORE, data(statements[2])]
    assert [error.line for error in loaded.errors] == [2]


def test_a_rule_that_is_there_is_only_an_error_if_it_is_one() -> None:
    kernel = Kernel(BEFORE)
    assert load_rules(kernel, lines(MKDIR, RMDIR), existing_ok=True).added == 1
    with pytest.raises(RuleError):
        load_rules(kernel, lines(MKDIR))


def test_locked_rules_are_told_as_they_are() -> None:
    kernel = Kernel()
    kernel.refused = {BEFORE: RulesLocked("locked")}
    with pytest.raises(RulesLocked):
        load_rules(kernel, lines(MKDIR))
