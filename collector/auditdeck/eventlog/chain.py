"""The hashes that show whether the event log was changed afterwards; docs/integrity.md has the formats.

    events/chain.ndjson         an entry for each closed segment, each with the hash of the one before; never shortened
    events/0000000002.marks     of a segment: the hash of its first lines, every 32 of them and at each fsync

An entry's `chain` is the SHA-256 of the text "PREVIOUS SEGMENT LINES SHA256\\n", where SHA256 is that of the segment's
documents, uncompressed. What retention deleted is an entry as well: "PREVIOUS expired SEGMENT\\n".
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import orjson

from auditdeck.errors import StoreError
from auditdeck.private_file import open_shared

CHAIN = "chain.ndjson"
NOTHING = "0" * 64
"""What the first entry has for the one before."""
EVERY = 32
"""Lines between two marks."""
MARK = re.compile(rb" *(\d+)([ =])([0-9a-f]{64})\n")
MARK_SIZE = 128
"""No mark lies across two sectors of a disk, or two pages in memory: a crash leaves the old one or the new one."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Of a closed segment, or with `expired` of the deletion of all up to `segment`. `hmac` is "" without a key."""

    segment: int
    lines: int
    sha256: str
    previous: str
    chain: str
    expired: bool = False
    hmac: str = ""

    def encoded(self) -> bytes:
        body: dict[str, object] = {"segment": self.segment}
        body |= {"expired": True} if self.expired else {"lines": self.lines, "sha256": self.sha256}
        body |= {"previous": self.previous, "chain": self.chain} | ({"hmac": self.hmac} if self.hmac else {})
        return orjson.dumps(body) + b"\n"


def linked(previous: str, segment: int, lines: int, sha256: str) -> str:
    """The chain's hash with a segment at its end."""
    return hashlib.sha256(f"{previous} {segment} {lines} {sha256}\n".encode()).hexdigest()


def linked_expiry(previous: str, segment: int) -> str:
    return hashlib.sha256(f"{previous} expired {segment}\n".encode()).hexdigest()


def signature(key: bytes, chain: str) -> str:
    """HMAC-SHA256 (RFC 2104) of the chain's hash."""
    return hmac.new(key, chain.encode(), hashlib.sha256).hexdigest()


def read_key(path: str) -> bytes | None:
    """A key of at least 16 bytes, without the newline at its end; None if no file is named. Raises StoreError."""
    if not path:
        return None
    try:
        key = Path(path).read_bytes().rstrip(b"\n")
    except OSError as error:
        raise StoreError(f"cannot read the key {path}: {error.strerror}", "see event_log.sign_key_file") from error
    if len(key) < 16:
        raise StoreError(f"the key {path} is too short", "write one with: openssl rand -hex 32")
    return key


def decoded(line: bytes) -> Entry:
    """Raises ValueError."""
    found = orjson.loads(line)
    try:
        segment, expired, mac = found["segment"], found.get("expired", False), found.get("hmac", "")
        lines, sha256 = (0, "") if expired else (found["lines"], found["sha256"])
        texts = sha256, found["previous"], found["chain"], mac
    except (KeyError, TypeError, AttributeError):
        raise ValueError("not an entry") from None
    if not (isinstance(segment, int) and isinstance(lines, int) and all(isinstance(text, str) for text in texts)):
        raise ValueError("not an entry")
    return Entry(segment, lines, sha256, texts[1], texts[2], bool(expired), mac)


def chain_lines(folder: Path) -> list[bytes]:
    """Of chain.ndjson, without what a crash left of the last one; none if there is no such file. Raises OSError."""
    try:
        return (folder / CHAIN).read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return []


def read_chain(folder: Path) -> list[Entry]:
    """The entries that can be read. Raises OSError."""
    found = []
    for line in chain_lines(folder):
        try:
            found.append(decoded(line))
        except ValueError:
            continue
    return found


class Chain:
    """Appends entries; what is in the file is never changed, but for a line that a crash tore. Raises OSError."""

    def __init__(self, folder: Path, key: bytes | None = None) -> None:
        self.folder = folder
        self.path = folder / CHAIN
        self.key = key
        entries = read_chain(folder)
        self.head = entries[-1].chain if entries else NOTHING
        self.segment = max((entry.segment for entry in entries), default=0)
        """The highest that has an entry."""
        self.signed = bool(entries and entries[-1].hmac)
        self.began = self.path.exists()

    def begin(self) -> None:
        """From now on every segment has marks, and an entry when it is closed; with a key the last one is signed."""
        os.close(open_shared(self.path, os.O_WRONLY))
        whole = sum(len(line) + 1 for line in chain_lines(self.folder))
        if self.path.stat().st_size > whole:
            os.truncate(self.path, whole)
        if self.key and not self.signed:
            # That a key is there now is an entry of its own, which deletes nothing.
            self.expire(0)

    def close(self, segment: int, lines: int, sha256: str) -> None:
        """An entry for a segment that is complete."""
        self.add(Entry(segment, lines, sha256, self.head, linked(self.head, segment, lines, sha256)))
        self.segment = max(self.segment, segment)

    def expire(self, segment: int) -> None:
        """An entry that all segments up to this one are about to be deleted."""
        self.add(Entry(segment, 0, "", self.head, linked_expiry(self.head, segment), expired=True))

    def add(self, entry: Entry) -> None:
        if self.key:
            made = signature(self.key, entry.chain)
            entry = Entry(entry.segment, entry.lines, entry.sha256, entry.previous, entry.chain, entry.expired, made)
        descriptor = open_shared(self.path, os.O_WRONLY | os.O_APPEND)
        try:
            before = os.fstat(descriptor).st_size
            data = entry.encoded()
            if os.write(descriptor, data) < len(data):
                os.ftruncate(descriptor, before)
                raise OSError(28, "no space left for the chain")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        self.head, self.signed = entry.chain, bool(entry.hmac)


