"""`auditdeck aureport` beside aureport(8) on the same logs, by the same options."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.support.peer import require
from tests.support.run import auditdeck

FIXTURES = Path(__file__).parent.parent / "fixtures"
LOGS = ["audit.log", "go-audit/audit.log", "user-space.log"]
TOTAL = re.compile(r"^Number of (.*): (\d+)$", re.MULTILINE)
COUNTED = re.compile(r"^(\d+)  (.*)$", re.MULTILINE)
LISTED = re.compile(r"^(\d+)\. .* (\d+)$", re.MULTILINE)
OPTIONS = [
    "-au", "-l", "-x", "--comm", "-s", "-u", "-k", "-f", "-h", "-tm", "-p", "-e", "-n", "-r", "-m", "-c", "-cr",
    "--integrity",
]  # fmt: skip
# aureport counts these as a terminal or host of their own, though they say that there is none.
NONE = {"?", "(none)", "(null)"}
NAMES = {"-1": "unset"}


def aureport(log: Path, *options: str) -> str:
    command = [require("aureport", "auditd"), "-if", str(log), *options]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env={"LC_ALL": "C.UTF-8", "TZ": "UTC"}
    ).stdout


def totals(log: Path) -> tuple[dict[str, int], dict[str, int]]:
    """By aureport, and by auditdeck."""
    theirs = {what: int(count) for what, count in TOTAL.findall(aureport(log, "--summary"))}
    for what, option in (("terminals", "-tm"), ("host names", "-h")):
        listed = {found for _, found in COUNTED.findall(aureport(log, option, "--summary"))}
        theirs[what] -= len(listed & NONE)
    return theirs, json.loads(auditdeck("aureport", "-if", log, "--summary", "--json").stdout)


@pytest.mark.parametrize("name", LOGS)
def test_totals(name: str) -> None:
    theirs, ours = totals(FIXTURES / name)
    assert ours == theirs


@pytest.mark.parametrize("name", LOGS)
@pytest.mark.parametrize("which", [[], ["--failed"], ["--success"]], ids=["all", "failed", "success"])
@pytest.mark.parametrize("option", OPTIONS)
def test_summaries(name: str, which: list[str], option: str) -> None:
    text = aureport(FIXTURES / name, option, "--summary", "-i", *which)
    theirs = {NAMES.get(what, what): int(count) for count, what in COUNTED.findall(text)}
    if option in ("-h", "-tm"):
        theirs = {what: count for what, count in theirs.items() if what not in NONE}
    found = json.loads(
        auditdeck("aureport", "-if", FIXTURES / name, option, "--summary", "-i", "--json", *which).stdout
    )
    ours = {next(value for key, value in row.items() if key != "count"): row["count"] for row in found}
    assert ours == theirs


@pytest.mark.parametrize("name", LOGS)
@pytest.mark.parametrize("option", ["-au", "-l", "-m", "-n", "-c", "-x"])
def test_lists(name: str, option: str) -> None:
    theirs = {int(event) for _, event in LISTED.findall(aureport(FIXTURES / name, option))}
    found = json.loads(auditdeck("aureport", "-if", FIXTURES / name, option, "--json").stdout)
    assert {row["event"] for row in found} == theirs


def test_the_fixtures_hold_events_of_every_kind() -> None:
    for option in OPTIONS:
        if option not in ("-r", "-cr", "--integrity"):
            assert any(COUNTED.findall(aureport(FIXTURES / name, option, "--summary")) for name in LOGS), option


def test_keystrokes_and_time_ranges(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    log.write_text(
        'type=TTY msg=audit(1700000000.123:9): tty pid=5 uid=0 auid=7 ses=3 major=136 minor=0 comm="sh" data=6C730D\n'
        "type=USER_TTY msg=audit(1700000061.123:10): pid=5 uid=0 auid=7 ses=3 data=6C73\n"
        "type=LOGIN msg=audit(1700000099.123:11): pid=1 uid=0 res=1\n"
    )
    theirs = {int(event) for event in re.findall(r"^\d+\. \S+ \S+ (\d+)", aureport(log, "--tty"), re.MULTILINE)}
    ours = json.loads(auditdeck("aureport", "-if", log, "--tty", "--json").stdout)
    assert {row["event"] for row in ours} == theirs == {9, 10}
    assert "11/14/23 22:13:20.123 - 11/14/23 22:14:59.123" in aureport(log, "-t")
    [span] = json.loads(auditdeck("aureport", "-if", tmp_path, "-t", "--json").stdout)
    assert span == {"log": str(log), "first": "2023-11-14 22:13:20+00:00", "last": "2023-11-14 22:14:59+00:00"}


@pytest.mark.parametrize(
    "options", [["-k", "-nc"], ["-x", "-ts", "11/24/26", "13:43:36"], ["-x", "-te", "11/24/2026", "13:43:34"]]
)
def test_what_is_left_out(options: list[str]) -> None:
    every = sum(len(LISTED.findall(aureport(FIXTURES / name, options[0]))) for name in LOGS)
    count = 0
    for name in LOGS:
        given = [option.replace("2026", "26") for option in options]
        theirs = {int(event) for _, event in LISTED.findall(aureport(FIXTURES / name, *given))}
        found = json.loads(auditdeck("aureport", "-if", FIXTURES / name, *options, "--json").stdout)
        assert {row["event"] for row in found} == theirs
        count += len(theirs)
    assert 0 < count < every


def test_one_node(tmp_path: Path) -> None:
    lines = (FIXTURES / "user-space.log").read_text().splitlines()
    log = tmp_path / "audit.log"
    log.write_text("".join(f"node=web{number % 2} {line}\n" for number, line in enumerate(lines)))
    theirs = {int(event) for _, event in LISTED.findall(aureport(log, "-x", "--node", "web1"))}
    found = json.loads(auditdeck("aureport", "-if", log, "-x", "--node", "web1", "--json").stdout)
    assert {row["event"] for row in found} == theirs
    assert 0 < len(theirs) < len(lines)
