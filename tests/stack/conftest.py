"""What the tests of the stack share: one stack for all of them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest

from tests.support.audit import skip_if, why_not
from tests.support.outside import Outside, outside
from tests.support.stack import Stack, stack


def why_no_engine() -> str:
    """Why no container can be run here; "" if they can."""
    return "needs Docker, or root to set it up" if os.geteuid() != 0 and shutil.which("docker") is None else ""


def why_no_docker() -> str:
    """Why none can be run beside a collector of the test's own."""
    return why_no_engine() or why_not()


@pytest.fixture(scope="session")
def running() -> Iterator[Stack]:
    """The stack as `make up` leaves it."""
    skip_if(why_no_docker(), "CI can run the stack")
    with stack() as found:
        found.first_log = found.up()
        yield found


@pytest.fixture
def away(running: Stack) -> Iterator[Outside]:  # noqa: ARG001
    """Another host, with a server."""
    with outside() as found:
        found.serve(seconds=3600)
        yield found
