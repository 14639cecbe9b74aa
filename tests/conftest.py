from __future__ import annotations

import os
import time

import pytest
from hypothesis import settings

# Tests run beside others: how long one example takes says nothing.
settings.register_profile("auditdeck", deadline=None)
settings.load_profile("auditdeck")

# Local time is that of the host; what tests expect does not depend on it.
os.environ["TZ"] = "UTC"
time.tzset()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs the kernel's audit runs last, one after the other, after all that is quick."""
    order = {"unit": 0, "browser": 0, "peers": 1, "kernel": 2, "stack": 3}
    items.sort(key=lambda item: next((order[name] for name in order if f"/tests/{name}/" in str(item.path)), 0))


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("AUDITDECK_"):
            monkeypatch.delenv(name)
