"""Packages that not every installation has: a bare one collects, and an extra adds what the other commands need."""

from __future__ import annotations

from importlib.util import find_spec

from auditdeck.errors import MissingPackage

EXTRAS = {
    "cryptography": "stack",
    "docker": "containers",
    "duckdb": "report",
    "elasticsearch": "stack",
    "jinja2": "html",
    "markupsafe": "html",
    "prometheus_client": "metrics",
    "starlette": "serve",
    "urllib3": "stack",
    "uvicorn": "serve",
}
"""The extra of pyproject.toml that each comes with."""


def has(package: str) -> bool:
    return find_spec(package) is not None


def missing(package: str, what: str = "this command") -> MissingPackage:
    return MissingPackage(f"{what} needs the package {package}", hint(package))


def hint(package: str) -> str:
    return f"pip install 'auditdeck[{EXTRAS[package]}]'"


def require(package: str, what: str) -> None:
    """Raises MissingPackage."""
    if not has(package):
        raise missing(package, what)