class Mark(NamedTuple):
    """The hash of the first `lines` lines of a segment; `end`: it was closed in order, there are no more."""

    lines: int
    sha256: str
    end: bool = False


def marks_path(segment: Path) -> Path:
    """Of a segment, compressed or not."""
    return segment.with_name(segment.name[:10] + ".marks")


def read_marks(segment: Path) -> list[Mark] | None:
    """Up to the first that is damaged; None if the segment has none."""
    try:
        data = marks_path(segment).read_bytes()
    except OSError:
        return None
    found: list[Mark] = []
    for start in range(0, len(data), MARK_SIZE):
        match = MARK.fullmatch(data[start : start + MARK_SIZE])
        if match is None:
            break
        found.append(Mark(int(match[1]), match[3].decode(), match[2] == b"="))
    return found


class Digest:
    """The running hash of lines, with a mark after every 32."""

    def __init__(self) -> None:
        self.sha256 = hashlib.sha256()
        self.lines = 0

    def add(self, lines: list[bytes]) -> Iterator[Mark]:
        """Lines without their newlines."""
        at = 0
        while at < len(lines):
            some = lines[at : at + EVERY - self.lines % EVERY]
            self.update(some)
            at += len(some)
            if self.lines % EVERY == 0:
                yield self.mark()

    def update(self, lines: list[bytes]) -> None:
        if lines:
            self.sha256.update(b"\n".join(lines) + b"\n")
            self.lines += len(lines)

    def mark(self, *, end: bool = False) -> Mark:
        return Mark(self.lines, self.sha256.hexdigest(), end)


@dataclass(frozen=True, slots=True)
class Compared:
    """A segment as it is: its lines and their hash (with `torn`: what stands behind the last newline is hashed too).

    `bad` is the first stretch of lines, first and last, that is not what the marks say of it; `good` how many are.
    """

    lines: int
    sha256: str
    torn: bool = False
    good: int = 0
    bad: tuple[int, int] | None = None


def compare(blocks: Iterable[bytes], marks: list[Mark]) -> Compared:
    """The documents of a segment with its marks."""
    sha256 = hashlib.sha256()
    lines = good = at = 0
    bad: tuple[int, int] | None = None
    rest = b""
    for block in blocks:
        *found, rest = (rest + block).split(b"\n")
        start = 0
        while start < len(found):
            end = len(found) if at == len(marks) else min(len(found), start + max(1, marks[at].lines - lines))
            sha256.update(b"\n".join(found[start:end]) + b"\n")
            lines, start = lines + end - start, end
            digest = ""
            while at < len(marks) and marks[at].lines <= lines:
                digest = digest or sha256.hexdigest()
                if bad is None and marks[at][:2] == (lines, digest):
                    good = lines
                elif bad is None and marks[at].lines > 0:
                    bad = good + 1, max(marks[at].lines, lines)
                at += 1
    sha256.update(rest)
    if bad is None and at < len(marks) and marks[-1].lines > lines:
        bad = lines + 1, marks[-1].lines
    if bad is None and marks and marks[-1].end and (lines > marks[-1].lines or rest):
        bad = marks[-1].lines + 1, lines + bool(rest)
    return Compared(lines, sha256.hexdigest(), bool(rest), good, bad)


def hashes_at(blocks: Iterable[bytes], counts: Iterable[int]) -> dict[int, str]:
    """The hashes of the first so many lines of a segment; without those for which it is too short."""
    goals, found, digest = sorted(set(counts)), dict[int, str](), Digest()
    for block in blocks:
        lines = block.split(b"\n")[:-1]
        while goals and goals[0] <= digest.lines + len(lines):
            some = goals.pop(0) - digest.lines
            digest.update(lines[:some])
            lines = lines[some:]
            found[digest.lines] = digest.sha256.hexdigest()
        digest.update(lines)
    return found


class Marks:
    """The marks of the open segment. The last one is written over until it is one of every 32 lines."""

    def __init__(self, segment: Path) -> None:
        self.digest = Digest()
        self.whole: list[Mark] = []
        self.place = 0
        path = marks_path(segment)
        self.file = open_shared(path, os.O_WRONLY)

    def add(self, lines: list[bytes]) -> None:
        self.whole.extend(self.digest.add(lines))

    def take(self, *, end: bool = False) -> list[Mark]:
        """What is to be saved: the marks since the last time, and one for all that there is."""
        taken, self.whole = self.whole, []
        return [*taken, self.digest.mark(end=end)]

    def save(self, taken: list[Mark]) -> None:
        """After the lines themselves were synced. Raises OSError."""
        data = b"".join(
            b"%62d%b%b\n" % (mark.lines, b"=" if mark.end else b" ", mark.sha256.encode()) for mark in taken
        )
        os.pwrite(self.file, data, self.place)
        self.place += len(data) - MARK_SIZE

    def close(self) -> None:
        os.close(self.file)
