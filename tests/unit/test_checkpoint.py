"""`auditdeck search --checkpoint`: each event once, however often it is asked, and as ausearch notes it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from auditdeck.eventlog.writer import Writer
from tests.support.arriving import WHO
from tests.support.run import Result, auditdeck
from tests.unit.test_search import document


def user(serial: int, second: int = 0) -> str:
    return f"type=USER_LOGIN msg=audit({1_700_000_000 + second}.123:{serial}): pid=1 uid=0 msg='op=login res=success'\n"


def call(serial: int, second: int = 0, *, title: bool = True) -> str:
    head = f"msg=audit({1_700_000_000 + second}.123:{serial})"
    made = f"type=SYSCALL {head}: arch=c000003e syscall=42 success=yes exit=0 a0=1 a1=2 a2=3 a3=4 items=0 {WHO}\n"
    return made + (f'type=PROCTITLE {head}: proctitle="x"\n' if title else "")


@pytest.fixture
def log(tmp_path: Path) -> Path:
    file = tmp_path / "audit.log"
    file.write_text(user(1) + call(2) + user(3))
    return file


def search(where: Path, *options: str) -> Result:
    mark = where.parent / "mark" if where.is_file() else where / "mark"
    return auditdeck("search", "-if", where, "--checkpoint", mark, "--json", *options)


def serials(result: Result) -> list[int]:
    return [json.loads(line)["auditd"]["sequence"] for line in result.stdout.splitlines()]


def append(log: Path, text: str) -> None:
    with open(log, "a") as file:
        file.write(text)


def test_only_what_is_new(log: Path) -> None:
    assert serials(search(log)) == [1, 2, 3]
    assert (search(log).status, serials(search(log))) == (1, [])
    append(log, user(4, 1) + call(5, 1))
    assert serials(search(log)) == [4, 5]


def test_what_did_not_match_is_not_looked_at_again(log: Path) -> None:
    assert serials(search(log, "-m", "SYSCALL")) == [2]
    assert serials(search(log)) == []


def test_an_event_that_is_being_written_comes_when_it_is_whole(log: Path) -> None:
    append(log, call(4, title=False))
    assert serials(search(log)) == [1, 2, 3]
    append(log, 'type=PROCTITLE msg=audit(1700000000.123:4): proctitle="x"\n')
    assert serials(search(log)) == [4]


def test_it_goes_on_over_a_rotation(tmp_path: Path, log: Path) -> None:
    assert serials(search(tmp_path)) == [1, 2, 3]
    append(log, user(4))
    log.rename(tmp_path / "audit.log.1")
    log.write_text(user(5))
    assert serials(search(tmp_path)) == [4, 5]
    assert serials(search(tmp_path)) == []


def test_the_file_has_ausearch_s_form(log: Path) -> None:
    search(log)
    status = log.stat()
    assert (log.parent / "mark").read_text() == (
        f"dev=0x{status.st_dev:X}\ninode={status.st_ino}\noutput=- 1700000000.123:3 0x458\n"
    )


def test_a_log_that_is_gone_and_an_event_that_is_gone(tmp_path: Path, log: Path) -> None:
    search(log)
    append(log, user(4, 5))
    kept = log.read_text()
    log.write_text(user(9, 60))
    result = search(log)
    assert (result.status, result.stdout) == (12, "")
    assert "is not there any more" in result.stderr
    assert "--start checkpoint" in result.stderr
    (tmp_path / "other.log").write_text(kept)
    log.unlink()
    result = search(tmp_path / "other.log")
    assert result.status == 10
    assert "the log of the checkpoint is not among" in result.stderr
    assert serials(search(tmp_path / "other.log", "--start", "checkpoint")) == [1, 2, 3, 4]
    assert serials(search(tmp_path / "other.log")) == []


def test_a_file_that_is_none(log: Path) -> None:
    (log.parent / "mark").write_text("nonsense")
    result = search(log)
    assert (result.status, "is not a checkpoint" in result.stderr) == (10, True)
    assert auditdeck("search", "-if", log, "--start", "checkpoint").status == 2


def test_the_event_log(tmp_path: Path) -> None:
    def found() -> list[int]:
        return serials(auditdeck("search", "--data-dir", tmp_path, "--checkpoint", tmp_path / "mark", "--json"))

    with Writer(tmp_path / "events") as writer:
        writer.append([document(1), document(2)])
        assert found() == [1, 2]
        writer.append([document(3)])
        writer.rotate()
        assert found() == [3]
        assert found() == []
