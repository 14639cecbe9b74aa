"""The reports that `auditdeck report` has of aureport(8), beside aureport on the same logs."""

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
OPTIONS = {
    "--auth": "-au", "--login": "-l", "--executable": "-x", "--comm": "--comm", "--syscall": "-s", "--user": "-u",
    "--key": "-k", "--file": "-f", "--host": "-h", "--terminal": "-tm", "--pid": "-p", "--event": "-e",
    "--anomaly": "-n", "--response": "-r", "--mods": "-m", "--config-changes": "-c", "--crypto": "-cr",
    "--integrity": "--integrity",
}  # fmt: skip
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
    return theirs, json.loads(auditdeck("report", "-if", log, "--summary", "--json").stdout)


@pytest.mark.parametrize("name", LOGS)
def test_totals(name: str) -> None:
    theirs, ours = totals(FIXTURES / name)
    assert ours == theirs


@pytest.mark.parametrize("name", LOGS)
@pytest.mark.parametrize("which", [[], ["--failed"], ["--success"]], ids=["all", "failed", "success"])
@pytest.mark.parametrize("option", OPTIONS)
def test_summaries(name: str, which: list[str], option: str) -> None:
    text = aureport(FIXTURES / name, OPTIONS[option], "--summary", "-i", *which)
    theirs = {NAMES.get(what, what): int(count) for count, what in COUNTED.findall(text)}
    if option in ("--host", "--terminal"):
        theirs = {what: count for what, count in theirs.items() if what not in NONE}
    found = json.loads(auditdeck("report", "-if", FIXTURES / name, option, "--summary", "--json", *which).stdout)
    ours = {next(value for key, value in row.items() if key != "count"): row["count"] for row in found}
    assert ours == theirs


@pytest.mark.parametrize("name", LOGS)
@pytest.mark.parametrize("option", ["--auth", "--login", "--mods", "--anomaly", "--config-changes", "--executable"])
def test_lists(name: str, option: str) -> None:
    theirs = {int(event) for _, event in LISTED.findall(aureport(FIXTURES / name, OPTIONS[option]))}
    found = json.loads(auditdeck("report", "-if", FIXTURES / name, option, "--json").stdout)
    assert {row["event"] for row in found} == theirs


def test_the_fixtures_hold_events_of_every_kind() -> None:
    for option in OPTIONS:
        if option not in ("--response", "--crypto", "--integrity"):
            assert any(COUNTED.findall(aureport(FIXTURES / name, OPTIONS[option], "--summary")) for name in LOGS), (
                option
            )
