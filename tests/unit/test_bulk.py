"""What Elasticsearch's answers mean: what is sent again, what is kept as refused, and what is never lost."""

from __future__ import annotations

import json
import os
import stat
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest
from elastic_transport import BaseNode, HttpHeaders
from elastic_transport._models import ApiResponseMeta
from elastic_transport._node import NodeApiResponse

from auditdeck.cli import resend
from auditdeck.collector.health import Counters
from auditdeck.eventlog.status import write_status
from auditdeck.eventlog.writer import Writer
from auditdeck.outputs import elasticsearch as module
from auditdeck.outputs.bulk import Bulk
from auditdeck.outputs.dead_letters import DeadLetters, document_of
from auditdeck.outputs.elasticsearch import ElasticsearchOutput, make_client
from auditdeck.outputs.formats.encode import same
from auditdeck.outputs.output import Sent
from auditdeck.settings.model import ElasticsearchSettings
from tests.support.run import auditdeck
from tests.support.waiting import wait_for

Items = list[tuple[int, str]]
"""Of each document: status, and the type of the error, "" for none."""


def line(number: int, host: str = "one") -> bytes:
    made = {"@timestamp": "2026-01-01T00:00:00.000Z", "event": {"id": f"17.000:{number}", "kind": "event"}}
    return orjson.dumps({**made, "host": {"name": host}})


class Cluster:
    """Plays Elasticsearch: `behave` gives a status, and items or a whole error, for the ids of a request."""

    def __init__(self) -> None:
        self.there: dict[str, str] = {}
        self.generation = 1
        self.requests: list[tuple[str, list[str], Mapping[str, str]]] = []
        self.behave: Callable[[list[str]], tuple[int, Any]] = lambda ids: (200, [(201, "")] * len(ids))

    def answer(self, target: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, Any]:
        rows = body.split(b"\n")[:-1]
        ids = [row.partition(b'"_id":"')[2].partition(b'"')[0].decode() for row in rows[::2]]
        self.requests.append((target, ids, headers))
        status, told = self.behave(ids)
        if status != 200 or not isinstance(told, list):
            return status, told
        items = []
        for identity, (code, error), document in zip(ids, told, rows[1::2], strict=False):
            if code < 300 and identity in self.there:
                code, error = 409, "version_conflict_engine_exception"
            if code < 300:
                self.there[identity] = document.decode()
            made: dict[str, Any] = {"status": code}
            if "items.*._index" in target:
                made["_index"] = f".ds-audit-events-2026.01.01-{self.generation:06}"
            if error:
                kind, _, reason = error.partition(": ")
                made["error"] = {"type": kind, "reason": reason or "because"}
            items.append({"create": made})
        return 200, {"errors": any(code >= 300 for code, _ in told), "items": items}


CLUSTER = Cluster()


class Node(BaseNode):
    def perform_request(
        self, method: str, target: str, body: bytes | None = None, headers: HttpHeaders | None = None, **_: Any
    ) -> NodeApiResponse:
        assert method == "POST"
        status, answer = CLUSTER.answer(target, body or b"", dict(headers or {}))
        raw = answer if isinstance(answer, bytes) else orjson.dumps(answer)
        told = HttpHeaders({"content-type": "application/json", "x-elastic-product": "Elasticsearch"})
        return NodeApiResponse(ApiResponseMeta(status, "1.1", told, 0.001, self.config), raw)

    def close(self) -> None:
        pass


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    CLUSTER.__init__()  # type: ignore[misc]
    made = make_client
    monkeypatch.setattr(module, "make_client", lambda settings: made(settings, node_class=Node))
    monkeypatch.setattr(resend, "make_client", lambda settings: made(settings, node_class=Node))
    return CLUSTER


@pytest.fixture
def output(tmp_path: Path, cluster: Cluster) -> Iterator[ElasticsearchOutput]:  # noqa: ARG001
    settings = ElasticsearchSettings(
        enabled=True,
        hosts=["http://localhost:1"],
        compression="off",
        backoff_max=0.05,
        bulk_count=10,
        flush_interval=0.0,
    )
    made = ElasticsearchOutput(settings, tmp_path, same)
    yield made
    made.stop(0)


