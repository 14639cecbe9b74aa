"""The examples of the documentation run, and what it names is there."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import auditdeck
from tests.support.audit import preserved, require_audit

TOP = Path(__file__).parent.parent.parent
LIBRARY = (TOP / "docs" / "library.md").read_text()
BLOCK = re.compile(r"```python( requires-root)?\n(.*?)```", re.DOTALL)


def test_examples_of_the_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    blocks = [text for root, text in BLOCK.findall(LIBRARY) if not root]
    assert len(blocks) >= 4
    for block in blocks:
        exec(compile(block, "docs/library.md", "exec"), names)


def test_examples_with_the_kernel() -> None:
    require_audit()
    blocks = [text for root, text in BLOCK.findall(LIBRARY) if root]
    assert len(blocks) == 2
    with preserved():
        for block in blocks:
            exec(compile(block, "docs/library.md", "exec"), {})


def test_examples_are_right_for_a_strict_type_checker(tmp_path: Path) -> None:
    """As in a project of somebody else's: names are public, and every type is told."""
    together = "\n".join(text for root, text in BLOCK.findall(LIBRARY) if not root)
    (tmp_path / "examples.py").write_text(together)
    for number, block in enumerate(text for root, text in BLOCK.findall(LIBRARY) if root):
        (tmp_path / f"kernel{number}.py").write_text(block)
    found = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache"), *tmp_path.glob("*.py")],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert found.returncode == 0, found.stdout


def test_every_public_name_can_be_imported() -> None:
    for name in dir(auditdeck):
        assert getattr(auditdeck, name) is not None
    assert sorted(auditdeck.__all__) == sorted(auditdeck.PLACES)
    with pytest.raises(AttributeError):
        auditdeck.nothing  # noqa: B018


def test_the_tour_names_every_panel_and_alert() -> None:
    tour = (TOP / "docs" / "dashboards.md").read_text()
    [outbound] = (TOP / "kibana" / "saved-objects" / "dashboard").glob("*outbound.json")
    titles = [panel["title"] for panel in json.loads(outbound.read_text())["attributes"]["panelsJSON"]]
    assert [title for title in titles if title not in tour and title != "Dashboards"] == []
    for path in (TOP / "kibana" / "alerts").glob("*.json"):
        assert f"`{path.stem}`" in tour
    for path in (TOP / "kibana" / "saved-objects" / "dashboard").glob("*.json"):
        assert f"## {json.loads(path.read_text())['attributes']['title']}" in tour


def test_links_lead_somewhere() -> None:
    for page in [TOP / "README.md", *(TOP / "docs").glob("*.md")]:
        for link in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
            assert "://" in link or (page.parent / link).exists(), f"{page.name}: {link}"
