"""Jobs by the clock, and work that the disk refuses."""

from __future__ import annotations

import logging

import pytest

from auditdeck.collector.attempts import Attempts
from auditdeck.collector.housekeeper import Housekeeper, Job
from auditdeck.errors import StoreError
from tests.support.waiting import Clock


def test_each_job_is_done_when_it_is_due_and_in_the_order_of_the_list() -> None:
    done: list[str] = []
    clock = Clock()
    jobs = [Job(1, "look", lambda: done.append("look")), Job(2.5, "sync", lambda: done.append("sync"))]
    housekeeper = Housekeeper(jobs, Attempts(), clock)
    for _ in range(5):
        clock.now += 1
        housekeeper.look()
    assert done == ["look", "look", "look", "sync", "look", "look"]


@pytest.mark.parametrize(("every", "nap"), [([5, 30], 1.0), ([0.25, 5], 0.25), ([0.001], 0.1)])
def test_it_wakes_no_more_often_than_needed(every: list[float], nap: float) -> None:
    assert Housekeeper([Job(seconds, "", lambda: None) for seconds in every], Attempts()).nap == nap


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), StoreError("cannot write: no space")])
def test_what_the_disk_refuses_is_said_once_and_ends_nothing(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    done = []
    full = True

    def write() -> None:
        if full:
            raise error
        done.append("written")

    attempts, clock = Attempts(), Clock()
    housekeeper = Housekeeper(
        [Job(1, "write the log", write), Job(1, "look", lambda: done.append("look"))], attempts, clock
    )
    for _ in range(3):
        clock.now += 1
        housekeeper.look()
    assert done == ["look"] * 3
    assert attempts.failing == {"write the log"}
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    full = False
    clock.now += 1
    housekeeper.look()
    assert done[-2:] == ["written", "look"]
    assert not attempts.failing
    assert [record.levelno for record in caplog.records] == [logging.ERROR, logging.WARNING]


def test_an_error_of_ours_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        Attempts().attempt("count", lambda: 1 // 0)
