"""What the collector notices when others change the kernel's audit under it, and what it leaves behind."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from auditdeck.audit.messages import Status
from auditdeck.audit.rules.files import parse_line
from auditdeck.collector.health import Counters
from auditdeck.collector.session import Session
from auditdeck.collector.watch import KernelWatch
from auditdeck.errors import KernelError
from tests.support.waiting import Clock

FOUND = Status(0, 1, 0, 0, 64, 5, 0, 0, 1234, 0)


def rule(text: str) -> bytes:
    statement = parse_line(text)
    assert statement
    assert statement.rule
    return statement.rule.to_bytes()


THEIRS, OURS, MORE = (
    rule(f"-a always,exit -F arch=b64 -S {call} -k {call}") for call in ("mkdir", "execve", "connect")
)
NEVER = rule("-a never,exit -F arch=b64 -S execve")
EXCLUDE = rule("-a always,exclude -F msgtype=SYSCALL")


class Kernel:
    """The part of the kernel's audit that a session talks to."""

    def __init__(self) -> None:
        self.state = FOUND
        self.loaded: list[bytes] = [THEIRS]
        self.silent = False

    def status(self) -> Status:
        if self.silent:
            raise KernelError("the kernel did not answer")
        return self.state

    def set(self, **values: int) -> None:
        self.state = replace(self.state, **values)

    def rules(self) -> list[bytes]:
        return list(self.loaded)

    def add_rule(self, data: bytes) -> None:
        self.loaded.append(data)

    def delete_rule(self, data: bytes) -> None:
        self.loaded.remove(data)

    def close(self) -> None:
        pass


class Capture:
    """The registration: made again, it is the kernel's at once."""

    multicast = False

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel

    def register(self, _: Kernel, **settings: int) -> None:
        self.kernel.set(pid=os.getpid(), **settings)

    def register_again(self) -> None:
        self.kernel.set(pid=os.getpid())

    def unregister(self) -> None:
        self.kernel.set(pid=0)

    def close(self) -> None:
        pass


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    kernel = Kernel()
    monkeypatch.setattr("auditdeck.collector.session.AuditSocket", lambda: kernel)
    monkeypatch.setattr("auditdeck.collector.session.Capture", lambda **_: Capture(kernel))
    return kernel


@pytest.fixture
def session(kernel: Kernel, tmp_path: Path) -> Iterator[Session]:
    session = Session(tmp_path / "state.json", receive_buffer=1)
    session.open({"backlog_limit": 8192, "failure": 0})
    for own in (OURS, MORE):
        kernel.add_rule(own)
    session.note_rules([THEIRS])
    return session


def watched(session: Session, keep: Any = "restore") -> tuple[KernelWatch, Clock]:
    clock = Clock()
    watch = KernelWatch(session, Counters(), keep, clock)
    clock.now += 2
    watch.look()
    assert watch.troubles == []
    clock.now += 2
    return watch, clock


CHANGES = {
    "switched off": lambda kernel: kernel.set(enabled=0),
    "rules were deleted": lambda kernel: kernel.loaded.remove(OURS),
    "3 audit rules|2 audit rules": lambda kernel: kernel.loaded.clear(),
    "to nobody": lambda kernel: kernel.set(pid=0),
}


@pytest.mark.parametrize("told", CHANGES)
def test_what_others_take_away_is_noticed_counted_and_put_back(
    kernel: Kernel, session: Session, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    watch, clock = watched(session)
    CHANGES[told](kernel)
    watch.look()
    assert any(part in " ".join(watch.troubles) for part in told.split("|"))
    assert watch.counters.unwatched == 2
    assert kernel.state.enabled == 1
    assert kernel.state.pid == os.getpid()
    assert [own for own in kernel.loaded if own in (OURS, MORE)] == [OURS, MORE]
    clock.now += 2
    watch.look()
    assert watch.troubles == []
    assert watch.counters.unwatched == 2
    assert [record.levelno for record in caplog.records] == [logging.ERROR, logging.WARNING]


@pytest.mark.parametrize("told", CHANGES)
def test_where_it_is_only_reported_the_time_goes_on_counting(kernel: Kernel, session: Session, told: str) -> None:
    watch, clock = watched(session, "report")
    CHANGES[told](kernel)
    changed = kernel.state, kernel.rules()
    for _ in range(3):
        watch.look()
        clock.now += 2
    assert (kernel.state, kernel.rules()) == changed
    assert watch.counters.unwatched == 6


@pytest.mark.parametrize("foreign", [[NEVER, OURS, MORE], [OURS, MORE, EXCLUDE]])
def test_rules_of_others_that_hide_events_are_told_and_left_alone(
    kernel: Kernel, session: Session, foreign: list[bytes]
) -> None:
    watch, clock = watched(session)
    kernel.loaded = [THEIRS, *foreign]
    for _ in range(2):
        watch.look()
        clock.now += 2
    assert watch.troubles == ["audit rules of others keep events from being recorded: 1"]
    assert watch.counters.unwatched == 4
    assert kernel.loaded == [THEIRS, *foreign]


def test_a_rule_behind_all_others_of_its_list_hides_nothing(kernel: Kernel, session: Session) -> None:
    watch, _ = watched(session)
    kernel.loaded.append(NEVER)
    watch.look()
    assert watch.troubles == []


def test_a_kernel_that_does_not_answer_is_time_not_watched(kernel: Kernel, session: Session) -> None:
    watch, _ = watched(session)
    kernel.silent = True
    watch.look()
    assert "cannot be read" in watch.troubles[0]
    assert watch.counters.unwatched == 2


def test_records_that_the_kernel_lost_are_those_since_the_start(kernel: Kernel, session: Session) -> None:
    watch, _ = watched(session)
    kernel.set(lost=12, backlog=3)
    watch.look()
    assert (watch.counters.lost, watch.counters.backlog) == (7, 3)


def test_at_the_end_only_its_own_changes_are_taken_back(kernel: Kernel, session: Session) -> None:
    came = rule("-a always,exit -F arch=b64 -S chmod -k chmod")
    kernel.loaded.remove(THEIRS)
    kernel.loaded.append(came)
    kernel.set(backlog_limit=99)
    session.close()
    assert kernel.loaded == [came]
    assert (kernel.state.enabled, kernel.state.backlog_limit, kernel.state.failure) == (0, 99, 1)
    assert not session.state.exists()


def test_rules_that_it_deleted_itself_come_back(kernel: Kernel, session: Session) -> None:
    kernel.loaded.remove(THEIRS)
    session.note_rules([THEIRS, OURS, MORE])
    session.close()
    assert kernel.loaded == [THEIRS]


def test_another_daemon_that_came_keeps_audit_on(kernel: Kernel, session: Session) -> None:
    kernel.set(pid=os.getppid())
    session.close()
    assert kernel.state.enabled == 1


def test_after_a_crash_what_the_first_run_found_is_put_back(kernel: Kernel, session: Session) -> None:
    again = Session(session.state, receive_buffer=1)
    again.open({"backlog_limit": 8192, "failure": 0})
    again.note_rules(kernel.rules())
    assert again.crashed
    assert again.own_rules == [OURS, MORE]
    again.close()
    assert kernel.loaded == [THEIRS]
    assert kernel.state == replace(FOUND, pid=0)
