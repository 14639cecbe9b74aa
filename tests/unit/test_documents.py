"""Documents of recorded events: written by templates and written plainly they are the same bytes."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from auditdeck.audit.event import Event
from auditdeck.audit.log import Reading
from auditdeck.audit.tables.record_types import RECORD_TYPES
from auditdeck.audit.tables.syscalls import SYSCALLS
from auditdeck.cache import Cache
from auditdeck.context.addresses import OwnAddresses
from auditdeck.context.containers import Cgroup, Containers
from auditdeck.context.executions import Executions
from auditdeck.context.host import Host
from auditdeck.context.labels import LabelRule, Labels
from auditdeck.context.network import Network
from auditdeck.context.parents import Parents
from auditdeck.context.proc import Proc
from auditdeck.context.processes import Processes
from auditdeck.context.users import Users
from auditdeck.ecs import commands, normalization, template
from auditdeck.ecs.context import Context
from auditdeck.ecs.document import document
from auditdeck.ecs.normalization import meanings
from auditdeck.ecs.template import Encoder

FIXTURES = Path(__file__).parent.parent / "fixtures"
LOG = FIXTURES / "audit.log"
LOGS = [LOG, FIXTURES / "go-audit" / "audit.log", FIXTURES / "user-space.log"]
GONE = 5_000_000
"""More than any pid (PID_MAX_LIMIT is 4,194,304)."""
HOST = Host("test", "0123456789abcdef0123456789abcdef", "x86_64", "6.18.0")


def context(tmp_path: Path) -> Context:
    """Names of two users, no live processes; equal for all who ask."""
    (tmp_path / "passwd").write_text("root:x:0:0::/root:/bin/sh\nada:x:64101:64101::/:/bin/sh\n")
    (tmp_path / "group").write_text("root:x:0:\n")
    users = Users(tmp_path / "passwd", tmp_path / "group")
    return Context(HOST, users, Network(OwnAddresses({"10.0.0.1"}), live=False), Processes(HOST.id, live=False))


def read(log: Path) -> list[Event]:
    with open(log, "rb") as lines:
        return list(Reading(str(log)).events(lines))


@pytest.fixture(scope="module")
def events() -> list[Event]:
    return read(LOG)


@pytest.fixture(scope="module")
def all_events() -> list[Event]:
    return [event for log in LOGS for event in read(log)]


@pytest.fixture(scope="module")
def children() -> Iterator[list[int]]:
    """Processes with one of the variables that are asked for."""
    made = [subprocess.Popen(["sleep", "600"], env={"LD_PRELOAD": "", "LD_LIBRARY_PATH": "/x"}) for _ in range(3)]
    time.sleep(0.2)
    yield [child.pid for child in made]
    for child in made:
        child.kill()
        child.wait()


def everything(tmp_path: Path, children: list[int]) -> Context:
    """With all that is looked up; one of the children is in a container."""
    made, proc = context(tmp_path), Proc()
    made.processes = Processes(HOST.id, proc=proc)
    made.containers, made.cgroups, made.parents, made.groups = (
        Containers(proc=proc),
        True,
        Parents(made.processes),
        True,
    )
    made.executions = Executions(("LD_LIBRARY_PATH",), 1 << 24, proc)
    rules = (LabelRule("web", "netconns_out"), LabelRule("shell", "", re.compile("sh$")))
    made.labels = Labels(rules, made.processes.parent_of)
    later = time.monotonic() + 60
    made.containers.known.keep(children[1], (later, Cgroup("c" * 64, "/docker")))
    made.containers.known.keep(GONE + 2, (later, Cgroup("d" * 64, "/docker/d")))
    # One that was seen while it lived.
    made.processes.known.keep(GONE + 1, (later, "1", "identity"))
    return made


def plainly(event: Event, context: Context, *, original: bool = False) -> bytes:
    return orjson.dumps(document(event, context, original=original))


def of_process(event: Event, pid: int, parent: int) -> Event:
    ids = b" ppid=%d pid=%d" % (parent, pid)
    return Event(event.stamp, [(kind, re.sub(rb" ppid=\d+ pid=\d+", ids, text)) for kind, text in event.items])


def with_texts(event: Event, texts: dict[int, bytes], serial: int = 0) -> Event:
    """With other bodies for records of these types."""
    stamp = event.moment + b":%d" % (int(event.serial) + serial)
    head = b"audit(" + stamp + b"): "
    bodies = [(kind, texts.get(kind, text.partition(b"): ")[2])) for kind, text in event.items]
    return Event(stamp, [(kind, head + body) for kind, body in bodies])


with_and_without_original = pytest.mark.parametrize("original", [False, True])


@with_and_without_original
def test_both_ways_agree(tmp_path: Path, all_events: list[Event], original: bool) -> None:
    encoder, plain = Encoder(context(tmp_path), original=original, socket_events=True), context(tmp_path)
    assert len(all_events) > 100
    for _ in range(3):
        for event in all_events:
            assert encoder.encode(event) == plainly(event, plain, original=original)


@with_and_without_original
def test_both_ways_agree_whatever_is_looked_up(
    tmp_path: Path, events: list[Event], children: list[int], original: bool
) -> None:
    encoder = Encoder(everything(tmp_path, children), original=original, socket_events=True)
    plain = everything(tmp_path, children)
    processes = [
        (children[0], os.getpid()), (children[1], os.getpid()), (children[2], 1), (GONE, children[1]),
        (GONE + 1, GONE + 5), (GONE + 2, os.getpid()), (0, 0), (GONE + 3, children[1]),
    ]  # fmt: skip
    seen = set()
    for _ in range(3):
        for event in events:
            for pid, parent in processes:
                made = of_process(event, pid, parent)
                line = encoder.encode(made)
                assert line == plainly(made, plain, original=original)
                found = json.loads(line)
                seen |= {name for name in ("container", "tags") if name in found} | set(found.get("auditdeck", {}))
                seen |= {name for name in ("entity_id", "env_vars", "hash") if name in found.get("process", {})}
    assert seen >= {"container", "cgroup", "labels", "groups", "entity_id", "env_vars", "hash"}


@pytest.mark.parametrize("off", ["containers", "parents", "executions", "groups", "cgroups", "scripts", "labels"])
def test_both_ways_agree_without_one_look_up(
    tmp_path: Path, events: list[Event], children: list[int], off: str
) -> None:
    def most() -> Context:
        made = everything(tmp_path, children)
        setattr(made, off, {"labels": Labels(), "groups": False, "cgroups": False, "scripts": False}.get(off))
        return made

    encoder, plain = Encoder(most(), socket_events=True), most()
    for _ in range(2):
        for event in events:
            for pid in (*children[:2], GONE):
                made = of_process(event, pid, os.getpid())
                assert encoder.encode(made) == plainly(made, plain)


@with_and_without_original
def test_both_ways_agree_on_damaged_events(tmp_path: Path, all_events: list[Event], original: bool) -> None:
    """Bytes changed, cut and doubled anywhere behind the stamp: no exception, and the same document."""
    chance = random.Random(20261124)
    encoder, plain = Encoder(context(tmp_path), original=original, socket_events=True), context(tmp_path)
    for _ in range(30):
        for event in all_events:
            items = [(kind, mutated(payload, len(event.stamp) + 9, chance)) for kind, payload in event.items]
            for _ in range(2):
                damaged = Event(event.stamp, items)
                assert encoder.encode(damaged) == plainly(damaged, plain, original=original)


@with_and_without_original
def test_both_ways_agree_on_records_put_together_anyhow(
    tmp_path: Path, all_events: list[Event], original: bool
) -> None:
    """Records of other events beside a call's, some of them twice."""
    chance = random.Random(20261126)
    encoder, plain = Encoder(context(tmp_path), original=original, socket_events=True), context(tmp_path)
    calls = [event for event in all_events if event.is_call]
    bodies = [(kind, text.partition(b"): ")[2]) for event in all_events for kind, text in event.items]
    for number in range(3000):
        event = chance.choice(calls)
        head = b"audit(" + event.stamp + b"): "
        items = [event.items[0], *[(kind, head + body) for kind, body in chance.choices(bodies, k=number % 5)]]
        for _ in range(2):
            made = Event(event.stamp, items)
            assert encoder.encode(made) == plainly(made, plain, original=original)


