"""`auditdeck run --go-audit go-audit.yaml`: its rules, its filters, its output."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.build import traffic
from tests.support.collector import as_user, collector
from tests.support.outside import PORT, Outside

pytestmark = [pytest.mark.kernel, pytest.mark.usefixtures("audit")]

USER = 64161


def test_rules_filters_and_output(tmp_path: Path, away: Outside) -> None:
    target = tmp_path / "go-audit.log"
    # AF_INET to port 9 is filtered: 0200 0009.
    (tmp_path / "go-audit.yaml").write_text(
        f"""
events: {{min: 1300, max: 1399}}
output: {{file: {{enabled: true, attempts: 2, path: {target}, mode: 0640, user: root, group: root}}}}
rules:
  - -a exit,always -F arch=b64 -S connect -F uid={USER} -k netconns_out
filters:
  - {{syscall: 42, message_type: 1306, regex: "saddr=02000009"}}
"""
    )
    with collector(tmp_path / "data", "--go-audit", tmp_path / "go-audit.yaml") as running:
        as_user(USER, traffic("moved"), "blocking", "5", away.ipv4, str(PORT))
        as_user(USER, traffic("moved"), "blocking", "3", away.ipv4, "9")
        running.stop()
        counters = running.status()["counters"]
    written = [json.loads(line) for line in target.read_text().splitlines()]
    connects = [entry for entry in written if "syscall=42 " in entry["messages"][0]["data"]]
    assert len(connects) == 5
    assert counters["filtered"] >= 3
    assert [message["type"] for message in connects[0]["messages"]] == [1300, 1306, 1327]
    assert connects[0]["uid_map"] == {"4294967295": "UNKNOWN_USER", str(USER): "UNKNOWN_USER"}
    assert set(connects[0]) == {"sequence", "timestamp", "messages", "uid_map"}
    assert target.stat().st_mode & 0o777 == 0o640
