"""Every TCP connection over a network with a round trip, as the kernel's state machine tells it."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from auditdeck.connections.layout import connection_of, origin_of
from auditdeck.connections.programs import PROGRAMS
from auditdeck.connections.state import state_of
from auditdeck.connections.tracepoint import Tracepoint
from auditdeck.errors import TracepointError
from tests.support.audit import skip_if
from tests.support.build import narrow, traffic
from tests.support.collector import as_user, collector, report, scoped_rules
from tests.support.round_trip import CLOSED, DROPPED, OPEN, Far, round_trip

CLIENTS = Path(__file__).parent.parent / "support" / "clients.py"
PYTHON = Path("/usr/bin/python3")
FIRST = 64300


def why_no_tracepoint() -> str:
    try:
        Tracepoint().close()
    except TracepointError as error:
        return f"{error}; {error.hint}"
    return ""


@pytest.fixture(scope="module", autouse=True)
def tracepoint() -> None:
    skip_if(why_no_tracepoint(), "CI can load it")


@pytest.fixture(scope="module")
def far() -> Iterator[Far]:
    with round_trip() as found:
        found.serve()
        found.drop()
        yield found


pytestmark = [pytest.mark.kernel, pytest.mark.usefixtures("audit"), pytest.mark.timeout(180)]


def documents(data_dir: Path, user: int) -> list[dict[str, Any]]:
    """Of connections that a user made."""
    found = []
    for path in sorted((data_dir / "events").glob("*.ndjson*")):
        text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        found += [json.loads(line) for line in text.splitlines() if b'"connection":{"id":' in line]
    return [document for document in found if document["user"]["id"] == str(user)]


def states(found: list[dict[str, Any]]) -> Counter[str]:
    return Counter(
        document["auditdeck"]["connection"]["state"] for document in found if "start" in document["event"]["type"]
    )


def client(user: int, *words: object) -> None:
    as_user(user, PYTHON, CLIENTS, *map(str, words))


def test_what_became_of_each(tmp_path: Path, far: Far) -> None:
    """The headline was wrong here: what is in progress when connect(2) returns is not a connection yet."""
    with collector(tmp_path, source="tracepoint") as running:
        client(FIRST, "asyncio", 60, far.ipv4, OPEN)
        client(FIRST, "asyncio", 40, far.ipv4, CLOSED)
        client(FIRST, "asyncio", 5, far.ipv4, DROPPED)
        client(FIRST, "asyncio", 3, far.ipv6, OPEN)
        # Time for the last farewells: what is not closed when the collector ends has no duration yet.
        time.sleep(0.5)
        running.stop()
    found = documents(tmp_path, FIRST)
    assert states(found) == {"established": 63, "refused": 40, "unanswered": 5}
    for document in found:
        state = document["auditdeck"]["connection"]["state"]
        assert document["process"]["executable"] == str(PYTHON.resolve())
        assert document["process"]["args"][1] == str(CLIENTS)
        assert document["user"]["group"]["id"] == str(FIRST)
        assert document["network"]["direction"] == "egress"
        assert document["event"]["outcome"] == ("success" if state == "established" else "failure")
        assert document["tags"] == ["netconns_out"]
        assert (document.get("error") or {}).get("code") == ("ECONNREFUSED" if state == "refused" else None)
        if state == "established":
            assert 40_000 < document["auditdeck"]["connection"]["establish_time"] < 500_000
            assert document["event"]["duration"] > 40_000_000
            assert document["source"]["ip"] in (far.near4, far.near6)
    answer = report(tmp_path, "--user", str(FIRST))
    assert answer["outbound_tcp"]["connections"] == 63
    assert answer["outbound_tcp"]["failed"] == 45


MAPPED, NARROW = FIRST + 30, FIRST + 31
PROGRAM_WAYS = ("nonblocking", "blocking", "twice", "uring")
WAYS = [
    ("asyncio", 20), ("threads", 20), ("children", 10), ("passing", 10), ("dup", 10), ("mptcp", 5), ("plain", 10),
]  # fmt: skip


def connect_in_every_way(far: Far) -> dict[int, int]:
    """How many connections each user made."""
    made = {}
    for number, (way, count) in enumerate(WAYS):
        client(FIRST + 1 + number, way, count, far.ipv4, OPEN)
        made[FIRST + 1 + number] = count
    for number, way in enumerate(PROGRAM_WAYS):
        as_user(FIRST + 20 + number, traffic("ways"), way, "10", far.ipv4, str(OPEN))
        made[FIRST + 20 + number] = 10
    as_user(MAPPED, traffic("ways"), "nonblocking", "10", far.mapped, str(OPEN))
    as_user(NARROW, narrow() or traffic("ways"), "nonblocking", "10", far.ipv6, str(OPEN))
    return {**made, MAPPED: 10, NARROW: 10}


def test_every_way_to_connect(tmp_path: Path, far: Far) -> None:
    with collector(tmp_path, source="tracepoint") as running:
        made = connect_in_every_way(far)
        running.stop()
    for user, count in made.items():
        assert states(documents(tmp_path, user)) == {"established": count}
    for user in made:
        executable = str(PYTHON.resolve() if user < FIRST + 20 else traffic("ways"))
        if user != NARROW:
            assert {document["process"]["executable"] for document in documents(tmp_path, user)} == {executable}
    mapped = documents(tmp_path, MAPPED)
    assert {document["destination"]["ip"] for document in mapped} == {far.ipv4}
    assert {document["network"]["type"] for document in mapped} == {"ipv4"}


def test_every_way_to_connect_on_the_fallback(tmp_path: Path, far: Far) -> None:
    """What it cannot know is unresolved; what it says is so."""
    users = [FIRST + number for number in (*range(1, 1 + len(WAYS)), *range(20, 20 + len(PROGRAM_WAYS)), 30, 31)]
    rules = scoped_rules(tmp_path / "test.rules", users)
    with collector(tmp_path, "--rules", rules, source="audit") as running:
        made = connect_in_every_way(far)
        time.sleep(0.3)
        running.stop()
    for user, count in made.items():
        found = report(tmp_path, "--user", str(user))["outbound_tcp"]
        assert found["failed"] == 0
        assert found["connections"] + found["unresolved"] + found["unknown_transport"] == count
        if user == FIRST + 21:
            assert found["connections"] == count, "what blocks until it is connected is known at once"


@pytest.mark.parametrize(("way", "more"), [("plain", ()), ("linger", ()), ("fastopen", ("fastopen",))])
def test_bytes_to_the_byte(tmp_path: Path, far: Far, way: str, more: tuple[str, ...]) -> None:
    port = OPEN + 100 + len(way)
    far.serve(port, *more)
    with collector(tmp_path, source="tracepoint") as running:
        for wanted, given in ((1000, 50), (0, 70_000), (300_000, 1)):
            client(FIRST + 40, way, 1, far.ipv4, port, wanted, given)
        # What is sent last is acknowledged a round trip later, also to a program that is gone.
        time.sleep(0.3)
        running.stop()
    found = documents(tmp_path, FIRST + 40)
    lines = [len(b"%d %d\n" % pair) for pair in ((1000, 50), (0, 70_000), (300_000, 1))]
    assert [document["source"]["bytes"] for document in found] == [1000 + lines[0], lines[1], 300_000 + lines[2]]
    assert [document["destination"]["bytes"] for document in found] == [50, 70_000, 1]
    assert states(found) == {"established": 3}


def test_one_that_stays_open_is_told_twice(tmp_path: Path, far: Far) -> None:
    with collector(tmp_path, source="tracepoint") as running:
        command = [PYTHON, CLIENTS, "held", "1", far.ipv4, str(OPEN), "10", "20"]
        held = subprocess.Popen(command, user=FIRST + 41, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd="/")
        assert held.stdin
        assert held.stdout
        assert held.stdout.readline() == b"held\n"
        time.sleep(2.5)
        [begun] = documents(tmp_path, FIRST + 41)
        held.communicate(b"\n", timeout=10)
        time.sleep(0.3)
        running.stop()
    assert begun["event"]["type"] == ["connection", "start"]
    assert begun["auditdeck"]["connection"]["state"] == "established"
    assert "bytes" not in begun["source"]
    [_, ended] = documents(tmp_path, FIRST + 41)
    assert ended["event"]["type"] == ["connection", "end"]
    assert ended["event"]["action"] == "disconnected-from"
    assert "state" not in ended["auditdeck"]["connection"]
    assert ended["auditdeck"]["connection"]["id"] == begun["auditdeck"]["connection"]["id"]
    assert ended["network"]["community_id"] == begun["network"]["community_id"]
    assert (ended["source"]["bytes"], ended["destination"]["bytes"]) == (10 + len("10 20\n"), 20)
    assert ended["event"]["duration"] > 2_000_000_000
    assert report(tmp_path, "--user", str(FIRST + 41))["outbound_tcp"]["connections"] == 1


def test_one_that_is_open_when_the_collector_ends_is_told(tmp_path: Path, far: Far) -> None:
    """Also if it was established only a moment before."""
    with collector(tmp_path, source="tracepoint") as running:
        command = [PYTHON, CLIENTS, "held", "1", far.ipv4, str(OPEN), "10", "20"]
        held = subprocess.Popen(command, user=FIRST + 47, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd="/")
        assert held.stdout
        assert held.stdout.readline() == b"held\n"
        running.stop()
        held.communicate(b"\n", timeout=10)
    found = documents(tmp_path, FIRST + 47)
    assert states(found) == {"established": 1}
    assert found[0]["event"]["type"] == ["connection", "start"]


def test_an_attempt_that_nobody_has_answered_when_the_collector_ends_is_unresolved(tmp_path: Path, far: Far) -> None:
    with collector(tmp_path, source="tracepoint") as running:
        connects = f"s.setblocking(False); s.connect_ex(('{far.ipv4}', {DROPPED})); input()"
        program = f"import socket; s = socket.socket(); {connects}"
        tries = subprocess.Popen([PYTHON, "-c", program], user=FIRST + 48, stdin=subprocess.PIPE, cwd="/")
        time.sleep(1.0)
        running.stop()
        tries.communicate(b"\n", timeout=10)
    [found] = documents(tmp_path, FIRST + 48)
    assert found["auditdeck"]["connection"]["state"] == "unresolved"
    assert (found["event"]["outcome"], found["auditd"]["result"]) == ("unknown", "unknown")
    asked = report(tmp_path, "--user", str(FIRST + 48))["outbound_tcp"]
    assert (asked["connections"], asked["failed"], asked["unresolved"]) == (0, 0, 1)


def test_what_is_open_now_is_told_also_if_it_began_before_the_collector(tmp_path: Path, far: Far) -> None:
    def hold(user: int) -> subprocess.Popen[bytes]:
        command = [PYTHON, CLIENTS, "held", "1", far.ipv4, str(OPEN), "10", "20"]
        held = subprocess.Popen(command, user=user, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd="/")
        assert held.stdout
        assert held.stdout.readline() == b"held\n"
        return held

    def open_now(at_least: float) -> int | None:
        time.sleep(at_least)
        found: int | None = report(tmp_path)["outbound_tcp"]["open_now"]
        return found

    with collector(tmp_path / "none", source="tracepoint") as running:
        running.wait_status()
        time.sleep(6)
        others = running.status()["connections"]["open"]
        running.stop()
    before = [hold(FIRST + 49) for _ in range(3)]
    with collector(tmp_path, source="tracepoint") as running:
        since = [hold(FIRST + 49) for _ in range(4)]
        assert open_now(11) == others + 7
        for held in since[:3]:
            held.communicate(b"\n", timeout=10)
        assert open_now(11) == others + 4
        assert report(tmp_path, "--user", "0")["outbound_tcp"]["open_now"] is None
        running.stop()
    assert open_now(0) is None
    for held in before + since[3:]:
        held.communicate(b"\n", timeout=10)


def test_a_process_that_was_there_before(tmp_path: Path, far: Far) -> None:
    """It waits at its prompt while the collector starts."""
    argv = ["", "plain", "4", far.ipv4, str(OPEN)]
    program = f"input(); import runpy, sys; sys.argv = {argv}; runpy.run_path('{CLIENTS}')"
    older = subprocess.Popen([PYTHON, "-c", program], user=FIRST + 42, stdin=subprocess.PIPE, cwd="/")
    with collector(tmp_path, source="tracepoint") as running:
        older.communicate(b"\n", timeout=20)
        running.stop()
    found = documents(tmp_path, FIRST + 42)
    assert states(found) == {"established": 4}
    assert {document["process"]["executable"] for document in found} == {str(PYTHON.resolve())}


def test_programs_that_live_a_millisecond(tmp_path: Path, far: Far) -> None:
    """Gone long before anyone can look at /proc."""
    program = traffic("short")
    once, last = f"{program} blocking 1 127.0.0.1 9", f"{program} blocking 5 {far.ipv4} {OPEN}"
    script = f"i=0; while [ $i -lt 200 ]; do {once}; i=$((i+1)); done; {last}"
    with collector(tmp_path, source="tracepoint") as running:
        as_user(FIRST + 43, "/bin/sh", "-c", script)
        running.stop()
    found = documents(tmp_path, FIRST + 43)
    assert states(found) == {"refused": 200, "established": 5}
    named = [document for document in found if document["process"].get("executable") == str(program)]
    assert len(named) == len(found)
    assert {document["process"]["parent"]["name"] for document in found} == {Path("/bin/sh").resolve().name}


def test_another_network_namespace(tmp_path: Path, far: Far) -> None:
    """From the other side to this one."""
    server = traffic("back-server")
    listening = subprocess.Popen([server, "serve", "20", "::", "18099"], stdout=subprocess.PIPE, text=True)
    try:
        assert listening.stdout
        assert listening.stdout.readline().strip() == "ready"
        with collector(tmp_path, source="tracepoint") as running:
            command = ["ip", "netns", "exec", far.name, "setpriv", f"--reuid={FIRST + 44}", "--clear-groups"]
            subprocess.run([*command, traffic("back"), "blocking", "7", far.near4, "18099"], check=True)
            running.stop()
    finally:
        listening.terminate()
        listening.wait()
    found = documents(tmp_path, FIRST + 44)
    assert states(found) == {"established": 7}


def test_addresses_of_namespaces_that_connect_are_this_hosts(tmp_path: Path, far: Far) -> None:
    """As containers do: what another one of this host answers is internal."""
    server = traffic("peer-server")
    listening = subprocess.Popen([server, "serve", "20", "::", "18098"], stdout=subprocess.PIPE, text=True)
    program = "import socket, sys, time; s = socket.create_connection((sys.argv[1], 18098)); input()"
    try:
        assert listening.stdout
        assert listening.stdout.readline().strip() == "ready"
        with collector(tmp_path, source="tracepoint") as running:
            client(FIRST + 45, "plain", 2, far.ipv4, OPEN)
            command = ["ip", "netns", "exec", far.name, PYTHON, "-c", program, far.near4]
            inside = subprocess.Popen(command, stdin=subprocess.PIPE)
            time.sleep(2)
            client(FIRST + 46, "plain", 2, far.ipv4, OPEN)
            inside.communicate(b"\n", timeout=10)
            time.sleep(0.3)
            running.stop()
    finally:
        listening.terminate()
        listening.wait()
    before, after = documents(tmp_path, FIRST + 45), documents(tmp_path, FIRST + 46)
    assert {document["network"]["direction"] for document in before} == {"egress"}
    assert {document["network"]["direction"] for document in after} == {"internal"}


def test_ten_thousand_of_a_mix(tmp_path: Path, far: Far) -> None:
    program = traffic("many")
    users = [FIRST + 50 + number for number in range(4)]
    with collector(tmp_path, source="tracepoint") as running:
        children = []
        for user, (kind, count, port) in zip(
            users,
            (
                ("nonblocking", 700, OPEN),
                ("blocking", 300, OPEN),
                ("nonblocking", 600, CLOSED),
                ("blocking", 400, CLOSED),
            ),
            strict=True,
        ):
            for address in (far.ipv4, far.ipv6, far.mapped, far.ipv4, far.ipv6):
                command = [program, kind, str(count), address, str(port)]
                children.append(subprocess.Popen(command, user=user, group=user, cwd="/", stdout=subprocess.DEVNULL))
        for child in children:
            assert child.wait(120) == 0
        time.sleep(0.5)
        running.stop()
        status = running.status()["counters"]
    assert status["ring_lost"] == 0
    expected = [{"established": 3500}, {"established": 1500}, {"refused": 3000}, {"refused": 2000}]
    assert [states(documents(tmp_path, user)) for user in users] == expected


def test_the_fallback_counts_nothing_wrongly(tmp_path: Path, far: Far) -> None:
    """Audit's rules alone: what cannot be settled is called unresolved, and is no connection."""
    rules = scoped_rules(tmp_path / "test.rules", [FIRST + 60, FIRST + 61])
    with collector(tmp_path, "--rules", rules, source="audit") as running:
        client(FIRST + 60, "asyncio", 40, far.ipv4, OPEN)
        client(FIRST + 60, "asyncio", 30, far.ipv4, CLOSED)
        client(FIRST + 60, "asyncio", 5, far.ipv4, DROPPED)
        client(FIRST + 60, "threads", 10, far.ipv4, OPEN)
        command = [PYTHON, CLIENTS, "held", "1", far.ipv4, str(OPEN), "10", "20"]
        held = subprocess.Popen(command, user=FIRST + 61, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd="/")
        assert held.stdout
        assert held.stdout.readline() == b"held\n"
        time.sleep(0.5)
        held.communicate(b"\n", timeout=10)
        # Time for the last farewells.
        time.sleep(0.3)
        running.stop()
    totals = report(tmp_path, "--user", str(FIRST + 60))["outbound_tcp"]
    assert totals["connections"] + totals["failed"] + totals["unresolved"] == 85
    assert totals["connections"] <= 50, "no attempt that failed is counted"
    assert totals["failed"] == totals["failed_by"]["refused"] <= 30, "and no other one called refused"
    assert 5 <= totals["unresolved"] < 40, "nobody knows of those that were dropped, and most ends are told"
    held_open = report(tmp_path, "--user", str(FIRST + 61))["outbound_tcp"]
    assert held_open["connections"] == 1, "what lives for half a second is known"


