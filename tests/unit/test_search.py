"""Searching the event log: times, forms, and text that must not do anything where it is shown."""

from __future__ import annotations

import csv
import io
import json
import logging
from pathlib import Path
from typing import Any

import pytest

from auditdeck.context.users import Users
from auditdeck.eventlog.writer import Writer, compress
from auditdeck.query.formats import Show, harmless
from tests.support.run import auditdeck


def document(number: int, **more: Any) -> bytes:
    made = {
        "@timestamp": f"2026-11-{20 + number:02}T10:00:00.000Z",
        "event": {"id": f"1.000:{number}", "action": "executed", "category": ["process"]},
        "host": {"name": "one"},
        "process": {"pid": number, "executable": "/usr/bin/x", "args": ["x"]},
        "user": {"id": "1000", "name": "ada"},
        "auditd": {"sequence": number, "message_type": "syscall", "result": "success",
                   "data": {"syscall": "execve", "exit": "0"},
                   "summary": {"actor": {"primary": "ada", "secondary": "ada"}, "object": {"primary": "/usr/bin/x"}}},
    }  # fmt: skip
    made.update(more)
    return json.dumps(made, separators=(",", ":")).encode()


EVIL = "\x1b]0;pwned\x07\n=cmd|' /C calc'!A1\u202e"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    with Writer(tmp_path / "events") as writer:
        writer.append([document(number) for number in range(1, 4)])
        compress(tmp_path / "events", writer.rotate())
        writer.append(
            [
                document(
                    4,
                    process={"pid": 4, "executable": EVIL, "args": [EVIL]},
                    container={"id": "ab" * 32, "name": "web"},
                )
            ]
        )
        writer.append([b'{"@timestamp":"2026-11-24T10:00:00.000Z","event":{"module":"auditdeck"}}'])
    return tmp_path


def found(data: Path, *options: str) -> list[int]:
    result = auditdeck("search", "--data-dir", data, "--json", *options)
    return [json.loads(line)["auditd"]["sequence"] for line in result.stdout.splitlines()]


def test_the_event_log_is_searched_in_time(data: Path) -> None:
    assert found(data) == [1, 2, 3, 4]
    assert found(data, "-ts", "2026-11-22T00:00:00Z") == [2, 3, 4]
    assert found(data, "-ts", "11/22/2026", "00:00:00", "-te", "2026-11-23", "23:00:00") in ([2, 3], [3])
    assert found(data, "-p", "3") == [3]
    assert found(data, "--just-one") == [1]
    assert found(data, "--container", "web") == found(data, "--container", "abab") == [4]


def test_nothing_found_is_said(data: Path) -> None:
    result = auditdeck("search", "--data-dir", data, "-k", "absent")
    assert (result.status, result.stdout, result.stderr) == (1, "", "<no matches>\n")


def test_text_of_programs_is_harmless(data: Path) -> None:
    for form in ("text", "csv"):
        shown = auditdeck("search", "--data-dir", data, "-p", "4", "--format", form).stdout
        assert "\x1b" not in shown
        assert "\x07" not in shown
        assert "\u202e" not in shown
        assert "\\033" in shown or form == "csv"
    rows = list(csv.reader(io.StringIO(auditdeck("search", "--data-dir", data, "--format", "csv").stdout)))
    assert len(rows) == 5
    assert {len(row) for row in rows} == {16}
    assert harmless(EVIL).isprintable()
    cell = Show("tty", Users()).cell
    assert cell("=1+1") == "'=1+1"
    assert cell("-2") == "'-2"
    assert cell("plain") == "plain"


def test_records_that_were_not_kept_cannot_be_shown(data: Path) -> None:
    result = auditdeck("search", "--data-dir", data, "-i")
    assert result.status == 1
    assert "documents.original: true" in result.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["-m", "NOPE"], "'NOPE' is not a record type; use"),
        (["-sc", "nope"], "'nope' is not a system call; did you mean"),
        (["-e", "nope"], "'nope' is not a result; use"),
        (["--arch", "z80"], "'z80' is not an architecture; use"),
    ],
)
def test_errors(options: list[str], message: str) -> None:
    result = auditdeck("search", "-if", "/dev/null", *options)
    assert result.status == 2
    assert message in result.stderr


@pytest.mark.parametrize("command", [("search", "-i"), ("aureport", "--summary")])
def test_damaged_lines_of_a_log_are_told(
    tmp_path: Path, command: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    log = tmp_path / "audit.log"
    whole = Path(__file__).parent.parent / "fixtures" / "audit.log"
    log.write_bytes(whole.read_bytes() + b"type=SYSCALL msg=audit(broken\ntype=CWD msg=audit(17x.1:2): cwd=\n")
    with caplog.at_level(logging.WARNING):
        assert auditdeck(*command, "-if", log).status == 0
    assert f"{log}: 2 damaged lines were passed over" in caplog.text
