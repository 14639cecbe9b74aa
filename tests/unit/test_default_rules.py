"""Which of its own rules auditdeck loads."""

from __future__ import annotations

import pytest

from auditdeck.collector.rules import Rules
from auditdeck.settings.model import ConnectionSettings, Settings


@pytest.mark.parametrize(
    ("tracepoint", "udp", "connects"), [(True, False, False), (True, True, True), (False, False, True)]
)
def test_system_calls_are_watched_for_connects_only_if_nothing_tells_them_better(
    tracepoint: bool, udp: bool, connects: bool
) -> None:
    """A rule on a system call costs every call of the host."""
    found = " ".join(
        statement.text
        for statement in Rules(Settings(connections=ConnectionSettings(udp=udp)), [], tracepoint=tracepoint).defaults()
    )
    assert ("-S connect" in found, "-S socket " in found, "io_uring" in found) == (connects,) * 3
    assert "-S listen" in found
    assert "-S execve" in found
