"""Damaged bytes in the event log: counted and passed over by every command, and all that is whole is answered."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from auditdeck.collector.health import Counters
from auditdeck.collector.segments import Segments
from auditdeck.eventlog.reader import SETTLED, Reader
from auditdeck.eventlog.segment import segment_path
from auditdeck.eventlog.writer import Writer, compress
from auditdeck.query.compaction import compact, footer, parquet_path
from auditdeck.settings.model import EventLog, StoreSettings
from tests.support.run import auditdeck
from tests.unit.test_report import WINDOW, connection

EACH = 50


def document(number: int) -> bytes:
    made = connection(1 + number % 3, "ada", "/usr/bin/curl", process__pid=number, auditd__sequence=number)
    return json.dumps(made, separators=(",", ":")).encode()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Segment 1 compacted, 2 compressed, 3 open: 50 connections each."""
    events = tmp_path / "events"
    with Writer(events) as writer:
        for number in range(2):
            writer.append([document(n) for n in range(number * EACH, number * EACH + EACH)])
            compress(events, writer.rotate())
        writer.append([document(n) for n in range(2 * EACH, 3 * EACH)])
    compact(packed(tmp_path, 1), parquet_path(tmp_path, 1))
    return tmp_path


def packed(data: Path, number: int) -> Path:
    return segment_path(data / "events", number).with_suffix(".ndjson.gz")


def changed(path: Path, change: Callable[[bytearray], object]) -> None:
    content = bytearray(path.read_bytes())
    change(content)
    path.write_bytes(content)


def line(data: Path, number: int, becomes: bytes) -> None:
    """Another line in the open segment."""
    path = segment_path(data / "events", 3)
    found = path.read_bytes().splitlines(keepends=True)
    found[number] = becomes
    path.write_bytes(b"".join(found))


def flip(place: int) -> Callable[[bytearray], None]:
    def change(content: bytearray) -> None:
        content[place] ^= 0x10

    return change


def parquet(data: Path) -> Path:
    return parquet_path(data, 1)


ALL = 3 * EACH
# What is damaged; what the report counts, and tells as damaged; what search finds, and tells as damaged.
DAMAGE: dict[str, tuple[Callable[[Path], object], int, int, int, int]] = {
    "nothing": (lambda data: data, ALL, 0, ALL, 0),
    "a closed segment is empty": (lambda data: packed(data, 2).write_bytes(b""), 100, 1, 100, 1),
    "the open segment is empty": (lambda data: segment_path(data / "events", 3).write_bytes(b""), 100, 0, 100, 0),
    "one bit of a closed segment": (lambda data: changed(packed(data, 2), flip(200)), 100, 1, 100, 1),
    "one bit of its CRC": (lambda data: changed(packed(data, 2), flip(-7)), 100, 1, 100, 1),
    "one bit of its header": (lambda data: changed(packed(data, 2), flip(1)), 100, 1, 100, 1),
    "a closed segment was cut": (lambda data: changed(packed(data, 2), lambda c: c.__delitem__(slice(300, None))),
                                 100, 1, 100, 1),
    "a closed segment is something else": (lambda data: packed(data, 2).write_bytes(b"PK" * 90), 100, 1, 100, 1),
    "something behind its end": (lambda data: changed(packed(data, 2), lambda c: c.extend(b"more")), ALL, 1, ALL, 1),
    "a segment is missing": (lambda data: packed(data, 2).unlink(), 100, 0, 100, 0),
    "JSON of a line": (lambda data: line(data, 7, document(1)[:-9] + b"\n"), 149, 1, 149, 1),
    "UTF-8 of a line": (lambda data: line(data, 7, document(1).replace(b"curl", b"c\xffrl") + b"\n"), 149, 1, 149, 1),
    "NUL bytes": (lambda data: line(data, 7, bytes(700) + b"\n"), 149, 1, 149, 1),
    "a line is a list": (lambda data: line(data, 7, b"[1, 2]\n"), 149, 1, 149, 1),
    "a line is empty JSON": (lambda data: line(data, 7, b"{}\n"), 149, 1, 149, 1),
    "a line without a time": (lambda data: line(data, 7, document(1).replace(b"2026-11-0", b"2026-99-0") + b"\n"),
                              149, 1, 149, 1),
    "two lines glued": (lambda data: line(data, 7, document(1)[:60] + document(2) + b"\n"), 149, 1, 149, 1),
    "a line in pieces": (lambda data: line(data, 7, document(1)[:99] + b"\n" + document(1)[99:] + b"\n"),
                         149, 2, 149, 2),
    "the last line is not whole": (lambda data: line(data, EACH - 1, document(1)[:-9]), 149, 0, 149, 0),
    "Parquet is empty": (lambda data: parquet(data).write_bytes(b""), ALL, 0, ALL, 0),
    "Parquet was cut": (lambda data: changed(parquet(data), lambda c: c.__delitem__(slice(900, None))), ALL, 0, ALL, 0),
    "Parquet is something else": (lambda data: parquet(data).write_bytes(b"PAR1 and more PAR1"), ALL, 0, ALL, 0),
    "bytes of Parquet": (lambda data: changed(parquet(data), lambda c: c.__setitem__(slice(8, 90), bytes(82))),
                         ALL, 0, ALL, 0),
    "Parquet of another segment": (lambda data: compact(packed(data, 2), parquet(data)), ALL, 0, ALL, 0),
    "Parquet without its segment, cut": (
        lambda data: (packed(data, 1).unlink(), changed(parquet(data), lambda c: c.__delitem__(slice(900, None)))),
        100, 1, 100, 0,
    ),
    "a foreign file among Parquet": (lambda data: (data / "parquet" / "notes.parquet").write_bytes(b"x"),
                                     ALL, 0, ALL, 0),
    "segment and Parquet": (lambda data: (changed(packed(data, 1), flip(200)), parquet(data).write_bytes(b"")),
                            100, 1, 100, 1),
}  # fmt: skip


