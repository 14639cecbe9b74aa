"""What is the first of its kind on a host, also after a restart."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from auditdeck.context import first
from auditdeck.context.first import FirstSeen
from auditdeck.ecs.first import FirstMarker


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


def test_a_disk_that_refuses_is_asked_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "later" / "first.ndjson"
    seen = FirstSeen(path)
    seen.of("", "1000", "")
    seen.save()
    seen.save()
    assert caplog.text.count("cannot be written") == 1
    path.parent.mkdir()
    seen.save()
    assert FirstSeen(path).of("", "1000", "") == []


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


LINE = (
    '{{"process":{{"parent":{{"executable":"/usr/bin/bash"}},"executable":"{0}"}},"user":{{"id":"{1}"}},'
    '"auditd":{{"summary":{{"how":"{0}"}}}},"auditdeck":{{"connection":{{"state":"{3}"}}}},'
    '"destination":{{"ip":"{2}"}},"network":{{"direction":"{4}"}}}}'
)


def test_documents_of_audit_are_marked(tmp_path: Path) -> None:
    marker = FirstMarker(FirstSeen(tmp_path / "first.ndjson"))

    def first(program: str, user: str, address: str, state: str = "established", direction: str = "egress") -> Any:
        line = LINE.format(program, user, address, state, direction).encode()
        found: dict[str, Any] = json.loads(marker.marked(line))["auditdeck"]
        return found.get("first")

    assert first("/usr/bin/curl", "1000", "192.0.2.1", "refused") is None
    assert first("/usr/bin/curl", "1000", "127.0.0.1", direction="internal") is None
    assert first("/usr/bin/curl", "1000", "192.0.2.1") == ["executable", "user", "network"]
    assert first("/usr/bin/curl", "1000", "192.0.2.1") is None
    assert first('/usr/bin/a \\"b\\"', "1000", "192.0.2.9") == ["executable"]
    assert first("/usr/bin/curl", "0", "2001:db8:1::1") == ["user", "network"]
    assert first("/usr/bin/curl", "0", "2001:db8:1:ffff::2") is None


def test_a_text_of_the_event_is_not_taken_for_a_field(tmp_path: Path) -> None:
    marker = FirstMarker(FirstSeen(tmp_path / "first.ndjson"))
    title = json.dumps('"state":"established" "direction":"egress" "auditdeck":{')
    line = b'{"process":{"title":%b},"auditdeck":{}}' % title.encode()
    assert marker.marked(line) == line
