"""Documents of recorded events: written quickly and written plainly they are the same."""

from __future__ import annotations

import json
import os
import random
import re
import time
from pathlib import Path

import orjson
import pytest

from auditdeck.audit.event import Event
from auditdeck.audit.tables.record_types import RECORD_TYPES
from auditdeck.audit.tables.syscalls import SYSCALLS
from auditdeck.cli.decode import Reading
from auditdeck.context.addresses import OwnAddresses
from auditdeck.context.containers import Cgroup, Containers
from auditdeck.context.host import Host
from auditdeck.context.network import Network
from auditdeck.context.parents import Parents
from auditdeck.context.proc import Proc
from auditdeck.context.processes import Processes
from auditdeck.context.users import Users
from auditdeck.ecs import normalization
from auditdeck.ecs.context import Context
from auditdeck.ecs.document import document
from auditdeck.ecs.fast import Encoder
from auditdeck.ecs.normalization import meanings

LOG = Path(__file__).parent.parent / "fixtures" / "audit.log"
GONE = 5_000_000
"""More than any pid (PID_MAX_LIMIT is 4,194,304)."""
HOST = Host("test", "0123456789abcdef0123456789abcdef", "x86_64", "6.18.0")


def context(tmp_path: Path) -> Context:
    """Names of two users, no live processes; equal for all who ask."""
    (tmp_path / "passwd").write_text("root:x:0:0::/root:/bin/sh\nada:x:64101:64101::/:/bin/sh\n")
    (tmp_path / "group").write_text("root:x:0:\n")
    users = Users(tmp_path / "passwd", tmp_path / "group")
    return Context(HOST, users, Network(OwnAddresses({"10.0.0.1"}), live=False), Processes(HOST.id, live=False))


@pytest.fixture(scope="module")
def events() -> list[Event]:
    with open(LOG, "rb") as lines:
        return list(Reading(str(LOG)).events(lines))


with_and_without_original = pytest.mark.parametrize("original", [False, True])


@with_and_without_original
def test_quick_and_plain_agree(tmp_path: Path, events: list[Event], original: bool) -> None:
    quick, plain = Encoder(context(tmp_path), original=original, socket_events=True), context(tmp_path)
    assert len(events) > 60
    for _ in range(2):
        for event in events:
            assert json.loads(quick.encode(event)) == document(event, plain, original=original)


@with_and_without_original
def test_most_events_go_the_quick_way(tmp_path: Path, events: list[Event], original: bool) -> None:
    encoder = Encoder(context(tmp_path), original=original)
    assert sum(encoder.quick(event) is not None for event in events) > 0.9 * len(events)


@with_and_without_original
def test_quick_and_plain_agree_on_damaged_events(tmp_path: Path, events: list[Event], original: bool) -> None:
    """Bytes changed, cut and doubled anywhere behind the stamp: no exception, and the same document."""
    chance = random.Random(20261124)
    encoder, plain = Encoder(context(tmp_path), original=original, socket_events=True), context(tmp_path)
    for _ in range(40):
        for event in events:
            items = [(kind, mutated(payload, len(event.stamp) + 9, chance)) for kind, payload in event.items]
            damaged = Event(event.stamp, items)
            expected = orjson.dumps(document(damaged, plain, original=original))
            assert json.loads(encoder.encode(damaged)) == json.loads(expected)


def with_arguments(event: Event, values: list[int], call: bytes) -> Event:
    text = call + b" ".join(b"a%d=%x" % argument for argument in enumerate(values))
    pattern = rb"a0=\w+ a1=\w+ a2=\w+ a3=\w+" if not call else rb"syscall=.*a3=\w+"
    return Event(event.stamp, [(kind, re.sub(pattern, text, payload)) for kind, payload in event.items])


@pytest.mark.parametrize("call", [b"syscall=59", b"syscall=42", b"syscall=257"])
def test_arguments_that_differ_each_time(tmp_path: Path, events: list[Event], call: bytes) -> None:
    """execve's and connect's pointers stand nowhere; a descriptor, flags and other calls' arguments do."""
    chance = random.Random(1)
    encoder, plain = Encoder(context(tmp_path), original=True, socket_events=True), context(tmp_path)
    chosen = next(event for event in events if call in event.text)
    for _ in range(50):
        values = [chance.choice([0, 3, 7, 0xFFFFFF9C, chance.randrange(1 << 47)]) for _ in range(4)]
        event = with_arguments(chosen, values, b"")
        assert json.loads(encoder.encode(event)) == document(event, plain, original=True)


def test_arguments_of_every_call(tmp_path: Path, events: list[Event]) -> None:
    chance = random.Random(2)
    encoder, plain = Encoder(context(tmp_path), socket_events=True), context(tmp_path)
    chosen = next(event for event in events if b"syscall=257" in event.text)
    for number in SYSCALLS["x86_64"]:
        common = [chance.choice([0, 1, 2, 4, chance.randrange(1 << 20)]) for _ in range(4)]
        for _ in range(6):
            values = [chance.choice([same, 1, 2, chance.randrange(1 << 32)]) for same in common]
            result = chance.choice([b"success=yes exit=0 ", b"success=yes exit=3 ", b"success=no exit=-13 "])
            event = with_arguments(chosen, values, b"syscall=%d " % number + result)
            assert json.loads(encoder.encode(event)) == document(event, plain), number


