"""Commands on files: decode, import, rules check."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.run import auditdeck

LOG = Path(__file__).parent.parent / "fixtures" / "audit.log"
LOGIN = (
    b"node=web1 type=USER_LOGIN msg=audit(1700000000.123:9): pid=1 uid=0 auid=1000 ses=3 "
    b"msg='op=login id=1000 exe=\"/usr/sbin/sshd\" hostname=? addr=192.0.2.7 terminal=ssh res=success'"
    b'\x1dUID="root" AUID="ada" ID="ada"\n'
)


def test_decode_prints_a_document_a_line() -> None:
    result = auditdeck("decode", LOG)
    assert result.status == 0
    documents = [json.loads(line) for line in result.stdout.splitlines()]
    assert {document["event"]["action"] for document in documents} >= {"connected-to", "executed", "deleted", "renamed"}
    assert all(document["@timestamp"] for document in documents)


def test_decode_reads_enriched_lines_of_other_hosts_from_standard_input() -> None:
    [document] = [json.loads(line) for line in auditdeck("decode", given=LOGIN).stdout.splitlines()]
    assert document["host"] == {"name": "web1"}
    assert document["event"]["action"] == "logged-in"
    assert document["event"]["outcome"] == "success"
    assert document["user"]["audit"] == {"id": "1000", "name": "ada"}
    assert document["source"] == {"ip": "192.0.2.7"}


def test_damaged_lines_are_counted_and_shown(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    log.write_bytes(LOG.read_bytes() + b"what is this\n\n" + LOGIN)
    result = auditdeck("decode", log)
    assert result.status == 3
    line = LOG.read_bytes().count(b"\n") + 1
    assert f"audit.log:{line}: this is not an audit record: 'what is this'" in result.stderr
    assert "1 damaged lines" in result.stderr
    assert "logged-in" in result.stdout


def test_a_log_without_records_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"")
    assert auditdeck("decode", tmp_path / "empty").status == 4
    missing = auditdeck("decode", tmp_path / "missing")
    assert missing.status == 1
    assert "cannot read" in missing.stderr


def test_imported_logs_are_counted_at_their_own_time(tmp_path: Path) -> None:
    packed = tmp_path / "audit.log.gz"
    packed.write_bytes(gzip.compress(LOG.read_bytes()))
    data = tmp_path / "data"
    assert auditdeck("import", "--data-dir", data, packed).status == 0
    answer = json.loads(auditdeck("report", "--json", "--data-dir", data, "--since", "2026-11-20").stdout)
    assert answer["outbound_tcp"]["connections"] == 2
    assert [entry["executable"].rpartition("/")[2] for entry in answer["processes"]] == ["browser"]


def test_rules_check_names_line_and_reason(tmp_path: Path) -> None:
    rules = tmp_path / "my.rules"
    rules.write_text(
        "# mine\n-a always,exit -S connect\n-a always,exit -S nosuch\n-w relative\n-a exit,always -F uid=nobodyknows\n"
    )
    result = auditdeck("rules", "check", rules)
    assert result.status == 1
    said = result.stdout + result.stderr
    for line in (3, 4, 5):
        assert f"my.rules:{line}: " in said
    assert "my.rules:2: " not in said.replace("warning", "")


@pytest.mark.parametrize(
    "command", [[], ["run"], ["report"], ["status"], ["doctor"], ["decode"], ["import"], ["rules"]]
)
def test_help(command: list[str]) -> None:
    result = auditdeck(*command, "--help")
    assert result.status == 0
    assert "Usage:" in result.stdout


@pytest.mark.parametrize(
    ("words", "completed"),
    [(["re"], "report"), (["report", "--by", "con"], "container"), (["search", "--for"], "--format")],
)
def test_a_shell_completes_commands_options_and_values(words: list[str], completed: str) -> None:
    asked = {
        "_AUDITDECK_COMPLETE": "bash_complete",
        "COMP_WORDS": " ".join(["auditdeck", *words]),
        "COMP_CWORD": str(len(words)),
    }
    done = subprocess.run(
        [sys.executable, "-c", "import sys; sys.argv[0] = 'auditdeck'; from auditdeck.cli.main import main; main()"],
        env={**os.environ, **asked},
        capture_output=True,
        text=True,
    )
    assert f"plain,{completed}" in done.stdout.splitlines(), done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_what_a_shell_needs_for_that_is_printed(shell: str) -> None:
    found = auditdeck("completion", shell)
    assert found.status == 0
    assert f"_AUDITDECK_COMPLETE={shell}_complete" in found.stdout