def log(tmp_path: Path, lines: list[bytes]) -> None:
    with Writer(tmp_path / "events") as writer:
        writer.append(lines)


STATES: dict[str, tuple[int, Any]] = {
    "read only": (200, [(403, "cluster_block_exception")]),
    "closed": (200, [(400, "index_closed_exception")]),
    "no stream": (200, [(404, "index_not_found_exception")]),
    "no stream but an index": (200, [(404, "resource_not_found_exception")]),
    "pipeline gone": (200, [(400, "illegal_argument_exception: pipeline with id [nope] does not exist")]),
    "no name for a stream": (200, [(400, "illegal_argument_exception: data_stream [Audit] must be lowercase")]),
    "too old": (
        400,
        {
            "error": {
                "type": "illegal_argument_exception",
                "reason": "request [/_bulk] contains unrecognized parameter: [require_data_stream]",
            }
        },
    ),
    "no right to make one": (200, [(403, "security_exception")]),
    "too many shards": (200, [(400, "validation_exception")]),
    "busy": (200, [(429, "es_rejected_execution_exception")]),
    "shard gone": (200, [(503, "unavailable_shards_exception")]),
    "all busy": (429, {"error": {"type": "circuit_breaking_exception", "reason": "too large"}}),
    "all blocked": (403, {"error": {"type": "cluster_block_exception", "reason": "blocked by: [FORBIDDEN/5]"}}),
    "all refused": (401, {"error": {"type": "security_exception", "reason": "unable to authenticate"}}),
    "role gone": (403, {"error": {"type": "security_exception", "reason": "is unauthorized"}}),
    "gateway": (502, b"<html>bad gateway</html>"),
    "another server": (200, {}),
    "no items": (200, {"errors": False}),
    "items missing": (200, {"took": 1, "errors": False, "items": [{"create": {"status": 201}}]}),
    "items of something else": (200, {"errors": False, "items": [{"index": {"status": 201}}] * 10}),
    "not JSON": (200, b"it works"),
    "a list": (200, b"[1, 2]"),
}


@pytest.mark.parametrize("state", STATES)
def test_a_state_of_the_cluster_is_waited_for_and_nothing_is_refused(
    tmp_path: Path, cluster: Cluster, output: ElasticsearchOutput, state: str, caplog: pytest.LogCaptureFixture
) -> None:
    status, told = STATES[state]
    cluster.behave = lambda ids: (status, told * len(ids) if isinstance(told, list) else told)
    log(tmp_path, [line(number) for number in range(25)])
    output.start()
    wait_for(lambda: len(cluster.requests) > 5)
    assert output.counts.error
    assert (output.counts.sent, output.counts.dead_letters) == (0, 0)
    assert output.cursor.position.offset == 0
    said = [record for record in caplog.records if record.name == "auditdeck" and record.levelname == "WARNING"]
    assert len(said) == 1, "it is not said each time"
    cluster.behave = lambda ids: (200, [(201, "")] * len(ids))
    wait_for(lambda: len(cluster.there) == 25 and not output.behind())
    assert not output.counts.error
    assert not (tmp_path / "dead-letters.ndjson").exists()


@pytest.mark.parametrize(
    ("state", "words"),
    [("read only", "takes no writes"), ("closed", "is closed"), ("no stream", "auditdeck provision"),
     ("no right to make one", "may not write"), ("all refused", "refuses the credentials"),
     ("all blocked", "takes no writes"), ("role gone", "may not write"), ("another server", "not Elasticsearch"),
     ("not JSON", "not Elasticsearch"),
     ("too old", "8.14"), ("no stream but an index", "provision"), ("pipeline gone", "not set up")],
)  # fmt: skip
def test_each_state_is_told_in_words(cluster: Cluster, state: str, words: str) -> None:
    status, told = STATES[state]
    cluster.behave = lambda ids: (status, told * len(ids) if isinstance(told, list) else told)
    client = module.make_client(ElasticsearchSettings(hosts=["http://localhost:1"]))
    answer = Bulk("audit-events", compress=False).send(client, [line(1), line(2)])
    assert words in answer.trouble
    assert answer.again == [line(1), line(2)]