def test_pointers_are_not_read_again(tmp_path: Path, events: list[Event], monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = Encoder(context(tmp_path))
    chosen = next(event for event in events if b"syscall=257" in event.text)
    encoder.encode(with_arguments(chosen, [0xFFFFFF9C, 0x7FFC0001, 0, 0], b""))
    monkeypatch.setattr(encoder, "read_head", lambda _: pytest.fail("read again"))
    made = json.loads(encoder.encode(with_arguments(chosen, [0xFFFFFF9C, 0x7FFC1235, 0, 0], b"")))
    assert made["auditd"]["data"]["a1"] == "7ffc1235"


def test_paths_are_not_read_again_for_other_command_lines(
    tmp_path: Path, events: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder, plain = Encoder(context(tmp_path)), context(tmp_path)
    chosen = next(event for event in events if b"\n1309 argc=" in event.text)
    encoder.encode(chosen)
    monkeypatch.setattr(encoder, "read_files", lambda *_: pytest.fail("read again"))
    command = b'argc=2 a0="tool" a1="another"'
    event = Event(chosen.stamp, [(kind, re.sub(rb"argc=.*", command, payload)) for kind, payload in chosen.items])
    assert json.loads(encoder.encode(event)) == document(event, plain)


def test_of_a_process_that_is_gone_what_its_parent_was_is_known(
    tmp_path: Path, events: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    def live() -> Context:
        made, proc = context(tmp_path), Proc()
        made.processes = Processes(HOST.id, proc=proc)
        made.containers, made.cgroups, made.parents = Containers(proc=proc), True, Parents(made.processes)
        now = time.monotonic() + 60
        made.containers.known.keep(os.getpid(), (now, Cgroup("c" * 64, "/docker")))
        # One that was seen while it lived, and one in a container of its own.
        made.processes.known.keep(GONE + 1, (now, "1", "identity"))
        made.containers.known.keep(GONE + 2, (now, Cgroup("d" * 64, "/docker/d")))
        return made

    encoder, plain = Encoder(live()), live()
    chosen = next(event for event in events if b"\n1309 argc=" in event.text)
    asked = []
    read = encoder.read_process
    monkeypatch.setattr(encoder, "read_process", lambda pid, parent: asked.append(pid) or read(pid, parent))
    for pid in (*range(GONE, GONE + 9), os.getpid()):
        ids = b" ppid=%d pid=%d" % (os.getpid(), pid)
        event = Event(chosen.stamp, [(kind, re.sub(rb" ppid=.* pid=\d+", ids, text)) for kind, text in chosen.items])
        made = json.loads(encoder.encode(event))
        assert made == document(event, plain)
        assert (made["process"]["pid"], made["container"]["id"][0]) == (pid, "d" if pid == GONE + 2 else "c")
    assert asked == [GONE, GONE + 1, GONE + 2, os.getpid()]


def test_secrets_are_not_in_the_original_either(tmp_path: Path, events: list[Event]) -> None:
    encoder, plain = Encoder(context(tmp_path), original=True), context(tmp_path)
    chosen = next(event for event in events if b"\n1309 argc=" in event.text)
    texts = {
        1309: b'argc=2 a0="tool" a1="--password=hunter2"',
        1327: b"proctitle=" + b"tool\0--password=hunter2".hex().upper().encode(),
    }
    items = [
        (kind, b"audit(%s): %s" % (chosen.stamp, texts[kind]) if kind in texts else raw) for kind, raw in chosen.items
    ]
    event = Event(chosen.stamp, items)
    line = encoder.quick(event)
    assert line is not None
    assert b"[redacted]" in line
    assert b"hunter2" not in line
    assert b"hunter2".hex().upper().encode() not in line
    assert json.loads(line) == document(event, plain, original=True)


def mutated(payload: bytes, start: int, chance: random.Random) -> bytes:
    head, body = payload[:start], bytearray(payload[start:])
    for _ in range(chance.randrange(3)):
        if not body:
            break
        at = chance.randrange(len(body))
        match chance.randrange(4):
            case 0:
                body[at] = chance.randrange(256)
            case 1:
                del body[at : at + chance.randrange(1, 30)]
            case 2:
                body[at:at] = body[at : at + chance.randrange(1, 30)]
            case _:
                body[at : at + 1] = chance.choice([b" ", b'"', b"=", b"\x1d", b"'", b"{", b"\n", b"\x00"])
    return head + bytes(body)


def test_every_system_call_and_record_type_has_a_meaning() -> None:
    table = meanings()
    calls = {name for names in SYSCALLS.values() for name in names.values()}
    assert calls - table.syscalls.keys() == set()
    types = {name for number, name in RECORD_TYPES.items() if number >= 1100}
    assert types - table.records.keys() - table.over.keys() == set()
    allowed_categories = {
        "authentication", "configuration", "driver", "file", "host", "iam", "intrusion_detection", "network", "package",
        "process", "session",
    }  # fmt: skip
    allowed_types = {
        "access", "change", "connection", "creation", "deletion", "denied", "end", "error", "group", "info", "start",
        "user",
    }  # fmt: skip
    for found in [*table.syscalls.values(), *table.records.values(), *table.over.values()]:
        assert set(found.category) <= allowed_categories, found
        assert set(found.type) <= allowed_types, found


def test_no_name_stands_for_two_things() -> None:
    text = Path(normalization.__file__).with_name("normalization.yaml").read_text()
    actions = [line.partition(":")[0] for line in text.splitlines() if re.match(r"[a-z]", line)]
    assert len(actions) == len(set(actions))
