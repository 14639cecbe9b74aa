"""`auditdeck config`: settings checked, shown with where they come from, and written out."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from auditdeck.settings.model import Settings, leaves
from auditdeck.settings.read import read_settings
from tests.support.run import auditdeck

COMMENTED = Path(__file__).parent.parent.parent / "collector" / "auditdeck.yaml"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "auditdeck.yaml"
    path.write_text(
        """
kernel:
  mode: multicast
filters:
  - {executable: ^/usr/, keep: true}
outputs:
  elasticsearch:
    hosts: ["https://ada:hunter2@one:9200"]
    api_key: hunter2
"""
    )
    return path


def test_the_commented_file_is_what_example_prints() -> None:
    shown = auditdeck("config", "example").stdout
    assert shown == COMMENTED.read_text(), "run: auditdeck config example >collector/auditdeck.yaml"


def test_the_commented_file_says_every_setting_with_its_default() -> None:
    assert read_settings(COMMENTED, {}) == Settings()
    values = yaml.safe_load(COMMENTED.read_text())
    for path, _ in leaves(Settings):
        place = values
        for name in path:
            assert name in place, path
            place = place[name]


def test_a_good_file(file: Path) -> None:
    result = auditdeck("config", "check", file)
    assert (result.status, result.stdout, result.stderr) == (0, f"{file}: OK\n", "")
    assert auditdeck("config", "check", "--config", file, "--quiet").stdout == ""
    assert auditdeck("config", "check").stdout.endswith(": OK\n")


def test_every_problem_of_a_bad_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text("kernel:\n  mode: both\nhots: {}\n")
    monkeypatch.setenv("AUDITDECK_KERNEL__FAILURE", "7")
    result = auditdeck("config", "check", file)
    assert result.status == 1
    assert set(result.stderr.splitlines()) == {
        f"{file}:2: kernel.mode: 'both' is not valid; use auto, unicast or multicast",
        f"{file}:3: unknown key `hots`; did you mean host?",
        "AUDITDECK_KERNEL__FAILURE: kernel.failure: 7 is not valid; use 0, 1 or 2",
    }
    found = json.loads(auditdeck("config", "check", file, "--json").stdout)["problems"]
    assert [problem["key"] for problem in found] == ["hots", "kernel.mode", "kernel.failure"]
    other = auditdeck("status", "--config", file)
    assert other.status == 1
    assert "and 2 more; `auditdeck config check` lists them" in other.stderr


def test_a_go_audit_yaml_is_checked(file: Path) -> None:
    file.write_text("rules: [-e 1]\noutput: {stdout: {enabled: true}}\nlogs: {}\n")
    result = auditdeck("config", "check", "--go-audit", file)
    assert result.status == 1
    assert f"{file}:3: unknown key `logs` in a go-audit.yaml" in result.stderr


def test_where_each_setting_comes_from(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDITDECK_KERNEL__RATE_LIMIT", "5")
    monkeypatch.setenv("AUDITDECK_OUTPUTS__ELASTICSEARCH__PASSWORD", "hunter2")
    options = ("--config", file, "--data-dir", "/data")
    found = {row["key"]: row for row in json.loads(auditdeck("config", "show", *options, "--json").stdout)}
    assert list(found) == [".".join(path) for path, _ in leaves(Settings)]
    said = {key: (row["value"], row["from"]) for key, row in found.items()}
    assert said["data_dir"] == ("/data", "--data-dir")
    assert said["kernel.mode"] == ("multicast", f"{file}:3")
    assert said["kernel.rate_limit"] == (5, "AUDITDECK_KERNEL__RATE_LIMIT")
    assert said["kernel.receive_buffer"] == ("16MiB", "default")
    assert said["filters"] == ([{"executable": "^/usr/", "keep": True}], f"{file}:4")
    assert said["outputs.elasticsearch.hosts"] == (["https://…@one:9200"], f"{file}:8")
    text = auditdeck("config", "show", *options).stdout
    assert "kernel.rate_limit: 5" in text
    assert f"# {file}:3" in text
    assert "hunter2" not in text + json.dumps(said)


def test_show_tells_what_is_wrong(file: Path) -> None:
    file.write_text("kernel: {mode: both}")
    result = auditdeck("config", "show", "-c", file)
    assert result.status == 1
    assert "kernel.mode: 'both' is not valid" in result.stderr


def test_the_schema_fits_the_commented_file_and_refuses_what_is_wrong() -> None:
    schema = json.loads(auditdeck("config", "schema").stdout)
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    validator.validate(yaml.safe_load(COMMENTED.read_text()))
    validator.validate({"kernel": {"receive_buffer": 65536}, "event_log": {"segment_age": "30m"}})
    for wrong in (
        {"kernel": {"mode": "both"}},
        {"kernel": {"moed": "auto"}},
        {"kernel": {"receive_buffer": "lots"}},
        {"event_log": {"segment_age": "1 fortnight"}},
        {"outputs": {"file": {"mode": "rw"}}},
        {"filters": [{"port": 70000}]},
        {"enrich": {"labels": [{"key": "web"}]}},
    ):
        with pytest.raises(jsonschema.ValidationError):
            validator.validate(wrong)
    assert "jiffies" in schema["$defs"]["Kernel"]["properties"]["backlog_wait_time"]["description"]