@pytest.mark.parametrize("what", DAMAGE)
def test_every_command_goes_on(data: Path, what: str, caplog: pytest.LogCaptureFixture) -> None:
    damage, connections, told, found, passed_over = DAMAGE[what]
    damage(data)
    report = auditdeck("report", "--json", "--data-dir", data, *WINDOW)
    assert report.status == 0, report.stderr
    answer = json.loads(report.stdout)
    assert (answer["outbound_tcp"]["connections"], answer["quality"]["damaged"]) == (connections, told)
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        search = auditdeck("search", "--json", "--data-dir", data)
    assert (search.status, len(search.stdout.splitlines())) == (0, found)
    said = f"{passed_over} damaged lines or places of the event log were passed over"
    assert (said in caplog.text) == bool(passed_over)
    assert auditdeck("aureport", "--summary", "--data-dir", data).status in (0, 1)
    assert auditdeck("verify", "--data-dir", data).status in (0, 1)


@pytest.mark.parametrize("what", DAMAGE)
def test_compaction_goes_on_and_tells(data: Path, what: str) -> None:
    """The same numbers when the collector has made Parquet of what there is."""
    damage, connections, told, _, _ = DAMAGE[what]
    damage(data)
    with Writer(data / "events") as writer:
        segments = Segments(data, writer, EventLog(), StoreSettings(), [], Counters())
        segments.take_left_over()
        for number in segments.packing:
            compact(packed(data, number), parquet_path(data, number))
    assert all(footer(path) for path in (data / "parquet").glob("0*.parquet")) or "without its segment" in what
    report = auditdeck("report", "--json", "--data-dir", data, *WINDOW)
    answer = json.loads(report.stdout)
    assert (answer["outbound_tcp"]["connections"], answer["quality"]["damaged"]) == (connections, told)


def test_a_bit_costs_one_block_of_a_segment(tmp_path: Path) -> None:
    """And no byte of what is damaged is given out."""
    events = tmp_path / "events"
    lines = [b'{"n":%d,"x":"%s"}' % (number, b"%x" % (number**150)) for number in range(20_000)]
    with Writer(events) as writer:
        for start in range(0, len(lines), 100):
            writer.append(lines[start : start + 100])
        compress(events, writer.rotate())
        changed(packed(tmp_path, 1), flip(packed(tmp_path, 1).stat().st_size // 2))
        writer.append([b'{"n":-1}'])
        found = []
        with Reader(events) as reader:
            while more := reader.read():
                found += more
        assert reader.damaged == 1
    assert set(found) <= {*lines, b'{"n":-1}'}
    numbers = [json.loads(text)["n"] for text in found]
    assert numbers == [*sorted(numbers[:-1]), -1]
    lost = sum(map(len, lines)) - sum(map(len, found))
    assert 0 < lost <= 2 << 20


def test_reading_many_segments_does_not_list_the_folder_each_time(tmp_path: Path) -> None:
    with Writer(tmp_path) as writer:
        for number in range(60):
            writer.append([b'{"n":%d}' % number])
            writer.rotate()
        time.sleep(2 * SETTLED)
        with Reader(tmp_path) as reader:
            found = []
            while more := reader.read():
                found += more
            assert len(found) == 60
            assert reader.listing.times == 1
            writer.append([b'{"n":60}'])
            writer.rotate()
            writer.append([b'{"n":61}'])
            assert reader.read() + reader.read() == [b'{"n":60}', b'{"n":61}']


@pytest.mark.parametrize("compressed", [False, True])
def test_a_line_longer_than_any_document(data: Path, compressed: bool) -> None:
    """Zeros, as a file system may leave them."""
    with Writer(data / "events") as writer, open(segment_path(data / "events", writer.number), "ab") as file:
        for _ in range(70):
            file.write(bytes(1 << 20))
        file.write(b"\n" + document(1) + b"\n")
        file.flush()
        if compressed:
            compress(data / "events", writer.rotate())
            compact(packed(data, 3), parquet_path(data, 3))
    answer = json.loads(auditdeck("report", "--json", "--data-dir", data, *WINDOW).stdout)
    assert (answer["outbound_tcp"]["connections"], answer["quality"]["damaged"]) == (ALL + 1, 1)
    search = auditdeck("search", "--json", "--data-dir", data)
    assert len(search.stdout.splitlines()) == ALL + 1
