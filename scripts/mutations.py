"""Whether `make check` guards the risky half: small faults, put into a copy of the source one at a time.

    python scripts/mutations.py [NUMBER …]

Each is a text that is replaced, and must be there exactly once. The unit tests are run on the copy, those that are most
likely to notice first. Prints for each whether it was noticed; exit status 1 if more than four were not.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
PRODUCT = Path("collector/auditdeck")
ALLOWED = 4
"""How many of them may go unnoticed."""
PATIENCE = 300


class Mutation(NamedTuple):
    """What is wrong then, in which file, what stands there and what instead, and the tests that should notice."""

    fault: str
    file: str
    old: str
    new: str
    tests: str


MUTATIONS = [
    Mutation(
        "a full queue of Elasticsearch (429) is the document's fault",
        "outputs/bulk.py",
        "if status not in (400, 413) or",
        "if status not in (400, 413, 429) or",
        "bulk",
    ),
    Mutation(
        "a document that is there already (409) is a dead letter",
        "outputs/bulk.py",
        "elif status == 409:",
        "elif status == 408:",
        "bulk",
    ),
    Mutation(
        "a document that Elasticsearch cannot parse is tried for ever",
        "outputs/bulk.py",
        "if status not in (400, 413) or",
        "if status not in (413,) or",
        "bulk",
    ),
    Mutation(
        "a closed index makes dead letters",
        "outputs/bulk.py",
        '"index_closed_exception", "validation_exception",',
        '"validation_exception",',
        "bulk",
    ),
    Mutation(
        "an answer without items is success",
        "outputs/bulk.py",
        "    if not isinstance(items, list):\n        return strange(lines, str(answer))",
        "    if not isinstance(items, list):\n        return Answer(sent=len(lines))",
        "bulk",
    ),
    Mutation(
        "the cursor is saved before the acknowledgement",
        "outputs/elasticsearch.py",
        "while under_way and not under_way[0].is_alive():",
        "while under_way:",
        "bulk targets",
    ),
    Mutation(
        "the ids of two hosts are the same",
        "outputs/bulk.py",
        'b\'{"create":{"_id":"\', self.host_key(line), b"-", line[start:end]',
        'b\'{"create":{"_id":"\', b"host", b"-", line[start:end]',
        "bulk",
    ),
    Mutation(
        "what was refused is not kept",
        "outputs/elasticsearch.py",
        "                self.dead_letters.add(line, error)\n",
        "                pass\n",
        "bulk",
    ),
    Mutation(
        "what a rollover doubles is not counted",
        "outputs/elasticsearch.py",
        "if before and answer.created and answer.generations - {before}:",
        "if False:",
        "bulk",
    ),
    Mutation(
        "a batch whose answer was lost is not in doubt",
        "outputs/bulk.py",
        "lost=status >= 500)",
        "lost=False)",
        "bulk",
    ),
    Mutation(
        "the event log is not synced",
        "eventlog/writer.py",
        "        os.fsync(self.open.file)\n",
        "",
        "durable eventlog verify",
    ),
    Mutation(
        "a compressed segment replaces the plain one before it is on the disk",
        "eventlog/writer.py",
        "        os.fsync(raw.fileno())\n",
        "",
        "durable eventlog verify",
    ),
    Mutation(
        "a cursor is ahead of its log after a power cut",
        "eventlog/cursor.py",
        "                os.fdatasync(segment)\n",
        "                pass\n",
        "durable eventlog",
    ),
    Mutation(
        "a cursor is not on the disk before it counts",
        "eventlog/cursor.py",
        "            os.fdatasync(file.fileno())\n",
        "",
        "durable eventlog",
    ),
    Mutation(
        "the file output vouches for what is not on the disk",
        "outputs/file.py",
        "            os.fdatasync(self.file)\n",
        "            pass\n",
        "durable targets",
    ),
    Mutation(
        "half a line at the end of the log stays",
        "eventlog/writer.py",
        "                file.truncate(good)\n",
        "",
        "eventlog",
    ),
    Mutation(
        "a segment's number is used again",
        "eventlog/writer.py",
        "last = max([segment.number for segment in existing] + compacted + [self.chain.segment], default=0)",
        "last = max([segment.number for segment in existing], default=0)",
        "durable eventlog verify",
    ),
    Mutation(
        "what an output still needs goes by its age",
        "eventlog/retention.py",
        "now - modified > max_age and not needed",
        "now - modified > max_age",
        "eventlog",
    ),
    Mutation(
        "what the bounds took before it was read is not counted",
        "eventlog/retention.py",
        "unread += lines_in(path) if needed else 0",
        "unread += 0",
        "eventlog",
    ),
    Mutation(
        "damaged records are not counted",
        "collector/decoder.py",
        "        self.counters.damaged += len(items)\n",
        "",
        "decoder",
    ),
    Mutation(
        "an event that cannot be decoded is not kept",
        "collector/decoder.py",
        "                self.keep_damaged(event.items)\n",
        "",
        "decoder",
    ),
    Mutation(
        "damaged.log has secrets",
        "collector/damaged.py",
        "shown = self.redactor.record(kind, payload)",
        "shown = payload",
        "decoder",
    ),
    Mutation(
        "a receive buffer that was full is not counted",
        "collector/receiver.py",
        "            self.counters.overruns = self.source.overruns\n",
        "",
        "receiver",
    ),
    Mutation(
        "a wide gap in the serials is not counted",
        "audit/assembler.py",
        "            self.count += width\n",
        "            pass\n",
        "assembler",
    ),
    Mutation(
        "a gap is given up before its time",
        "audit/assembler.py",
        "if now - since < self.patience:",
        "if False:",
        "assembler",
    ),
    Mutation(
        "the end of a report's window belongs to it",
        "query/answers.py",
        "            FROM events WHERE time >= ? AND time < ? AND {conditions} AND {WANTED})",
        "            FROM events WHERE time >= ? AND time <= ? AND {conditions} AND {WANTED})",
        "report",
    ),
    Mutation(
        "the begin of a report's window does not belong to it",
        "query/answers.py",
        "            FROM events WHERE time >= ? AND time < ? AND {conditions} AND {WANTED})",
        "            FROM events WHERE time > ? AND time < ? AND {conditions} AND {WANTED})",
        "report",
    ),
    Mutation(
        "what was seen before the window is new in it",
        "query/answers.py",
        "GROUP BY executable HAVING min(time) >= ?",
        "GROUP BY executable HAVING max(time) >= ?",
        "report",
    ),
    Mutation(
        "losses outside the window are told in it",
        "query/answers.py",
        'f"SELECT {sums} FROM events WHERE health AND time >= ? AND time < ? {host}"',
        'f"SELECT {sums} FROM events WHERE health AND (true OR time >= ? AND time < ?) {host}"',
        "report coverage",
    ),
    Mutation(
        "time that was not watched counts as watched",
        "query/coverage.py",
        "missing = unwatched + sum(",
        "missing = sum(",
        "coverage",
    ),
    Mutation(
        "rules stay half loaded when one is refused",
        "audit/rules/loader.py",
        "        restore_rules(kernel, before)\n        raise problem from error",
        "        raise problem from error",
        "loader",
    ),
    Mutation(
        "rules that others added meanwhile are deleted at the end",
        "collector/session.py",
        "restore_rules(self.control, found + since)",
        "restore_rules(self.control, found)",
        "watch",
    ),
    Mutation(
        "a setting that somebody else changed is put back",
        "collector/session.py",
        "if name in RESTORED and now[name] == value",
        "if name in RESTORED",
        "watch",
    ),
    Mutation(
        "the answer to another request is taken",
        "audit/client.py",
        "            if reply != sequence:\n                continue\n",
        "",
        "client",
    ),
    Mutation(
        "a refused request counts as done",
        "audit/client.py",
        "                if code:\n                    raise explain(-code, what)\n",
        "",
        "client",
    ),
    Mutation(
        "a pid that is used again is the old process",
        "context/process_table.py",
        "            if process is None or process.started // TICK != started // TICK:\n                return None",
        "            if process is None:\n                return None",
        "connection enrich",
    ),
    Mutation(
        "a connection belongs to the program that came after",
        "context/process_table.py",
        "while process.since > moment and process.before is not None:",
        "while False:",
        "connection",
    ),
    Mutation(
        "a certificate is renewed only when it has ended",
        "stack/certificates.py",
        "RENEWED_BEFORE = timedelta(days=60)",
        "RENEWED_BEFORE = timedelta(days=0)",
        "stack",
    ),
    Mutation(
        "a certificate of another authority is good",
        "stack/certificates.py",
        "        found.verify_directly_issued_by(authority.certificate)\n",
        "",
        "stack",
    ),
    Mutation(
        "an older version of the stack opens newer volumes",
        "stack/checks.py",
        "if before and numbers(version) < numbers(before):",
        "if False:",
        "stack",
    ),
    Mutation(
        "a connection in progress is a connection",
        "connections/state.py",
        '        return "unresolved"',
        '        return "established"',
        "connection meaning settling",
    ),
    Mutation(
        "a reset is no refusal",
        "connections/state.py",
        "REFUSED = {errno.ECONNREFUSED, errno.ECONNRESET, errno.ECONNABORTED}",
        "REFUSED = {errno.ECONNREFUSED, errno.ECONNABORTED}",
        "connection",
    ),
    Mutation(
        "what the tracepoint lost is not counted",
        "collector/connections.py",
        "            self.counters.ring_lost = self.tracepoint.lost\n",
        "",
        "connection collector",
    ),
    Mutation(
        "time without audit is not counted",
        "collector/watch.py",
        "            self.counters.unwatched += now - self.looked\n",
        "            pass\n",
        "watch",
    ),
    Mutation(
        "after a crash nobody asks which serials are missing",
        "audit/assembler.py",
        "self.counts.gaps = self.gaps.settle(now)",
        "self.gaps.settle(now)",
        "assembler",
    ),
]


def main() -> None:
    chosen = [int(word) for word in sys.argv[1:]] or list(range(1, len(MUTATIONS) + 1))
    unnoticed = 0
    with tempfile.TemporaryDirectory() as folder:
        # Some tests look at it as somebody else.
        os.chmod(folder, 0o755)
        copy = Path(folder) / "auditdeck"
        ignored = shutil.ignore_patterns(".git", ".venv", "__pycache__", ".*_cache", "*.egg-info")
        shutil.copytree(ROOT, copy, ignore=ignored)
        for number in chosen:
            mutation = MUTATIONS[number - 1]
            by = noticed_by(copy, mutation)
            unnoticed += not by
            print(f"{number:2} {f'noticed: {by}' if by else 'NOT NOTICED':60} {mutation.fault}", flush=True)
    print(f"{len(chosen) - unnoticed} of {len(chosen)} were noticed")
    sys.exit(unnoticed > ALLOWED)


def noticed_by(copy: Path, mutation: Mutation) -> str:
    """The test that fails, "" if none does."""
    file = copy / PRODUCT / mutation.file
    whole = file.read_text()
    if whole.count(mutation.old) != 1:
        sys.exit(f"{mutation.file} has this {whole.count(mutation.old)} times, not once: {mutation.old!r}")
    file.write_text(whole.replace(mutation.old, mutation.new))
    try:
        likely = [
            path for word in mutation.tests.split() if (path := f"tests/unit/test_{word}.py") and (copy / path).exists()
        ]
        return (run(copy, likely) if likely else "") or run(copy, ["-n", "auto", "--dist", "worksteal", "tests/unit"])
    finally:
        file.write_text(whole)


def run(copy: Path, words: list[str]) -> str:
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *words]
    environment = {**os.environ, "PYTHONPATH": str(copy / "collector"), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, timeout=PATIENCE)
    failed = [line.split()[1] for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    if done.returncode and not failed:
        sys.exit(done.stdout[-2000:] + done.stderr[-2000:])
    return failed[0].removeprefix("tests/unit/")[:60] if failed else ""


if __name__ == "__main__":
    main()
