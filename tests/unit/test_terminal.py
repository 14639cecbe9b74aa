"""What a terminal and a pipe get: whole numbers, harmless text, as wide as it is."""

from __future__ import annotations

import io
import json
import logging
import re
import threading
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

import auditdeck as package
from auditdeck.cli.options import print_json
from auditdeck.collector.health import Counters
from auditdeck.eventlog.status import write_status
from auditdeck.query.answers import Question, ask
from auditdeck.report.live import Summary
from auditdeck.report.sentences import not_counted, size
from auditdeck.report.table import shorten
from auditdeck.report.terminal import show
from auditdeck.visible import VisibleFormatter, visible, visible_json
from tests.support.run import auditdeck
from tests.unit.test_report import WINDOW, connection, store

LONG = "/opt/vendor/agents/2026.11/linux-x86_64/lib/runtime/current/bin/telemetry-forwarder-agent-v2"
HOSTILE = [
    r"/tmp/m\[/x]",
    r"/tmp/\[link=file:///etc/passwd]click",
    "/tmp/[conceal]hidden",
    "/tmp/[/]",
    "/tmp/:smile:",
    "/tmp/[red]x[/red]",
    "/tmp/\x9b31mc1",
    "/tmp/\u202egnp.exe",
    "/tmp/\x1b]8;;http://x\x1b\\",
    "/tmp/\udcff",
]
"""Names that a program can have, which are markup, emoji codes, or orders to a terminal."""
QUESTION = Question(datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 4, tzinfo=UTC))


def shown_at(data: Path, width: int) -> str:
    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=True, color_system=None, highlight=False, markup=False)
    show(ask(data, QUESTION), QUESTION, console)
    return re.sub(r"\x1b\[[0-9;]*m", "", out.getvalue())


@pytest.fixture
def busy(tmp_path: Path) -> Path:
    many = [connection(2, "ada", LONG, source__bytes=123_456, destination__bytes=7_890_123)] * 1234
    return store(
        tmp_path, [*many, *[connection(2, "bob", "/usr/bin/curl")] * 66, connection(2, "bob", "/x", "refused")]
    )


@pytest.mark.parametrize("width", [80, 60, 100, 132])
def test_numbers_are_whole_at_any_width(busy: Path, width: int) -> None:
    text = shown_at(busy, width)
    [line] = [line for line in text.split("Processes")[1].splitlines() if "agent-v2" in line][:1]
    assert "1,234" in line
    assert "94.9%" in line
    assert "152 MB" in line
    assert "9.74 GB" in line
    assert all(cell_len(line.rstrip()) <= width for line in text.splitlines()[4:] if "Not counted" not in line)
    assert "telemetry" not in line or LONG in line or "…" in line


def test_paths_lose_their_middle_not_their_name(busy: Path) -> None:
    line = next(line for line in shown_at(busy, 80).split("Processes")[1].splitlines() if "…" in line)
    assert line.startswith("/opt")
    assert "agent-v2 " in line


def test_a_pipe_gets_everything(busy: Path) -> None:
    text = auditdeck("report", "--data-dir", busy, *WINDOW).stdout
    assert LONG in text
    assert "…" not in text


@pytest.mark.parametrize(
    ("text", "width", "short"),
    [
        ("/usr/bin/curl", 20, "/usr/bin/curl"),
        ("/usr/lib/a/very/long/path/to/program", 20, "/usr/lib/a…/program"),
        ("/a/" + "n" * 40, 12, "/a/…nnnnnnnn"),
        ("日本語日本語日本語", 9, "日…日本語"),
    ],
)
def test_shortened(text: str, width: int, short: str) -> None:
    assert cell_len(shorten(text, width)) <= width
    assert shorten(text, width)[:1] == short[:1]
    assert shorten(text, width)[-3:] == short[-3:]


@pytest.mark.parametrize("name", HOSTILE)
def test_names_of_programs_are_shown_as_they_are_and_never_obeyed(tmp_path: Path, name: str) -> None:
    shown_name = visible(name.encode("utf-8", "surrogateescape").decode("utf-8", "replace"))
    document = connection(2, name, name, container={"id": name}, destination__ip=name)
    failed = connection(2, name, name, "refused", destination__ip=name)
    clean = json.loads(json.dumps([document, failed]).replace("\\udcff", "\\ufffd"))
    data = store(tmp_path, clean)
    for options in ((), ("--by", "process"), ("--user", clean[0]["user"]["name"])):
        result = auditdeck("report", "--data-dir", data, *WINDOW, *options)
        assert result.status == 0, result.stderr
        assert shown_name in result.stdout
        assert all(char.isprintable() or char == "\n" for char in result.stdout)
    listed = auditdeck("aureport", "--data-dir", data, "-x").stdout
    assert listed.count("\n") == 4
    assert all(char.isprintable() or char == "\n" for char in listed)
    for form in ("text", "json", "csv"):
        found = auditdeck("search", "--data-dir", data, "-ts", "2026-11-01", "--format", form).stdout
        assert all(char.isprintable() or char == "\n" for char in found)


