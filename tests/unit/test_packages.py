"""A bare installation collects; what else it is asked for says which extra is missing."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from auditdeck.packages import EXTRAS
from tests.support.run import auditdeck

PROJECT = Path(__file__).parent.parent.parent / "pyproject.toml"
BARE = f"""
import sys
for name in {sorted(EXTRAS)}:
    sys.modules[name] = None
from auditdeck.cli.main import main
main()
"""


def bare(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", BARE, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(
    ("words", "package"),
    [
        (("report",), "duckdb"), (("report", "--html", "x.html"), "jinja2"), (("serve",), "starlette"),
        (("hosts",), "elasticsearch"), (("provision",), "elasticsearch"), (("enroll",), "cryptography"),
        (("run", "--report"), "duckdb"),
    ],
)  # fmt: skip
def test_a_command_that_needs_more_says_so(tmp_path: Path, words: tuple[str, ...], package: str) -> None:
    (tmp_path / "events").mkdir()
    (tmp_path / "events" / "0000000001.ndjson").touch()
    done = bare(*words, *([] if words[0] == "provision" else ["--data-dir", tmp_path]))
    assert done.returncode == 1
    assert re.search(r"needs the package (\w+)\n +pip install 'auditdeck\[(\w+)\]'\n$", done.stderr), done.stderr
    assert "Traceback" not in done.stderr
    assert EXTRAS[package] in done.stderr


def test_an_output_that_needs_more_says_so(tmp_path: Path) -> None:
    settings = tmp_path / "auditdeck.yaml"
    settings.write_text(f"data_dir: {tmp_path}\noutputs: {{elasticsearch: {{enabled: true}}}}\n")
    done = bare("resend", "--config", settings)
    assert "pip install 'auditdeck[stack]'" in done.stderr


@pytest.mark.parametrize(
    "words",
    [("--help",), ("search", "-m", "LOGIN"), ("status",), ("config", "example"), ("rules", "check"), ("verify",)],
)
def test_the_other_commands_need_no_more(words: tuple[str, ...]) -> None:
    for options in ((*words, "--help"), words):
        done = bare(*options)
        assert "needs the package" not in done.stderr
        assert "Traceback" not in done.stderr


def test_logs_are_imported_and_searched_without_the_store(tmp_path: Path) -> None:
    log = Path(__file__).parent.parent / "fixtures" / "audit.log"
    done = bare("import", "--data-dir", tmp_path, log)
    assert done.returncode == 0, done.stderr
    found = bare("search", "--data-dir", tmp_path, "--format", "json")
    assert found.stdout.count('"message_type":"syscall"') > 0
    assert auditdeck("report", "--data-dir", tmp_path, "--since", "2020-01-01").status == 0, (
        "with the store it is all there"
    )


def test_every_extra_is_in_the_project_file() -> None:
    project = tomllib.loads(PROJECT.read_text())["project"]
    extras = project["optional-dependencies"]
    assert set(EXTRAS.values()) <= extras.keys()
    named = {
        re.split(r"[>\[]", words)[0].lower().replace("-", "_"): extra
        for extra, all_ in extras.items()
        for words in all_
    }
    assert {name: extra for name, extra in EXTRAS.items() if name != "markupsafe"}.items() <= named.items()
    bare_ones = {re.split(r">", words)[0].lower() for words in project["dependencies"]}
    assert not bare_ones & EXTRAS.keys()
