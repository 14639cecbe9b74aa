"""The file output after a full disk, and after kill -9: every line once, and whole."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from auditdeck.eventlog.writer import Writer
from auditdeck.outputs.file import FileOutput
from auditdeck.outputs.formats.encode import same
from auditdeck.settings.model import FileSettings
from tests.faults.test_disk import fill, small
from tests.support.waiting import wait_for

__all__ = ["small"]

FOLLOW = """
import sys, time
from pathlib import Path
from auditdeck.outputs.file import FileOutput
from auditdeck.outputs.formats.encode import same
from auditdeck.settings.model import FileSettings
output = FileOutput(FileSettings(path=sys.argv[2], max_size=int(sys.argv[3]), keep=99), Path(sys.argv[1]), same)
output.start()
print("started", flush=True)
time.sleep(60)
"""


def document(number: int) -> bytes:
    return json.dumps({"n": number, "x": "y" * 700}).encode()


def numbers(*paths: Path) -> list[int]:
    return [json.loads(line)["n"] for path in paths for line in path.read_bytes().splitlines()]


def wait_until_read(output: FileOutput) -> None:
    deadline = time.monotonic() + 40
    while output.behind() or output.counts.error:
        assert time.monotonic() < deadline, output.counts
        time.sleep(0.05)


@pytest.mark.usefixtures("small")
def test_a_full_disk_doubles_nothing_and_glues_nothing(tmp_path: Path, small: Path) -> None:
    ballast = small / "ballast"
    output = FileOutput(FileSettings(path=str(small / "events.log")), tmp_path, same)
    with Writer(tmp_path / "events") as writer:
        output.start()
        writer.append([document(number) for number in range(1000)])
        wait_until_read(output)
        fill(ballast)
        writer.append([document(number) for number in range(1000, 1500)])
        wait_for(lambda: output.counts.error, 10)
        ballast.unlink()
        writer.append([document(number) for number in range(1500, 1600)])
        wait_until_read(output)
        output.stop(5)
    assert numbers(small / "events.log") == list(range(1600))


@pytest.mark.parametrize("max_size", [0, 300_000])
def test_kill_9_doubles_nothing(tmp_path: Path, max_size: int) -> None:
    """At random moments, many times, while it writes."""
    chance = random.Random(11)
    target = tmp_path / "events.log"
    command = [sys.executable, "-c", FOLLOW, str(tmp_path), str(target), str(max_size)]
    made = 0
    with Writer(tmp_path / "events") as writer:
        for _ in range(12):
            process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            assert process.stdout
            assert process.stdout.readline() == "started\n"
            end = time.monotonic() + chance.uniform(0.05, 0.6)
            while time.monotonic() < end:
                writer.append([document(number) for number in range(made, made + 40)])
                made += 40
                time.sleep(0.004)
            process.send_signal(signal.SIGKILL)
            process.wait(10)
            process.stdout.close()
        output = FileOutput(FileSettings(path=str(target), max_size=max_size, keep=99), tmp_path, same)
        output.start()
        wait_until_read(output)
        output.stop(5)
    older = sorted(tmp_path.glob("events.log.*"), key=lambda path: -int(path.name.split(".")[2]))
    assert not max_size or len(older) > 3
    texts = [subprocess.run(["zcat", "-f", path], capture_output=True, check=True).stdout for path in [*older, target]]
    found = [json.loads(line)["n"] for text in texts for line in text.splitlines()]
    assert found == list(range(made))


def test_what_others_wrote_stays_and_nothing_is_glued_to_it(tmp_path: Path) -> None:
    target = tmp_path / "events.log"
    target.write_bytes(b'{"of":"another"}\nhalf a li')
    with Writer(tmp_path / "events") as writer:
        writer.append([document(1)])
        output = FileOutput(FileSettings(path=str(target)), tmp_path, same)
        output.start()
        wait_until_read(output)
        output.stop(5)
    assert target.read_bytes() == b'{"of":"another"}\nhalf a li\n' + document(1) + b"\n"


def test_no_link_is_followed_where_others_may_write(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "shared", tmp_path / "victim"
    folder.mkdir()
    os.chmod(folder, 0o777)
    elsewhere.write_bytes(b"untouched\n")
    (folder / "events.log").symlink_to(elsewhere)
    with Writer(tmp_path / "events") as writer:
        writer.append([document(1)])
        output = FileOutput(FileSettings(path=str(folder / "events.log")), tmp_path, same)
        output.start()
        wait_for(lambda: output.counts.error, 10)
        assert "it is a link, in a folder where others may write" in output.counts.error
        with contextlib.suppress(FileNotFoundError):
            (folder / "events.log").unlink()
        wait_until_read(output)
        output.stop(5)
    assert elsewhere.read_bytes() == b"untouched\n"
    assert numbers(folder / "events.log") == [1]
