"""Tamper evidence: whatever is done to the event log afterwards is found and its place named, and nothing else is."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from auditdeck.collector.health import Counters, Health
from auditdeck.eventlog.chain import EVERY, compare, marks_path, read_chain, read_marks
from auditdeck.eventlog.retention import expire
from auditdeck.eventlog.segment import segment_path
from auditdeck.eventlog.writer import Limits, Writer, compress
from auditdeck.query.compaction import compact, parquet_path
from tests.support.run import auditdeck

LINES = 100


def lines(first: int, count: int = LINES) -> list[bytes]:
    return [b'{"@timestamp":"2026-11-01T12:00:00.000Z","n":%d}' % number for number in range(first, first + count)]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Segments 1 to 4 closed and compressed, 5 open."""
    with Writer(tmp_path / "events") as writer:
        for number in range(4):
            writer.append(lines(number * LINES))
            compress(tmp_path / "events", writer.rotate())
        writer.append(lines(4 * LINES))
    return tmp_path


def verify(data: Path, *options: object, given: bytes = b"") -> tuple[int, dict[str, Any]]:
    result = auditdeck("verify", "--json", "--data-dir", data, *options, given=given)
    return result.status, json.loads(result.stdout)


def packed(data: Path, number: int) -> Path:
    return data / "events" / f"{number:010d}.ndjson.gz"


def edit(data: Path, number: int, change: Callable[[list[bytes]], object]) -> None:
    """As somebody does who knows the form of the log, but not of its hashes."""
    path = packed(data, number)
    compressed = path.exists()
    path = path if compressed else path.with_suffix("")
    content = gzip.decompress(path.read_bytes()) if compressed else path.read_bytes()
    found = content.splitlines(keepends=True)
    change(found)
    path.write_bytes(gzip.compress(b"".join(found)) if compressed else b"".join(found))


def test_what_was_not_touched_verifies(data: Path) -> None:
    status, found = verify(data)
    assert (status, found["verified"], found["problems"]) == (0, True, [])
    assert (found["segments"], found["lines"], found["not_covered"], found["not_yet"]) == (5, 5 * LINES, [], 0)
    shown = auditdeck("verify", "--data-dir", data)
    assert (shown.status, shown.stdout) == (0, "")
    assert shown.stderr == "500 events in 5 segments are as they were written.\n"


CHANGES: dict[str, tuple[Callable[[list[bytes]], object], int, str]] = {
    "edited": (lambda found: found.__setitem__(49, found[49].replace(b"n", b"m")), 50, "edited or moved"),
    "moved": (lambda found: found.insert(70, found.pop(40)), 41, "edited or moved"),
    "removed": (lambda found: found.pop(20), 21, "1 event was removed"),
    "added": (lambda found: found.insert(97, found[3]), 98, "1 event was added"),
    "cut": (lambda found: found.__delitem__(slice(60, None)), 61, "40 events were removed"),
    "continued": (lambda found: found.extend(found[:2]), 101, "2 events were added"),
}


@pytest.mark.parametrize("number", [3, 5])
@pytest.mark.parametrize("what", CHANGES)
def test_the_first_event_that_was_changed_is_named(data: Path, what: str, number: int) -> None:
    change, line, text = CHANGES[what]
    edit(data, number, change)
    status, found = verify(data)
    [problem] = found["problems"]
    assert (status, problem["segment"]) == (1, number)
    first, last = problem["lines"]
    assert first <= line <= last
    assert last - first < EVERY + 40
    assert text in problem["text"]
    assert found["segments"] == 4


def remove(data: Path, number: int) -> None:
    packed(data, number).unlink()


def rename(data: Path, number: int, to: int) -> None:
    packed(data, number).rename(packed(data, to))


def copy(data: Path, number: int, to: int) -> None:
    packed(data, to).write_bytes(packed(data, number).read_bytes())


def shorten(data: Path, number: int) -> None:
    path = packed(data, number)
    path.write_bytes(path.read_bytes()[:-50])


