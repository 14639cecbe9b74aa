"""What auditdeck reads in records of this kernel, beside what `ausearch -i` reads in the same records."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from auditdeck.audit.client import AuditSocket
from tests.support.build import narrow, traffic
from tests.support.collector import COMMAND, as_user, scoped_rules
from tests.support.outside import PORT, outside
from tests.support.peer import require
from tests.support.record import recorded

pytestmark = pytest.mark.kernel

NAMELESS, NAMED = 64141, 1
FILES = "openat,unlinkat,renameat2,mkdir,chmod,kill,bind,setuid"
ODD_ARGUMENTS = [
    *["plain", "two words", 'a "quoted" one', "tab\there", "new\nline", "é ü 漢字", b"\xff\xfe", "", "=", "a1=b"],
    "x" * 9000,
]
FILE_WORK = """mkdir -m 700 "$0"; : >"$0/a b"; mv "$0/a b" "$0/c"; chmod 600 "$0/c"; rm -r "$0" """


@dataclass
class Seen:
    """One event as ausearch shows it: the first record of each type."""

    records: dict[str, str] = field(default_factory=dict)

    def value(self, kind: str, name: str) -> str | None:
        found = re.search(rf"(?:^|\s){name}=(\{{.*?\}}|\S*)", self.records.get(kind, ""))
        return found[1] if found else None


def by_ausearch(log: Path) -> dict[int, Seen]:
    command = [require("ausearch", "auditd"), "-i", "--escape", "raw", "-if", str(log)]
    output = subprocess.run(command, capture_output=True, check=True, env={"LC_ALL": "C.UTF-8", "TZ": "UTC"}).stdout
    events: dict[int, Seen] = {}
    start = re.compile(rb"^type=(\S+) msg=audit\([^)]*:(\d+)\) : ", re.MULTILINE)
    matches = list(start.finditer(output))
    for match, following in zip(matches, [*matches[1:], None], strict=True):
        text = output[match.end() : following.start() if following else None]
        text = text.removesuffix(b"----\n").removesuffix(b"\n").removesuffix(b" ")
        seen = events.setdefault(int(match[2]), Seen())
        kind = match[1].decode()
        shown = text.decode("utf-8", "backslashreplace")
        if kind == "EXECVE" and kind in seen.records:
            seen.records[kind] += " " + shown.strip(" ")
        seen.records.setdefault(kind, shown)
    return events


def by_auditdeck(log: Path) -> Iterator[dict[str, Any]]:
    result = subprocess.run([*COMMAND, "decode", str(log)], capture_output=True, check=True)
    return (json.loads(line) for line in result.stdout.splitlines())


def name(user: dict[str, Any]) -> str:
    return user.get("name") or f"unknown({user['id']})"


def role(user: dict[str, Any], which: str) -> dict[str, Any]:
    found: dict[str, Any] = user.get(which, user)
    return found


def same_call(document: dict[str, Any], seen: Seen) -> None:
    data = document["auditd"]["data"]
    # ausearch writes socketcall(connect) where auditdeck writes connect.
    assert data["syscall"] == (seen.value("SYSCALL", "syscall") or "").removeprefix("socketcall(").removesuffix(")")
    assert data["exit"] == (seen.value("SYSCALL", "exit") or "").partition("(")[0]
    user = document["user"]
    assert name(user) == seen.value("SYSCALL", "uid")
    assert name(user["group"]) == seen.value("SYSCALL", "gid")
    for which, uid, gid in (("effective", "euid", "egid"), ("saved", "suid", "sgid"), ("filesystem", "fsuid", "fsgid")):
        assert name(role(user, which)) == seen.value("SYSCALL", uid)
        assert name(role(user, which)["group"]) == seen.value("SYSCALL", gid)
    assert (name(user["audit"]) if "audit" in user else "unset") == seen.value("SYSCALL", "auid")
    assert document["auditd"]["session"] == seen.value("SYSCALL", "ses")
    assert document["process"]["executable"] == seen.value("SYSCALL", "exe")
    assert document.get("tags", ["(null)"]) == [seen.value("SYSCALL", "key")]


def same_address(document: dict[str, Any], seen: Seen) -> None:
    end = document.get("destination") or document.get("server")
    family = document["auditd"]["data"]["socket"]["family"]
    shown = seen.records["SOCKADDR"]
    assert f"saddr_fam={family} " in shown
    if end and not (family == "inet6" and "." in end["ip"]):
        assert f"laddr={end['ip']} lport={end['port']} " in shown
    elif end:
        assert f"laddr=::ffff:{end['ip']} lport={end['port']} " in shown


def shown_arguments(text: str) -> list[str]:
    """The arguments of an EXECVE record as ausearch prints it; long ones come in pieces."""
    parts = re.split(r" a(\d+)(?:\[(\d+)\])?=", " " + re.sub(r" a\d+_len=\d+|argc=\d+ ?", "", text))[1:]
    found: dict[int, dict[int, str]] = {}
    for number, piece, value in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
        found.setdefault(int(number), {})[int(piece or 0)] = value
    return ["".join(found[number][piece] for piece in sorted(found[number])) for number in sorted(found)]


def test_the_same_is_read(tmp_path: Path, audit: AuditSocket) -> None:
    rules = scoped_rules(
        tmp_path / "test.rules",
        [NAMELESS, NAMED],
        f"-a always,exit -F arch=b64 -S {FILES} -F uid={NAMELESS} -k files\n"
        f"-a always,exit -F arch=b64 -S {FILES} -F uid={NAMED} -k files\n",
    )
    program = traffic("compared")
    with outside() as away, recorded(audit, rules) as recording:
        away.serve()
        for user in (NAMELESS, NAMED):
            for kind in ("blocking", "nonblocking", "udp"):
                for address in (away.ipv4, away.ipv6, f"::ffff:{away.ipv4}", "127.0.0.1"):
                    as_user(user, program, kind, "2", address, str(PORT))
            as_user(user, "sh", "-c", FILE_WORK, f"/tmp/compared-{user}")
            subprocess.run(["echo", *ODD_ARGUMENTS], user=user, group=user, cwd="/", capture_output=True, check=True)
        if narrow():
            as_user(NAMED, str(narrow()), "blocking", "2", away.ipv4, str(PORT))
    log = tmp_path / "audit.log"
    log.write_bytes(recording.log)

    theirs = by_ausearch(log)
    compared = {"SYSCALL": 0, "SOCKADDR": 0, "EXECVE": 0, "PROCTITLE": 0}
    for document in by_auditdeck(log):
        seen = theirs[document["auditd"]["sequence"]]
        if document["auditd"]["data"].get("syscall") == "sendto" or "SYSCALL" not in seen.records:
            continue
        same_call(document, seen)
        compared["SYSCALL"] += 1
        if "SOCKADDR" in seen.records:
            same_address(document, seen)
            compared["SOCKADDR"] += 1
        if "EXECVE" in seen.records:
            assert document["process"]["args"] == shown_arguments(seen.records["EXECVE"])
            compared["EXECVE"] += 1
        if "PROCTITLE" in seen.records:
            assert document["process"]["title"] == seen.records["PROCTITLE"].removeprefix("proctitle=")
            compared["PROCTITLE"] += 1
    assert compared["SYSCALL"] > 150
    assert compared["SOCKADDR"] >= 50
    assert compared["EXECVE"] >= 30
    assert compared["PROCTITLE"] == compared["SYSCALL"]
