"""The metrics of a real collector."""

from __future__ import annotations

import socket
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.collector import as_user, collector, scoped_rules

pytestmark = pytest.mark.kernel
USER = 64192


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as made:
        port: int = made.getsockname()[1]
        return port


def ask(port: int, path: str) -> str:
    with urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
        return str(answer.read().decode())


def numbers(port: int) -> dict[str, float]:
    families = text_string_to_metric_families(ask(port, "/metrics"))
    return {sample.name: sample.value for family in families for sample in family.samples}


@pytest.mark.usefixtures("audit")
def test_what_runs_is_counted(tmp_path: Path) -> None:
    rules, port = scoped_rules(tmp_path / "test.rules", [USER]), free_port()
    listen = f"127.0.0.1:{port}"
    with collector(tmp_path / "data", "--rules", rules, AUDITDECK_METRICS__LISTEN=listen) as running:
        for _ in range(3):
            as_user(USER, "/bin/true")
        deadline = time.monotonic() + 10
        while (found := numbers(port))["auditdeck_lag_seconds_count"] < 3:
            assert time.monotonic() < deadline, found
            time.sleep(0.05)
        assert found["auditdeck_documents_total"] >= 3
        assert found["auditdeck_lag_seconds_sum"] < 60
        assert found["auditdeck_ready"] == 1
        running.wait_status()
        assert ask(port, "/healthz") == ask(port, "/readyz") == "ok\n"
        running.stop()
    with pytest.raises(URLError):
        ask(port, "/healthz")