def flip(data: Path, number: int) -> None:
    content = bytearray(packed(data, number).read_bytes())
    content[len(content) // 2] ^= 4
    packed(data, number).write_bytes(content)


def chain_line(data: Path, change: Callable[[list[bytes]], object]) -> None:
    path = data / "events" / "chain.ndjson"
    found = path.read_bytes().splitlines(keepends=True)
    change(found)
    path.write_bytes(b"".join(found))


FILES: dict[str, tuple[Callable[[Path], object], list[int], str]] = {
    "missing": (lambda data: remove(data, 2), [2], "is missing"),
    "the first is missing": (lambda data: remove(data, 1), [1], "is missing"),
    "truncated": (lambda data: shorten(data, 2), [2], "is damaged"),
    "one bit": (lambda data: flip(data, 2), [2], "is damaged"),
    "empty": (lambda data: packed(data, 2).write_bytes(b""), [2], "the file is empty"),
    "renamed over another": (lambda data: rename(data, 2, 3), [2, 3], "is missing"),
    "copied over another": (lambda data: copy(data, 2, 3), [3], "has the events of segment 2"),
    "duplicated": (lambda data: copy(data, 2, 9), [9], "was added, a copy of segment 2"),
    "renamed": (lambda data: rename(data, 2, 9), [2, 9], "is missing"),
    "entry removed": (lambda data: chain_line(data, lambda found: found.pop(1)), [3, 2], "does not follow"),
    "entry edited": (
        lambda data: chain_line(data, lambda found: found.__setitem__(1, found[1].replace(b"100", b"101"))),
        [2, 2],
        "was changed",
    ),
    "entries swapped": (lambda data: chain_line(data, list.reverse), [4, 3, 2, 1], "does not follow"),
    "chain is not JSON": (lambda data: chain_line(data, lambda found: found.__setitem__(1, b"{\xff\n")),
                          [None, 3, 2], "is not an entry"),
    "first entries removed": (lambda data: chain_line(data, lambda found: found.__delitem__(slice(2))),
                              [3, 1, 2], "does not follow"),
    "first entry removed": (lambda data: chain_line(data, lambda found: found.pop(0)), [2, 1], "does not follow"),
    "last entries removed": (lambda data: chain_line(data, lambda found: found.__delitem__(slice(2, None))), [3, 4],
                             "is missing at the end"),
    "all entries removed": (lambda data: chain_line(data, list.clear), [1, 2, 3, 4], "is missing at the end"),
    "chain removed": (lambda data: (data / "events" / "chain.ndjson").unlink(), [1, 2, 3, 4], "is missing"),
    "marks removed": (lambda data: (data / "events" / "0000000005.marks").unlink(), [5], "no entry and no marks"),
}  # fmt: skip


@pytest.mark.parametrize("what", FILES)
def test_files_that_are_not_what_they_were(data: Path, what: str) -> None:
    change, numbers, text = FILES[what]
    change(data)
    status, found = verify(data)
    assert status == 1
    assert [problem["segment"] for problem in found["problems"]] == numbers
    assert text in found["problems"][0]["text"]
    # A collector that goes on does not make it good.
    with Writer(data / "events") as writer:
        writer.append(lines(0))
        compress(data / "events", writer.rotate())
    status, again = verify(data)
    if "is missing at the end" in text:
        # All events are there; it makes the same entries again, which heads that were kept elsewhere fit.
        assert status == 0
    else:
        assert status == 1
        assert text in " ".join(problem["text"] for problem in again["problems"])


def test_an_open_segment_that_was_changed_meanwhile_is_not_written_further(data: Path) -> None:
    edit(data, 5, lambda found: found.pop(3))
    with Writer(data / "events") as writer:
        assert writer.number == 6
        writer.append(lines(0))
    status, found = verify(data)
    assert (status, [problem["segment"] for problem in found["problems"]]) == (1, [5])
    assert found["problems"][0]["lines"] == [1, EVERY]


def test_what_retention_deleted_is_not_missing(data: Path) -> None:
    with Writer(data / "events") as writer:
        os.utime(packed(data, 1), (1, 1))
        os.utime(packed(data, 2), (1, 1))
        assert expire(data / "events", max_size=0, max_age=3600, note=writer.expire) == (2, 0)
    assert not list((data / "events").glob("0000000001*"))
    assert verify(data)[0] == 0
    remove(data, 3)
    assert [problem["segment"] for problem in verify(data)[1]["problems"]] == [3]


def test_segments_from_before_are_not_covered(data: Path) -> None:
    for path in [*(data / "events").glob("*.marks"), data / "events" / "chain.ndjson"]:
        path.unlink()
    status, found = verify(data)
    assert (status, found["not_covered"], found["segments"]) == (0, [1, 2, 3, 4, 5], 0)
    with Writer(data / "events") as writer:
        writer.append(lines(0))
        writer.rotate()
    status, found = verify(data)
    assert (status, found["not_covered"], found["segments"]) == (0, [1, 2, 3, 4], 2)


def test_a_log_that_is_deleted_while_it_is_written(data: Path) -> None:
    with Writer(data / "events") as writer:
        segment_path(data / "events", 5).unlink()
        assert writer.look() == 0
        writer.append(lines(0))
    status, found = verify(data)
    assert (status, [problem["segment"] for problem in found["problems"]]) == (1, [5])


def test_signed_entries(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("0123456789abcdef\n")
    with Writer(tmp_path / "events", key=b"0123456789abcdef") as writer:
        for number in range(3):
            writer.append(lines(number * LINES))
            writer.rotate()
    settings = tmp_path / "auditdeck.yaml"
    settings.write_text(f"event_log: {{sign_key_file: {key}}}\n")
    assert verify(tmp_path, "-c", settings)[0] == 0
    with Writer(tmp_path / "unsigned" / "events") as writer:
        writer.append(lines(0))
        writer.rotate()
    status, found = verify(tmp_path / "unsigned", "-c", settings)
    assert (status, found["problems"][0]["text"]) == (1, "the end of chain.ndjson is not signed")
    with Writer(tmp_path / "unsigned" / "events", key=b"0123456789abcdef"):
        pass
    assert verify(tmp_path / "unsigned", "-c", settings)[0] == 0
    key.write_text("fedcba9876543210")
    status, found = verify(tmp_path, "-c", settings)
    assert (status, len(found["problems"])) == (1, 4)
    assert "is not that of the key" in found["problems"][0]["text"]
    key.write_text("0123456789abcdef")
    chain = tmp_path / "events" / "chain.ndjson"
    chain.write_text(re.sub('"hmac":".', '"hmac":"é', chain.read_text(), count=1))
    status, found = verify(tmp_path, "-c", settings)
    assert (status, len(found["problems"])) == (1, 1)
    assert "is not that of the key" in found["problems"][0]["text"]
    key.write_text("short")
    result = auditdeck("verify", "--data-dir", tmp_path, "-c", settings)
    assert (result.status, "too short" in result.stderr) == (1, True)


def test_a_log_that_was_written_anew_does_not_fit_heads_that_left_the_host(tmp_path: Path) -> None:
    def write(folder: Path, ending: bytes) -> bytes:
        found = []
        with Writer(folder / "events") as writer:
            health = Health(Counters(), lambda: {"name": "one"}, "audit", writer)
            for number in range(3):
                writer.append([b'{"n":%d%b}' % (n, ending) for n in range(number * 50, number * 50 + 50)])
                found.append(writer.head)
                health.report()
                writer.rotate()
        return json.dumps(found).encode()

    heads = write(tmp_path / "a", b"")
    forged = write(tmp_path / "b", b",")
    status, found = verify(tmp_path / "a", "--heads", "-", given=heads)
    assert (status, found["heads"]) == (0, 3)
    status, found = verify(tmp_path / "a", "--heads", "-", given=forged)
    assert (status, "was written anew" in found["problems"][0]["text"]) == (1, True)
    # Its own health documents have them.
    first = gzip.decompress if packed(tmp_path / "a", 1).exists() else bytes
    told = json.loads(first(segment_path(tmp_path / "a" / "events", 1).read_bytes()).splitlines()[-1])
    assert told["auditdeck"]["health"]["chain"] == json.loads(heads)[0]


def rewritten(path: Path, select: str) -> None:
    """As somebody does who keeps what the file says of itself."""
    with duckdb.connect() as connection:
        rows = connection.execute(f"SELECT decode(key), decode(value) FROM parquet_kv_metadata('{path}')").fetchall()
        told = ", ".join(f"'{key}': '{value}'" for key, value in rows if key.startswith("auditdeck"))
        connection.execute(f"CREATE TABLE kept AS SELECT * FROM read_parquet('{path}')")
        connection.execute(f"COPY ({select}) TO '{path}' (FORMAT parquet, KV_METADATA {{{told}}})")


PARQUET: dict[str, tuple[Callable[[Path], object], str]] = {
    "of another segment": (lambda path: compact(packed(path.parent.parent, 3), path), "was not made from it"),
    "a row less": (lambda path: rewritten(path, "SELECT * FROM kept LIMIT 99"), "has 99 rows, and the segment 100"),
    "another value": (lambda path: rewritten(path, "SELECT * REPLACE ('x' AS host) FROM kept"), "has other values"),
    "empty": (lambda path: path.write_bytes(b""), "cannot be read"),
    "something else": (lambda path: path.write_bytes(b"PAR1 and more PAR1"), "cannot be read"),
}


@pytest.mark.parametrize("what", PARQUET)
def test_parquet_that_disagrees_with_its_segment(data: Path, what: str) -> None:
    path = parquet_path(data, 2)
    compact(packed(data, 2), path)
    assert verify(data)[0] == 0
    change, text = PARQUET[what]
    change(path)
    status, found = verify(data)
    [problem] = found["problems"]
    assert (status, problem["segment"]) == (1, 2)
    assert f"the Parquet file of segment 2 {text}" in problem["text"]


def test_the_report_says_whether_what_it_counts_was_changed(data: Path) -> None:
    good = auditdeck("report", "--verify", "--data-dir", data)
    assert good.status == 0
    assert "are as they were written" in good.stdout
    assert "verification" not in json.loads(auditdeck("report", "--json", "--data-dir", data).stdout)
    edit(data, 2, lambda found: found.pop(5))
    wrong = auditdeck("report", "--verify", "--data-dir", data)
    assert wrong.status == 1
    assert "NOT AS IT WAS WRITTEN" in wrong.stdout
    told = auditdeck("report", "--verify", "--json", "--data-dir", data)
    _, found = verify(data)
    assert json.loads(told.stdout)["verification"] == found


def test_it_can_be_checked_by_hand(data: Path) -> None:
    """As docs/integrity.md says, with sha256sum and jq."""
    [_, entry, *_] = read_chain(data / "events")
    assert hashlib.sha256(gzip.decompress(packed(data, 2).read_bytes())).hexdigest() == entry.sha256
    text = f"{entry.previous} 2 {entry.lines} {entry.sha256}\n"
    assert hashlib.sha256(text.encode()).hexdigest() == entry.chain
    assert {path.stat().st_mode & 0o777 for path in (data / "events").iterdir()} == {0o600}


WRITE = """
import sys
from pathlib import Path
from auditdeck.eventlog.writer import Limits, Writer, compress
folder = Path(sys.argv[1])
with Writer(folder, Limits(segment_size=20_000)) as writer:
    print("ready", flush=True)
    n = 0
    while True:
        writer.append([b'{"n":%d}' % number for number in range(n, n + 7)])
        n += 7
        if n % 5 == 0:
            writer.sync()
        if writer.due():
            compress(folder, writer.rotate())
"""


def test_a_writer_that_is_killed_at_any_moment_leaves_a_log_that_verifies(tmp_path: Path) -> None:
    chance = random.Random(7)
    for _ in range(12):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITE, str(tmp_path / "events")], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
        time.sleep(chance.uniform(0, 0.15))
        # Also while it is written.
        assert verify(tmp_path)[1]["problems"] == []
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
        status, found = verify(tmp_path)
        assert (status, found["problems"]) == (0, []), found["problems"]
    with Writer(tmp_path / "events"):
        pass
    assert verify(tmp_path)[1]["lines"] > 1000


def test_a_mark_that_was_half_written_leaves_a_log_that_verifies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill takes effect between two pages of a write, a power cut between two sectors."""
    saved: list[tuple[bytes, int, bytes, bytes]] = []
    real = os.pwrite

    def pwrite(file: int, data: bytes, offset: int) -> int:
        before = Path(f"/proc/self/fd/{file}").read_bytes()
        saved.append((before, offset, data, segment.read_bytes()))
        return real(file, data, offset)

    monkeypatch.setattr(os, "pwrite", pwrite)
    segment = tmp_path / "0000000001.ndjson"
    chance = random.Random(7)
    number = 0
    with Writer(tmp_path) as writer:
        while number < 3000:
            count = chance.choice([1, 5, 31, 32, 33, 400])
            writer.append([b'{"n":%d}' % one for one in range(number, number + count)])
            number += count
            writer.sync()
    torn = 0
    copy = tmp_path / "copy" / segment.name
    copy.parent.mkdir()
    for before, offset, data, lines in saved[1:]:
        copy.write_bytes(lines)
        for place in range(offset // 512 * 512 + 512, offset + len(data), 512):
            done = place - offset
            marks_path(copy).write_bytes(before[:offset] + data[:done] + before[place:])
            found = compare([lines], read_marks(copy) or [])
            assert found.bad is None, (offset, done)
            torn += 1
    assert torn > 20


def test_every_moment_of_closing_a_segment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash at each call to the system in turn."""

    class Killed(BaseException):
        pass

    calls = ("open", "fsync", "write", "pwrite", "close")
    for moment in range(40):
        folder = tmp_path / str(moment) / "events"
        writer = Writer(folder)
        writer.append(lines(0))
        left = moment

        def killing(call: Callable[..., Any]) -> Callable[..., Any]:
            def wrapper(*args: Any, **more: Any) -> Any:
                nonlocal left
                if left == 0:
                    raise Killed
                left -= 1
                return call(*args, **more)

            return wrapper

        with monkeypatch.context() as patched:
            for name in calls:
                patched.setattr(os, name, killing(getattr(os, name)))
            try:
                compress(folder, writer.rotate())
                finished = True
            except Killed:
                finished = False
        os.close(writer.guard)
        status, found = verify(folder.parent)
        assert (status, found["problems"], found["lines"]) == (0, [], LINES), moment
        with Writer(folder, Limits()) as after:
            after.append(lines(LINES))
        status, found = verify(folder.parent)
        assert (status, found["problems"], found["lines"]) == (0, [], 2 * LINES), moment
        if finished:
            return
    pytest.fail("closing a segment takes more calls than were tried")
