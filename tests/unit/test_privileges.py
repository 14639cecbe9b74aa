"""Which capabilities a collector keeps once it has begun."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from auditdeck.capabilities import NUMBERS
from auditdeck.collector import privileges
from auditdeck.collector.privileges import ALWAYS, needed
from auditdeck.settings.read import read_settings
from tests.support.audit import skip_if

TRY = """
import os, subprocess, sys, threading
from auditdeck.collector import privileges
from auditdeck.capabilities import held
from auditdeck.collector.privileges import confine
confine({"DAC_READ_SEARCH", "SYS_PTRACE"})
def shown():
    return " ".join(f"{held(name):x}" for name in ("CapEff", "CapPrm", "CapBnd"))
print(shown())
thread = threading.Thread(target=lambda: print(shown())); thread.start(); thread.join()
sys.stdout.flush()
subprocess.run(["grep", "-E", "CapEff|NoNewPrivs", "/proc/self/status"])
try:
    open(sys.argv[1], "w")
except PermissionError:
    print("refused")
print(open(sys.argv[1]).read())
"""


def test_what_is_given_up_is_gone_for_threads_and_programs_too(tmp_path: Path) -> None:
    skip_if("" if os.geteuid() == 0 else "needs root", "CI runs as root")
    file = tmp_path / "of-another"
    file.write_text("text")
    os.chown(file, 64401, 64401)
    file.chmod(0o600)
    done = subprocess.run([sys.executable, "-c", TRY, file], capture_output=True, text=True, check=True)
    left = f"{1 << NUMBERS['DAC_READ_SEARCH'] | 1 << NUMBERS['SYS_PTRACE']:x}"
    mine, thread, program, no_new, refused, read = done.stdout.splitlines()
    assert mine == thread == f"{left} {left} {left}"
    assert int(program.split()[1], 16) == int(left, 16)
    assert no_new.split() == ["NoNewPrivs:", "1"]
    assert (refused, read) == ("refused", "text")


@pytest.mark.parametrize(
    ("text", "more"),
    [
        ("", set()),
        ("event_log: {group: '1'}", {"CHOWN", "FOWNER"}),
        ("metrics: {listen: '127.0.0.1:80'}", {"NET_BIND_SERVICE"}),
        ("metrics: {listen: '127.0.0.1:9464'}", set()),
        ("outputs: {file: {enabled: true, path: MINE/x, user: nobody}}", {"CHOWN", "FOWNER", "DAC_OVERRIDE"}),
        ("outputs: {file: {enabled: true, path: MINE/x}}", set()),
        ("outputs: {file: {enabled: true, path: THEIRS/x}}", {"DAC_OVERRIDE", "FOWNER"}),
        ("enrich: {docker_socket: THEIRS}", {"DAC_OVERRIDE", "FOWNER"}),
        ("outputs: {syslog: {enabled: true, address: THEIRS}}", {"DAC_OVERRIDE", "FOWNER"}),
    ],
)
def test_more_is_kept_where_settings_need_it(
    tmp_path: Path, text: str, more: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, theirs = tmp_path / "mine", tmp_path / "theirs"
    monkeypatch.setattr(privileges, "belongs_to_others", lambda path: path == theirs)
    file = tmp_path / "auditdeck.yaml"
    written = text.replace("MINE", str(mine)).replace("THEIRS", str(theirs))
    docker = "" if "docker_socket" in text else "\nenrich: {docker_socket: ''}"
    file.write_text(f"data_dir: {mine}\n{written}{docker}\n")
    assert needed(read_settings(file)) == ALWAYS | more
