from __future__ import annotations

from pathlib import Path

import pytest

from auditdeck.assets import asset
from auditdeck.errors import SettingsError
from auditdeck.settings.model import Settings, convert, duration, read_settings, size


def test_the_commented_file_says_the_defaults() -> None:
    assert read_settings(asset("auditdeck.yaml"), {}) == Settings()


def test_an_unknown_key_is_named() -> None:
    with pytest.raises(SettingsError, match="kernel: Object contains unknown field `mod`"):
        convert({"kernel": {"mod": "auto"}}, "f.yaml")


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"kernel": {"mode": "both"}}, "kernel.mode"),
        ({"kernel": {"receive_buffer": "lots"}}, "kernel.receive_buffer"),
        ({"kernel": {"backlog_limit": -1}}, "kernel.backlog_limit"),
        ({"event_log": {"segment_age": "1 fortnight"}}, "event_log.segment_age"),
        ({"rules": {"files": "a.rules"}}, "rules.files"),
        ({"rules": []}, "rules"),
    ],
)
def test_a_wrong_value_is_named_with_file_and_key(values: dict[str, object], key: str) -> None:
    with pytest.raises(SettingsError, match=rf"^f\.yaml: {key}: "):
        convert(values, "f.yaml")


def test_variables_win_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("kernel: {mode: unicast, rate_limit: 5}\n")
    variables = {"AUDITDECK_KERNEL__MODE": "multicast", "AUDITDECK_EVENT_LOG__MAX_SIZE": "1GiB", "OTHER": "x"}

    settings = read_settings(file, variables)

    assert settings.kernel.mode == "multicast"
    assert settings.kernel.rate_limit == 5
    assert settings.event_log.max_size == 1 << 30


def test_a_file_that_is_no_yaml_is_named(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("kernel: [")
    with pytest.raises(SettingsError, match=r"a\.yaml is not YAML"):
        read_settings(file, {})


def test_sizes_and_durations() -> None:
    assert [size("16MiB"), size("1.5GiB"), size("10k"), size(7)] == [16 << 20, 3 << 29, 10_000, 7]
    assert [duration("500ms"), duration("2h"), duration("7d"), duration(3)] == [0.5, 7200, 604800, 3]
