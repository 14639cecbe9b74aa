"""Importing old logs: all or none, once, from whatever is left of them, within bounded memory."""

from __future__ import annotations

import gzip
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from auditdeck.cli import import_
from auditdeck.eventlog.segment import segments
from auditdeck.eventlog.writer import Limits, Writer
from tests.support.run import Result, auditdeck
from tests.unit.test_damaged_log import flip

RECORD = (
    'type=USER_LOGIN msg=audit(17000{0:05}.123:{0}): pid=7 uid=0 auid=0 ses=1 msg=\'op=login acct="ada" '
    'exe="/usr/sbin/sshd" hostname=? addr=? terminal=ssh res=success\'\n'
)


def log(path: Path, first: int, count: int = 100) -> Path:
    text = "".join(RECORD.format(number) for number in range(first, first + count)).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


def imports(data: Path, *files: object, given: bytes = b"") -> Result:
    return auditdeck("import", "--json", "--data-dir", data, *files, given=given)


def found(data: Path) -> list[int]:
    """The serials that are there; the log verifies."""
    shown = auditdeck("verify", "--data-dir", data)
    assert (shown.status, shown.stdout) == (0, "")
    shown = auditdeck("search", "--json", "--data-dir", data)
    return [json.loads(line)["auditd"]["sequence"] for line in shown.stdout.splitlines()]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many segments."""
    monkeypatch.setattr(import_, "Limits", lambda *_: Limits(segment_size=10_000))


def test_one_that_cannot_be_read_leaves_all_others_out(tmp_path: Path) -> None:
    result = imports(tmp_path / "data", log(tmp_path / "1.log", 0), tmp_path / "absent.log")
    assert result.status == 1
    assert "cannot read" in result.stderr
    assert "nothing was imported" in result.stderr
    assert not (tmp_path / "data").exists()


@pytest.mark.usefixtures("small")
def test_a_log_is_imported_once(tmp_path: Path) -> None:
    data = tmp_path / "data"
    one, two = log(tmp_path / "1.log", 0), log(tmp_path / "2.log.gz", 100)
    with Writer(data / "events") as writer:
        writer.append([b'{"@timestamp":"2026-11-01T12:00:00.000Z","auditd":{"sequence":-1}}'])
    assert json.loads(imports(data, one).stdout) == {"events": 100, "damaged": 0}
    again = imports(data, one, two)
    assert (again.status, json.loads(again.stdout)["events"]) == (0, 100)
    assert "1.log: imported before" in again.stderr
    assert found(data) == [-1, *range(200)]
    piped = imports(data, "-", given=log(tmp_path / "3.log", 200).read_bytes())
    assert piped.status == 0
    piped = imports(data, "-", given=(tmp_path / "3.log").read_bytes())
    assert (piped.status, "imported before" in piped.stderr) == (1, True)
    assert found(data) == [-1, *range(300)]
    assert imports(data, "--again", one).status == 0
    assert len(found(data)) == 401
    assert (data / "imports.ndjson").stat().st_mode & 0o777 == 0o600
    assert not (data / "import").exists()


def killed(data: Path, files: tuple[Path, ...], call: str, moment: int) -> int:
    """An import in a process of its own, killed in its `moment`-th call to the system; how many calls it made."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        real, tell, count = getattr(os, call), os.write, 0

        def counting(*arguments: object, **more: object) -> object:
            nonlocal count
            count += 1
            if count == moment:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments, **more)

        setattr(os, call, counting)
        imports(data, *files)
        tell(write, b"%d" % count)
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as told:
        calls = int(told.read() or 0)
    os.waitpid(child, 0)
    return calls


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("call", ["write", "fsync", "pwrite", "unlink", "replace", "open"])
def test_repeated_after_it_was_killed_at_any_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    monkeypatch.setattr(import_, "pack", lambda *_: None)
    files = log(tmp_path / "1.log", 0, 20), log(tmp_path / "2.log", 20, 20)
    calls = killed(tmp_path / "whole", files, call, -1)
    assert calls > 3
    for moment in range(1, calls + 1, calls // 10 + 1):
        data = tmp_path / str(moment)
        assert killed(data, files, call, moment) == 0
        seen = found(data) if (data / "events").is_dir() else []
        assert len(seen) == len(set(seen))
        assert imports(data, *files).status == 0
        assert found(data) == list(range(40))


def test_a_process_that_is_killed(tmp_path: Path) -> None:
    chance = random.Random(3)
    big = log(tmp_path / "1.log", 0, 20_000)
    command = [sys.executable, "-m", "auditdeck", "import", "--data-dir", str(tmp_path / "data"), str(big)]
    for _ in range(3):
        running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(chance.uniform(0.2, 1.2))
        running.send_signal(signal.SIGKILL)
        running.wait()
    subprocess.run(command, check=True, capture_output=True)
    assert len(set(found(tmp_path / "data"))) == len(found(tmp_path / "data")) == 20_000


@pytest.mark.parametrize(
    ("damage", "least"),
    [
        (lambda content: content.__delitem__(slice(len(content) // 2, None)), 0.49),
        (lambda content: flip(len(content) // 2)(content), 0.4),
        (lambda content: content.extend(b"\0" * 512), 1.0),
        (lambda content: content.extend(b"something else"), 1.0),
        (lambda content: content.__setitem__(slice(None), b""), 0.0),
        (lambda content: content.__setitem__(slice(None), b"not compressed"), 0.0),
    ],
    ids=["cut", "one bit", "padded", "something behind", "empty", "not gzip"],
)
def test_a_damaged_gz_is_read_as_far_as_it_goes(tmp_path: Path, damage, least: float) -> None:  # type: ignore[no-untyped-def]
    path = log(tmp_path / "1.log.gz", 0, 20_000)
    content = bytearray(path.read_bytes())
    damage(content)
    path.write_bytes(content)
    result = imports(tmp_path / "data", path)
    answer = json.loads(result.stdout)
    assert least * 20_000 <= answer["events"] <= 20_000
    assert result.status == (3 if answer["damaged"] else 0)
    assert bool(answer["damaged"]) == (least < 1 or content.endswith(b"else"))
    if answer["damaged"]:
        assert "cannot be read any further" in result.stderr or "not an audit record" in result.stderr


def peak(*words: object) -> tuple[int, int, bytes]:
    """Exit status, MiB of memory and standard output of a command."""
    # ru_maxrss would have that of this process, before exec, as well.
    code = (
        "import sys\nfrom auditdeck.cli.main import main\ntry:\n    main()\nfinally:\n"
        "    print(open('/proc/self/status').read().partition('VmHWM:')[2].split()[0], file=sys.stderr)"
    )
    ran = subprocess.run([sys.executable, "-c", code, *map(str, words)], capture_output=True, check=False)
    return ran.returncode, int(ran.stderr.split()[-1]) // 1024, ran.stdout


def test_a_bomb_and_a_long_line_take_little_memory(tmp_path: Path) -> None:
    record = RECORD.format(1).encode()
    bomb = tmp_path / "bomb.gz"
    with gzip.open(bomb, "wb", compresslevel=1) as file:
        for _ in range(500):
            file.write(bytes(1 << 20))
        file.write(b"\n" + record)
    long = tmp_path / "long.log"
    with open(long, "wb") as file:
        file.write(record)
        for _ in range(200):
            file.write(b"type=SYSCALL msg=audit(1700000000.000:9): " + b"x" * (1 << 20))
        file.write(b"\n" + RECORD.format(2).encode())
    for path, events in ((bomb, 1), (long, 2)):
        status, memory, out = peak("import", "--json", "--data-dir", tmp_path / path.stem, path)
        assert (status, json.loads(out)) == (3, {"events": events, "damaged": 1})
        assert memory < 300, path
    assert len(segments(tmp_path / "bomb" / "events")) == 2
