"""The same source gives the same wheel, wherever and by whomever it is built."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

TOP = Path(__file__).parent.parent.parent
SOURCES = (
    "pyproject.toml", "hatch_build.py", "README.md", "LICENSE", "CHANGELOG.md", "collector", "elasticsearch", "kibana",
    "deploy",
)  # fmt: skip


def built(folder: Path, umask: int) -> dict[str, bytes]:
    """Of a copy of the clone: the wheel and its source."""
    folder.mkdir(mode=0o755)
    for name in SOURCES:
        if (TOP / name).is_dir():
            shutil.copytree(TOP / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
        else:
            shutil.copyfile(TOP / name, folder / name)
    for path in [folder, *folder.rglob("*")]:
        path.chmod((0o777 if path.is_dir() else 0o666) & ~umask)
    command = [sys.executable, "-m", "hatchling", "build", "-d", "made"]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "1700000000"}
    done = subprocess.run(command, cwd=folder, env=environment, umask=umask, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return {path.name: path.read_bytes() for path in (folder / "made").iterdir()}


def test_built_twice_it_is_the_same_bytes(tmp_path: Path) -> None:
    one, two = built(tmp_path / "one", 0o022), built(tmp_path / "another folder", 0o077)
    assert len(one) == 2
    assert one == two
    wheel = next((tmp_path / "one" / "made").glob("*.whl"))
    names = zipfile.ZipFile(wheel).namelist()
    for name in ("auditdeck/assets/systemd/auditdeck.service", "auditdeck/assets/kibana/kibana.yml"):
        assert name in names
    assert not [name for name in names if "__pycache__" in name]
