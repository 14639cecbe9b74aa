"""Forms of other tools: written with what was remembered and written plainly they are the same."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from auditdeck.audit.event import Event
from auditdeck.context.users import Users
from auditdeck.ecs.original import CALL, OfOriginal, place_of
from auditdeck.ecs.template import Encoder
from auditdeck.outputs.formats.encode import encoder
from auditdeck.outputs.formats.fluentd import Fluentd, fluentd
from auditdeck.outputs.formats.goaudit import GoAudit, go_audit
from auditdeck.settings.model import OutputForm
from tests.unit.test_documents import context, events, mutated

__all__ = ["events"]

CGROUP = {"cgroup": "/system.slice/docker-1.scope"}
CONTAINERS: list[dict[str, Any]] = [
    {},
    {"auditdeck": CGROUP},
    {"container": {"id": "0" * 64}, "auditdeck": CGROUP},
    {"container": {"id": "1" * 64}},
    {
        "container": {
            "id": "2" * 64,
            "image": {"name": "ubuntu", "tag": ["24.04"]},
            "labels": {"io.kubernetes.pod.name": "web"},
        }
    },
]


def like(line: bytes, chance: random.Random) -> bytes:
    """The line as of another process, of another time, with another pointer."""
    place = place_of(line)
    assert place
    call = CALL.match(line, *place)
    if call is None:
        return line
    serial = chance.choice([0, 9, chance.randrange(1 << 32)])
    stamp = b"%d.%03d:%d" % (chance.randrange(1 << 31), chance.randrange(1000), serial)
    original = line[place[0] : place[1]].replace(line[call.start(1) : call.end(2)], stamp)
    original = re.sub(rb"(?<= a1=)\w+", b"%x" % chance.randrange(1 << 47), original, count=1)
    original = re.sub(rb"(?<= ppid=)\w+", b"%d" % chance.randrange(99999), original, count=1)
    original = re.sub(rb"(?<= pid=)\w+", b"%d" % chance.randrange(1 << 22), original, count=1)
    return line[: place[0]] + original + line[place[1] :]


def elsewhere(line: bytes, chance: random.Random) -> bytes:
    """The line as from a container or none, its fields in one order or another."""
    made: dict[str, Any] = orjson.loads(line)
    made.pop("container", None)
    own = made.pop("auditdeck", {})
    around = chance.choice(CONTAINERS)
    own = {name: value for name, value in own.items() if name != "cgroup"} | around.get("auditdeck", {})
    parts = [(name, value) for name, value in (("container", around.get("container")), ("auditdeck", own)) if value]
    chance.shuffle(parts)
    return orjson.dumps(made | dict(parts))


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory, events: list[Event]) -> list[bytes]:
    """Lines of the event log with event.original: of recorded events, of damaged ones, and of like ones."""
    chance = random.Random(20261125)
    encoder = Encoder(context(tmp_path_factory.mktemp("lines")), original=True, socket_events=True)
    made = [encoder.encode(event) for event in events]
    for event in events * 20:
        items = [(kind, mutated(payload, len(event.stamp) + 9, chance)) for kind, payload in event.items]
        made.append(encoder.encode(Event(event.stamp, items)))
    return [*made, *(elsewhere(like(line, chance), chance) for line in made for _ in range(3)), *made]


@pytest.mark.parametrize(("form", "make"), [("go-audit", go_audit), ("fluentd", fluentd)])
def test_remembered_and_plain_agree(
    tmp_path: Path, lines: list[bytes], form: OutputForm, make: Callable[[dict[str, Any], Users], dict[str, Any]]
) -> None:
    users = context(tmp_path).users
    encode = encoder(form, users, original=False)
    for line in lines:
        assert json.loads(encode(line)) == json.loads(orjson.dumps(make(orjson.loads(line), users)))


def test_without_the_original_and_with_it_alone(tmp_path: Path, lines: list[bytes]) -> None:
    users = context(tmp_path).users
    ecs, raw = encoder("ecs", users, original=False), encoder("raw", users, original=False)
    for line in lines:
        document = orjson.loads(line)
        assert raw(line).decode() == document["event"].pop("original")
        assert ecs(line) == orjson.dumps(document)


@pytest.mark.parametrize("form", [GoAudit, Fluentd])
def test_like_events_are_not_read_again(
    tmp_path: Path, events: list[Event], form: type[OfOriginal], monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(1)
    encoder, made = Encoder(context(tmp_path), original=True), form(context(tmp_path).users)
    known = [line for event in events if event.is_call and (line := encoder.encode(event))]
    for line in known:
        made.encode(line)
    again = [like(line, chance) for line in known]
    assert len(again) > 50
    assert set(again).isdisjoint(known)
    expected = [made.plain(line) for line in again]
    monkeypatch.setattr(made, "plain", lambda _: pytest.fail("read again"))
    assert [made.encode(line) for line in again] == expected


def test_names_that_change_are_written_anew(
    tmp_path: Path, events: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    users = context(tmp_path).users
    line = Encoder(context(tmp_path), original=True).encode(next(event for event in events if event.is_call))
    made = GoAudit(users)
    assert "root" in json.loads(made.encode(line))["uid_map"].values()
    (tmp_path / "passwd").write_text("admin:x:0:0::/root:/bin/sh\n")
    monkeypatch.setattr("auditdeck.context.users.CHECK_INTERVAL", 0)
    assert "admin" in json.loads(made.encode(line))["uid_map"].values()


@pytest.mark.parametrize(
    "line",
    [
        b'{"message":"x"}',
        b'{"event":{"id":"1"},"host":{"name":"one"}}',
        b'{"url":{"original":"/"},"event":{"id":"1"},"host":{"name":"one"}}',
        b'{"event":{"original":"x","id":"1"},"host":{"name":"one"}}',
        b'{"event":{"id":"1","original":"x","kind":"y"},"host":{"name":"one"}}',
        b'{"event":{"id":"1","original":"a \\",\\"original\\":\\"b\\"},\\"host\\":{"},"host":{"name":"one"}}',
    ],
)
def test_documents_that_others_wrote(tmp_path: Path, line: bytes) -> None:
    users = context(tmp_path).users
    document: dict[str, Any] = json.loads(line)
    original = document.get("event", {}).pop("original", "")
    assert encoder("raw", users, original=False)(line).decode() == original
    assert json.loads(encoder("ecs", users, original=False)(line)) == document


@pytest.mark.parametrize("form", [GoAudit, Fluentd])
@pytest.mark.parametrize(
    "text",
    [
        'auid=0 uid=0 pid=5 comm="x"',
        'auid=0 uid=0 comm="x"\ntype=SYSCALL msg=audit(1.000:%(pid)s): arch=c000003e syscall=59 success=yes exit=0 '
        "a0=5 a1=0 a2=0 a3=0 items=2 ppid=1 pid=5 auid=0",
        'auid=0 uid=0 comm="x"\ntype=EXECVE msg=audit(1.000:%(pid)s): argc=1 a0="audit(1.000:%(pid)s)"',
    ],
)
def test_texts_that_say_again_what_differs(tmp_path: Path, form: type[OfOriginal], text: str) -> None:
    made = form(context(tmp_path).users)
    head = "type=SYSCALL msg=audit(1.000:%(pid)s): arch=c000003e syscall=59 success=yes exit=0 "
    head += "a0=%(pid)s a1=0 a2=0 a3=0 items=2 ppid=1 pid=%(pid)s "
    for pid in (5, 6, 5):
        original = (head + text) % {"pid": pid}
        line = orjson.dumps({"event": {"id": f"1.000:{pid}", "original": original}, "host": {"name": "one"}})
        assert CALL.match(line, *(place_of(line) or ()))
        assert made.encode(line) == made.plain(line)
