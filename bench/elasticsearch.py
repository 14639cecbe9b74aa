"""Elasticsearch: bytes a document in the index, and how fast documents get there.

    python -m bench.elasticsearch [COUNT]

The same events as auditdeck's documents and in the forms of go-audit and of go-audit with fluentd's parser; those under
Elasticsearch's default mapping. Sizes are those of one shard after a merge to one segment. The speed of auditdeck's
output is set beside a loop that posts the same prepared bodies.
"""

from __future__ import annotations

import copy
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import orjson
import urllib3
from elasticsearch import Elasticsearch
from tests.support.elasticsearch import elasticsearch
from tests.support.stack import TOP

from auditdeck.context.addresses import OwnAddresses
from auditdeck.context.host import Host
from auditdeck.context.network import Network
from auditdeck.context.processes import Processes
from auditdeck.context.users import Users
from auditdeck.ecs.context import Context
from auditdeck.ecs.template import Encoder
from auditdeck.eventlog.writer import Writer
from auditdeck.outputs.bulk import Bulk
from auditdeck.outputs.elasticsearch import ElasticsearchOutput
from auditdeck.outputs.formats.encode import same
from auditdeck.outputs.formats.fluentd import fluentd
from auditdeck.outputs.formats.goaudit import go_audit
from auditdeck.settings.model import ElasticsearchSettings
from bench.events import connects

HOST = Host("bench", "0123456789abcdef0123456789abcdef", "x86_64", "6.1.0")
BATCH = 4000
REPETITIONS = 5
BY_TIME = {"field": ["@timestamp"], "order": ["desc"]}
VARIANTS = {
    "as shipped": None,
    "logsdb, sorted by time": {"sort": BY_TIME},
    "standard index, same sort": {"mode": "standard", "codec": "best_compression", "mapping.source.mode": None},
    "standard index, sorted by time": {
        "mode": "standard", "codec": "best_compression", "mapping.source.mode": None, "sort": BY_TIME,
    },
}  # fmt: skip
JSON = {"content-type": "application/json", "accept": "application/json"}


def main(count: int) -> None:
    context = Context(HOST, Users(), Network(OwnAddresses(set()), live=False), Processes(HOST.id, live=False))
    plain, full = Encoder(context), Encoder(context, original=True)
    ours: list[bytes] = []
    raw: list[bytes] = []
    parsed: list[bytes] = []
    for event in connects(count):
        ours.append(plain.encode(event))
        document = orjson.loads(full.encode(event))
        time_of = {"@timestamp": document["@timestamp"]}
        raw.append(orjson.dumps({**time_of, **(go_audit(document, context.users) or {})}))
        parsed.append(orjson.dumps({**time_of, **(fluentd(document, context.users) or {})}))
    with elasticsearch() as client:
        print(f"{count:,} connect documents, bytes in the index a document (in the request):")
        client.indices.delete_index_template(name="audit")
        sizes: dict[str, float] = {}
        for name, lines in (("go-audit", raw), ("go-audit + fluentd", parsed)):
            sizes[name] = measure_size(client, f"size-{len(sizes)}", lines, {})
            show(name, sizes[name], lines)
        for name, changes in VARIANTS.items():
            sizes[name] = measure_size(client, f"size-{len(sizes)}", ours, settings_of(changes))
            show(f"auditdeck, {name}", sizes[name], ours)
        print(f"  ratio to go-audit + fluentd: {sizes['as shipped'] / sizes['go-audit + fluentd']:.2f}")
        measure_speed(client, ours)


def settings_of(changes: dict[str, Any] | None) -> dict[str, Any]:
    """The body of an index like those of the data stream, with these settings instead."""
    body: dict[str, Any] = {"mappings": {"dynamic": "false", "properties": {}}}
    for name in ("audit-settings", "audit-ecs", "audit-auditd"):
        template = json.loads((TOP / "elasticsearch" / "component-templates" / f"{name}.json").read_text())["template"]
        body["mappings"]["properties"].update(template.get("mappings", {}).get("properties", {}))
        body.setdefault("settings", {}).update(copy.deepcopy(template.get("settings", {})))
    index = body["settings"]["index"]
    index.pop("lifecycle")
    for key, value in (changes or {}).items():
        if key == "mapping.source.mode":
            index["mapping"].pop("source")
        else:
            index[key] = value
    return body


