"""Coverage-guided fuzzing of one target (targets.py) with Atheris, for so many seconds:

    python -m tests.fuzz TARGET SECONDS FOLDER [OPTION …]

What is found is written to FOLDER, and what covers more than the corpus to FOLDER/corpus; options are libFuzzer's.
"""

from __future__ import annotations

import logging
import sys
import time
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["auditdeck"]):
    from tests.fuzz.targets import TARGETS

CORPUS = Path(__file__).parent / "corpus"
LONGEST = 16 << 10
CONSTANT, EACH = 1.0, 20e-6
"""CPU seconds that an input may take, and more for each of its bytes: instrumented code is some times slower, and what
nests too deeply is read down to the limit of recursion."""
MEMORY = 500
"""MiB; none needs a third of it."""


def main(name: str, seconds: str, folder: Path, *options: str) -> None:
    target = TARGETS[name]
    logging.disable()

    def timed(data: bytes) -> None:
        began = time.process_time()
        target(data)
        spent = time.process_time() - began
        limit = CONSTANT + EACH * len(data)
        if spent > limit:
            # Something that happens once, such as a table that is read, is no fault of the input.
            began = time.process_time()
            target(data)
            spent = time.process_time() - began
            assert spent <= limit, f"{len(data)} bytes took {spent:.2f} s"

    found = folder / "corpus"
    found.mkdir(parents=True, exist_ok=True)
    limits = [f"-max_total_time={seconds}", f"-max_len={LONGEST}", "-timeout=20", f"-rss_limit_mb={MEMORY}"]
    words = [sys.argv[0], *limits, f"-artifact_prefix={folder}/", "-print_final_stats=1", *options]
    atheris.Setup([*words, str(found), str(CORPUS / name)], timed)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), *sys.argv[4:])
