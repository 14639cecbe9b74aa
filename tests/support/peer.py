"""Programs of others that tests compare with."""

from __future__ import annotations

import shutil

import pytest

from tests.support.audit import IN_CI


def require(program: str, package: str) -> str:
    """The program's path; where it is not installed the test is skipped, in CI it fails."""
    found = shutil.which(program, path="/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/bin")
    if found is None and IN_CI:
        pytest.fail(f"CI has {program} (package {package})")
    if found is None:
        pytest.skip(f"{program} is not installed (package {package})")
    return found
