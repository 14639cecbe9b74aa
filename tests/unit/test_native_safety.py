"""The compiled part shares nothing between its instances, and whatever is wrong with it ends in the Python path."""

from __future__ import annotations

import logging
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from auditdeck.audit import ext
from auditdeck.audit.ext import LIBRARY, native

TOP = Path(__file__).parent.parent.parent
compiled = pytest.mark.skipif(not LIBRARY.exists(), reason="no C compiler was there")
READERS = 3


def message(reader: int, number: int) -> list[bytes]:
    """An event of two records with a text of the reader's own, as the audit socket has it."""
    head = b"audit(1700000000.123:%d): " % number
    call = b"arch=c000003e syscall=42 success=yes exit=0 a0=3 a1=1 a2=10 a3=0 items=0 ppid=1 pid=%d auid=1000 " % reader
    bodies = [
        (1300, head + call + b'comm="reader%d"' % reader),
        (1327, head + b"proctitle=%02x" % reader),
        (1320, head),
    ]
    return [struct.pack("=IHHII", 16 + len(body), kind, 0, 0, 0) + body for kind, body in bodies]


@compiled
def test_readers_side_by_side_never_see_each_others_text() -> None:
    wrong: list[str] = []

    def read(reader: int) -> None:
        here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        quick = native()
        assert quick is not None
        with here, there:
            for number in range(3000):
                for data in message(reader, number):
                    there.send(data)
                taken = quick.receive(here.fileno(), title_ends=False)
                if len(taken.items) != 1 or b"%d" % number not in bytes(taken.items[0]):  # type: ignore[arg-type]
                    wrong.append(f"reader {reader}: {taken.items}")
                text = bytes(taken.items[0])  # type: ignore[arg-type]
                wrong.extend(f"{reader} saw {text!r}" for other in range(READERS)
                             if other != reader and b"reader%d" % other in text)  # fmt: skip

    threads = [threading.Thread(target=read, args=(reader,)) for reader in range(READERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize("source", [None, "int nothing;", "unsigned abi_version(void) { return 1; }"])
def test_a_foreign_library_is_one_warning(
    tmp_path: Path, source: str | None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    library = tmp_path / "records.so"
    if source is None:
        library.write_bytes(b"\x7fELF of another machine")
    else:
        (tmp_path / "x.c").write_text(source)
        made = subprocess.run(
            ["cc", "-shared", "-fPIC", "-o", library, tmp_path / "x.c"], check=False, capture_output=True
        )
        if made.returncode:
            pytest.skip("no C compiler is here")
    monkeypatch.setattr(ext, "LIBRARY", library)
    with caplog.at_level(logging.WARNING):
        assert native() is None
    assert len(caplog.records) == 1
    assert "in Python" in caplog.text


@pytest.mark.parametrize(
    ("compiler", "made"), [("gcc -m64", True), ("/bin/false", False), ("gcc -nostdinc", False), ("no-such-cc", False)]
)
def test_any_compiler_ends_in_a_library_or_one_line(tmp_path: Path, compiler: str, made: bool) -> None:
    import os
    import platform
    import shutil

    if made and (shutil.which("gcc") is None or platform.machine() != "x86_64"):
        pytest.skip("gcc for x86-64 is not here")
    place = tmp_path / "collector/auditdeck/audit/ext"
    place.mkdir(parents=True)
    (place / "records.c").write_bytes((TOP / "collector/auditdeck/audit/ext/records.c").read_bytes())
    (tmp_path / "hatch_build.py").write_bytes((TOP / "hatch_build.py").read_bytes())
    environment = {**os.environ, "CC": compiler, "CFLAGS": "-g -DX='a b'", "LDFLAGS": "-Wl,--as-needed"}
    result = subprocess.run(
        [sys.executable, tmp_path / "hatch_build.py"], env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0
    assert "Traceback" not in result.stderr
    assert (place / "records.so").exists() == made
    assert bool(result.stderr) != made
    assert len(result.stderr.splitlines()) <= 1
