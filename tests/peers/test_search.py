"""`auditdeck search` finds what ausearch finds in the same log, by the same options."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import time
from datetime import datetime
from pathlib import Path

import pytest

from tests.support.peer import require
from tests.support.run import auditdeck

FIXTURES = Path(__file__).parent.parent / "fixtures"
LOGS = ["audit.log", "go-audit/audit.log"]
SERIAL = re.compile(rb"msg=audit\([\d.]+:(\d+)\)")
QUERIES = [
    "-sc connect", "-sc 59", "-sc execve", "-m SYSCALL", "-m USER_AUTH", "-m USER_AUTH,CRED_ACQ", "-m CONFIG_CHANGE",
    "-m PATH", "-m EXECVE", "-m SOCKADDR", "-m ALL", "-k netconns_out", "-k watched", "-k execve", "-k nothing",
    "-sv yes", "-sv no", "-ui 0", "-ui 64151", "-ue 0", "-ul -1", "-ua 64151", "-gi 0", "-ga 64151", "-x /usr/bin/su",
    "-x echo", "-x su", "-c su", "-c go-audited", "-f watched", "-f /usr/bin/echo", "-tm /dev/pts/0", "-e 0", "-e -115",
    "-p 1", "-sc connect -sv yes", "-sc connect -ui 64151 -sv no", "-m SYSCALL -k execve -x echo",
    "-x su -w", "-k execve -w", "--arch b64", "--session 4294967295",
]  # fmt: skip


def by_ausearch(log: Path, query: str, zone: str = "UTC") -> set[int]:
    command = [require("ausearch", "auditd"), "--raw", "-if", str(log), *shlex.split(query)]
    result = subprocess.run(command, capture_output=True, check=False, env={"LC_ALL": "C.UTF-8", "TZ": zone})
    return {int(serial) for serial in SERIAL.findall(result.stdout)}


def by_auditdeck(log: Path, query: str) -> set[int]:
    result = auditdeck("search", "--input", log, "--json", *shlex.split(query))
    found = {json.loads(line)["auditd"]["sequence"] for line in result.stdout.splitlines()}
    assert (result.status == 0) == bool(found)
    return found


@pytest.mark.parametrize("name", LOGS)
@pytest.mark.parametrize("query", QUERIES)
def test_the_same_events(name: str, query: str) -> None:
    assert by_auditdeck(FIXTURES / name, query) == by_ausearch(FIXTURES / name, query)


@pytest.mark.parametrize(
    ("changed", "query"),
    [
        ("2026-10-25", "-ts 10/25/26 02:30:00"),
        ("2026-10-25", "-te 10/25/26 02:30:00"),
        ("2026-03-29", "-ts 03/29/26 02:30:00"),
    ],
)
def test_where_clocks_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: str, query: str) -> None:
    """Events of three hours, ten minutes apart, around the change at 01:00 UTC.

    Asked for is the hour that comes twice or is left out; 03:10 of such a day ausearch takes for another hour.
    """
    begin = int(datetime.fromisoformat(f"{changed}T00:00:00+00:00").timestamp())
    lines = [f"type=LOGIN msg=audit({begin + n * 600}.000:{n + 1}): pid=1 uid=0 res=1\n" for n in range(18)]
    log = tmp_path / "audit.log"
    log.write_text("".join(lines))
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        found = by_auditdeck(log, query)
    finally:
        monkeypatch.undo()
        time.tzset()
    assert found == by_ausearch(log, query, "Europe/Berlin")
    assert 0 < len(found) < 18


@pytest.mark.parametrize("word", ["now", "recent", "today", "yesterday", "this-week", "week-ago", "this-month", "boot"])
@pytest.mark.parametrize("option", ["-ts", "-te"])
def test_words_for_times(tmp_path: Path, option: str, word: str) -> None:
    now, hour = int(time.time()), 3600
    ages = [24 * 9, 24 * 7, 24 * 3, 24 * 2, 24, 17, 12, 3, 1, 0.4, 0.1, 0.02, -0.02, -0.1]
    lines = [
        f"type=LOGIN msg=audit({now - int(age * hour)}.500:{n}): pid=1 uid=0 res=1\n" for n, age in enumerate(ages)
    ]
    log = tmp_path / "audit.log"
    log.write_text("".join(lines))
    assert by_auditdeck(log, f"{option} {word}") == by_ausearch(log, f"{option} {word}")


@pytest.mark.parametrize("option", ["-ts", "-te"])
def test_a_date_without_a_time(tmp_path: Path, option: str) -> None:
    begin = int(datetime.fromisoformat("2026-10-25T00:00:00+00:00").timestamp())
    lines = [f"type=LOGIN msg=audit({begin + n * 1200}.500:{n}): pid=1 uid=0 res=1\n" for n in range(72)]
    log = tmp_path / "audit.log"
    log.write_text("".join(lines))
    assert by_auditdeck(log, f"{option} 10/25/2026") == by_ausearch(log, f"{option} 10/25/26")


def test_queries_find_something() -> None:
    found = [query for query in QUERIES if any(by_ausearch(FIXTURES / name, query) for name in LOGS)]
    assert len(found) > 0.75 * len(QUERIES), sorted(set(QUERIES) - set(found))


def test_raw_is_what_was_there() -> None:
    log = FIXTURES / LOGS[1]
    shown = auditdeck("search", "-if", log, "-r").stdout
    assert sorted(shown.splitlines()) == sorted(log.read_text().splitlines())


def test_an_errno_by_its_name() -> None:
    """ausearch takes a name for a positive number, which no failed call returns."""
    log = FIXTURES / LOGS[1]
    assert by_auditdeck(log, "-e EINPROGRESS") == by_auditdeck(log, "-e -115") != set()
