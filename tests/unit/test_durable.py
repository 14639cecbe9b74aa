"""What is on the disk before something else relies on it: the order of fsync(2) and rename(2)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from auditdeck.eventlog.cursor import Cursor
from auditdeck.eventlog.reader import Position
from auditdeck.eventlog.writer import Writer, compress
from auditdeck.outputs.file import FileOutput
from auditdeck.outputs.formats.encode import same
from auditdeck.settings.model import FileSettings
from tests.support.waiting import wait_for


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was synced, and what became a file's name, in their order."""
    found: list[str] = []

    def synced(descriptor: int) -> None:
        found.append(f"sync {Path(os.readlink(f'/proc/self/fd/{descriptor}')).name}")

    replace = Path.replace

    def replaced(path: Path, target: Path) -> Path:
        found.append(f"name {target.name}")
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "fdatasync", synced)
    monkeypatch.setattr(Path, "replace", replaced)
    return found


def test_what_is_written_is_synced_by_the_clock(tmp_path: Path, done: list[str]) -> None:
    with Writer(tmp_path / "events") as writer:
        writer.append([b"{}"])
        done.clear()
        writer.sync()
        assert done == ["sync 0000000001.ndjson"]
        writer.sync()
        assert len(done) == 1, "nothing is new"


def test_a_segment_is_on_the_disk_in_full_before_its_other_form_goes(tmp_path: Path, done: list[str]) -> None:
    with Writer(tmp_path) as writer:
        writer.append([b"{}"])
        number = writer.rotate()
    assert "sync 0000000001.ndjson" in done
    done.clear()
    compress(tmp_path, number)
    assert done == ["sync 0000000001.ndjson.partial", "name 0000000001.ndjson.gz"]


def test_no_cursor_is_ahead_of_its_log(tmp_path: Path, done: list[str]) -> None:
    with Writer(tmp_path / "events") as writer:
        writer.append([b"{}"])
        done.clear()
        Cursor(tmp_path, "one").save(Position(1, 3))
    assert done[:3] == ["sync 0000000001.ndjson", "sync one.partial", "name one.json"]


def test_a_file_is_on_the_disk_before_its_lines_count_as_delivered(tmp_path: Path, done: list[str]) -> None:
    with Writer(tmp_path / "events") as writer:
        writer.append([b"{}"])
    output = FileOutput(FileSettings(path=str(tmp_path / "audit.log")), tmp_path, same)
    done.clear()
    output.start()
    wait_for(lambda: output.counts.sent and not output.behind())
    output.stop(0)
    assert done.index("sync audit.log") < done.index("name file.json")
