"""Every field of real records, spelled out as `ausearch -i` spells it out in the same records."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from datetime import UTC
from pathlib import Path

import pytest

from auditdeck.audit import architecture
from auditdeck.audit.client import AuditSocket
from auditdeck.audit.log import Reading
from auditdeck.context.users import Users
from auditdeck.ecs.interpret import argument_kinds
from auditdeck.ecs.lines import interpreted_lines
from tests.peers.test_aureport import totals
from tests.support import user_space
from tests.support.calls import CALLS
from tests.support.collector import COMMAND
from tests.support.peer import require
from tests.support.record import recorded

FIXTURES = Path(__file__).parent.parent / "fixtures"
USER = 64171
LINE = re.compile(r"^(?:node=\S+ )?type=(\S+) msg=audit\([^)]*:(\d+)\) : ", re.MULTILINE)
Key = tuple[str, str]

# Where auditdeck says more, or Debian 12's audit 3.0.9 is wrong: (system call, field) to the reason.
ON_PURPOSE = {
    ("bpf", "a0"): "newer commands",
    ("chown", "a2"): "the group, which it shows for none of the calls that change owners",
    ("clone", "a0"): "the flags come first on x86-64; it takes the signal handler's place for them",
    ("clone", "a2"): "a pointer, not a signal",
    ("fchown", "a1"): "owner and group, as in chown",
    ("fchown", "a2"): "owner and group, as in chown",
    ("fchownat", "a2"): "owner and group, as in chown but one argument later",
    ("fchownat", "a3"): "owner and group, as in chown but one argument later",
    ("lchown", "a1"): "owner and group, as in chown",
    ("lchown", "a2"): "owner and group, as in chown",
    ("openat", "a3"): "the mode of a file to be made, which it shows for open alone",
    ("rt_sigaction", "a0"): "SIGPWR, which it calls IGPWR",
}


def by_ausearch(log: Path) -> dict[Key, list[str]]:
    command = [require("ausearch", "auditd"), "-i", "--escape", "raw", "-if", str(log)]
    output = subprocess.run(command, capture_output=True, check=True, env={"LC_ALL": "C.UTF-8", "TZ": "UTC"}).stdout
    text = output.decode("utf-8", "backslashreplace")
    found: dict[Key, list[str]] = {}
    matches = list(LINE.finditer(text))
    for match, following in zip(matches, [*matches[1:], None], strict=True):
        body = text[match.end() : following.start() if following else None]
        body = body.removesuffix("----\n").removesuffix("\n").strip(" ")
        found.setdefault((match[2], match[1]), []).append(body)
    return found


def by_auditdeck(log: Path) -> dict[Key, list[str]]:
    found: dict[Key, list[str]] = {}
    users = Users()
    with open(log, "rb") as lines:
        for event in Reading(str(log)).events(lines):
            for line in interpreted_lines(event, users, UTC):
                match = LINE.match(line)
                assert match
                found.setdefault((match[2], match[1]), []).append(line[match.end() :].strip(" "))
    return found


def agree(log: Path) -> Counter[str]:
    """Records compared, by type."""
    theirs, ours = by_ausearch(log), by_auditdeck(log)
    assert theirs.keys() == ours.keys()
    compared: Counter[str] = Counter()
    unexpected = set()
    for (number, kind), shown in theirs.items():
        assert len(shown) == len(ours[number, kind])
        for expected, made in zip(sorted(shown), sorted(ours[number, kind]), strict=True):
            compared[kind] += 1
            call = (re.search(r"syscall=(\S+)", expected) or ["", ""])[1]
            for one, two in zip(expected.split(" "), made.split(" "), strict=True):
                if one != two and (call, one.partition("=")[0]) not in ON_PURPOSE:
                    unexpected.add((kind, call, one, two))
    assert not unexpected
    return compared


@pytest.mark.parametrize("name", ["audit.log", "go-audit/audit.log", "user-space.log"])
def test_recorded_logs(name: str) -> None:
    assert sum(agree(FIXTURES / name).values()) > 50


@pytest.mark.kernel
def test_the_arguments_of_system_calls(tmp_path: Path, audit: AuditSocket) -> None:
    if architecture.native() != "x86_64":
        pytest.skip("the calls are made by their numbers on x86-64")
    rules = tmp_path / "calls.rules"
    rules.write_text(f"-a always,exit -F arch=b64 -S {','.join(CALLS)} -F uid={USER} -k calls\n")
    with recorded(audit, rules) as recording:
        command = [COMMAND[0], "-m", "tests.support.calls"]
        subprocess.run(command, user=USER, group=USER, check=True, env={"PYTHONPATH": ":".join(sys.path)})
    log = tmp_path / "audit.log"
    log.write_bytes(recording.log)
    compared = agree(log)
    assert compared["SYSCALL"] > sum(map(len, CALLS.values()))
    assert {name for name, kinds in argument_kinds().items() if any(kinds)} - CALLS.keys() <= NOT_MADE


NOT_MADE = {
    "exit", "exit_group", "faccessat2", "fcntl64", "fsconfig", "fsmount", "move_mount", "name_to_handle_at",
    "newfstatat", "open_by_handle_at", "openat2", "recv", "recvmmsg", "send", "sendmmsg", "shmget", "socketcall",
}  # fmt: skip
"""Calls that Debian's ausearch does not know to spell out, that are not there on x86-64, or that end the program."""


@pytest.mark.kernel
def test_records_of_user_space(tmp_path: Path, audit: AuditSocket) -> None:
    """What PAM, shadow, sshd and others write, as this kernel passes it on."""
    rules, log = tmp_path / "none.rules", tmp_path / "audit.log"
    rules.write_text(f"-a always,exit -F arch=b64 -S adjtimex -F uid={USER} -k nothing\n")
    with recorded(audit, rules) as recording:
        user_space.send_all(audit)
        user_space.crash()
        user_space.use_accounts(tmp_path / "accounts")
        user_space.become_someone_else()
    log.write_bytes(recording.log)
    compared = agree(log)
    assert compared.keys() >= {"USER_LOGIN", "USER_AUTH", "USER_CMD", "ADD_USER", "DEL_GROUP", "CRED_ACQ", "ANOM_ABEND"}
    theirs, ours = totals(log)
    assert ours == theirs