def test_what_a_document_is_to_blame_for_is_kept_told_once_and_sent_again_when_asked(
    tmp_path: Path, cluster: Cluster, output: ElasticsearchOutput, caplog: pytest.LogCaptureFixture
) -> None:
    refused = {f"17.000:{number}" for number in (3, 7, 21)}
    kinds = {"3": "document_parsing_exception", "7": "document_parsing_exception", "21": "illegal_argument_exception"}

    def some(ids: list[str]) -> tuple[int, Items]:
        found = [identity.partition("-")[2] for identity in ids]
        return 200, [(400, kinds[one.partition(":")[2]]) if one in refused else (201, "") for one in found]

    cluster.behave = some
    log(tmp_path, [line(number) for number in range(25)])
    output.start()
    wait_for(lambda: not output.behind())
    assert (output.counts.sent, output.counts.dead_letters) == (22, 3)
    path = tmp_path / "dead-letters.ndjson"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    letters = [json.loads(text) for text in path.read_text().splitlines()]
    assert [letter["document"]["event"]["id"] for letter in letters] == ["17.000:3", "17.000:7", "17.000:21"]
    assert [record.levelname for record in caplog.records if "for good" in record.message] == ["WARNING"] * 2
    output.stop(1)
    settings = tmp_path / "settings.yaml"
    settings.write_text("outputs: {elasticsearch: {enabled: true, hosts: ['http://localhost:1'], compression: 'off'}}")
    resend = ["resend", "--config", str(settings), "--data-dir", str(tmp_path)]
    refused = {"17.000:7"}
    result = auditdeck(*resend)
    assert result.status == 1
    assert "2 documents were taken, 1 refused again" in result.stderr
    assert [json.loads(text)["document"]["event"]["id"] for text in path.read_text().splitlines()] == ["17.000:7"]
    cluster.behave = lambda ids: (200, [(201, "")] * len(ids))
    assert auditdeck(*resend).status == 0
    assert not path.exists()
    assert len(cluster.there) == 25
    assert auditdeck(*resend).status == 0


def test_resend_keeps_everything_while_the_cluster_takes_nothing(tmp_path: Path, cluster: Cluster) -> None:
    letters = DeadLetters(tmp_path)
    letters.add(line(1), {"type": "document_parsing_exception", "reason": "r"})
    letters.add(b'{"damaged":', {"type": "x_content_parse_exception", "reason": "r"})
    settings = tmp_path / "settings.yaml"
    settings.write_text("outputs: {elasticsearch: {enabled: true, hosts: ['http://localhost:1'], compression: 'off'}}")
    resend = ["resend", "--config", str(settings), "--data-dir", str(tmp_path)]
    cluster.behave = lambda _: (503, {"error": {"type": "master_not_discovered_exception", "reason": "none"}})
    failed = auditdeck(*resend)
    assert failed.status == 1
    assert "others are kept" in failed.stderr
    assert letters.count() == 2
    cluster.behave = lambda ids: (200, [(201, "")] * len(ids))
    assert auditdeck(*resend).status == 0
    assert letters.count() == 1, "what is not a document stays"


def test_a_damaged_line_keeps_no_other_from_being_sent(
    tmp_path: Path, cluster: Cluster, output: ElasticsearchOutput
) -> None:
    def strict(ids: list[str]) -> tuple[int, Any]:
        broken = any("17.000:" not in identity for identity in ids)
        whole = {"error": {"type": "illegal_argument_exception", "reason": "Malformed action/metadata line [3]"}}
        return (400, whole) if broken else (200, [(201, "")] * len(ids))

    cluster.behave = strict
    log(tmp_path, [line(1), b'{"event":{"id":', line(2), b'\xff\xfe"', line(3)])
    output.start()
    wait_for(lambda: len(cluster.there) == 3 and not output.behind())
    assert output.counts.dead_letters == 2
    texts = [json.loads(text)["text"] for text in (tmp_path / "dead-letters.ndjson").read_text().splitlines()]
    assert texts == ['{"event":{"id":', '\\xff\\xfe"']


