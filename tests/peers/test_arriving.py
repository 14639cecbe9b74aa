"""Logs of every form beside Debian's ausearch and aureport: each line, column and count is the same, or is listed in
docs/ausearch.md with its reason."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.peers.test_aureport import COUNTED, NAMES, NONE, OPTIONS, aureport, totals
from tests.support.arriving import FORMS, Form
from tests.support.peer import require
from tests.support.run import auditdeck

FORMS_OF_BOTH = [form for form in FORMS if form.ausearch]
UTC = {"LC_ALL": "C.UTF-8", "TZ": "UTC"}
DATE = re.compile(r"\(\d\d/\d\d/\d\d (\d\d:\d\d:\d\d\.\d{3}:\d+\))")

CUT = "a message without its closing quote"
"""ausearch and aureport leave such a record out where they look for something in it."""
COLON = {"configuration of auditd", "start of an old auditd"}
UNQUOTED = "keystrokes"
"""ausearch's csv has no quotes around values with commas."""
LINES = {
    ("parentheses of RHEL 5", "-i"): "ausearch loses the comma behind an address",
    (
        "parentheses with an address",
        "-i",
    ): "ausearch loses the comma behind an address, and the colon behind an account",
    ("objtype of RHEL 7", "-i"): "the mode of openat(2) is spelled out as that of open(2) is",
    ("a record whose number means two things", "-i"): "it has its name",
    ("seccomp", "-i"): "kill-process and kill-thread are told apart",
    **{(name, form): "auditdeck writes `): ` behind the stamp" for name in COLON for form in ("-i", "-r", "")},
    **{("EOE without a blank", form): "an EOE says nothing, and is not kept" for form in ("-i", "-r", "")},
}
"""Forms whose lines differ, in which output, and why."""
COLUMNS = {
    "NODE": "the host that recorded it, also if the log does not name it",
    "DATE": "ISO 8601, in every locale",
    "ACTION": "of all system calls and record types",
    "OBJ_KIND": "of all system calls and record types",
    "OBJ_PRIME": "found in more records",
    "OBJ_SEC": "where a login came from, and ports",
    "SUBJ_PRIME": "system also where a record has no login user; a LOGIN's is the one who logged in",
    "SUBJ_SEC": "also for logins",
    "SUBJ_KIND": "by the user id alone",
    "HOW": "only programs",
    "EVENT": "UNKNOWN[1234] for a type without a name",
    "RESULT": "also of old records; that of seccomp is not a failed call",
    "SESSION": "the new one of an old LOGIN",
}
"""Columns of the csv that differ for some form, and why; all others are always the same."""
COUNTS = {
    ("login of RHEL 6", "-u"): "a user without a name is shown as a number",
    ("login of RHEL 7", "-u"): "a user without a name is shown as a number",
    ("a type that auditd did not know", "-e"): "UNKNOWN[1234] instead of (null)",
    ("a netfilter table", "-x"): "no executable is not one of its own",
    ("a netfilter table", "-u"): "no login user in a record is not one that is unset",
    ("a netfilter table", "--summary"): "as above",
    ("blanks and quotes", "--summary"): "a denial that was not enforced does not make a call fail",
    ("ipc of i386", "-s"): "the call that ipc(2) stands for",
}
"""Forms and reports whose counts differ, and why."""


