"""Rules compiled to the bytes that auditctl sends: for Debian's examples, and for every field, operator and list."""

from __future__ import annotations

import os
import random
import re
import shlex
import struct
import subprocess
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import pytest

from auditdeck.audit.client import AuditSocket
from auditdeck.audit.rules import constants as c
from auditdeck.audit.rules.files import parse_line
from auditdeck.audit.tables.compare import COMPARE
from auditdeck.errors import RuleError
from tests.support.peer import require

FIXED = 4 * (4 + 4 * 64)
"""The size of struct audit_rule_data without its strings."""
EXAMPLES = Path("/usr/share/doc/auditd/examples/rules")
OPERATORS = ["=", "!=", "<", "<=", ">", ">=", "&", "&="]
VALUES = {
    "arch": ["b64", "b32"], "auid": ["1000", "unset", "root", "-1"], "uid": ["0", "daemon"], "gid": ["0", "adm"],
    "exit": ["-EACCES", "EPERM", "0", "-13"], "success": ["1", "0"], "perm": ["r", "wa", "rwxa"],
    "path": ["/etc/passwd"],
    "dir": ["/etc", "/usr/bin"], "exe": ["/usr/bin/id"], "filetype": ["file", "dir", "socket", "symlink", "fifo"],
    "saddr_fam": ["2", "10", "inet6"], "msgtype": ["PATH", "1327", "EXECVE"], "sessionid": ["5", "unset"],
    "key": ["word"], "fstype": ["debugfs", "tracefs"], "subj_user": ["system_u"], "obj_lev_high": ["s0"],
    "a0": ["0x10", "3", "-1"], "devmajor": ["8"], "inode": ["1234"], "pers": ["8"], "pid": ["77"],
}  # fmt: skip
# auditctl takes numbers alone, and makes 0 of a name without a word; here names are understood.
NAMED_FAMILY = re.compile(r"saddr_fam\S*[a-z]")
SHUFFLED = ["auid", "uid", "gid", "exit", "success", "a0", "pid", "exe", "path", "saddr_fam"]
USERS = ("uid", "euid", "suid", "fsuid", "obj_uid")
GROUPS = ("gid", "egid", "sgid", "fsgid", "obj_gid")


@cache
def tap() -> Path:
    library = Path(mkdtemp()) / "tap.so"
    source = Path(__file__).parent.parent / "support" / "netlink_tap.c"
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
    return library


def by_auditctl(rules: list[str], folder: Path) -> list[bytes | None]:
    """What each rule is sent as; None for one that auditctl refuses."""
    script = folder / "all.sh"
    copies = folder / "copies"
    copies.mkdir(exist_ok=True)
    # One process a rule, so that it is known which rule a message is of.
    lines = [
        f"NETLINK_TAP={copies}/{number} {require('auditctl', 'auditd')} {rule}" for number, rule in enumerate(rules)
    ]
    script.write_text("\n".join(f"{line} >/dev/null 2>&1 </dev/null" for line in lines))
    environment = {**os.environ, "LD_PRELOAD": str(tap())}
    subprocess.run(["sh", script], env=environment, check=False, timeout=120)
    found: list[bytes | None] = []
    for number in range(len(rules)):
        path = copies / str(number)
        found.append(None)
        if path.exists():
            data = path.read_bytes()
            # Behind the strings the message is filled up to a multiple of four.
            (strings,) = struct.unpack_from("=I", data, FIXED - 4)
            found[-1] = data[: FIXED + strings]
            path.unlink()
    return found


def quoted(rule: str) -> str:
    return shlex.join(word.strip("'") for word in rule.split())


def by_auditdeck(rule: str) -> bytes | None:
    try:
        statement = parse_line(rule.replace("'", ""))
    except RuleError:
        return None
    assert statement
    assert statement.rule
    return statement.rule.to_bytes()


