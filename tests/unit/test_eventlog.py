"""The event log: what was appended is read once, in order, through rotation, compression, crashes and bounds."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from auditdeck.errors import StoreError
from auditdeck.eventlog.cursor import Cursor, first_needed
from auditdeck.eventlog.reader import Position, Reader
from auditdeck.eventlog.retention import expire
from auditdeck.eventlog.segment import segment_path, segments
from auditdeck.eventlog.writer import Limits, Writer, compress


def lines(first: int, last: int) -> list[bytes]:
    return [b'{"n":%d}' % number for number in range(first, last)]


def test_reads_what_was_appended_as_it_comes(tmp_path: Path) -> None:
    with Writer(tmp_path) as writer, Reader(tmp_path) as reader:
        assert reader.read() == []
        writer.append(lines(0, 3))
        assert reader.read() == lines(0, 3)
        assert reader.read() == []
        writer.append(lines(3, 5))
        assert reader.read() == lines(3, 5)


def test_goes_on_through_rotation_and_compression(tmp_path: Path) -> None:
    with Writer(tmp_path) as writer, Reader(tmp_path) as reader:
        writer.append(lines(0, 2))
        assert reader.read() == lines(0, 2)
        writer.append(lines(2, 4))
        compress(tmp_path, writer.rotate())
        writer.append(lines(4, 6))
        assert reader.read() == lines(2, 4)
        assert reader.read() == lines(4, 6)
        assert [segment.compressed for segment in segments(tmp_path)] == [True, False]


@pytest.mark.parametrize("compressed", [False, True])
def test_starts_again_where_a_cursor_was_saved(tmp_path: Path, compressed: bool) -> None:
    events = tmp_path / "events"
    with Writer(events) as writer:
        writer.append(lines(0, 100))
        with Reader(events) as reader:
            seen = reader.read(80)
            Cursor(tmp_path, "one").save(reader.position)
        if compressed:
            compress(events, writer.rotate())
        with Reader(events, Cursor(tmp_path, "one").position) as reader:
            while more := reader.read():
                seen += more
    assert seen == lines(0, 100)
    assert first_needed(tmp_path, ["one"]) == 1
    assert first_needed(tmp_path, []) is None


def test_a_damaged_cursor_begins_at_the_beginning(tmp_path: Path) -> None:
    cursor = Cursor(tmp_path, "one")
    cursor.save(Position(3, 5))
    assert Cursor(tmp_path, "one").position == Position(3, 5)
    cursor.path.write_text("{")
    assert Cursor(tmp_path, "one").position == Position(0, 0)


def test_a_torn_end_is_mended_and_kept(tmp_path: Path) -> None:
    with Writer(tmp_path) as writer:
        writer.append(lines(0, 3))
    path = segments(tmp_path)[0].path
    with open(path, "ab") as file:
        file.write(b'{"n":3,"torn')
    with Reader(tmp_path) as reader:
        assert reader.read() == lines(0, 3)
    with Writer(tmp_path) as writer:
        assert writer.damaged == 1
        writer.append(lines(3, 5))
    assert path.with_suffix(".torn").read_bytes() == b'{"n":3,"torn'
    with Reader(tmp_path) as reader:
        assert reader.read() == lines(0, 5)


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    with Writer(tmp_path), pytest.raises(StoreError, match="another auditdeck is writing"):
        Writer(tmp_path)


def test_is_for_its_owner_only(tmp_path: Path) -> None:
    with Writer(tmp_path / "events") as writer:
        writer.append(lines(0, 1))
        compress(tmp_path / "events", writer.rotate())
    assert os.stat(tmp_path / "events").st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "events").iterdir()} == {0o600}


def filled(folder: Path, count: int) -> list[int]:
    with Writer(folder, Limits()) as writer:
        for number in range(count):
            writer.append(lines(number * 100, number * 100 + 100))
            compress(folder, writer.rotate())
    return [segment.number for segment in segments(folder)]


def test_the_size_bound_takes_the_oldest_and_counts_what_was_not_read(tmp_path: Path) -> None:
    assert filled(tmp_path, 5) == [1, 2, 3, 4, 5, 6]
    size = segments(tmp_path)[0].path.stat().st_size
    assert expire(tmp_path, max_size=3 * size + 10, max_age=0, keep_from=2) == (2, 100)
    assert [segment.number for segment in segments(tmp_path)] == [3, 4, 5, 6]


def test_age_spares_what_a_consumer_still_needs(tmp_path: Path) -> None:
    filled(tmp_path, 3)
    for segment in segments(tmp_path):
        os.utime(segment.path, (1, 1))
    assert expire(tmp_path, max_size=0, max_age=3600, keep_from=3) == (2, 0)
    assert [segment.number for segment in segments(tmp_path)] == [3, 4]


def test_a_reader_goes_on_behind_what_was_deleted(tmp_path: Path) -> None:
    filled(tmp_path, 3)
    segments(tmp_path)[0].path.unlink()
    with Reader(tmp_path, Position(1, 40)) as reader:
        assert reader.read() == lines(100, 200)
        assert reader.position.segment == 2


def test_a_damaged_segment_is_passed_over_and_the_rest_is_read(tmp_path: Path) -> None:
    """One bit: outputs went on asking for it for ever."""
    for damage in (100, 300, 2000):
        folder = tmp_path / str(damage)
        with Writer(folder) as writer:
            for number in range(3):
                chance = random.Random(number)
                writer.append([b'{"n":%d,"x":"%x"}' % (number, chance.getrandbits(400)) for _ in range(400)])
                compress(folder, writer.rotate())
        path = segment_path(folder, 2).with_suffix(".ndjson.gz")
        data = bytearray(path.read_bytes())
        data[damage] ^= 4
        path.write_bytes(data)
        with Reader(folder) as reader:
            found = []
            while lines := reader.read():
                found += lines
        assert found[:400] == [line for line in found if line.startswith(b'{"n":0')]
        assert len([line for line in found if line.startswith(b'{"n":2')]) == 400
        assert reader.damaged == 1
        assert expire(folder, max_size=1, max_age=0, keep_from=1)[0] == 3


def test_a_cursor_behind_the_end_after_a_power_cut(tmp_path: Path) -> None:
    with Writer(tmp_path / "events") as writer:
        writer.append([b'{"n":1}', b'{"n":2}', b'{"n":3}'])
    segment = segment_path(tmp_path / "events", 1)
    with Reader(tmp_path / "events") as reader:
        reader.read()
        cursor = Cursor(tmp_path, "x")
        cursor.save(reader.position)
    os.truncate(segment, 8)
    with Writer(tmp_path / "events") as writer, Reader(tmp_path / "events", Cursor(tmp_path, "x").position) as reader:
        writer.append([b'{"n":4}'])
        assert reader.read() + reader.read() == [b'{"n":1}', b'{"n":4}']


def test_a_data_directory_that_is_made_is_not_open_to_others(tmp_path: Path) -> None:
    with Writer(tmp_path / "data" / "events"):
        assert (tmp_path / "data").stat().st_mode & 0o777 == 0o750
