"""What fuzzing found (tests/fuzz), and its corpora: no bytes from outside are more than bad input."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from auditdeck.audit.record import STAMP
from auditdeck.audit.rules import Field, Rule, constants, parse_line, rule_text
from auditdeck.errors import CheckpointError, RuleError
from auditdeck.eventlog.cursor import read_position
from auditdeck.eventlog.reader import Position
from auditdeck.query.checkpoint import read_checkpoint
from auditdeck.query.event_kind import subject_kind
from auditdeck.settings.given import read_yaml
from tests.fuzz.targets import TARGETS

CORPUS = Path(__file__).parent.parent / "fuzz" / "corpus"
CALL = (
    b"type=SYSCALL msg=audit(%(stamp)b): arch=c000003e syscall=42 success=yes exit=0 a0=3 a1=7 a2=10 a3=0 items=0 "
    b"ppid=1 pid=%(pid)b auid=1000 uid=%(uid)b gid=0 euid=0 suid=0 fsuid=0 egid=0 sgid=0 fsgid=0 tty=(none) ses=1 "
    b'comm="x" exe="/usr/bin/x" key=(null)\ntype=PROCTITLE msg=audit(%(stamp)b): proctitle="x"\n'
)
USUAL = {b"stamp": b"1700000000.123:9", b"pid": b"7", b"uid": b"0"}
MANY = b"9" * 5000
"""More digits than Python makes a number of."""
VALUES = [MANY, b"-" + MANY, b"0" * 5000 + b"1", b"0x", b"0xzz", b"0x" + b"f" * 3000, "²".encode(), b"", b"\xff"]


@pytest.mark.parametrize(
    "path",
    [path for name in TARGETS for path in sorted((CORPUS / name).iterdir())],
    ids=lambda path: f"{path.parent.name}/{path.name}",
)
def test_the_corpora(path: Path) -> None:
    TARGETS[path.parent.name](path.read_bytes())


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("name", [b"pid", b"uid"])
def test_any_number_in_a_system_call(name: bytes, value: bytes) -> None:
    TARGETS["record"](CALL % {**USUAL, name: value})


@pytest.mark.parametrize("value", VALUES)
def test_any_number_in_other_records(value: bytes) -> None:
    fields = [
        b"USER_LOGIN msg=audit(1.000:1): pid=# uid=# auid=# ses=# msg='op=login id=# addr=# res=#'",
        b"MQ_OPEN msg=audit(1.000:2): oflag=# mode=# mq_flags=#",
        b"SECCOMP msg=audit(1.000:3): auid=1 uid=# sig=# arch=# syscall=# code=#",
        b"OPENAT2 msg=audit(1.000:4): oflag=# mode=# resolve=#",
        b"MMAP msg=audit(1.000:5): fd=# flags=#",
        b"AVC msg=audit(1.000:6): avc: denied { # } for pid=# icmptype=# capability=# ioctlcmd=#",
        b'PATH msg=audit(1.000:7): item=# name="/x" inode=# mode=# ouid=# ogid=# cap_fp=#',
    ]
    TARGETS["record"](b"".join(b"type=%b\n" % line.replace(b"#", value) for line in fields))


@pytest.mark.parametrize("stamp", [b"253402300800.000:1", b"999999999999999.000:1", b"1.000:99999999999999999999"])
def test_a_stamp_that_no_clock_shows_is_damage(stamp: bytes) -> None:
    assert not STAMP.fullmatch(stamp)
    TARGETS["record"](CALL % {**USUAL, b"stamp": stamp})


def test_the_last_stamp() -> None:
    TARGETS["record"](CALL % {**USUAL, b"stamp": b"99999999999.999:999999999999999999"})


@pytest.mark.parametrize(
    "line",
    [
        "-b ²", "-b " + "9" * 5000, "-a always,exit -S ²", "-a always,exit -S " + "9" * 5000, "-w /a\0b -p wa",
        "-a always,exit -F uid=" + "9" * 5000, "-a always,exit -F gid=x\0", "-a always,exit -F a0=0x" + "f" * 5000,
    ],
)  # fmt: skip
def test_a_rule_that_is_none(line: str) -> None:
    with pytest.raises(RuleError, match=r"^my\.rules:7: "):
        parse_line(line, "my.rules", 7)


def test_a_rule_of_a_kernel_with_operators_that_are_new() -> None:
    rule = Rule(constants.EXIT, constants.ACTIONS["always"], (Field(constants.FIELDS["arch"], 0, 0xC000003E),), 1)
    assert rule_text(rule) == "-a always,exit -F arch?b64 -S read"


@pytest.mark.parametrize("saved", [b'{"segment":2,"offset":-3}', b'{"segment":-2,"offset":0}'])
def test_a_cursor_before_the_beginning(tmp_path: Path, saved: bytes) -> None:
    (tmp_path / "output.json").write_bytes(saved)
    assert min(read_position(tmp_path / "output.json")) == 0
    TARGETS["cursor"](saved)


def test_a_cursor_is_kept(tmp_path: Path) -> None:
    (tmp_path / "output.json").write_bytes(b'{"segment":2,"offset":3}')
    assert read_position(tmp_path / "output.json") == Position(2, 3)


def test_a_checkpoint_of_a_year_that_does_not_come(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"
    path.write_text("dev=0xFE00\ninode=4711\noutput=web1 999999999999.123:42 0x514\n")
    known = read_checkpoint(path)
    assert known is not None
    with pytest.raises(CheckpointError, match="has no time"):
        str(known.time)


def test_a_user_id_of_many_digits_is_nobody() -> None:
    assert [subject_kind(uid) for uid in ("0", "33", "1000", "9" * 5000, "²")] == [
        "privileged-acct", "service-acct", "user-acct", "", "",
    ]  # fmt: skip


def test_aliases_within_aliases() -> None:
    """ "A billion laughs": nine lines of nine aliases each are 9^9 values."""
    lines = ["a: &a [x,x,x,x,x,x,x,x,x]"]
    lines += [
        f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
    ]
    began = time.process_time()
    given = read_yaml("\n".join(lines), "x.yaml")
    assert [str(problem) for problem in given.problems] == [
        "x.yaml: this has more than 20,000 values; aliases (*) within aliases make many of few"
    ]
    assert time.process_time() - began < 2


def test_a_pattern_of_groups_within_groups() -> None:
    TARGETS["settings"](b"filters: [{executable: '" + b"(" * 3000 + b"'}]")
