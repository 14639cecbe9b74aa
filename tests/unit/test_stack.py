"""The init job's own decisions: which certificates are good, and which version may open the volumes."""

from __future__ import annotations

from pathlib import Path

import pytest

from auditdeck.errors import AuditdeckError
from auditdeck.stack import certificates
from auditdeck.stack.certificates import Authority, is_good, make_authority
from auditdeck.stack.checks import check_version, keep_version
from auditdeck.stack.progress import Progress
from auditdeck.stack.secrets import Wishes, make_secrets

NAMES = ["elasticsearch", "127.0.0.1"]


@pytest.fixture(scope="module")
def authority() -> Authority:
    return make_authority()


def issued(folder: Path, authority: Authority, names: list[str]) -> Path:
    path = folder / "node.crt"
    path.write_bytes(authority.issue("node", names)[0])
    return path


def test_a_certificate_is_good_for_its_names(tmp_path: Path, authority: Authority) -> None:
    path = issued(tmp_path, authority, [*NAMES, "other"])
    assert is_good(path, authority, NAMES)
    assert not is_good(path, authority, [*NAMES, "more"])
    assert not is_good(tmp_path / "missing.crt", authority, NAMES)
    path.write_text("-----BEGIN CERTIFICATE-----\nnothing\n-----END CERTIFICATE-----\n")
    assert not is_good(path, authority, NAMES)


def test_one_of_another_authority_is_not(tmp_path: Path, authority: Authority) -> None:
    assert not is_good(issued(tmp_path, make_authority(), NAMES), authority, NAMES)


@pytest.mark.parametrize(("days", "good"), [(90, True), (61, True), (59, False), (0, False)])
def test_it_is_renewed_two_months_before_it_ends(
    tmp_path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch, days: int, good: bool
) -> None:
    monkeypatch.setattr(certificates, "SERVICE_DAYS", days)
    assert is_good(issued(tmp_path, authority, NAMES), authority, NAMES) == good


@pytest.mark.parametrize(
    ("before", "version", "wrong"),
    [
        ("9.5.3", "9.5.2", "cannot read them"), ("9.5.3", "8.19.0", "cannot read them"), ("9.10.0", "9.9.0", "cannot"),
        ("8.19.0", "10.0.0", "too far ahead"), ("9.5.3", "9.5.3", ""), ("9.9.0", "9.10.0", ""), ("8.19.0", "9.5.3", ""),
        ("", "9.5.3", ""),
    ],
)  # fmt: skip
def test_volumes_only_go_forward(tmp_path: Path, before: str, version: str, wrong: str) -> None:
    path = tmp_path / "stack_version"
    if before:
        path.write_text(before + "\n")
    if wrong:
        with pytest.raises(AuditdeckError, match=wrong):
            check_version(tmp_path, version)
        assert path.read_text() == before + "\n"
    else:
        check_version(tmp_path, version)
        assert path.exists() == bool(before), "one that was only asked for opens nothing"
        keep_version(tmp_path, version, Progress(quiet=True))
        assert path.read_text() == version + "\n"


@pytest.mark.parametrize("own", [False, True])
def test_settings_are_copied_for_services_that_are_not_root(tmp_path: Path, own: bool) -> None:
    folder = tmp_path / "settings"
    folder.mkdir()
    for name in ("elasticsearch.yml", "kibana.yml"):
        (folder / name).write_text(f"{name}: own\n")
        (folder / name).chmod(0o600)
    made = make_secrets(tmp_path / "secrets", Wishes(settings=folder if own else None), Progress(quiet=True))
    for service in ("elasticsearch", "kibana"):
        copied = made.root / service / f"{service}.yml"
        assert copied.stat().st_mode & 0o777 == 0o644
        assert ("own" in copied.read_text()) is own
