"""Options of `auditdeck search`: those of ausearch(8), with their values checked."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from auditdeck.query import sources
from tests.support.arriving import STAMP, WHO
from tests.support.run import auditdeck

LABEL = "system_u:system_r:sshd_t:s0"
LINES = [
    f"type=SYSCALL msg=audit(1700000000.000:1): arch=c000003e syscall=257 success=yes exit=3 a0=1 a1=2 a2=3 a3=4 "
    f'items=1 {WHO} subj={LABEL} key="k"',
    'type=PATH msg=audit(1700000000.000:1): item=0 name="/etc/x" inode=1 dev=fe:00 mode=0100644 ouid=0 ogid=0 '
    "rdev=00:00 obj=system_u:object_r:etc_t:s0 nametype=NORMAL",
    'type=PROCTITLE msg=audit(1700000000.000:1): proctitle="x"',
    'type=AVC msg=audit(1700000001.000:2): avc:  denied  { read } for  pid=7 comm="x" scontext=u:r:http_t:s0 '
    "tcontext=u:object_r:shadow_t:s0 tclass=file permissive=0",
    "node=web1 type=VIRT_CONTROL msg=audit(1700000002.000:3): pid=9 uid=0 auid=1000 ses=3 msg='virt=kvm op=start "
    'vm="web 1" uuid=4dea22b3-1d52 exe="/usr/sbin/libvirtd" hostname=? addr=? terminal=? res=success\'',
    "node=web2 type=USER_LOGIN msg=audit(1700000003.000:4): pid=9 uid=0 auid=1000 ses=4294967295 msg='uid=4242 "
    'op=login exe="/usr/sbin/sshd" hostname=? addr=192.0.2.9 terminal=ssh res=success\'\x1dUID="root" AUID="alice"',
]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    file = tmp_path / "audit.log"
    file.write_text("".join(f"{line}\n" for line in LINES))
    return file


def found(log: Path, *options: str) -> list[int]:
    result = auditdeck("search", "-if", log, "--json", *options)
    return sorted(json.loads(line)["auditd"]["sequence"] for line in result.stdout.splitlines())


@pytest.mark.parametrize(
    ("options", "events"),
    [
        ("-su sshd_t", [1]),
        ("-su http_t", [2]),
        ("-o etc_t", [1]),
        ("-o shadow_t", [2]),
        ("-se _t:s0", [1, 2]),
        ("-se sshd_t", [1]),
        ("-su etc_t", []),
        ("-vm web", [3]),
        ("-uu 4dea22b3-1d52", [3]),
        ("-uu 4dea22b3 -w", []),
        ("-n web1 -n web2", [3, 4]),
        ("-m AVC -m USER_LOGIN,PATH", [1, 2, 4]),
        ("-ui 4242", [4]),
        ("-ul alice", [4]),
        ("--session -1", [4]),
        ("--eoe-timeout 1", [1, 2, 3, 4]),
        ("-l --just-one", [1]),
        ("--arch i386 -sc 295", []),
        ("--arch x86_64 -sc 257", [1]),
    ],
)
def test_conditions(log: Path, options: str, events: list[int]) -> None:
    assert found(log, *options.split()) == events


# The first eleven are those of audit-userspace's src/test/ausearch_options_test.sh.
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--event 1junk", "'1junk' is not a valid serial number"),
        ("--gid 1junk", "'1junk' is not a valid group id"),
        ("--message 1300junk", "'1300JUNK' is not a record type"),
        ("--pid 12junk", "'12junk' is not a valid process id"),
        ("--ppid 12junk", "'12junk' is not a valid process id"),
        ("--syscall 0junk", "'0junk' is not a system call"),
        ("--session 1junk", "'1junk' is not a valid session"),
        ("--exit 1junk", "'1junk' is not a result"),
        ("--uid 0junk", "'0junk' is not a valid user id"),
        ("--loginuid 0junk", "'0junk' is not a valid user id"),
        ("--uid 4294967296", "'4294967296' is not a valid user id"),
        ("--uid nosuchuser", "no user is called 'nosuchuser'"),
        ("-ga nosuchgroup", "no group is called 'nosuchgroup'"),
        ("--uid a:b", "'a:b' is not a valid user"),
        ("--event -1", "'-1' is not a valid serial number"),
        ("--event 99999999999999999999", "is not a valid serial number"),
        ("--message 99999999999999999999", "is not a record type"),
        ("--exit 99999999999999999999", "is not a result"),
        ("--eoe-timeout 0", "0 is not in the range"),
        ("-i -r", "one form at a time: raw or interpret"),
        ("-r --format csv", "one form at a time: raw or csv"),
    ],
)
def test_values_are_checked(options: str, message: str) -> None:
    result = auditdeck("search", *options.split(), "--input", "/dev/null")
    assert result.status == 2
    assert message in result.stderr


def test_a_name_that_only_the_log_knows_is_found(log: Path) -> None:
    assert found(log, "-ul", "alice") == [4]
    assert "no user is called 'alice'" in auditdeck("search", "-if", log, "-ui", "alice").stderr


def test_a_directory_and_auditd_s_own_logs(tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "audit.log.1").write_text(f'type=AVC msg={STAMP}: apparmor="STATUS"\n')
    (tmp_path / "audit.log.2").write_text(f'type=AVC msg={STAMP.replace("42", "41")}: apparmor="STATUS"\n')
    assert found(tmp_path) == [1, 2, 3, 4, 41, 42]
    settings = tmp_path / "auditd.conf"
    settings.write_text(f"local_events = yes\nlog_file = {log}\n")
    monkeypatch.setattr(sources, "AUDITD", settings)
    result = auditdeck("search", "--input-logs", "--json")
    assert len(result.stdout.splitlines()) == 6


ODD = "6120622722243B1B5B306D21"
"""a b'"$;<ESC>[0m!"""