HOSTILE = [
    b"\0time\0", b"\0moment\0", b"\0serial\0", b"\0a1\0", b"\0\x30\0", b"\x1f",
    b"%b %s %", b"\\u0000time\\u0000", b"time",
    b'"},"event":{', b"'", b"{", b"\xff\xfe", b"\xed\xa0\x80", "\u2028é".encode(), b"a0=1", b" pid=7", b"\n1309 argc=1",
]  # fmt: skip


@with_and_without_original
@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_is_taken_for_a_mark(tmp_path: Path, events: list[Event], text: bytes, original: bool) -> None:
    """Where programs may write what they like: in names, arguments, titles, folders, paths, and the keys of rules."""
    encoder, plain = Encoder(context(tmp_path), original=original, socket_events=True), context(tmp_path)
    coded = text.hex().upper().encode()
    texts = {
        1309: b"argc=2 a0=%b a1=%b" % (coded, coded),
        1327: b"proctitle=" + coded,
        1307: b"cwd=" + coded,
        1302: b"item=0 name=%b inode=1 dev=fe:00 mode=0100755 ouid=0 ogid=0 rdev=00:00 nametype=NORMAL" % coded,
    }
    calls = [event for event in events if event.is_call]
    for event in calls[:40]:
        for serial in range(3):
            call = event.items[0][1].partition(b"): ")[2]
            for name in (b"comm", b"exe", b"key"):
                call = re.sub(rb" %b=\S+" % name, b" %b=%b" % (name, coded), call)
            for chosen in (texts, texts | {1300: call}, texts | {1300: call + b" " + text}):
                made = with_texts(event, chosen, serial)
                line = encoder.encode(made)
                assert line == plainly(made, plain, original=original)
                assert json.loads(line)["auditd"]["sequence"] == int(made.serial)


