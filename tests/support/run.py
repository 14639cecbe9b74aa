"""Commands as a user types them, without a process of their own."""

from __future__ import annotations

from dataclasses import dataclass

import click
import pytest
from click.testing import CliRunner

from auditdeck.cli.main import cli
from auditdeck.errors import AuditdeckError


@dataclass
class Result:
    status: int
    stdout: str
    stderr: str


def auditdeck(*words: object, given: bytes = b"") -> Result:
    """Runs a command; a failure is told as `main` tells it."""
    result = CliRunner().invoke(cli, [str(word) for word in words], input=given, standalone_mode=False)
    if isinstance(result.exception, AuditdeckError):
        return Result(1, result.stdout, f"{result.exception} {result.exception.hint}")
    if isinstance(result.exception, click.ClickException):
        return Result(result.exception.exit_code, result.stdout, result.exception.format_message())
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        pytest.fail(f"{words}: {result.exception!r}")
    status = result.return_value if isinstance(result.return_value, int) else result.exit_code
    return Result(status, result.stdout, result.stderr)
