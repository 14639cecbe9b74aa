"""Other hosts join the stack, are seen, and are sent away."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml
from elasticsearch import ApiError, AuthorizationException

from tests.support.stack import Stack

pytestmark = [pytest.mark.docker, pytest.mark.kernel, pytest.mark.timeout(900)]

ADDRESS = "https://127.0.0.1:19200"
COMMAND = [sys.executable, "-m", "auditdeck"]


def enroll(running: Stack, *words: str) -> str:
    return running.compose(
        "run", "--rm", "--no-deps", "-T", "init", "enroll", "--address", ADDRESS, *words
    ).stdout.strip()


def another_host(folder: Path, name: str) -> Path:
    """What tells one host from another."""
    (folder / "etc").mkdir(parents=True, exist_ok=True)
    (folder / "etc" / "machine-id").write_text(f"{uuid4().hex}\n")
    for file in ("passwd", "group"):
        (folder / "etc" / file).write_text(Path("/etc", file).read_text())
    settings = folder / "auditdeck.yaml"
    settings.write_text(f"host:\n  name: {name}\n  root: {folder}\nkernel:\n  mode: multicast\n")
    return settings


def join(token: str, folder: Path, name: str, *words: str) -> subprocess.CompletedProcess[str]:
    settings = another_host(folder, name)
    return subprocess.run(
        [*COMMAND, "join", "-", "--folder", folder, "--config", settings, "--no-start", *words],
        input=token,
        capture_output=True,
        text=True,
        check=False,
    )


def hosts(running: Stack) -> dict[str, dict[str, Any]]:
    rows = json.loads(running.compose("run", "--rm", "--no-deps", "-T", "init", "hosts", "--json").stdout)
    return {row["name"]: row for row in rows}


def key_of(folder: Path) -> str:
    return (folder / "api_key").read_text().strip()


def test_a_host_joins_reports_and_is_revoked(running: Stack, tmp_path: Path) -> None:
    token = enroll(running)
    folder = tmp_path / "etc"
    joined = join(token, folder, "second")
    assert joined.returncode == 0, joined.stderr
    assert "second has joined" in joined.stderr
    settings = yaml.safe_load((folder / "auditdeck.yaml").read_text())
    assert settings["kernel"] == {"mode": "multicast"}
    assert (folder / "api_key").stat().st_mode & 0o777 == 0o600

    # Used up: no second host with this token.
    again = join(token, tmp_path / "other", "third")
    assert again.returncode == 1
    assert "used up" in again.stderr
    assert "make enroll" in again.stderr
    assert not (tmp_path / "other" / "api_key").exists()

    command = [
        *COMMAND,
        "run",
        "--config",
        folder / "auditdeck.yaml",
        "--data-dir",
        tmp_path / "data",
        "--seconds",
        "8",
    ]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert ran.returncode == 0, ran.stderr
    deadline = time.monotonic() + 30
    while (row := hosts(running).get("second", {})).get("state") != "reporting":
        assert time.monotonic() < deadline, row
        time.sleep(1)
    assert row["keys"] == 1
    assert row["lost_day"] == 0

    client = running.client(api_key=key_of(folder))
    with pytest.raises(AuthorizationException):
        client.search(index="audit-events")
    with pytest.raises(AuthorizationException):
        client.get(index="auditdeck-hosts", id="1")
    said = running.compose("run", "--rm", "--no-deps", "-T", "init", "revoke", "second")
    assert "1 key revoked" in said.stderr
    with pytest.raises(ApiError) as refused:
        running.client(api_key=key_of(folder)).create(
            index="audit-events", id="x", document={"@timestamp": "2026-01-01"}
        )
    assert refused.value.status_code == 401
    assert hosts(running)["second"]["state"] == "revoked"
    unknown = running.compose("run", "--rm", "--no-deps", "-T", "init", "revoke", "nobody", check=False)
    assert unknown.returncode == 1
    assert "'nobody'" in unknown.stderr


def test_many_hosts_with_one_token_each_get_a_key_of_their_own(running: Stack, tmp_path: Path) -> None:
    token = enroll(running, "--hosts", "6")
    children = [
        subprocess.Popen(
            [*COMMAND, "join", token, "--folder", tmp_path / f"etc{number}", "--no-start", "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(8)
    ]
    ended = [(child.communicate(timeout=120), child.returncode) for child in children]
    good = [json.loads(output)["key_id"] for (output, _), code in ended if code == 0]
    assert len(good) == len(set(good)) == 6
    for (_, error), code in ended:
        assert code == 0 or "used up" in error, error


def test_a_token_of_another_stack_is_refused(running: Stack, tmp_path: Path) -> None:
    from dataclasses import replace

    from auditdeck.stack.enrolment import read_token

    token = read_token(enroll(running))
    forged = str(replace(token, fingerprint="0" * 64))
    refused = join(forged, tmp_path / "etc", "third")
    assert refused.returncode == 1
    assert "signed by another authority" in refused.stderr
    away = join(str(replace(token, addresses=["https://127.0.0.1:19"])), tmp_path / "etc", "third")
    assert "cannot reach https://127.0.0.1:19" in away.stderr
    assert not (tmp_path / "etc" / "api_key").exists()


def test_an_expired_token_is_refused_and_its_keys_are_taken_back(running: Stack, tmp_path: Path) -> None:
    from auditdeck.stack.enrolment import read_token

    token = enroll(running, "--hosts", "2", "--expires", "1m")
    name = read_token(token).enrolment
    client = running.client()
    found = client.perform_request("GET", f"/_security/api_key?name={name}", headers={"accept": "application/json"})
    [bootstrap] = found.body["api_keys"]
    assert bootstrap["expiration"] - bootstrap["creation"] == 60_000
    # As if the minute were over.
    client.security.invalidate_api_key(ids=[bootstrap["id"]])
    refused = join(token, tmp_path / "etc", "late")
    assert "expired, or was used up" in refused.stderr
    hosts(running)
    keys = client.perform_request("GET", f"/_security/api_key?name={name}-*", headers={"accept": "application/json"})
    assert all(key["invalidated"] for key in keys.body["api_keys"])
    assert not client.indices.exists(index=name)


def test_a_collector_alone_by_compose(running: Stack) -> None:
    """As on a host whose stack runs elsewhere: joins with the token, collects, and joins only once."""
    only = Stack(
        {"COMPOSE_PROJECT_NAME": "auditdeck-test-collector", "TOKEN": enroll(running)},
        file="compose.collector.yaml",
    )
    only.down("--volumes")
    try:
        only.compose("up", "--wait")
        assert "has joined" in only.compose("logs", "--no-log-prefix", "join").stdout
        findings = {finding["check"]: finding for finding in only.auditdeck("doctor")}
        assert findings["privileges"]["state"] == "ok"
        deadline = time.monotonic() + 30
        while not only.auditdeck("status")["collector"]["outputs"]["elasticsearch"]["sent"]:
            assert time.monotonic() < deadline
            time.sleep(0.5)
        only.compose("up", "--wait", "--force-recreate")
        assert "has joined already" in only.compose("logs", "--no-log-prefix", "join").stdout
    finally:
        only.down("--volumes")
