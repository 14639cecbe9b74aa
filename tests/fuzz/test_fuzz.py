"""Some seconds of coverage-guided fuzzing of each parser; hours of it: `make soak`."""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.fuzz.targets import TARGETS

HERE = Path(__file__).parent
TOP = HERE.parent.parent
MEMORY = Path("/dev/shm")
SECONDS = int(os.environ.get("FUZZ_SECONDS", "10"))
KEPT = os.environ.get("FUZZ_FOLDER", "")
"""Where corpora and findings stay; by default they go with the test."""
LEAST = 20
"""Inputs a run, on a machine that is busy."""
STARTED = 60.0
"""Seconds for all but fuzzing itself."""


def fuzz(command: list[str | Path], name: str, folder: Path) -> None:
    """Runs libFuzzer; what it found is told with the name of the file that has the bytes."""
    # libFuzzer ends a process without its last wishes; and a disk would be in the way.
    with TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as scratch:
        result = subprocess.run(
            command, cwd=TOP, env={**os.environ, "TMPDIR": scratch}, capture_output=True, text=True, check=False,
            timeout=SECONDS * 2 + STARTED,
        )  # fmt: skip
    found = [path for path in folder.iterdir() if path.is_file()]
    assert result.returncode == 0, (
        f"{name}: {[f'{path}: {path.read_bytes()[:500]!r}' for path in found]}\n{result.stderr[-6000:]}"
    )
    runs = re.search(r"number_of_executed_units: (\d+)", result.stderr)
    assert runs is not None, result.stderr[-2000:]
    print(f"{name}: {int(runs[1]):,} inputs in {SECONDS} s")
    assert int(runs[1]) > LEAST


def folder_of(name: str, tmp_path: Path) -> Path:
    folder = Path(KEPT, name) if KEPT else tmp_path / name
    (folder / "corpus").mkdir(parents=True, exist_ok=True)
    return folder


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.timeout(SECONDS * 2 + STARTED)
def test_a_parser(name: str, tmp_path: Path) -> None:
    if importlib.util.find_spec("atheris") is None and not (os.environ.get("CI") and platform.machine() == "x86_64"):
        pytest.skip("there is no Atheris for this machine or this Python")
    folder = folder_of(name, tmp_path)
    fuzz([sys.executable, "-m", "tests.fuzz", name, str(SECONDS), folder], name, folder)


@pytest.mark.timeout(SECONDS * 2 + STARTED)
def test_the_compiled_part(tmp_path: Path) -> None:
    """With AddressSanitizer and UndefinedBehaviorSanitizer."""
    program = tmp_path / "fuzzer"
    flags = ["-std=gnu11", "-O1", "-g", "-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=all"]
    if shutil.which("clang") is None and not os.environ.get("CI"):
        pytest.skip("clang is not installed")
    made = subprocess.run(
        ["clang", *flags, "-o", program, HERE / "compiled.c"], capture_output=True, text=True, check=False
    )
    if made.returncode and not os.environ.get("CI"):
        pytest.skip(f"clang cannot build it with sanitizers here: {made.stderr[-200:]}")
    assert made.returncode == 0, made.stderr
    folder = folder_of("compiled", tmp_path)
    options = [f"-max_total_time={SECONDS}", "-max_len=16384", f"-artifact_prefix={folder}/", "-print_final_stats=1"]
    fuzz([program, *options, folder / "corpus", HERE / "corpus" / "compiled"], "compiled", folder)
