"""The compiled part under AddressSanitizer and UndefinedBehaviorSanitizer, with logs that were damaged at random."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).parent.parent.parent
SOURCE = TOP / "collector/auditdeck/audit/ext/records.c"
SECONDS = os.environ.get("FUZZ_SECONDS", "15")
DRIVER = """
import ctypes, random, socket, struct, sys, time
from pathlib import Path
from auditdeck.audit import ext
from auditdeck.audit.assembler import Assembler
ext.LIBRARY = Path(sys.argv[1])
texts = [path.read_bytes() for path in map(Path, sys.argv[3:])]
PIECES = [b" a0=", b"audit(", b"): ", b" ppid=1 pid=", b" items=", bytes([10]), bytes(1)]
chance = random.Random(20261126)
quick, deadline, runs = ext.native(), time.monotonic() + float(sys.argv[2]), 0
assert quick is not None
assembler = Assembler()
def feed(taken):
    assembler.feed([item if isinstance(item, bytes) else (item[0], item[2]) for item in taken.items])
here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
there.setblocking(False)
while time.monotonic() < deadline:
    text = bytearray(chance.choice(texts))
    for _ in range(chance.randrange(1, 40)):
        at = chance.randrange(len(text))
        match chance.randrange(5):
            case 0: text[at] = chance.randrange(256)
            case 1: del text[at : at + chance.randrange(200)]
            case 2: text[at:at] = bytes(chance.randrange(256) for _ in range(chance.randrange(30)))
            case 3: text[at:at] = text[at : at + chance.randrange(2000)]
            case 4: text[at:at] = chance.choice(PIECES)
    data, at = bytes(text), 0
    while at < len(data):
        following, taken = quick.read_log(data, at)
        if following == at:
            break
        at = following
        feed(taken)
    for line in data.split(bytes([10]))[: chance.randrange(1, 200)]:
        kind = chance.choice([1300, 1302, 1306, 1307, 1309, 1320, 1327, 1006, 2, 0, 65535])
        body = line.partition(b"msg=")[2][: chance.choice([3, 20, 400, 8900])]
        try:
            there.send(struct.pack("=IHHII", 16 + len(body), kind, 0, 0, 0) + body)
            if chance.random() < 0.01:
                there.send(body[: chance.randrange(17)])
        except BlockingIOError:
            break
    feed(quick.receive(here.fileno(), title_ends=chance.random() < 0.5))
    runs += 1
print(runs)
"""


def test_no_memory_is_touched_that_is_not_its_own(tmp_path: Path) -> None:
    library = tmp_path / "records.so"
    flags = ["-std=gnu11", "-O1", "-g", "-shared", "-fPIC", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    made = subprocess.run(["gcc", *flags, "-o", library, SOURCE], capture_output=True, text=True, check=False)
    if made.returncode and not os.environ.get("CI"):
        pytest.skip(f"gcc cannot build it with sanitizers here: {made.stderr[-200:]}")
    assert made.returncode == 0, made.stderr
    runtime = subprocess.run(["gcc", "-print-file-name=libasan.so"], capture_output=True, text=True, check=True)
    logs = [str(path) for path in sorted((TOP / "tests/fixtures").rglob("*.log"))]
    environment = {
        **os.environ,
        "LD_PRELOAD": runtime.stdout.strip(),
        "ASAN_OPTIONS": "detect_leaks=0",
        "PYTHONMALLOC": "malloc",
    }
    result = subprocess.run(
        [sys.executable, "-c", DRIVER, library, SECONDS, *logs], env=environment, capture_output=True, text=True,
        check=False, timeout=float(SECONDS) * 4 + 60,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr[-4000:]
    assert int(result.stdout) > 10
