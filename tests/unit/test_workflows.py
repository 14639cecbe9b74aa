"""What GitHub Actions runs: with no more rights than it needs, and what there is to run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

TOP = Path(__file__).parent.parent.parent
WORKFLOWS = sorted((TOP / ".github" / "workflows").glob("*.yml"))
TARGETS = set(re.findall(r"^([a-z]+):", (TOP / "Makefile").read_text(), re.MULTILINE))


def steps(workflow: dict[str, Any]) -> list[dict[str, Any]]:
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


@pytest.fixture(params=WORKFLOWS, ids=lambda path: path.name)
def workflow(request: pytest.FixtureRequest) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(request.param.read_text())
    return found


def test_it_may_only_read(workflow: dict[str, Any]) -> None:
    assert workflow["permissions"] == {"contents": "read"}
    assert not [job for job in workflow["jobs"].values() if "permissions" in job]
    for step in steps(workflow):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False
    assert "secrets." not in str(workflow)


def test_actions_are_those_of_a_version(workflow: dict[str, Any]) -> None:
    used = [step["uses"] for step in steps(workflow) if "uses" in step]
    assert used
    assert all(re.fullmatch(r"actions/[\w-]+@v\d+(\.\d+)*", name) for name in used)


def test_what_it_makes_is_in_the_makefile(workflow: dict[str, Any]) -> None:
    made = {target for step in steps(workflow) for target in re.findall(r"\bmake (\w+)", step.get("run", ""))}
    assert made == {"test", "wheel"}
    assert made <= TARGETS
    assert {entry["architecture"] for entry in workflow["jobs"]["image"]["strategy"]["matrix"]["include"]} == {
        "amd64", "arm64",
    }  # fmt: skip
