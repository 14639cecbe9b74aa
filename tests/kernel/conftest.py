"""What tests on the real kernel share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from auditdeck.audit.client import AuditSocket
from tests.support.audit import preserved, require_audit
from tests.support.outside import Outside, outside


@pytest.fixture
def audit() -> Iterator[AuditSocket]:
    """The kernel's audit without rules, put back afterwards."""
    require_audit()
    with preserved() as kernel:
        yield kernel


@pytest.fixture
def away() -> Iterator[Outside]:
    """Another host, with a server."""
    require_audit()
    with outside() as found:
        found.serve()
        yield found
