"""A disk that is full, and files that are taken away: counted, said once, and it goes on."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.build import traffic
from tests.support.collector import COMMAND, Collector, as_user, collector
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.kernel, pytest.mark.usefixtures("audit"), pytest.mark.timeout(120)]

USER = 64400


def connect(user: int, count: int) -> None:
    as_user(user, traffic("faulty"), "blocking", str(count), "127.0.0.1", "9")
    time.sleep(0.4)


def kept(folder: Path, user: int) -> int:
    lines = [line for path in (folder / "events").glob("*.ndjson") for line in path.read_bytes().splitlines()]
    documents = [json.loads(line) for line in lines]
    return sum(document.get("user", {}).get("id") == str(user) for document in documents)


def fill(ballast: Path) -> None:
    with open(ballast, "wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 4096)


def counters(running: Collector) -> dict[str, int]:
    """Of a status that is written from now on."""
    path = running.data_dir / "status.json"
    before = path.stat().st_mtime_ns if path.exists() else 0
    wait_for(lambda: path.exists() and path.stat().st_mtime_ns != before)
    found: dict[str, int] = running.status()["counters"]
    return found


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "auditdeck-test", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_counted_and_survived(small: Path) -> None:
    with collector(small / "data", source="tracepoint") as running:
        connect(USER, 100)
        ballast = small / "ballast"
        fill(ballast)
        connect(USER + 1, 2000)
        ballast.unlink()
        connect(USER + 2, 100)
        found = counters(running)
        running.stop()
        said = running.log.read_text()
    assert kept(small / "data", USER) == kept(small / "data", USER + 2) == 100
    lost = 2000 - kept(small / "data", USER + 1)
    assert 0 < lost <= found["dropped"]
    assert said.count("cannot write the event log") == 1
    assert "write the event log: works again" in said
    assert "Traceback" not in said


def remount(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True)


@pytest.mark.parametrize("there", [True, False], ids=["with a data folder", "without one"])
def test_it_starts_on_a_full_disk_and_begins_to_write_when_there_is_room(
    small: Path, tmp_path: Path, there: bool
) -> None:
    if there:
        (small / "data").mkdir()
    fill(small / "ballast")
    remount(small, "nr_inodes=5")
    starts_and_writes_later(small, tmp_path, lambda: (remount(small, "nr_inodes=500"), (small / "ballast").unlink()))


def test_it_starts_on_a_read_only_disk(small: Path, tmp_path: Path) -> None:
    remount(small, "ro")
    starts_and_writes_later(small, tmp_path, lambda: remount(small, "rw"))


def starts_and_writes_later(small: Path, tmp_path: Path, give_room: Callable[[], object]) -> None:
    log = tmp_path / "log"
    command = [*COMMAND, "run", "--data-dir", str(small / "data"), "--no-default-rules"]
    with open(log, "w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        running = Collector(process, small / "data", log)
        running.wait_ready()
        connect(USER + 5, 50)
        give_room()
        connect(USER + 6, 50)
        assert counters(running)["dropped"] >= 50
        running.stop()
    finally:
        if process.poll() is None:
            process.kill()
    assert (kept(small / "data", USER + 5), kept(small / "data", USER + 6)) == (0, 50)
    said = log.read_text()
    assert said.count("cannot write the event log") == 1
    assert "write the event log: works again" in said
    assert "Traceback" not in said


def test_an_events_folder_that_is_deleted(tmp_path: Path) -> None:
    with collector(tmp_path / "data", source="tracepoint") as running:
        connect(USER + 3, 300)
        shutil.rmtree(tmp_path / "data" / "events")
        time.sleep(2.5)
        connect(USER + 4, 200)
        found = counters(running)
        running.stop()
        said = running.log.read_text()
    assert kept(tmp_path / "data", USER + 4) == 200
    assert found["dropped"] >= 300
    assert "was deleted, with" in said
    assert not (tmp_path / "data" / "events" / "0000000001.ndjson").exists(), "no number is used twice"
