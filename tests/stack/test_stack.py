"""The stack as a user brings it up: every event in Elasticsearch, once, and nothing open that should not be."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from elasticsearch import ApiError, AuthorizationException, Elasticsearch, SSLError, TransportError

from tests.support.build import traffic
from tests.support.collector import as_user
from tests.support.outside import PORT, Outside
from tests.support.stack import PROJECT, TOP, Stack
from tests.unit.test_deploy import NEEDED

pytestmark = [pytest.mark.docker, pytest.mark.kernel, pytest.mark.timeout(900)]

USER = 64201
STREAM = "audit-events"


def search(client: Elasticsearch, *filters: dict[str, Any], **more: Any) -> dict[str, Any]:
    answer = client.search(index=STREAM, query={"bool": {"filter": list(filters)}}, track_total_hits=True, **more)
    found: dict[str, Any] = answer.body
    return found


def connects(client: Elasticsearch, user: int) -> int:
    client.indices.refresh(index=STREAM)
    found = search(client, {"term": {"user.id": str(user)}}, {"term": {"event.action": "connected-to"}}, size=0)
    return int(found["hits"]["total"]["value"])


def test_the_init_job_tells_what_it_did(running: Stack) -> None:
    log = running.first_log
    for line in (
        "+ certificate authority: created",
        "+ password of kibana_system: set",
        "+ lifecycle policy audit: created",
        "+ index template audit: created",
        "+ data stream audit-events: created",
        "+ API key of the collector: created",
        "+ setting defaultRoute: set",
    ):
        assert line in log
    assert "Done: " in log


def test_a_connection_is_found_within_seconds(running: Stack, away: Outside) -> None:
    program = traffic("stacked")
    client = running.client()
    as_user(USER, program, "nonblocking", "3", away.ipv4, str(PORT))
    made = time.monotonic()
    while connects(client, USER) < 3:
        assert time.monotonic() - made < 5
        time.sleep(0.2)
    found = search(client, {"term": {"user.id": str(USER)}}, {"term": {"event.action": "connected-to"}}, size=1)
    document = found["hits"]["hits"][0]["_source"]
    assert document["process"]["executable"] == str(program)
    assert (document["destination"]["ip"], document["destination"]["port"]) == (away.ipv4, PORT)
    network = document["network"]
    assert (network["type"], network["direction"], network["transport"]) == ("ipv4", "egress", "tcp")
    assert document["auditdeck"]["connection"]["state"] == "established"
    assert document["event"]["outcome"] == "success"
    assert document["tags"] == ["netconns_out"]


def test_both_stores_give_the_same_answers(running: Stack, away: Outside) -> None:
    since = datetime.now(UTC).replace(microsecond=0)
    for name, user, count in (("one", USER + 1, 40), ("two", USER + 1, 20), ("two", USER + 2, 15)):
        as_user(user, traffic(name), "blocking", str(count), away.ipv4, str(PORT))
    as_user(USER + 2, traffic("two"), "blocking", "7", away.ipv4, "9")
    time.sleep(1.5)
    until = datetime.now(UTC).replace(microsecond=0)
    running.collected()
    window = {"since": since.isoformat(), "until": until.isoformat()}

    answer = running.auditdeck("report", "--since", window["since"], "--until", window["until"])
    client = running.client()
    client.indices.refresh(index=STREAM)
    found = search(
        client,
        {"range": {"@timestamp": {"gte": window["since"], "lt": window["until"]}}},
        {"term": {"event.action": "connected-to"}},
        {"term": {"event.type": "start"}},
        {"term": {"network.direction": "egress"}},
        {"term": {"network.transport": "tcp"}},
        size=0,
        aggs={
            "outcome": {
                "terms": {"field": "event.outcome"},
                "aggs": {
                    "user": {"terms": {"field": "user.id", "size": 100}},
                    "process": {"terms": {"field": "process.executable", "size": 100}},
                },
            }
        },
    )
    outcomes = {bucket["key"]: bucket for bucket in found["aggregations"]["outcome"]["buckets"]}
    good = outcomes["success"]
    assert answer["outbound_tcp"]["connections"] == good["doc_count"] >= 75
    assert answer["outbound_tcp"]["failed"] == outcomes["failure"]["doc_count"] >= 7
    processes = {entry["executable"]: entry["connections"] for entry in answer["processes"]}
    assert processes == {bucket["key"]: bucket["doc_count"] for bucket in good["process"]["buckets"]}
    users = {entry["user"]: entry["connections"] for entry in answer["users"]}
    by_id = {bucket["key"]: bucket["doc_count"] for bucket in good["user"]["buckets"]}
    assert users[str(USER + 1)] == by_id[str(USER + 1)] == 60
    assert users[str(USER + 2)] == by_id[str(USER + 2)] == 15
    assert sum(users.values()) == sum(by_id.values())


def test_the_collectors_key_may_only_append(running: Stack) -> None:
    collector = running.client(api_key=running.secret("collector/api_key"))
    document = {"@timestamp": datetime.now(UTC).isoformat(), "event": {"id": "by-key", "action": "tested"}}
    assert collector.create(index=STREAM, id="by-key", document=document)["result"] == "created"
    found = search(running.client(), {"term": {"event.action": "executed"}}, size=1)["hits"]["hits"][0]
    for attempt in (
        lambda: collector.search(index=STREAM),
        lambda: collector.get(index=STREAM, id="by-key"),
        lambda: collector.delete(index=found["_index"], id=found["_id"]),
        lambda: collector.update(index=found["_index"], id=found["_id"], doc={"tags": []}),
        lambda: collector.indices.delete(index=found["_index"]),
        lambda: collector.indices.put_mapping(index=STREAM, properties={}),
        lambda: collector.index(index="elsewhere", document=document),
        lambda: collector.create(index="other-events", id="by-key", document=document),
        lambda: collector.cluster.health(),
    ):
        with pytest.raises(AuthorizationException):
            attempt()


def test_only_verified_tls(running: Stack) -> None:
    unverified = Elasticsearch(running.url, basic_auth=("elastic", "x"), max_retries=0)
    with pytest.raises(SSLError):
        unverified.info()
    plain = subprocess.run(["curl", "-s", running.url.replace("https", "http")], capture_output=True, check=False)
    assert plain.returncode != 0


def test_nothing_listens_for_others(running: Stack) -> None:
    containers = running.compose("ps", "-aq").stdout.split()
    described = json.loads(subprocess.run(["docker", "inspect", *containers], capture_output=True, check=True).stdout)
    published = [
        binding
        for container in described
        for bindings in (container["NetworkSettings"]["Ports"] or {}).values()
        for binding in bindings or []
    ]
    assert len(published) == 2
    assert {binding["HostIp"] for binding in published} == {"127.0.0.1"}


def test_secrets_stay_secret(running: Stack) -> None:
    names = ("init/elastic_password", "init/kibana_password", "init/encryption_key", "collector/api_key")
    secrets = [running.secret(name) for name in names]
    containers = running.compose("ps", "-aq").stdout.split()
    inspected = subprocess.run(["docker", "inspect", *containers, PROJECT], capture_output=True, text=True, check=True)
    history = subprocess.run(["docker", "history", "--no-trunc", PROJECT], capture_output=True, text=True, check=True)
    logs = running.compose("logs").stdout
    configured = running.compose("config").stdout
    for secret in secrets:
        assert len(secret) > 20
        for text in (inspected.stdout, history.stdout, logs, configured):
            assert secret not in text


def test_settings_are_readable_whatever_the_umask_of_the_clone(running: Stack) -> None:
    for service, name in (("elasticsearch", "config/elasticsearch.yml"), ("kibana", "secrets/kibana.yml")):
        clone = TOP / service / name.rpartition("/")[2]
        mounted = running.compose("exec", "-T", service, "cat", f"/usr/share/{service}/{name}").stdout
        assert mounted == clone.read_text()
    containers = running.compose("ps", "-aq", "elasticsearch", "kibana").stdout.split()
    described = json.loads(subprocess.run(["docker", "inspect", *containers], capture_output=True, check=True).stdout)
    assert {mount["Type"] for container in described for mount in container["Mounts"]} == {"volume"}


def test_the_version_is_that_of_the_elasticsearch_that_runs(running: Stack) -> None:
    version = running.client().info()["version"]["number"]
    assert running.secret("init/stack_version") == version


def test_up_twice_changes_nothing(running: Stack) -> None:
    before = running.secret("init/elastic_password")
    said = running.up()
    assert "Done: 0 changed" in said, said
    assert running.secret("init/elastic_password") == before


def test_alert_rules_are_there_and_off_until_enabled(running: Stack) -> None:
    assert "+ alert rule silent-collector: created, disabled" in running.first_log
    words = ("run", "--rm", "-T", "--no-deps", "init", "provision")
    said = running.compose(*words, "--enable-alert", "silent-collector").stderr
    assert "enabled: auditdeck: a collector has been silent for 10 minutes" in said
    assert "= alert rule silent-collector" in running.up(), "what a user enabled stays as it is"
    running.compose(*words, "--disable-alert", "silent-collector")
    wrong = running.compose(*words, "--enable-alert", "nothing", check=False)
    assert wrong.returncode == 1
    assert "use first-connection, lost-events, many-connections, silent-collector" in wrong.stderr


def test_down_and_up_keeps_everything(running: Stack, away: Outside) -> None:
    as_user(USER + 3, traffic("kept"), "blocking", "25", away.ipv4, str(PORT))
    running.collected()
    client = running.client()
    password = running.secret("init/elastic_password")
    assert connects(client, USER + 3) == 25
    running.down()
    running.up()
    assert running.secret("init/elastic_password") == password
    assert connects(running.client(), USER + 3) == 25
    as_user(USER + 3, traffic("kept"), "blocking", "5", away.ipv4, str(PORT))
    deadline = time.monotonic() + 20
    while connects(running.client(), USER + 3) < 30:
        assert time.monotonic() < deadline
        time.sleep(0.5)


def test_a_half_done_init_job_is_finished_by_the_next(running: Stack) -> None:
    """Killed at several moments, each time over a state that is not whole."""
    client = running.client()
    for pause in (0.4, 0.8, 1.2, 1.6):
        client.perform_request("DELETE", "/_security/role/audit_reader", headers={"accept": "application/json"})
        running.compose("run", "--rm", "-T", "--no-deps", "--entrypoint", "rm", "init", "/secrets/collector/api_key")
        killed = running.compose("up", "--detach", "--no-deps", "init")
        time.sleep(pause)
        running.compose("kill", "init", check=False)
        assert killed.returncode == 0
        said = running.up()
        assert "Done: " in said
        client.perform_request("GET", "/_security/role/audit_reader", headers={"accept": "application/json"})
        assert running.client(api_key=running.secret("collector/api_key")).security.authenticate()


def test_assets_of_an_older_version_are_upgraded(running: Stack) -> None:
    client = running.client()
    path = "/_component_template/audit-ecs"
    headers = {"accept": "application/json", "content-type": "application/json"}
    mappings = {"properties": {"event": {"properties": {"action": {"type": "keyword"}}}}}
    older = {"template": {"mappings": mappings}, "_meta": {"auditdeck_hash": "of an older version"}}
    client.perform_request("PUT", path, headers=headers, body=older)

    def generation() -> int:
        found = client.perform_request("GET", f"/_data_stream/{STREAM}", headers={"accept": "application/json"}).body
        return int(found["data_streams"][0]["generation"])

    before = generation()
    said = running.up()
    assert "+ component template audit-ecs: updated" in said
    assert f"+ data stream {STREAM}: rolled over, for the new templates" in said
    assert generation() == before + 1


def test_the_key_is_rotated_while_the_collector_runs(running: Stack, away: Outside) -> None:
    before = running.secret("collector/api_key")
    running.compose("run", "--rm", "-T", "init", "provision", "--rotate")
    assert running.secret("collector/api_key") != before
    with pytest.raises(ApiError) as refused:
        running.client(api_key=before).security.authenticate()
    assert refused.value.status_code == 401
    as_user(USER + 4, traffic("rotated"), "blocking", "10", away.ipv4, str(PORT))
    deadline = time.monotonic() + 30
    while connects(running.client(), USER + 4) < 10:
        assert time.monotonic() < deadline
        time.sleep(0.5)


def test_least_privilege_is_enough(running: Stack, away: Outside) -> None:
    container = running.compose("ps", "-q", "collector").stdout.strip()
    [described] = json.loads(subprocess.run(["docker", "inspect", container], capture_output=True, check=True).stdout)
    assert not described["HostConfig"]["Privileged"]
    # Newer engines write CAP_ before each.
    assert {name.removeprefix("CAP_") for name in described["HostConfig"]["CapAdd"]} == NEEDED
    assert described["HostConfig"]["CapDrop"] == ["ALL"]
    findings = {finding["check"]: finding for finding in running.auditdeck("doctor")}
    assert findings["privileges"]["state"] == "ok"
    assert findings["tracepoint"]["state"] == "ok"
    assert running.auditdeck("status")["collector"]["connections"]["source"] == "tracepoint"
    as_user(USER + 5, traffic("modest"), "blocking", "10", away.ipv4, str(PORT))
    as_user(USER + 5, traffic("modest"), "udp", "5", away.ipv4, str(PORT))
    client = running.client()
    deadline = time.monotonic() + 20
    while connects(client, USER + 5) < 10:
        assert time.monotonic() < deadline
        time.sleep(0.5)
    found = search(client, {"term": {"user.id": str(USER + 5)}}, {"term": {"network.transport": "tcp"}}, size=1)
    assert found["hits"]["total"]["value"] == 10
    assert found["hits"]["hits"][0]["_source"]["process"]["executable"] == str(traffic("modest"))


def test_an_outage_of_elasticsearch_loses_nothing(running: Stack, away: Outside) -> None:
    """2,000 connections a second while Elasticsearch is away (OUTAGE_SECONDS: 300 takes seven minutes)."""
    seconds, rate = int(os.environ.get("OUTAGE_SECONDS", "15")), 2000
    total = rate * (seconds + 10)
    command = [traffic("patient"), "blocking", str(total), away.ipv4, str(PORT), str(rate)]
    load = subprocess.Popen(command, user=USER + 6, cwd="/", stdout=subprocess.PIPE, text=True)
    try:
        time.sleep(5)
        running.compose("stop", "elasticsearch")
        time.sleep(seconds)
        assert running.auditdeck("status")["collector"]["outputs"]["elasticsearch"]["error"]
        running.compose("start", "elasticsearch")
        assert load.communicate(timeout=seconds + 60)[0].split()[:2] == [str(total), "0"]
    finally:
        load.kill()
        load.wait()
    deadline = time.monotonic() + 120
    client = running.client()
    found = 0
    while found < total:
        assert time.monotonic() < deadline, f"{found} of {total}"
        time.sleep(1)
        with contextlib.suppress(TransportError, ApiError):
            found = connects(client, USER + 6)
    assert found == total
    counters = running.auditdeck("status")["collector"]["counters"]
    assert (counters["lost"], counters["gaps"], counters["dropped"], counters["dead_letters"]) == (0, 0, 0, 0)
