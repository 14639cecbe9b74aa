"""Who may import whom: what a package knows of is below it (docs/architecture.md)."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import auditdeck

ROOT = Path(auditdeck.__file__).parent
EVERYWHERE = {
    "errors",
    "cache",
    "capabilities",
    "gz",
    "libc",
    "netlink",
    "packages",
    "private_file",
    "assets",
    "visible",
}
BELOW = {
    "audit": set(),
    "connections": set(),
    "context": {"connections"},
    "settings": {"audit"},
    "ecs": {"audit", "connections", "context", "settings"},
    "eventlog": set(),
    "outputs": {"audit", "context", "ecs", "eventlog", "settings"},
    "query": {"audit", "context", "ecs", "eventlog", "settings"},
    "report": {"query"},
    "serve": {"eventlog", "query", "report", "settings"},
    "stack": {"settings"},
    "collector": {"audit", "connections", "context", "ecs", "eventlog", "outputs", "query", "settings"},
}
"""All others are thin: they may use everything."""
THIN = {"cli", "__init__", "__main__"}


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from [f"{node.module}.{name.name}" for name in node.names]
        elif isinstance(node, ast.Import):
            yield from [name.name for name in node.names]


def package_of(path: Path) -> str:
    inside = path.relative_to(ROOT).parts
    return inside[0] if len(inside) > 1 else path.stem


@pytest.mark.parametrize("package", BELOW)
def test_nothing_is_imported_from_above(package: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in (ROOT / package).rglob("*.py")
        for name in imports(path)
        if name.startswith("auditdeck.") and name.split(".")[1] not in BELOW[package] | EVERYWHERE | {package}
        and name != "auditdeck.__version__"
    ]  # fmt: skip
    assert wrong == []


def test_every_package_has_its_place() -> None:
    found = {package_of(path) for path in ROOT.rglob("*.py")}
    assert found == BELOW.keys() | EVERYWHERE | THIN


def test_none_is_above_itself() -> None:
    order: list[str] = []
    while len(order) < len(BELOW):
        ready = [name for name, below in BELOW.items() if name not in order and below <= set(order)]
        assert ready, "a circle"
        order += ready
