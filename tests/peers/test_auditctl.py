"""Every rule file of Debian's auditd package, loaded by auditctl and by auditdeck."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from auditdeck.audit.client import AuditSocket
from auditdeck.audit.rules.files import read_rules
from auditdeck.audit.rules.loader import load_rules, restore_rules
from auditdeck.errors import RuleError
from tests.support.peer import require

EXAMPLES = Path("/usr/share/doc/auditd/examples/rules")
FILES = sorted(file.name for file in EXAMPLES.glob("*.rules"))
LINE = re.compile(r"There was an error in line (\d+)")
UNTIL_REBOOT = {"-e 2", "--loginuid-immutable"}
"""Statements that cannot be taken back; they become comments, so that the numbers of the lines stay."""


def listing() -> str:
    return subprocess.run([require("auditctl", "auditd"), "-l"], capture_output=True, text=True, check=True).stdout


def test_the_examples_are_there() -> None:
    require("auditctl", "auditd")
    assert len(FILES) > 25


@dataclass
class Loaded:
    """`line`: of the refused rule, 0 if the tool does not say which."""

    refused: bool
    line: int
    rules: list[bytes]
    listing: str


def by_auditctl(kernel: AuditSocket, file: Path) -> Loaded:
    restore_rules(kernel, [])
    command = [require("auditctl", "auditd"), "-R", str(file)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    found = LINE.findall(result.stderr)
    return Loaded(result.returncode != 0, int(found[-1]) if found else 0, kernel.rules(), listing())


def by_auditdeck(kernel: AuditSocket, file: Path) -> Loaded:
    restore_rules(kernel, [])
    statements, errors = read_rules([file])
    line = 0
    try:
        if errors:
            raise errors[0]
        load_rules(kernel, statements)
    except RuleError as error:
        line = error.line
    return Loaded(line > 0, line, kernel.rules(), listing())


@pytest.mark.parametrize("name", FILES)
def test_loads_the_same(name: str, tmp_path: Path, audit: AuditSocket) -> None:
    text = (EXAMPLES / name).read_text()
    plain = tmp_path / name
    lines = text.splitlines(keepends=True)
    plain.write_text("".join(f"#{line}" if line.strip() in UNTIL_REBOOT else line for line in lines))
    theirs, ours = by_auditctl(audit, plain), by_auditdeck(audit, plain)

    assert ours.refused == theirs.refused
    if not theirs.refused:
        assert (ours.rules, ours.listing) == (theirs.rules, theirs.listing)
        return
    assert theirs.line in (0, ours.line)
    assert ours.rules == [], "all or nothing"
    # What the machine has of it is loaded by both when the file says -c.
    tolerant = tmp_path / f"tolerant-{name}"
    tolerant.write_text(f"-c\n{plain.read_text()}")
    theirs, ours = by_auditctl(audit, tolerant), by_auditdeck(audit, tolerant)
    assert (ours.rules, ours.listing) == (theirs.rules, theirs.listing)