@pytest.mark.parametrize("which", [(0,), (1,), (0, 1)])
def test_either_program_alone_and_both_together_tell_each_connection_once(which: tuple[int, ...], far: Far) -> None:
    """What interrupts the one is told by the other: the kernel leaves out a program that it has interrupted."""
    source = Tracepoint(programs=tuple(PROGRAMS[number] for number in which))
    try:
        client(FIRST + 92, "asyncio", 20, far.ipv4, OPEN)
        client(FIRST + 92, "asyncio", 10, far.ipv4, CLOSED)
        client(FIRST + 92, "plain", 5, far.ipv6, OPEN)
        time.sleep(0.3)
        found = [connection_of(record) for record in source.records()]
        ours = [connection for connection in found if origin_of(connection).uid == FIRST + 92]
        assert source.lost == 0
    finally:
        source.close()
    assert Counter(
        state_of(established=one.established > 0, error=one.error, segments=one.segments) for one in ours
    ) == {"established": 25, "refused": 10}
    assert all(0 < one.opened < (one.established or one.closed) <= one.closed for one in ours)


def test_nothing_stays_behind_after_a_kill(tmp_path: Path) -> None:
    def attached() -> int:
        listed = subprocess.run([sys.executable, "-c", COUNT], capture_output=True, text=True, check=True)
        return int(listed.stdout)

    before = attached()
    with collector(tmp_path, source="tracepoint") as running:
        assert attached() >= before + len(PROGRAMS)
        running.kill()
    time.sleep(0.5)
    assert attached() == before


