"""What the comparisons with other tools share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from auditdeck.audit.client import AuditSocket
from tests.support.audit import preserved, require_audit


@pytest.fixture
def audit() -> Iterator[AuditSocket]:
    """The kernel's audit without rules, put back afterwards."""
    require_audit()
    with preserved() as kernel:
        yield kernel