def test_calls_are_written_by_templates(tmp_path: Path, events: list[Event], monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = Encoder(context(tmp_path), original=True)
    monkeypatch.setattr(encoder, "plain", lambda _: b"plain")
    calls = [event for event in events if event.is_call]
    assert len(calls) > 60
    assert b"plain" not in map(encoder.encode, calls)


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
        assert encoder.encode(event) == plainly(event, plain, original=True)


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
            assert encoder.encode(event) == plainly(event, plain), number


def test_what_a_pointer_is_makes_no_new_form(
    tmp_path: Path, events: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = Encoder(context(tmp_path))
    chosen = next(event for event in events if b"syscall=257" in event.text)
    for pointer in (0x7FFC0001, 0x7FFC0002):
        encoder.encode(with_arguments(chosen, [0xFFFFFF9C, pointer, 0, 0], b""))
    monkeypatch.setattr(encoder, "frame", lambda *_: pytest.fail("put together again"))
    made = json.loads(encoder.encode(with_arguments(chosen, [0xFFFFFF9C, 0x7FFC1235, 0, 0], b"")))
    assert made["auditd"]["data"]["a1"] == "7ffc1235"


def test_a_new_command_line_makes_no_new_frame(
    tmp_path: Path, events: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who ran it, with what paths, is not read again either."""
    encoder, plain = Encoder(context(tmp_path)), context(tmp_path)
    chosen = next(event for event in events if b"\n1309 argc=" in event.text)
    encoder.encode(with_texts(chosen, {1309: b'argc=2 a0="tool" a1="one"'}))
    for name in ("make_frame", "files_part", "who_part", "call_part", "title_part"):
        monkeypatch.setattr(template, name, lambda *_, **__: pytest.fail("made again"))
    event = with_texts(chosen, {1309: b'argc=2 a0="tool" a1="another"'})
    assert encoder.encode(event) == plainly(event, plain)


def test_of_a_process_that_is_gone_what_its_parent_was_is_known(
    tmp_path: Path, events: list[Event], children: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder, plain = Encoder(everything(tmp_path, children)), everything(tmp_path, children)
    chosen = next(event for event in events if b"\n1309 argc=" in event.text)
    asked = []
    ask = encoder.ask
    monkeypatch.setattr(encoder, "ask", lambda pid, parent: asked.append(pid) or ask(pid, parent))
    for pid in (*range(GONE, GONE + 9), children[0]):
        event = of_process(chosen, pid, children[1])
        assert encoder.encode(event) == plainly(event, plain)
    assert asked == [GONE, GONE + 1, GONE + 2, children[0]]


def test_a_field_is_added_in_one_place(tmp_path: Path, events: list[Event], monkeypatch: pytest.MonkeyPatch) -> None:
    before = commands.title

    def shouted(body: bytes) -> str:
        return before(body).upper()

    monkeypatch.setattr(commands, "title", shouted)
    encoder, plain = Encoder(context(tmp_path), socket_events=True), context(tmp_path)
    for event in events * 3:
        assert encoder.encode(event) == plainly(event, plain)
    assert any(b'"title":"ENV PRINTF' in encoder.encode(event) for event in events)


SECRETS = {
    1309: b'argc=2 a0="tool" a1="--password=hunter2"',
    1327: b"proctitle=" + b"tool\0--password=hunter2".hex().upper().encode(),
}


def test_secrets_are_not_in_the_original_either(tmp_path: Path, events: list[Event]) -> None:
    encoder, plain = Encoder(context(tmp_path), original=True), context(tmp_path)
    chosen = next(event for event in events if b"\n1309 argc=" in event.text)
    for serial in range(3):
        event = with_texts(chosen, SECRETS, serial)
        line = encoder.encode(event)
        assert b"[redacted]" in line
        assert b"hunter2" not in line
        assert b"hunter2".hex().upper().encode() not in line
        assert line == plainly(event, plain, original=True)


def test_events_with_secrets_are_counted_each(tmp_path: Path, events: list[Event]) -> None:
    """Not the records, and not only those that were not seen before."""
    encoder = Encoder(context(tmp_path))
    chosen = next(event for event in events if b"\n1309 argc=" in event.text)
    for serial in range(10):
        encoder.encode(with_texts(chosen, SECRETS, serial))
        encoder.encode(chosen)
    split = Event(chosen.stamp, [*with_texts(chosen, SECRETS).items, (1309, b"audit(%b): a2=00" % chosen.stamp)])
    encoder.encode(split)
    command = b"su -c password=x".hex().upper().encode()
    encoder.encode(Event(b"1.000:1", [(1123, b"audit(1.000:1): pid=1 msg='cmd=%b'" % command)]))
    assert encoder.context.redactor.count == 12


def test_a_serial_that_is_no_json_number(tmp_path: Path, events: list[Event]) -> None:
    encoder, plain = Encoder(context(tmp_path)), context(tmp_path)
    call = next(event for event in events if event.is_call)
    stamp = call.moment + b":007"
    for _ in range(3):
        event = Event(stamp, [(kind, b"audit(%b): " % stamp + text.partition(b"): ")[2]) for kind, text in call.items])
        assert encoder.encode(event) == plainly(event, plain)


def test_names_that_change_are_written_anew(
    tmp_path: Path, events: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = Encoder(context(tmp_path))
    monkeypatch.setattr("auditdeck.context.users.CHECK_INTERVAL", 0)
    event = next(event for event in events if event.is_call and b" uid=64101" in event.text)
    assert [b'"name":"ada"' in encoder.encode(event) for _ in range(3)] == [True] * 3
    (tmp_path / "passwd").write_text("grace:x:64101:64101::/:/bin/sh\n")
    encoder.context.refresh()
    assert [b'"name":"grace"' in encoder.encode(event) for _ in range(3)] == [True] * 3


def test_what_is_remembered_is_bounded(tmp_path: Path, events: list[Event]) -> None:
    encoder = Encoder(context(tmp_path), socket_events=True)
    chosen = [next(event for event in events if call in event.text) for call in (b"syscall=59", b"syscall=42")]
    for number in range(6000):
        texts = {
            1309: b'argc=1 a0="%d"' % number,
            1327: b'proctitle="%d"' % number,
            1307: b'cwd="/%d"' % number,
            1306: b"saddr=020001BB%08X0000000000000000" % (0x0A000002 + number),
        }
        made = with_texts(chosen[number % 2], texts)
        items = [(kind, text.replace(b"tty=", b"t%d=1 tty=" % number)) for kind, text in made.items]
        encoder.encode(of_process(Event(made.stamp, items), number + 2, number + 1))
    caches = {name: value for name, value in vars(encoder).items() if isinstance(value, dict)}
    assert len(caches) > 10
    for name, cache in caches.items():
        assert isinstance(cache, Cache), name
        assert len(cache) <= cache.limit, name


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
    assert types - table.records.keys() - table.over.keys() - table.beside.keys() == set()
    allowed_categories = {
        "authentication", "configuration", "driver", "file", "host", "iam", "intrusion_detection", "network", "package",
        "process", "session",
    }  # fmt: skip
    allowed_types = {
        "access", "allowed", "change", "connection", "creation", "deletion", "denied", "end", "error", "group", "info",
        "start", "user",
    }  # fmt: skip
    for found in [*table.syscalls.values(), *table.records.values(), *table.over.values()]:
        assert set(found.category) <= allowed_categories, found
        assert set(found.type) <= allowed_types, found


def test_no_name_stands_for_two_things() -> None:
    text = Path(normalization.__file__).with_name("normalization.yaml").read_text()
    actions = [line.partition(":")[0] for line in text.splitlines() if re.match(r"[a-z]", line)]
    assert len(actions) == len(set(actions))


@pytest.mark.parametrize(
    ("success", "result", "state", "outcome", "code"),
    [
        ("yes", "0", "established", "success", None),
        ("no", "-115", "unresolved", "unknown", None),
        ("no", "-4", "unresolved", "unknown", None),
        ("no", "-111", "refused", "failure", "ECONNREFUSED"),
        ("no", "-110", "unanswered", "failure", "ETIMEDOUT"),
        ("no", "-113", "unreachable", "failure", "EHOSTUNREACH"),
        ("no", "-101", "unreachable", "failure", "ENETUNREACH"),
    ],
)
def test_what_became_of_a_connect_by_its_result(
    tmp_path: Path, success: str, result: str, state: str, outcome: str, code: str | None
) -> None:
    """In progress is not connected: what follows, no record tells."""
    made = context(tmp_path)
    made.network.made(77, 3, 2, 1, 0)
    stamp = b"audit(1700000000.123:9): "
    call = (
        f"arch=c000003e syscall=42 success={success} exit={result} a0=3 a1=7f a2=10 a3=0 items=0 ppid=1 pid=77 "
        "auid=1000 uid=1000 gid=1000 euid=1000 suid=1000 fsuid=1000 egid=1000 sgid=1000 fsgid=1000 tty=pts0 ses=1 "
        'comm="x" exe="/x"'
    ).encode()
    event = Event(
        b"1700000000.123:9", [(1300, stamp + call), (1306, stamp + b"saddr=020001BBCB0071090000000000000000")]
    )
    found = document(event, made)
    assert found["auditdeck"]["connection"] == {"state": state, "source": "audit"}
    assert found["event"]["outcome"] == outcome
    assert found.get("error", {}).get("code") == code
    assert "start" in found["event"]["type"]


CONNECT = (
    "arch=c000003e syscall=42 success=yes exit=0 a0=3 a1=7f a2=10 a3=0 items=0 ppid=1 pid=77 auid=1000 "
    "uid=1000 gid=1000 euid=1000 suid=1000 fsuid=1000 egid=1000 sgid=1000 fsgid=1000 tty=pts0 ses=1 "
    'comm="x" exe="/x"'
)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        # SELinux in permissive mode, AppArmor in complain mode: the connect itself went on.
        (1400, 'avc:  denied  { name_connect } for  pid=77 comm="x" dest=443 tclass=tcp_socket permissive=1'),
        (1400, 'apparmor="ALLOWED" operation="connect" profile="/x" pid=77 comm="x" requested_mask="send"'),
        (1503, 'apparmor="DENIED" operation="connect" profile="/x" pid=77 comm="x"'),
        (1423, "domain=195ba459b blockers=net.connect_tcp daddr=203.0.113.9 dest=443"),
        # Kernels with stacked security modules (Ubuntu) have this number for something else than IPE.
        (1420, "subj_apparmor=unconfined"),
        (1421, "obj_selinux=system_u:object_r:x:s0"),
    ],
)
def test_a_second_opinion_does_not_hide_the_call(tmp_path: Path, kind: int, body: str) -> None:
    made = context(tmp_path)
    made.network.made(77, 3, 2, 1, 0)
    stamp = b"audit(1700000000.123:9): "
    records = [(kind, stamp + body.encode()), (1300, stamp + CONNECT.encode()),
               (1306, stamp + b"saddr=020001BBCB0071090000000000000000")]  # fmt: skip
    for items in (records, [records[1], records[0], records[2]]):
        event = Event(b"1700000000.123:9", items)
        found = document(event, made)
        assert found["event"]["action"] == "connected-to"
        assert found["event"]["type"] == ["connection", "start"]
        assert found["event"]["category"][0] == "network"
        assert ("process" in found["event"]["category"]) == (kind not in (1420, 1421))
        assert found["auditdeck"]["connection"]["state"] == "established"


def test_an_opinion_alone_has_its_own_meaning(tmp_path: Path) -> None:
    stamp = b"audit(1700000000.123:9): "
    event = Event(b"1700000000.123:9", [(1400, stamp + b'avc:  denied  { read } for  pid=77 comm="x" tclass=file')])
    assert document(event, context(tmp_path))["event"]["action"] == "violated-selinux-policy"
