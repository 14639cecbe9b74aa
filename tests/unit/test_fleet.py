"""What can be known of enrolment without a stack: tokens, settings, the unit."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from auditdeck.cli.hosts import cells
from auditdeck.errors import ProvisionError
from auditdeck.stack import service
from auditdeck.stack.enrolment import Token, read_token
from auditdeck.stack.fleet import advice, beside, state
from auditdeck.stack.join import settings_text

TOKEN = Token(["https://stack.example:9200"], "ab" * 32, "a2V5", "auditdeck-enrolment-x", 3)


def test_a_token_is_read_as_it_was_written() -> None:
    assert read_token(f"  {TOKEN}\n") == TOKEN
    assert str(TOKEN).startswith("auditdeck-join-1-")


@pytest.mark.parametrize(
    "text", ["", "auditdeck-join-", str(TOKEN)[:-20], str(TOKEN)[:20] + "\0", "auditdeck-join-1-e30"]
)
def test_a_damaged_token_is_one_sentence(text: str) -> None:
    with pytest.raises(ProvisionError, match="token") as refused:
        read_token(text)
    assert "copy it whole" in refused.value.hint


def test_a_token_of_a_newer_form_says_so() -> None:
    with pytest.raises(ProvisionError, match="this token is of form 2") as refused:
        read_token("auditdeck-join-2-abc")
    assert "the version of auditdeck that the stack has" in refused.value.hint


def test_settings_that_are_there_stay(tmp_path: Path) -> None:
    settings = tmp_path / "auditdeck.yaml"
    settings.write_text("# mine\nkernel:\n  mode: multicast  # beside auditd\n")
    text = settings_text(settings, TOKEN, tmp_path, force=False)
    assert text.startswith(settings.read_text())
    read = yaml.safe_load(text)
    assert read["kernel"] == {"mode": "multicast"}
    assert read["outputs"]["elasticsearch"]["hosts"] == TOKEN.addresses
    settings.write_text(text)
    assert settings_text(settings, TOKEN, tmp_path, force=False) == text, "joining again changes nothing"


def test_other_outputs_are_not_replaced_unasked(tmp_path: Path) -> None:
    settings = tmp_path / "auditdeck.yaml"
    settings.write_text("outputs:\n  file:\n    enabled: true\n")
    with pytest.raises(ProvisionError, match="has outputs already"):
        settings_text(settings, TOKEN, tmp_path, force=False)
    assert yaml.safe_load(settings_text(settings, TOKEN, tmp_path, force=True))["outputs"].keys() == {"elasticsearch"}
    assert "file:" in (tmp_path / "auditdeck.yaml.before").read_text()


def test_the_unit_names_this_installation() -> None:
    assert f"\nExecStart={service.executable()} run\n" in service.unit()


def test_the_unit_is_hardened(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed here")
    unit = tmp_path / "auditdeck.service"
    unit.write_text(service.unit("/bin/true"))
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=25", unit]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr


def test_what_is_said_of_a_host() -> None:
    silent = {"last": "2026-01-01T00:00:00.000Z", "keys": 1}
    assert state(silent) == "silent"
    assert state({"last": "", "keys": 1}) == "never heard of"
    assert state({"last": "2026-01-01T00:00:00.000Z", "revoked": "2026-01-02T00:00:00Z"}) == "revoked"
    row = {"name": "a", "state": "silent", "last": "", "documents_hour": 1234, "lost_day": 0, "watched_day": 0.5}
    assert cells(row) == ["a", "silent", "–", "–", "1,234", "0", "12.0 h"]


def test_collectors_of_other_versions_are_told_what_to_do() -> None:
    versions = {"old": "0.1.7", "new": "0.3.0", "same": "0.2.9", "first": "", "odd": "10.0"}
    rows = [
        {"name": name, "version": version, "beside_stack": beside(version, "0.2.0")}
        for name, version in versions.items()
    ]
    assert {row["name"]: row["beside_stack"] for row in rows} == {
        "old": "older",
        "new": "newer",
        "same": "same",
        "first": "older",
        "odd": "newer",
    }
    before, newer, older = advice(rows, "0.2.0")
    assert before.startswith("Before 0.2: ")
    assert before.endswith("update auditdeck there: first.")
    assert newer.startswith("Newer than this stack (0.2.0): ")
    assert newer.endswith("run `make up`: new, odd.")
    assert older.endswith("update auditdeck there: old.")
    assert not advice([row for row in rows if row["name"] == "same"], "0.2.0")