@pytest.mark.parametrize(
    ("mode", "shown"),
    [
        ("raw", "a b'\"$;\x1b[0m!"),
        ("tty", "a b'\"$;\\033[0m!"),
        ("shell", "a\\ b\\'\\\"\\$;\\033[0m\\!"),
        ("shell_quote", "a\\ b\\'\\\"\\$\\;\\033\\[0m\\!"),
    ],
)
def test_escapes_are_those_of_ausearch(tmp_path: Path, mode: str, shown: str) -> None:
    """audit-userspace's auparse/interpret.c: tty_escape, shell_escape, shell_quote_escape."""
    log = tmp_path / "log"
    log.write_text(f"type=CWD msg={STAMP}: cwd={ODD}\n")
    result = auditdeck("search", "-if", log, "-i", "--escape", mode)
    assert result.stdout.splitlines()[-1].partition("cwd=")[2] == shown


def test_columns_more(log: Path) -> None:
    def table(*options: str) -> list[dict[str, str]]:
        result = auditdeck("search", "-if", log, "--format", "csv", "-m", "SYSCALL", *options)
        return list(csv.DictReader(io.StringIO(result.stdout)))

    [plain] = table()
    assert (plain["EVENT_KIND"], plain["SUBJ_KIND"], plain["RESULT"]) == ("audit-rule", "privileged-acct", "success")
    [more] = table("--extra-keys", "--extra-labels", "--extra-obj2", "--extra-time")
    names = list(more)
    assert names[3:12] == ["TIME", "YEAR", "MONTH", "DAY", "WEEKDAY", "HOUR", "MILLI", "GMT_OFFSET", "SERIAL_NUM"]
    assert names[-4:] == ["OBJ_LABEL", "OBJ_KIND", "HOW", "KEY"]
    assert (more["SUBJ_LABEL"], more["OBJ_LABEL"], more["KEY"]) == (LABEL, "system_u:object_r:etc_t:s0", "k")
    assert (more["YEAR"], more["MONTH"], more["MILLI"]) == ("2023", "11", "0")
    assert plain.items() <= more.items()


def test_more_columns_need_a_table(log: Path) -> None:
    result = auditdeck("search", "-if", log, "--extra-keys")
    assert (result.status, "--format csv" in result.stderr) == (2, True)