def measure_size(client: Elasticsearch, index: str, lines: list[bytes], body: dict[str, Any]) -> float:
    client.perform_request("PUT", f"/{index}", headers=JSON, body=body)
    for start in range(0, len(lines), BATCH):
        post(client, index, make_body(lines[start : start + BATCH]))
    client.indices.forcemerge(index=index, max_num_segments=1)
    client.indices.refresh(index=index)
    # Not the size of the store: what was merged stays on disk for some time.
    [[shard]] = client.indices.segments(index=index)["indices"][index]["shards"].values()
    [segment] = [found for found in shard["segments"].values() if found["search"]]
    assert segment["num_docs"] == len(lines)
    return float(segment["size_in_bytes"] / len(lines))


def post(client: Elasticsearch, index: str, body: bytes) -> None:
    headers = {"content-type": "application/x-ndjson", "accept": "application/json"}
    answer = client.perform_request("POST", f"/{index}/_bulk", headers=headers, body=body,
                                    params={"filter_path": "errors,items.*.error"})  # fmt: skip
    assert not answer.body["errors"], answer.body["items"][:1]


def show(name: str, size: float, lines: list[bytes]) -> None:
    print(f"  {name:42} {size:7.1f}   ({sum(map(len, lines)) / len(lines):.0f})")


def measure_speed(client: Elasticsearch, lines: list[bytes]) -> None:
    """Alternating, so that what else the machine does meets both."""
    [node] = client.transport.node_pool.all()
    url = node.base_url
    bare, output = list[float](), list[float]()
    for number in range(REPETITIONS):
        for kind, times in (("bare", bare), ("output", output)):
            index = f"speed-{kind}-{number}"
            client.perform_request("PUT", f"/{index}", headers=JSON, body=settings_of(None))
            times.append((bare_loop if kind == "bare" else through_output)(url, index, lines))
            client.indices.delete(index=index)
    for name, times in (("a loop that posts prepared bodies", bare), ("auditdeck's output from the event log", output)):
        rates = sorted(len(lines) / seconds for seconds in times)
        print(f"  {name:42} {rates[0]:,.0f} / {statistics.median(rates):,.0f} / {rates[-1]:,.0f} documents/s")
    print(f"  ratio of the medians: {statistics.median(bare) / statistics.median(output):.2f}")


def bare_loop(url: str, index: str, lines: list[bytes]) -> float:
    bodies = [make_body(lines[start : start + BATCH]) for start in range(0, len(lines), BATCH)]
    pool = urllib3.PoolManager()
    began = time.monotonic()
    for body in bodies:
        answer = pool.request("POST", f"{url}/{index}/_bulk?filter_path=errors", body=body,
                              headers={"content-type": "application/x-ndjson"})  # fmt: skip
        assert answer.json() == {"errors": False}
    return time.monotonic() - began


def through_output(url: str, index: str, lines: list[bytes]) -> float:
    with tempfile.TemporaryDirectory() as folder:
        with Writer(Path(folder) / "events") as writer:
            for start in range(0, len(lines), BATCH):
                writer.append(lines[start : start + BATCH])
        settings = ElasticsearchSettings(hosts=[url], index=index, bulk_count=BATCH, bulk_size=16 << 20)
        output = ElasticsearchOutput(settings, Path(folder), same)
        began = time.monotonic()
        output.start()
        while output.counts.sent < len(lines):
            time.sleep(0.005)
        took = time.monotonic() - began
        output.stop(0)
        assert output.counts.repeated == output.counts.dead_letters == 0
    return took


MAKER = Bulk("audit-events", compress=False)


def make_body(lines: list[bytes]) -> bytes:
    """As auditdeck's output makes it; forms without an event.id let Elasticsearch make an _id, as fluentd does."""
    if b'"event":{"id":' in lines[0]:
        return MAKER.body(lines)
    return b"".join(b'{"create":{}}\n' + line + b"\n" for line in lines)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200_000)