@pytest.mark.parametrize("name", HOSTILE)
def test_the_live_view_shows_them_too(name: str) -> None:
    name = name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    collector: Any = SimpleNamespace(counters=Counters(), ended=threading.Event(), on_line=None, mode="unicast")
    summary = Summary(collector)
    for state in ("established", "refused"):
        document = connection(2, name, name, state, destination__ip=name, source__bytes=1500)
        summary.see(json.dumps(document).encode())
    out = io.StringIO()
    Console(file=out, width=300, force_terminal=True, color_system=None).print(summary)
    text = re.sub(r"\x1b\[[0-9;]*m", "", out.getvalue())
    assert visible(name) in text
    assert "1 outbound TCP connection" in text
    assert "1 refused" in text
    assert "3.00 kB sent" in text
    assert all(char.isprintable() or char == "\n" for char in text)


def test_status_shows_texts_of_others_as_they_are(tmp_path: Path) -> None:
    errors = {"state": r"\[link=file:///x] [/] \x1b[31m" + "\x1b[31m\x9b\u202e"}
    state = {"counters": Counters(), "outputs": {"elasticsearch": errors}, "filters": {"[/]": 1}}
    write_status(tmp_path / "status.json", state)
    shown = auditdeck("status", "--data-dir", tmp_path)
    assert r"\[link=file:///x] [/]" in shown.stdout
    assert all(char.isprintable() or char == "\n" for char in shown.stdout)


def test_json_holds_the_same_values_and_no_orders(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    value = {"a": "\x9b31m \u202e \U000e0041 \x7f é 日本"}
    print_json(value)
    text = capfdbinary.readouterr().out.decode()
    assert json.loads(text) == value
    assert "é 日本" in text
    assert all(char.isprintable() or char == "\n" for char in text)
    assert json.loads(visible_json(json.dumps(HOSTILE[:-1], ensure_ascii=False))) == HOSTILE[:-1]


def test_log_messages_are_harmless() -> None:
    record = logging.makeLogRecord({"msg": "refused: %s", "args": ("\x1b[2J\x9b\u202e",)})
    assert VisibleFormatter("%(message)s").format(record) == r"refused: \x1b[2J\x9b\u202e"


def test_there_is_one_way_to_the_terminal() -> None:
    source = Path(package.__file__).parent
    others = [path.name for path in source.rglob("*.py") if re.search(r"\bConsole\(", path.read_text())]
    assert others == ["console.py"], "rich parses markup unless it is told not to"


def test_no_color(busy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    out = io.StringIO()
    show(ask(busy, QUESTION), QUESTION, Console(file=out, width=80, force_terminal=True, markup=False))
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]", out.getvalue())


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.00 kB"), (9_999, "10.0 kB"), (99_990, "100 kB"), (999_600, "1.00 MB"),
     (12_345_678, "12.3 MB"), (10**15, "1.00 PB")],
)  # fmt: skip
def test_sizes_have_three_digits(number: int, text: str) -> None:
    assert size(number) == text


@pytest.mark.parametrize(
    ("failed_by", "unresolved", "unknown", "said"),
    [
        ({}, 0, 0, ""),
        ({"refused": 24, "unanswered": 7}, 0, 0, "Not counted: 31 failed (24 refused, 7 unanswered)"),
        ({}, 5, 1200, "Not counted: 5 unresolved, 1,200 of unknown transport"),
        ({"refused": 1, "unanswered": 0}, 1, 0, "Not counted: 1 failed (1 refused), 1 unresolved"),
    ],
)
def test_only_what_there_was_is_said_not_to_be_counted(
    failed_by: dict[str, int], unresolved: int, unknown: int, said: str
) -> None:
    totals = {"failed": sum(failed_by.values()), "failed_by": failed_by}
    assert not_counted({**totals, "unresolved": unresolved, "unknown_transport": unknown}) == said
