"""What is the first of its kind on a host, also after a restart."""

from __future__ import annotations

from pathlib import Path

import pytest

from auditdeck.context import first
from auditdeck.context.first import FirstSeen


def test_each_kind_is_the_first_once(tmp_path: Path) -> None:
    seen = FirstSeen(tmp_path / "first.ndjson")
    assert seen.of("/usr/bin/curl", "1000", "192.0.2.0/24") == ["executable", "user", "network"]
    assert seen.of("/usr/bin/curl", "1000", "192.0.2.0/24") == []
    assert seen.of("/usr/bin/wget", "1000", "192.0.2.0/24") == ["executable"]
    assert seen.of("/usr/bin/curl", "0", "198.51.100.0/24") == ["user", "network"]


def test_it_outlives_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "first.ndjson"
    seen = FirstSeen(path)
    seen.of("/opt/a\nb", "1000", "192.0.2.0/24")
    seen.save()
    seen.of("/usr/bin/wget", "1000", "192.0.2.0/24")
    again = FirstSeen(path)
    assert again.of("/opt/a\nb", "1000", "192.0.2.0/24") == []
    assert again.of("/usr/bin/wget", "1000", "192.0.2.0/24") == ["executable"], "its document may not have been kept"


def test_a_torn_line_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "first.ndjson"
    path.write_text('["user", "1000"]\n["executable", "/usr/b')
    assert FirstSeen(path).of("/usr/bin/curl", "1000", "") == ["executable"]
    assert "could not be read" in caplog.text


def test_a_program_that_was_upgraded_is_the_same(tmp_path: Path) -> None:
    seen = FirstSeen(tmp_path / "first.ndjson")
    assert seen.of("/usr/sbin/nginx", "33", "") == ["executable", "user"]
    assert seen.of("/usr/sbin/nginx (deleted)", "33", "") == []


def test_what_is_unknown_is_not_new(tmp_path: Path) -> None:
    assert FirstSeen(tmp_path / "first.ndjson").of("", "", "") == []


def test_memory_has_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first, "LIMIT", 2)
    seen = FirstSeen(tmp_path / "first.ndjson")
    assert [seen.of("", "", f"10.0.{n}.0/24") for n in range(3)] == [["network"], ["network"], []]