def values_of(field: str) -> list[str]:
    for names, like in ((USERS, "uid"), (GROUPS, "gid"), (("a1", "a2", "a3"), "a0"), (("ppid",), "pid")):
        if field in names:
            return VALUES[like]
    if field.startswith(("subj_", "obj_")):
        return VALUES["subj_user"]
    return VALUES.get(field, ["8"])


def each_field() -> Iterator[str]:
    """Every field with every operator, in every list."""
    for where in c.LIST_NAMES.values():
        call = "-S open,connect " if where in ("exit",) else "-S openat " if where == "io_uring" else ""
        for field in c.FIELDS:
            for operator in OPERATORS:
                value = values_of(field)[0]
                extra = "-F path=/etc " if field == "perm" and where == "exit" else ""
                yield f"-a always,{where} {extra}{call}-F '{field}{operator}{value}'"
                if operator == "=":
                    yield f"-a never,{where} {call}-F '{field}={values_of(field)[-1]}'"


def comparisons() -> Iterator[str]:
    for name in COMPARE:
        first, _, second = name.partition("_to_")
        for pair in (f"{first}={second}", f"{second}!={first}"):
            yield f"-a always,exit -S open -C '{pair}' -k compared"


def watches() -> Iterator[str]:
    for path in ("/etc/passwd", "/etc", "/usr/bin/"):
        for permissions in ("", "-p r", "-p w", "-p x", "-p a", "-p rwxa", "-p awxr"):
            yield f"-w {path} {permissions} -k watched"


def shuffled(count: int) -> Iterator[str]:
    """Whole rules with their options in any order."""
    chance = random.Random(20261124)
    for number in range(count):
        options = [
            f"-a {chance.choice(['always', 'never'])},exit",
            "-S " + chance.choice(["open", "connect,accept", "all", "2"]),
        ]
        for field in chance.sample(
            ["auid", "uid", "gid", "exit", "success", "a0", "pid", "exe", "path", "saddr_fam"], 3
        ):
            operator = chance.choice(["=", "!="] if field in ("exe", "path") else OPERATORS)
            options.append(f"-F '{field}{operator}{chance.choice(values_of(field))}'")
        if chance.random() < 0.5:
            options.append("-C 'uid!=euid'")
        if chance.random() < 0.6:
            options.append(f"-k key{number}")
        # auditctl wants the list first, the architecture before the calls, and a key behind the first of them.
        first, call, *rest = options
        chance.shuffle(rest)
        place = next((n for n, option in enumerate(rest) if option.startswith("-k")), len(rest))
        rest.insert(chance.randrange(place + 1), call)
        arch = [f"-F arch={chance.choice(['b64', 'b32'])}"] if chance.random() < 0.7 else []
        yield " ".join([first, *arch, *rest])


def examples() -> Iterator[str]:
    for file in sorted(EXAMPLES.glob("*.rules")):
        for line in file.read_text().splitlines():
            if line.startswith(("-a", "-w")):
                yield line.strip()


@pytest.mark.kernel
@pytest.mark.parametrize("source", [each_field, comparisons, watches, examples])
def test_the_same_bytes(source: Callable[[], Iterator[str]], tmp_path: Path, audit: AuditSocket) -> None:  # noqa: ARG001
    rules = list(source())
    compare(rules, tmp_path)


@pytest.mark.kernel
def test_options_in_any_order(tmp_path: Path, audit: AuditSocket) -> None:  # noqa: ARG001
    compare(list(shuffled(400)), tmp_path)


def compare(rules: list[str], folder: Path) -> None:
    theirs = by_auditctl(rules, folder)
    ours = [by_auditdeck(rule) for rule in rules]
    assert sum(sent is not None for sent in theirs) > len(rules) / 3
    different = [
        (rule, "refused" if one is None else one.hex(), "refused" if two is None else two.hex())
        for rule, one, two in zip(rules, theirs, ours, strict=True)
        if one is not None and one != two and not NAMED_FAMILY.search(rule)
    ]
    assert not different, "\n".join(rule for rule, _, _ in different)
