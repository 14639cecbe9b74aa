"""Who may read what was collected: the owner, the group that the settings name, and all others one sentence."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from auditdeck.collector.health import Counters
from auditdeck.errors import StoreError
from auditdeck.eventlog.segment import EVENTS, PARQUET
from auditdeck.eventlog.sharing import share_with
from auditdeck.eventlog.status import write_status
from auditdeck.eventlog.writer import Writer, compress
from tests.support.audit import skip_if
from tests.support.run import auditdeck

GROUP, MEMBER, STRANGER = 64301, 64302, 64303
LOG = Path(__file__).parent.parent / "fixtures" / "audit.log"
READING = [
    ("report", "--since", "2015-01-01"), ("report", "--json", "--since", "2015-01-01"), ("aureport", "-x"),
    ("search", "-m", "SYSCALL"), ("verify",), ("status",),
]  # fmt: skip
OTHERS = [("serve", "--port", "0"), ("import", LOG), ("doctor",)]


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where other users come, unlike a folder of pytest."""
    readable = Path(sys.executable).stat().st_mode & stat.S_IXOTH and reachable(Path(sys.executable))
    skip_if("" if os.geteuid() == 0 and readable else "needs root, and a clone that others may read", "CI runs as root")
    made = Path(tempfile.mkdtemp(prefix="auditdeck-access-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


def reachable(path: Path) -> bool:
    return all(above.stat().st_mode & stat.S_IXOTH for above in [*path.absolute().parents, *path.resolve().parents])


def as_user(uid: int, words: tuple[object, ...], data_dir: Path) -> subprocess.CompletedProcess[str]:
    groups = [GROUP] if uid == MEMBER else []
    command = [sys.executable, "-m", "auditdeck", *map(str, words)]
    option = "--settings" if words[0] == "aureport" else "--config"
    return subprocess.run(
        [*command, option, "/dev/null", "--data-dir", str(data_dir)], user=uid, group=uid, extra_groups=groups, cwd="/",
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip


def settings(folder: Path, group: object) -> Path:
    file = folder / "auditdeck.yaml"
    file.write_text(f"event_log: {{group: '{group}'}}\n")
    return file


def mode(path: Path) -> tuple[int, int]:
    found = path.stat()
    return stat.S_IMODE(found.st_mode), found.st_gid


@pytest.mark.parametrize("words", [*READING, *OTHERS], ids=lambda words: words[0])
@pytest.mark.parametrize("closed", [".", EVENTS])
def test_others_get_one_sentence(folder: Path, words: tuple[object, ...], closed: str) -> None:
    data_dir = folder / "data"
    assert auditdeck("import", "--data-dir", data_dir, LOG).status == 0
    write_status(data_dir / "status.json", {"pid": os.getpid(), "counters": Counters(), "outputs": {}})
    if closed == EVENTS:
        data_dir.chmod(0o755)
    done = as_user(STRANGER, words, data_dir)
    said = done.stdout + done.stderr
    assert "Traceback" not in said
    assert "Usage" not in said
    if closed == EVENTS and words[0] in ("status", "doctor"):
        return
    assert "event_log.group" in said or words[0] == "import", said
    assert done.returncode == 1
    if words[0] not in ("doctor", "import"):
        assert done.stderr.count("auditdeck: ") == 1
        assert "may not read" in done.stderr


@pytest.mark.parametrize("words", READING, ids=lambda words: words[0])
def test_members_of_the_group_read_and_cannot_write(folder: Path, words: tuple[object, ...]) -> None:
    data_dir = folder / "data"
    assert auditdeck("import", "--data-dir", data_dir, LOG, "--config", settings(folder, GROUP)).status == 0
    write_status(data_dir / "status.json", {"counters": Counters(), "outputs": {}})
    mine, theirs = as_user(0, words, data_dir), as_user(MEMBER, words, data_dir)
    assert theirs.returncode == mine.returncode
    if words != ("status",):
        assert mine.returncode == 0, mine.stderr
        assert theirs.stdout == mine.stdout or "generated" in mine.stdout or "until" in mine.stdout
    assert "may not read" in as_user(STRANGER, words, data_dir).stderr
    assert "cannot write the event log" in as_user(MEMBER, ("import", LOG, "--again"), data_dir).stderr


def test_every_file_is_the_groups_from_the_first_byte(folder: Path) -> None:
    data_dir = folder / "data"
    share_with(data_dir, GROUP)
    with Writer(data_dir / EVENTS, group=GROUP) as writer:
        writer.append([b'{"n":1}'])
        compress(data_dir / EVENTS, writer.rotate())
        writer.append([b'{"n":2}'])
        for path in (data_dir, data_dir / EVENTS, data_dir / PARQUET):
            assert mode(path) == (0o750, GROUP)
        found = {path.name: mode(path) for path in (data_dir / EVENTS).iterdir() if path.name != ".lock"}
        assert len(found) == 5
        assert set(found.values()) == {(0o640, GROUP)}


def test_what_was_there_follows_the_setting(folder: Path) -> None:
    data_dir = folder / "data"
    assert auditdeck("import", "--data-dir", data_dir, LOG).status == 0
    files = [path for name in (EVENTS, PARQUET) for path in (data_dir / name).iterdir()]
    assert {mode(path)[0] for path in files} == {0o600}
    for group in (GROUP, MEMBER):
        share_with(data_dir, group)
        assert {mode(path) for path in files} == {(0o640, group)}
    share_with(data_dir, None)
    Writer(data_dir / EVENTS).close()
    assert {mode(data_dir / name)[0] for name in (EVENTS, PARQUET)} == {0o700}


def test_a_user_who_is_not_in_the_group_cannot_share(folder: Path) -> None:
    (folder / "data").mkdir()
    os.chown(folder / "data", STRANGER, STRANGER)
    code = f"from auditdeck.eventlog.sharing import *; share_with(Path({str(folder / 'data')!r}), {GROUP})"
    done = subprocess.run([sys.executable, "-c", code], user=STRANGER, extra_groups=[], cwd="/", capture_output=True)
    assert StoreError.__name__.encode() in done.stderr
    assert f"cannot let group {GROUP} read {folder}/data: Operation not permitted".encode() in done.stderr
