"""From connect(2) to the answer, on the real kernel."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.build import narrow, traffic
from tests.support.collector import as_user, collector, report, scoped_rules, shares
from tests.support.outside import PORT, Outside

pytestmark = [pytest.mark.kernel, pytest.mark.usefixtures("audit")]

FIRST, SECOND = 64101, 64102
CLOSED = 9


ONLY_THESE = f"""
filters:
  - {{user: "{FIRST}", keep: true}}
  - {{user: "{SECOND}", keep: true}}
  - {{executable: "."}}
"""


def test_audit_alone_counts_no_connection_that_it_did_not_see_established(tmp_path: Path, away: Outside) -> None:
    """The fallback: what does not block and is gone a moment later stays unresolved."""
    program = traffic("browser")
    rules = scoped_rules(tmp_path / "test.rules", [FIRST])
    with collector(tmp_path / "data", "--rules", rules, source="audit") as running:
        as_user(FIRST, program, "blocking", "200", away.ipv4, str(PORT))
        as_user(FIRST, program, "nonblocking", "150", away.ipv6, str(PORT))
        as_user(FIRST, program, "blocking", "70", away.ipv4, str(CLOSED))
        running.stop()
    totals = report(tmp_path / "data")["outbound_tcp"]
    assert totals["connections"] >= 200
    assert totals["connections"] + totals["unresolved"] == 350
    assert totals["failed_by"] == {"refused": 70, "unanswered": 0, "unreachable": 0}


def test_every_number_of_a_known_mix(tmp_path: Path, away: Outside) -> None:
    first, second, third = traffic("browser"), traffic("fetcher"), narrow() or traffic("mailer")
    rules = scoped_rules(tmp_path / "test.rules", [FIRST, SECOND])
    mapped = f"::ffff:{away.ipv4}"
    settings = tmp_path / "auditdeck.yaml"
    settings.write_text(ONLY_THESE)
    with collector(tmp_path / "data", "--rules", rules, "-c", settings, source="tracepoint") as running:
        as_user(FIRST, first, "blocking", "200", away.ipv4, str(PORT))
        as_user(FIRST, first, "nonblocking", "150", away.ipv6, str(PORT))
        as_user(SECOND, first, "blocking", "50", mapped, str(PORT))
        as_user(FIRST, second, "nonblocking", "100", mapped, str(PORT))
        as_user(SECOND, second, "twice", "100", away.ipv4, str(PORT))
        as_user(SECOND, third, "blocking", "100", away.ipv6, str(PORT))
        as_user(FIRST, second, "blocking", "70", away.ipv4, str(CLOSED))
        as_user(SECOND, third, "blocking", "30", away.ipv6, str(CLOSED))
        as_user(SECOND, first, "udp", "60", away.ipv4, str(PORT))
        as_user(FIRST, third, "udp", "40", away.ipv6, str(PORT))
        as_user(FIRST, first, "blocking", "80", "127.0.0.1", str(CLOSED))
        as_user(SECOND, second, "blocking", "20", "::1", str(CLOSED))
        running.stop()

    answer = report(tmp_path / "data")

    assert not any(answer["quality"].values()), answer["quality"]
    totals = answer["outbound_tcp"]
    assert (totals["connections"], totals["failed"], totals["unknown_transport"]) == (700, 100, 0)
    assert sum(day["connections"] for day in totals["by_day"]) == 700
    assert sum(day["failed"] for day in totals["by_day"]) == 100
    assert shares(answer["users"]) == [
        {"user": str(FIRST), "connections": 450, "share": 450 / 700},
        {"user": str(SECOND), "connections": 250, "share": 250 / 700},
    ]
    assert shares(answer["processes"]) == [
        {"executable": str(first), "connections": 400, "share": 400 / 700},
        {"executable": str(second), "connections": 200, "share": 200 / 700},
        {"executable": str(third), "connections": 100, "share": 100 / 700},
    ]
    assert {(pair["user"], pair["executable"]): pair["connections"] for pair in answer["users_processes"]} == {
        (str(FIRST), str(first)): 350,
        (str(SECOND), str(first)): 50,
        (str(FIRST), str(second)): 100,
        (str(SECOND), str(second)): 100,
        (str(SECOND), str(third)): 100,
    }
    assert {(to["ip"], to["port"]): to["connections"] for to in answer["destinations"]} == {
        (away.ipv4, PORT): 450,
        (away.ipv6, PORT): 250,
    }
    assert answer["active_share"] == {
        "users": {"connected": 2, "seen": 2, "share": 1.0},
        "executables": {"connected": 3, "seen": 3, "share": 1.0},
    }
    assert {entry["executable"] for entry in answer["first_seen"]} == {str(first), str(second), str(third)}
    lines = b"".join(path.read_bytes() for path in (tmp_path / "data" / "events").glob("*.ndjson"))
    assert lines.count(b'"transport":"udp"') == 100, "connects of UDP are kept where rules ask for them"
    assert b'"connection":{"state":' not in lines, "and those of TCP are told by the tracepoint alone"
