"""What is sent to a real Elasticsearch while its state keeps it from being taken: nothing lost, nothing there twice."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from elasticsearch import ConnectionTimeout, Elasticsearch

from auditdeck.eventlog.writer import Writer
from auditdeck.outputs.elasticsearch import ElasticsearchOutput
from auditdeck.outputs.formats.encode import same
from auditdeck.settings.model import ElasticsearchSettings
from tests.stack.conftest import why_no_engine
from tests.support.audit import skip_if
from tests.support.elasticsearch import elasticsearch
from tests.support.run import auditdeck
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]

JSON = {"content-type": "application/json", "accept": "application/json"}


@pytest.fixture(scope="module")
def node() -> Iterator[Elasticsearch]:
    skip_if(why_no_engine(), "CI can run containers")
    with elasticsearch() as client:
        yield client


class Sending:
    """An output that sends to the node, and what was given to it."""

    def __init__(self, client: Elasticsearch, folder: Path) -> None:
        self.client = client
        self.folder = folder
        self.settings = folder / "settings.yaml"
        (self.host,) = (f"http://{node.host}:{node.port}" for node in client.transport.node_pool.all())
        self.stream = f"audit-{uuid4().hex}"
        self.settings.write_text(
            f"outputs: {{elasticsearch: {{enabled: true, hosts: ['{self.host}'], index: {self.stream}}}}}"
        )
        self.output = ElasticsearchOutput(self.to(self.stream), folder, same)
        self.made = 0

    def to(self, stream: str) -> ElasticsearchSettings:
        return ElasticsearchSettings(enabled=True, hosts=[self.host], index=stream, backoff_max=0.5, flush_interval=0.1)

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        return self.client.perform_request(method, path, headers=JSON, body=body).body

    def write(self, count: int, **more: Any) -> None:
        with Writer(self.folder / "events") as writer:
            writer.append([self.document(number, **more) for number in range(self.made, self.made + count)])
        self.made += count

    def document(self, number: int, **more: Any) -> bytes:
        made = {
            "@timestamp": "2026-01-01T00:00:00.000Z",
            "event": {"id": f"17.000:{number}", "kind": "event"},
            "host": {"name": "one"},
            "message": str(number),
            **more,
        }
        return json.dumps(made, separators=(",", ":")).encode()

    def there(self) -> int:
        self.ask("POST", f"/{self.stream}/_refresh")
        found: int = self.ask("GET", f"/{self.stream}/_count")["count"]
        return found

    def index(self) -> str:
        stream = self.ask("GET", f"/_data_stream/{self.stream}")["data_streams"][0]
        name: str = stream["indices"][-1]["index_name"]
        return name


@pytest.fixture
def sending(node: Elasticsearch, tmp_path: Path) -> Iterator[Sending]:
    made = Sending(node, tmp_path)
    made.ask("PUT", f"/_data_stream/{made.stream}")
    yield made
    made.output.stop(0)


def says(output: ElasticsearchOutput, words: str) -> bool:
    return words in output.counts.error


STATES: dict[str, tuple[str, Callable[[Sending], Any], Callable[[Sending], Any]]] = {
    "blocked for writes": (
        "takes no writes",
        lambda at: at.ask("PUT", f"/{at.index()}/_settings", {"index.blocks.write": True}),
        lambda at: at.ask("PUT", f"/{at.index()}/_settings", {"index.blocks.write": None}),
    ),
    "disk full": (
        "takes no writes",
        lambda at: at.ask("PUT", f"/{at.index()}/_settings", {"index.blocks.read_only_allow_delete": True}),
        lambda at: at.ask("PUT", f"/{at.index()}/_settings", {"index.blocks.read_only_allow_delete": None}),
    ),
    "cluster read-only": (
        "takes no writes",
        lambda at: at.ask("PUT", "/_cluster/settings", {"persistent": {"cluster.blocks.read_only": True}}),
        lambda at: at.ask("PUT", "/_cluster/settings", {"persistent": {"cluster.blocks.read_only": None}}),
    ),
    "closed": (
        "the index is closed",
        lambda at: at.ask("POST", f"/{at.index()}/_close"),
        lambda at: at.ask("POST", f"/{at.index()}/_open"),
    ),
    "pipeline missing": (
        "not set up for these documents",
        lambda at: at.ask("PUT", f"/{at.index()}/_settings", {"index.default_pipeline": "nope"}),
        lambda at: at.ask("PUT", f"/{at.index()}/_settings", {"index.default_pipeline": None}),
    ),
}


@pytest.mark.parametrize("state", STATES)
def test_a_state_is_waited_for(sending: Sending, state: str) -> None:
    words, begin, end = STATES[state]
    output = sending.output
    output.start()
    sending.write(100)
    wait_for(lambda: output.counts.sent == 100)
    begin(sending)
    sending.write(500)
    wait_for(lambda: words in output.counts.error)
    time.sleep(1)
    assert (output.counts.sent, output.counts.dead_letters) == (100, 0)
    end(sending)
    wait_for(lambda: not output.behind())
    assert sending.there() == 600
    assert not output.counts.error


def test_a_name_that_is_no_data_stream_gets_no_document(sending: Sending) -> None:
    sending.ask("PUT", "/plain", {})
    for index, words in (("plain", "has to be a data stream"), ("nothing-of-that-name", "auditdeck provision")):
        output = ElasticsearchOutput(sending.to(index), sending.folder / index, same)
        with Writer(sending.folder / index / "events") as writer:
            writer.append([sending.document(1)])
        output.start()
        wait_for(partial(says, output, words))
        output.stop(0)
    assert sending.ask("GET", "/plain/_count")["count"] == 0
    assert "nothing-of-that-name" not in sending.ask("GET", "/_all")


def test_what_a_document_is_to_blame_for_is_kept_and_sent_again(sending: Sending) -> None:
    output = sending.output
    output.start()
    sending.write(50)
    sending.write(1, **{"@timestamp": "no time"})
    sending.write(50)
    wait_for(lambda: not output.behind())
    assert (output.counts.sent, output.counts.dead_letters) == (100, 1)
    options = ("resend", "--config", str(sending.settings), "--data-dir", str(sending.folder))
    refused = auditdeck(*options)
    assert refused.status == 1
    assert "0 documents were taken, 1 refused again: " in refused.stderr
    letters = output.dead_letters.path
    letters.write_text(letters.read_text().replace('"no time"', '"2026-01-01T00:00:00.000Z"'))
    assert auditdeck(*options).status == 0
    assert sending.there() == 101
    assert not letters.exists()


def test_what_a_rollover_doubles_is_counted(sending: Sending, monkeypatch: pytest.MonkeyPatch) -> None:
    output = sending.output
    output.start()
    sending.write(10)
    wait_for(lambda: output.counts.sent == 10)
    post = output.bulk.post
    lost: list[Any] = []

    def lose(client: Elasticsearch, body: bytes, wanted: str) -> Any:
        answer = post(client, body, wanted)
        if lost:
            return answer
        lost.append(answer)
        sending.ask("POST", f"/{sending.stream}/_rollover")
        raise ConnectionTimeout("lost")

    monkeypatch.setattr(output.bulk, "post", lose)
    sending.write(25)
    wait_for(lambda: not output.behind())
    assert sending.there() == 10 + 25 + output.counts.doubled
    assert output.counts.doubled == 25
