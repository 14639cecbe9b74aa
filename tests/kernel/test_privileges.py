"""What a collector may do once it runs, and that this is enough."""

from __future__ import annotations

from pathlib import Path

import pytest

from auditdeck.audit.client import AuditSocket
from auditdeck.capabilities import NUMBERS, held
from auditdeck.collector.privileges import ALWAYS
from tests.support.collector import as_user, collector, scoped_rules
from tests.support.waiting import wait_for

pytestmark = pytest.mark.kernel
USER = 64193


def sets_of(pid: int) -> set[tuple[str, int]]:
    """The permitted, effective and bounding capabilities of all threads of a process."""
    found = set()
    for status in Path(f"/proc/{pid}/task").glob("*/status"):
        lines = dict(line.split(":\t", 1) for line in status.read_text().splitlines() if ":\t" in line)
        found |= {(name, int(lines[name], 16)) for name in ("CapPrm", "CapEff", "CapBnd")}
    return found


@pytest.mark.parametrize("source", ["audit", "tracepoint"])
def test_root_keeps_what_it_needs_and_puts_rules_back(tmp_path: Path, audit: AuditSocket, source: str) -> None:
    before = audit.rules()
    kept = sum(1 << NUMBERS[name] for name in ALWAYS if held("CapBnd") >> NUMBERS[name] & 1)
    rules = scoped_rules(tmp_path / "test.rules", [USER])
    with collector(tmp_path / "data", "--rules", rules, source=source) as running:
        assert sets_of(running.process.pid) == {("CapPrm", kept), ("CapEff", kept), ("CapBnd", kept)}
        running.wait_status()
        loaded = audit.rules()
        assert len(loaded) > len(before)
        audit.delete_rule(loaded[-1])
        wait_for(lambda: len(audit.rules()) == len(loaded))
        as_user(USER, "/bin/true")
        running.stop()
    assert audit.rules() == before
    assert "/bin/true" in "".join(path.read_text() for path in (tmp_path / "data" / "events").glob("0*.ndjson"))
