"""Logs as they arrive: every form is read, and means the same."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from auditdeck.audit.log import Reading
from auditdeck.audit.record import read_any_line, type_name
from auditdeck.ecs.template import Encoder
from tests.support.arriving import CONFIG, FORMS, STAMP, Form
from tests.support.run import auditdeck
from tests.unit.test_documents import context, plainly


def value_at(document: Any, path: str) -> Any:
    names = path.split(".")
    for name in names:
        if isinstance(document, list):
            document = document[int(name)]
        elif not isinstance(document, dict) or name not in document:
            return None
        else:
            document = document[name]
    return document


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_every_form_is_read(tmp_path: Path, form: Form) -> None:
    reading, plain = Reading("log"), Reading("log")
    [event] = reading.events(io.BytesIO(form.log.encode()))
    [same] = plain.events(io.BytesIO(form.log.encode()), compiled=False)
    assert (reading.damaged, plain.damaged) == (0, 0), reading.first
    line = plainly(same, context(tmp_path))
    assert Encoder(context(tmp_path), socket_events=True).encode(event) == line
    document = json.loads(line)
    assert {path: value_at(document, path) for path in form.expected} == form.expected


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_every_form_can_be_shown(tmp_path: Path, form: Form) -> None:
    log = tmp_path / "log"
    log.write_text(form.log)
    for options in (["-i"], ["-r"], [], ["--format", "csv"], ["--format", "text"]):
        result = auditdeck("search", "-if", log, *options)
        assert result.status == 0, result.stderr
        assert result.stdout


@pytest.mark.parametrize(
    "line",
    [
        "Nov 24 10:00:00 web1 audit[7]: SYSCALL arch=c000003e syscall=42",
        "garbage",
        f"type=bad-name msg={STAMP}: x=1",
        f"type=12345 msg={STAMP}: x=1",
        "type=SYSCALL type=PATH msg=audit(1.000:1): x=1",
        '{"_AUDIT_ID":"x","MESSAGE":"y"}',
        "{" * 1000,
    ],
)
def test_what_is_none_is_said(line: str) -> None:
    assert read_any_line(line.encode()) is None
    reading = Reading("log")
    assert len(list(reading.events(io.BytesIO(f"{line}\n{CONFIG}\n".encode())))) == 1
    assert reading.damaged == (0 if line.startswith("{") else 1)


def test_names_that_are_not_known_do_not_run_out_of_numbers() -> None:
    for number in range(3000):
        found = read_any_line(b"type=NEW_%d msg=audit(1.000:1): x=1" % number)
        assert found is None or type_name(found[1]) == f"NEW_{number}"
    assert read_any_line(b"type=NEW_1 msg=audit(1.000:1): x=1") is not None