def test_a_request_that_is_too_large_is_split_and_one_document_that_is_does_not_wait_for_ever(
    tmp_path: Path, cluster: Cluster, output: ElasticsearchOutput
) -> None:
    def small(ids: list[str]) -> tuple[int, Any]:
        if len(ids) > 2 or any(identity.endswith(":5") for identity in ids):
            return 413, {"error": {"type": "content_too_long", "reason": "entity content is too long"}}
        return 200, [(201, "")] * len(ids)

    cluster.behave = small
    log(tmp_path, [line(number) for number in range(9)])
    output.start()
    wait_for(lambda: not output.behind())
    assert (len(cluster.there), output.counts.dead_letters) == (8, 1)


def test_after_a_new_key_the_old_one_is_used_no_more(
    tmp_path: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = tmp_path / "key"
    key.write_text("b2xkOmtleQ==")
    settings = ElasticsearchSettings(
        enabled=True, hosts=["http://localhost:1"], compression="off", api_key_file=str(key), backoff_max=0.05,
        bulk_count=5, flush_interval=0.0, workers=1,
    )  # fmt: skip
    output = ElasticsearchOutput(settings, tmp_path, same)
    accepted = "b2xkOmtleQ=="
    told: list[bool] = []

    def guard(target: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, Any]:
        told.append(accepted in headers["authorization"])
        if not told[-1]:
            return 401, {"error": {"type": "security_exception", "reason": "unable to authenticate"}}
        return Cluster.answer(cluster, target, body, headers)

    monkeypatch.setattr(cluster, "answer", guard)
    log(tmp_path, [line(number) for number in range(10)])
    output.start()
    wait_for(lambda: len(cluster.there) == 10)
    accepted = "bmV3OmtleQ=="
    key.write_text(accepted)
    with Writer(tmp_path / "events") as writer:
        writer.append([line(number) for number in range(10, 40)])
    wait_for(lambda: len(cluster.there) == 40)
    output.stop(1)
    assert told.count(False) == 1


def test_an_answer_that_was_lost_doubles_nothing(tmp_path: Path, cluster: Cluster, output: ElasticsearchOutput) -> None:
    lost = threading.Event()

    def lose(target: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, Any]:
        answer = Cluster.answer(cluster, target, body, headers)
        if not lost.is_set():
            lost.set()
            return 504, {"error": {"type": "gateway_timeout", "reason": "lost"}}
        return answer

    cluster.answer = lose  # type: ignore[method-assign]
    log(tmp_path, [line(number) for number in range(8)])
    output.start()
    wait_for(lambda: not output.behind())
    del cluster.answer  # type: ignore[method-assign]
    assert len(cluster.there) == 8
    assert (output.counts.sent, output.counts.repeated) == (8, 8)


def test_the_cursor_is_saved_only_after_the_answer(
    tmp_path: Path, cluster: Cluster, output: ElasticsearchOutput
) -> None:
    gate = threading.Event()

    def slow(ids: list[str]) -> tuple[int, Any]:
        assert gate.wait(10)
        return 200, [(201, "")] * len(ids)

    cluster.behave = slow
    log(tmp_path, [line(number) for number in range(10)])
    output.start()
    wait_for(lambda: cluster.requests)
    time.sleep(0.1)
    assert output.cursor.position.offset == 0
    gate.set()
    wait_for(lambda: not output.behind())


def test_no_index_is_ever_made_by_a_document(cluster: Cluster) -> None:
    client = module.make_client(ElasticsearchSettings(hosts=["http://localhost:1"]))
    Bulk("audit-events", compress=False).send(client, [line(1)])
    assert "require_data_stream=true" in cluster.requests[0][0]


def test_ids_of_different_hosts_differ(cluster: Cluster) -> None:
    client = module.make_client(ElasticsearchSettings(hosts=["http://localhost:1"]))
    Bulk("audit-events", compress=False).send(client, [line(1), line(1, "two"), line(1)])
    first, second, third = cluster.requests[0][1]
    assert first == third != second
    assert first.endswith("-17.000:1")


def test_the_file_of_refused_documents_has_a_bound(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    letters = DeadLetters(tmp_path, most=1000)
    for number in range(50):
        letters.add(line(number), {"type": "document_parsing_exception", "reason": "r"})
    assert 0 < letters.size() <= 1000
    assert [record.levelname for record in caplog.records] == ["WARNING", "ERROR"]


def test_a_cause_is_told_once_however_its_words_change(
    tmp_path: Path, cluster: Cluster, output: ElasticsearchOutput, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")

    def busy(ids: list[str]) -> tuple[int, Any]:
        if len(cluster.requests) % 3 == 0:
            return 200, [(201, "")] * len(ids)
        reason = f"rejected execution of operation {len(cluster.requests)}"
        return 200, [(429, f"es_rejected_execution_exception: {reason}")] * len(ids)

    cluster.behave = busy
    log(tmp_path, [line(number) for number in range(100)])
    output.start()
    wait_for(lambda: not output.behind())
    told = [record.levelname for record in caplog.records if "output elasticsearch" in record.message]
    assert told.count("WARNING") == 1
    assert told.count("INFO") <= 1


def test_one_line_that_no_request_may_have_keeps_no_other_back(
    tmp_path: Path, cluster: Cluster, output: ElasticsearchOutput
) -> None:
    """As Elasticsearch answers an _id of more than 512 bytes."""

    def strict(ids: list[str]) -> tuple[int, Any]:
        if any(identity.endswith(":5") for identity in ids):
            return 400, {"error": {"type": "action_request_validation_exception", "reason": "id [...] is too long"}}
        return 200, [(201, "")] * len(ids)

    cluster.behave = strict
    log(tmp_path, [line(number) for number in range(9)])
    output.start()
    wait_for(lambda: not output.behind())
    assert (len(cluster.there), output.counts.dead_letters) == (8, 1)


def test_what_went_to_a_failure_store_is_a_dead_letter(
    tmp_path: Path, cluster: Cluster, output: ElasticsearchOutput, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = {"create": {"status": 201, "failure_store": "used"}}
    monkeypatch.setattr(cluster, "answer", lambda *_: (200, {"errors": False, "items": [made]}))
    log(tmp_path, [line(1)])
    output.start()
    wait_for(lambda: not output.behind())
    assert (output.counts.sent, output.counts.dead_letters) == (0, 1)
    assert output.dead_letters.count() == 1


@pytest.mark.parametrize("rolls_over", [False, True])
def test_what_a_rollover_may_have_doubled_is_counted(
    tmp_path: Path, cluster: Cluster, output: ElasticsearchOutput, *, rolls_over: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """An `_id` is unique in one backing index: the answer is lost, the stream rolls over, all is created again."""
    log(tmp_path, [line(number) for number in range(3)])
    output.start()
    wait_for(lambda: not output.behind())
    answered = threading.Event()

    def lose(target: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, Any]:
        answer = Cluster.answer(cluster, target, body, headers)
        if answered.is_set():
            return answer
        answered.set()
        if rolls_over:
            cluster.generation += 1
            cluster.there.clear()
        return 504, {"error": {"type": "gateway_timeout", "reason": "lost"}}

    cluster.answer = lose  # type: ignore[method-assign]
    with Writer(tmp_path / "events") as writer:
        writer.append([line(number) for number in range(3, 10)])
    wait_for(lambda: not output.behind())
    del cluster.answer  # type: ignore[method-assign]
    assert output.counts.doubled == (7 if rolls_over else 0)
    assert ("up to 7 documents are there twice" in caplog.text) == rolls_over


@pytest.mark.parametrize("killed", [False, True])
def test_after_a_kill_and_a_rollover_what_was_under_way_is_counted(
    tmp_path: Path, cluster: Cluster, output: ElasticsearchOutput, *, killed: bool
) -> None:
    log(tmp_path, [line(number) for number in range(5)])
    output.start()
    wait_for(lambda: not output.behind())
    saved = output.cursor.path.read_bytes()
    output.stop(1)
    if killed:
        output.cursor.path.write_bytes(saved)
    cluster.generation += 1
    with Writer(tmp_path / "events") as writer:
        writer.append([line(number) for number in range(5, 8)])
    again = ElasticsearchOutput(output.settings, tmp_path, same)
    again.start()
    wait_for(lambda: not again.behind())
    again.stop(1)
    assert again.counts.doubled == (3 if killed else 0)


def test_a_key_that_cannot_be_read_is_waited_for_in_words(
    tmp_path: Path, cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    key = tmp_path / "key"
    key.mkdir()
    settings = ElasticsearchSettings(
        enabled=True, hosts=["http://localhost:1"], compression="off", api_key_file=str(key), flush_interval=0.0
    )
    output = ElasticsearchOutput(settings, tmp_path, same)
    log(tmp_path, [line(1)])
    output.start()
    wait_for(lambda: output.counts.error)
    assert output.counts.error == f"waiting for {key}: Is a directory"
    key.rmdir()
    key.write_text("b2xkOmtleQ==")
    wait_for(lambda: cluster.there)
    output.stop(1)
    assert "Traceback" not in caplog.text


def test_the_log_is_sent_though_the_cursor_cannot_be_saved(
    tmp_path: Path, cluster: Cluster, output: ElasticsearchOutput, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "cursors").write_text("in the way")
    log(tmp_path, [line(number) for number in range(25)])
    output.start()
    wait_for(lambda: len(cluster.there) == 25)
    output.stop(0)
    assert sum(len(ids) for _, ids, _ in cluster.requests) == 25, "each once"
    assert "cannot save how far it came" in caplog.text
    assert "Traceback" not in caplog.text


def test_dead_letters_that_come_while_others_are_sent_again_are_kept(tmp_path: Path, cluster: Cluster) -> None:
    letters = DeadLetters(tmp_path)
    error = {"type": "document_parsing_exception", "reason": "r"}
    letters.add(line(1), error)
    os.chown(letters.path, 1234, 1234)

    def meanwhile(ids: list[str]) -> tuple[int, Any]:
        DeadLetters(tmp_path).add(line(2), error)
        return 200, [(201, "")] * len(ids)

    cluster.behave = meanwhile
    settings = tmp_path / "settings.yaml"
    settings.write_text("outputs: {elasticsearch: {enabled: true, hosts: ['http://localhost:1'], compression: 'off'}}")
    assert auditdeck("resend", "--config", str(settings), "--data-dir", str(tmp_path)).status == 0
    assert [json.loads(letter)["document"]["event"]["id"] for letter in letters.letters()] == ["17.000:2"]
    kept = letters.path.stat()
    assert (kept.st_uid, stat.S_IMODE(kept.st_mode)) == (1234, 0o600), "the service's own, also if root sends"


def test_a_dead_letter_that_was_torn_spoils_no_other(tmp_path: Path) -> None:
    letters = DeadLetters(tmp_path)
    error = {"type": "document_parsing_exception", "reason": "r"}
    letters.add(line(1), error)
    letters.path.write_bytes(letters.path.read_bytes() + b'{"error":{"ty')
    letters.add(line(2), error)
    assert [document_of(letter) for letter in letters.letters()] == [line(1), b"", line(2)]


def test_dead_letters_that_cannot_be_kept_hold_nothing_up(
    tmp_path: Path, cluster: Cluster, output: ElasticsearchOutput, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "dead-letters.ndjson").symlink_to(tmp_path / "elsewhere")
    cluster.behave = lambda ids: (200, [(400, "document_parsing_exception")] * len(ids))
    log(tmp_path, [line(number) for number in range(25)])
    output.start()
    wait_for(lambda: not output.behind())
    assert output.counts.dead_letters == 25
    assert not (tmp_path / "elsewhere").exists()
    assert [record.levelname for record in caplog.records if record.name == "auditdeck"] == ["WARNING", "ERROR"]


def test_status_and_doctor_show_dead_letters_of_earlier_runs(tmp_path: Path) -> None:
    outputs = {"elasticsearch": Sent(error="takes no writes", doubled=0)}
    write_status(tmp_path / "status.json", {"counters": Counters(), "outputs": outputs})
    for number in range(3):
        DeadLetters(tmp_path).add(line(number), {"type": "document_parsing_exception", "reason": "r"})
    status = auditdeck("status", "--json", "--data-dir", str(tmp_path))
    assert json.loads(status.stdout)["collector"]["kept_dead_letters"] == 3
    doctor = json.loads(auditdeck("doctor", "--json", "--data-dir", str(tmp_path)).stdout)
    found = {finding["check"]: finding["found"] for finding in doctor}
    assert found["dead letters"] == "3 documents were refused for good"
    assert found["output elasticsearch"] == "waits: takes no writes"
