"""What the image brings along is known: its licences, and a bill of materials that is CycloneDX."""

from __future__ import annotations

import json
from email.message import Message
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import third_party
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from sbom import bill, debian_packages, python_packages
from third_party import TARGET, is_allowed, licence_of

SITE = Path(third_party.distribution("click").locate_file("").__fspath__())
DPKG = """\
Package: libc6
Status: install ok installed
Architecture: amd64
Version: 2.41-12
Description: GNU C Library
 continued: here

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1
"""


def test_the_list_of_licences_is_current_and_all_are_allowed() -> None:
    made, wrong = third_party.text()
    assert wrong == []
    assert TARGET.read_text() == made, "make licences"


@pytest.mark.parametrize(
    ("expression", "allowed"),
    [
        ("MIT", True), ("MPL-2.0 AND (Apache-2.0 OR MIT)", True), ("GPL-3.0-or-later", False), ("", False),
        ("MIT AND LicenseRef-Proprietary", False), ("AND", False),
    ],
)  # fmt: skip
def test_only_known_licences_are_allowed(expression: str, allowed: bool) -> None:
    assert is_allowed(expression) is allowed


@pytest.mark.parametrize(
    ("fields", "licence"),
    [
        ({"License-Expression": "ISC"}, "ISC"), ({"License": "MIT"}, "MIT"), ({}, ""),
        ({"License": "Copyright (c) by us.\nAll rights"}, ""),
        ({"Classifier": "License :: OSI Approved :: MIT License"}, "MIT"),
        ({"Classifier": "License :: Other/Proprietary License"}, ""),
    ],
)  # fmt: skip
def test_a_licence_is_read_from_what_the_package_says(fields: dict[str, str], licence: str) -> None:
    metadata = Message()
    for name, value in fields.items():
        metadata[name] = value
    assert licence_of(cast("Any", SimpleNamespace(metadata=metadata))) == licence


def test_a_package_without_a_licence_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(third_party, "licence_of", lambda _: "")
    assert "click 8." in "\n".join(third_party.text()[1])
    monkeypatch.setattr(third_party, "packages", lambda: [("not-there", "1")])
    assert third_party.text()[1] == ["not-there is not installed: make setup"]


def test_the_bill_of_materials_is_valid_and_always_the_same(tmp_path: Path) -> None:
    status, system = tmp_path / "status", tmp_path / "os-release"
    status.write_text(DPKG)
    system.write_text('PRETTY_NAME="Debian"\nID=debian\n')

    def made() -> str:
        return bill([*python_packages(str(SITE)), *debian_packages(status, system)])

    text = made()
    assert text == made()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    found = json.loads(text)
    assert found["metadata"]["component"]["name"] == "auditdeck"
    by_name = {component["name"].lower().replace("_", "-"): component for component in found["components"]}
    for name, version in third_party.packages():
        assert by_name[name]["version"] == version
        assert by_name[name]["licenses"]
    assert by_name["libc6"]["purl"] == "pkg:deb/debian/libc6@2.41-12?arch=amd64"
    assert "gone" not in by_name


def test_a_base_without_dpkg_has_no_such_packages(tmp_path: Path) -> None:
    assert [*debian_packages(tmp_path / "none", tmp_path / "none")] == []