SEARCHES = [
    *["-ui 0", "-ui 1000", "-ui 4242", "-ul 1000", "-ul -1", "-ul 500", "-ua 0", "-ua 1000", "-ue 0", "-gi 0", "-ga 0"],
    *["-ge 0", "-hn 192.0.2.9", "-hn h.example", "-hn 8.8.8.8", "-tm ssh", "-tm cron", "-tm pts", "-x sshd", "-c x"],
    *[
        "-sv yes",
        "-sv no",
        "-p 7",
        "-p 9",
        "-pp 1",
        "--session 3",
        "--session 10",
        "--session -1",
        "-k k",
        "-f /etc/x",
        "-f shadow",
        "-f /etc/./shadow",
    ],
    *["-m SYSCALL", "-m AVC", "-m LOGIN", "-m PATH", "-m USER_LOGIN", "-m 1300", "-sc connect", "-sc open", "-e 0"],
    *["-a 42", "-n web1", "-su sshd_t", "-o e:f", "-se a:b", "-m ALL", "-x /usr/sbin/sshd -w"],
]
FOUND = {
    ("seccomp", "-ui 0"): "ausearch takes the login user for the user",
    ("seccomp", "-ui 1000"): "ausearch takes the login user for the user",
    ("a netfilter table", "-ui 0"): "ausearch takes a record without a user for root's",
    ("a netfilter table", "-ua 0"): "ausearch takes a record without a user for root's",
    ("a netfilter table", "-ul -1"): "what says nothing of a login does not say that there was none",
    ("a netfilter table", "--session -1"): "what says nothing of a session does not say that there was none",
    ("a type that auditd did not know", "-ui 0"): "fields of types that ausearch does not know are read as well",
    ("a type that auditd did not know", "-ua 0"): "fields of types that ausearch does not know are read as well",
    ("a label without a call", "-hn 192.0.2.9"): "the address counts also where there is a name",
    ("blanks and quotes", "-sv yes"): "a denial that was not enforced does not make a call fail",
    ("blanks and quotes", "-sv no"): "a denial that was not enforced does not make a call fail",
    ("another architecture, enriched", "-sc connect"): "a call has the same name on every architecture",
}
"""Forms and searches that find it in one of both only, and why."""


def shown_by_ausearch(log: Path, *options: str) -> list[str]:
    command = [require("ausearch", "auditd"), "-if", str(log), *options]
    output = subprocess.run(command, capture_output=True, check=False, env=UTC).stdout.decode()
    return [DATE.sub(r"(2023-11-14 \1", line).rstrip() for line in output.splitlines()]


@pytest.fixture(autouse=True)
def in_utc() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "audit.log"


@pytest.mark.parametrize("form", FORMS_OF_BOTH, ids=lambda form: form.name)
def test_lines(log: Path, form: Form) -> None:
    log.write_text(form.log)
    for option in ("-i", "-r", ""):
        options = [option] if option else []
        ours = [line.rstrip() for line in auditdeck("search", "-if", log, *options).stdout.splitlines()]
        same = ours == shown_by_ausearch(log, *options)
        assert same == ((form.name, option) not in LINES), (option, ours)


def test_columns(log: Path) -> None:
    different = set()
    for form in FORMS_OF_BOTH:
        if form.name == UNQUOTED:
            continue
        log.write_text(form.log)
        [theirs] = csv.DictReader(io.StringIO("\n".join(shown_by_ausearch(log, "--format", "csv"))))
        [ours] = csv.DictReader(io.StringIO(auditdeck("search", "-if", log, "--format", "csv").stdout))
        assert list(ours) == list(theirs)
        different |= {name for name in ours if ours[name] != theirs[name]}
    assert different == set(COLUMNS)


@pytest.mark.parametrize("form", [form for form in FORMS_OF_BOTH if form.name != CUT], ids=lambda form: form.name)
def test_counts(log: Path, form: Form) -> None:
    log.write_text(form.log)
    theirs, ours = totals(log)
    assert (theirs == ours) == ((form.name, "--summary") not in COUNTS)
    for option in OPTIONS:
        counted = {
            NAMES.get(what, what): int(n) for n, what in COUNTED.findall(aureport(log, option, "--summary", "-i"))
        }
        if option in ("-h", "-tm"):
            counted = {what: count for what, count in counted.items() if what not in NONE}
        rows = json.loads(auditdeck("aureport", "-if", log, option, "--summary", "-i", "--json").stdout)
        made = {next(value for key, value in row.items() if key != "count"): row["count"] for row in rows}
        assert (made == counted) == ((form.name, option) not in COUNTS), (option, made, counted)


@pytest.mark.parametrize("form", [form for form in FORMS_OF_BOTH if form.name != CUT], ids=lambda form: form.name)
def test_searches(log: Path, form: Form) -> None:
    log.write_text(form.log)
    different = []
    for query in SEARCHES:
        theirs = bool(shown_by_ausearch(log, "--raw", *query.split()))
        if (auditdeck("search", "-if", log, "-r", *query.split()).status == 0) != theirs:
            different.append(query)
    assert different == [query for query in SEARCHES if (form.name, query) in FOUND]
