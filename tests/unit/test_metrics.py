"""/metrics, /healthz and /readyz: the same numbers and words as everywhere else, whoever asks and however."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families

from auditdeck.cli.status import BAD
from auditdeck.collector import metrics, metrics_server
from auditdeck.collector.collector import Collector
from auditdeck.collector.health import LOSSES, Counters, changes
from auditdeck.collector.lag import Lag
from auditdeck.collector.metrics import Metrics
from auditdeck.collector.metrics_server import MOST, MetricsServer
from auditdeck.eventlog.status import FRESH, write_status
from auditdeck.outputs.output import Sent
from auditdeck.settings.model import MetricsSettings, Settings
from tests.support.lens import panels
from tests.support.run import auditdeck
from tests.support.waiting import wait_for
from tests.unit.test_dashboards import FIELDS

COUNTERS = Counters(**{field.name: number for number, field in enumerate(fields(Counters), 1)})
OF_THE_OUTPUTS = {"sent", "doubled", "behind"}
"""Counters that are told for each output instead."""


def state(**more: Any) -> dict[str, Any]:
    outputs = {"elasticsearch": Sent(sent=7, doubled=2, behind=99), "syslog": Sent(shortened=3, error="is full")}
    found = {"counters": COUNTERS, "mode": "unicast", "not_watched": [], "failing": [], "filters": {"0: port=53": 4},
             "connections": {"source": "audit", "open": None}, "outputs": outputs}  # fmt: skip
    return {**found, **more}


def shown(page: Metrics) -> dict[tuple[str, tuple[str, ...]], float]:
    """Of each sample name and labels: its value. As Prometheus itself reads the page."""
    kind, text = page.page("")
    assert kind.startswith("text/plain")
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


@pytest.fixture
def page() -> Metrics:
    return Metrics(state, Lag())


@pytest.fixture
def server(tmp_path: Path, page: Metrics) -> Iterator[MetricsServer]:
    made = MetricsServer("127.0.0.1", 0, page.page, tmp_path / "status.json")
    made.listen()
    yield made
    made.close()


def connect(server: MetricsServer) -> socket.socket:
    assert server.server is not None
    return socket.create_connection(("127.0.0.1", server.server.server_port), 10)


def ask(server: MetricsServer, path: str, **headers: str) -> tuple[int, str]:
    assert server.server is not None
    request = Request(f"http://127.0.0.1:{server.server.server_port}{path}", headers=headers)
    try:
        with urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        return error.code, error.read().decode()


def test_every_counter_of_the_collector_is_there(page: Metrics) -> None:
    found = shown(page)
    for field in fields(Counters):
        value = getattr(COUNTERS, field.name)
        if field.name in LOSSES:
            assert found[("auditdeck_lost_total", (field.name,))] == value
        elif field.name == "lag":
            assert ("auditdeck_lag_seconds_count", ()) in found
        elif field.name not in OF_THE_OUTPUTS:
            assert value in {found.get((f"auditdeck_{name}", ())) for name in names_of(field.name)}, field.name
    assert found[("auditdeck_output_sent_total", ("elasticsearch",))] == 7
    assert found[("auditdeck_output_doubled_total", ("elasticsearch",))] == 2
    assert found[("auditdeck_output_behind_bytes", ("elasticsearch",))] == 99
    assert found[("auditdeck_output_up", ("elasticsearch",))] == 1
    assert found[("auditdeck_output_up", ("syslog",))] == 0
    assert found[("auditdeck_filter_events_total", ("0: port=53",))] == 4
    assert ("process_cpu_seconds_total", ()) in found


def names_of(counter: str) -> list[str]:
    return [f"{counter}_total", f"{counter}_seconds_total", metrics.GAUGES.get(counter, ("",))[0]]


@pytest.mark.parametrize("loss", [*LOSSES, "doubled", "unwatched"])
def test_a_loss_is_in_status_in_health_documents_in_the_index_and_in_a_panel(loss: str) -> None:
    assert loss in BAD
    assert loss in changes(COUNTERS, Counters())
    field = f"auditdeck.health.{loss}"
    assert field in FIELDS
    fields_of = [
        column.get("sourceField")
        for panel in panels()
        if panel.name in ("health-hosts", "health-losses")
        for column in panel.columns.values()
    ]
    assert field in fields_of


def test_lag_is_a_histogram_of_events() -> None:
    lag = Lag()
    lag.add(0.09, 5)
    lag.add(45, 1)
    found = shown(Metrics(state, lag))
    buckets = {labels[0]: value for (name, labels), value in found.items() if name == "auditdeck_lag_seconds_bucket"}
    assert (buckets["0.05"], buckets["0.1"], buckets["30.0"], buckets["+Inf"]) == (0, 5, 5, 6)
    assert found[("auditdeck_lag_seconds_sum", ())] == pytest.approx(45.45)


@pytest.mark.parametrize(
    ("changes", "healthy", "ready", "status"),
    [
        (None, 503, 503, 3),
        ({"age": FRESH + 1}, 503, 503, 3),
        ({"not_watched": ["audit was switched off (auditctl -e 0)"]}, 200, 503, 4),
        ({"failing": ["write the event log"]}, 200, 503, 4),
        ({}, 200, 200, 0),
    ],
)
def test_health_is_what_status_says(
    tmp_path: Path, server: MetricsServer, changes: dict[str, Any] | None, healthy: int, ready: int, status: int
) -> None:
    file = tmp_path / "status.json"
    if changes is not None:
        age = changes.pop("age", 0)
        write_status(file, {**state(), **changes})
        file.write_text(json.dumps({**json.loads(file.read_text()), "time": time.time() - age}))
    assert auditdeck("status", "--quiet", "--data-dir", tmp_path).status == status
    assert ask(server, "/healthz")[0] == healthy
    code, text = ask(server, "/readyz")
    assert code == ready
    for trouble in (changes or {}).get("not_watched", []):
        assert trouble in text
    assert shown(Metrics(lambda: {**state(), **(changes or {})}, Lag()))[("auditdeck_ready", ())] == (status != 4)


def test_openmetrics_for_those_who_ask_for_it(server: MetricsServer) -> None:
    assert ask(server, "/metrics", Accept="application/openmetrics-text; version=1.0.0")[1].endswith("# EOF\n")
    assert ask(server, "/nothing") == (404, "use /metrics, /healthz or /readyz\n")


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00" + os.urandom(200) + b"\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\n", b"",
        b"POST /metrics HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n", b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\n" + b"".join(b"h%d: x\r\n" % n for n in range(1000)) + b"\r\n",
        b"GET /metrics HTTP/1.1\r\nAccept: " + b"\xff" * 100 + b"\r\n\r\n",
    ],
)  # fmt: skip
def test_bad_requests_end_nothing(server: MetricsServer, capfd: pytest.CaptureFixture[str], sent: bytes) -> None:
    # The server may be gone before all is sent.
    with connect(server) as client, contextlib.suppress(OSError):
        client.sendall(sent)
        client.shutdown(socket.SHUT_WR)
        while client.recv(65536):
            pass
    assert ask(server, "/metrics")[0] == 200
    assert capfd.readouterr().err == ""


def test_those_who_say_nothing_are_bounded_and_let_go(server: MetricsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_server, "PATIENCE", 2.0)
    assert server.server is not None
    began = server.server.began
    silent = [connect(server) for _ in range(MOST + 4)]
    wait_for(lambda: len(began) == MOST)
    wait_for(lambda: not began)
    assert ask(server, "/metrics")[0] == 200
    for client in silent:
        client.close()


def test_a_port_that_is_taken_is_said_once_and_tried_again(
    tmp_path: Path, page: Metrics, caplog: pytest.LogCaptureFixture
) -> None:
    collector = Collector(Settings(data_dir=str(tmp_path), metrics=MetricsSettings("127.0.0.1:9464")), [])
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        collector.metrics = MetricsServer("127.0.0.1", port, page.page, tmp_path / "status.json")
        for _ in range(2):
            collector.listen()
        assert collector.attempts.failing == {"serve metrics on 127.0.0.1:9464"}
        [record] = caplog.records
        assert "Address already in use" in record.message
    collector.listen()
    assert collector.attempts.failing == set()
    assert ask(collector.metrics, "/metrics")[0] == 200
    collector.metrics.close()


def test_without_metrics_nothing_is_loaded_for_them() -> None:
    code = "import sys, auditdeck.collector.collector; print({'prometheus_client', 'http.server'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
    assert Settings().metrics.listen == ""