COUNT = """
import ctypes, struct
from auditdeck.connections.bpf import NUMBERS
from platform import machine
libc = ctypes.CDLL(None, use_errno=True)
current = found = 0
while True:
    attributes = ctypes.create_string_buffer(struct.pack('=III', current, 0, 0), 160)
    if libc.syscall(NUMBERS[machine()], 11, attributes, 160):
        break
    current = struct.unpack_from('=I', attributes, 4)[0]
    found += 1
print(found)
"""
"""BPF_PROG_GET_NEXT_ID, until there is no other."""


def test_the_first_of_its_kind_is_marked_once(tmp_path: Path, far: Far) -> None:
    """Also over a restart of the collector; attempts that failed are not the first connection."""
    user = FIRST + 90
    for _ in range(2):
        with collector(tmp_path, source="tracepoint") as running:
            client(user, "asyncio", 2, far.ipv4, CLOSED)
            client(user, "asyncio", 5, far.ipv4, OPEN)
            running.stop()
    found = documents(tmp_path, user)
    firsts = [document for document in found if "first" in document["auditdeck"]]
    assert states(found) == {"established": 10, "refused": 4}
    kinds = [kind for document in firsts for kind in document["auditdeck"]["first"]]
    assert kinds.count("user") == 1
    assert len(kinds) == len(set(kinds)), "others may have used the executable and the network before"
    assert {document["auditdeck"]["connection"]["state"] for document in firsts} == {"established"}


def test_the_fallback_marks_the_first_of_its_kind(tmp_path: Path, far: Far) -> None:
    user = FIRST + 91
    rules = scoped_rules(tmp_path / "test.rules", [user])
    blocking = f"import socket; [socket.create_connection(({far.ipv4!r}, {OPEN})).close() for _ in range(5)]"
    for _ in range(2):
        with collector(tmp_path, "--rules", rules, source="audit") as running:
            client(user, "threads", 3, far.ipv4, CLOSED)
            as_user(user, PYTHON, "-c", blocking)
            running.stop()
    events = tmp_path / "events"
    lines = [*b"".join(path.read_bytes() for path in events.glob("*.ndjson")).splitlines()]
    lines += [*b"".join(gzip.decompress(path.read_bytes()) for path in events.glob("*.gz")).splitlines()]
    found = [json.loads(line)["auditdeck"]["first"] for line in lines if b'"first":' in line]
    assert sorted(kind for kinds in found for kind in kinds) == ["executable", "network", "user"]
