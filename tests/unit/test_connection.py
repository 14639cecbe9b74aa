"""Documents of connections, from records as the kernel's programs write them."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

import pytest

from auditdeck.collector.connections import ConnectionReader
from auditdeck.collector.filters import make_filters
from auditdeck.collector.health import Counters
from auditdeck.connections.clock import Clock
from auditdeck.connections.layout import CONNECTION, EXITED, Connection, Execution, Fork, connection_of, origin_of
from auditdeck.connections.state import state_of, state_of_result
from auditdeck.connections.tracker import Change, Phase, Tracker
from auditdeck.context.first import FirstSeen
from auditdeck.context.proc import Proc
from auditdeck.context.process_table import ProcessTable
from auditdeck.ecs.connection import ConnectionEncoder, as_event, community_id
from auditdeck.ecs.context import offline_context
from auditdeck.ecs.scripts import script_of_arguments
from auditdeck.outputs.bulk import EVENT_ID
from auditdeck.settings.model import Filter, Settings

SECOND = 1_000_000_000
BASE: dict[str, Any] = {
    "kind": EXITED, "error": 0, "sock": 0xFFFF, "opened": 100 * SECOND, "established": 100 * SECOND + 20_000_000,
    "closed": 100 * SECOND + 60_000_000, "sent": 1002, "received": 51, "flags": 2, "retransmits": 0, "rtt": 320_000,
    "segments": 5, "source_port": 0x3930, "state_before": 5, "process_started": 99 * SECOND, "cgroup": 1,
    "parent_started": SECOND, "tgid": 4000, "pid": 4000, "uid": 1000, "euid": 1000, "gid": 100, "egid": 100,
    "loginuid": 1000, "session": 3, "parent": 1, "netns": 4026531833, "family": 2, "destination_port": 0xBB01,
    "source": bytes([192, 0, 2, 1]), "destination": bytes([203, 0, 113, 9]), "comm": b"curl",
}  # fmt: skip


def record(**changes: Any) -> bytes:
    return CONNECTION.struct.pack(*{**BASE, **changes}.values())


def connection(**changes: Any) -> Connection:
    return connection_of(record(**changes))


class NoProc(Proc):
    """A machine on which nothing can be asked any more."""

    def __init__(self) -> None:
        super().__init__()

    def read(self, pid: int, name: str, limit: int = 0) -> bytes | None:  # noqa: ARG002
        return None


def nowhere(path: str) -> str:
    raise FileNotFoundError(path)


def table() -> ProcessTable:
    return ProcessTable(NoProc(), nowhere)


@pytest.fixture
def encoder() -> ConnectionEncoder:
    clock = Clock(realtime=lambda: 1_700_000_000 * SECOND, boottime=lambda: 0)
    made = ConnectionEncoder(offline_context(), table(), clock, "01234567-89ab-cdef-0123-456789abcdef")
    made.check()
    return made


def encode(encoder: ConnectionEncoder, phase: Phase = Phase.WHOLE, **changes: Any) -> dict[str, Any]:
    line = encoder.encode(Change(connection(**changes), phase))
    again = encoder.encode(Change(connection(**changes), phase))
    assert again == line, "a remembered form gives the same"
    found: dict[str, Any] = json.loads(line)
    return found


@pytest.mark.parametrize(
    ("established", "error", "segments", "state"),
    [
        (True, 0, 5, "established"),
        (True, errno.ECONNRESET, 5, "established"),
        (False, errno.ECONNREFUSED, 1, "refused"),
        (False, errno.ECONNRESET, 1, "refused"),
        (False, errno.EHOSTUNREACH, 1, "unreachable"),
        (False, errno.ENETUNREACH, 1, "unreachable"),
        (False, errno.ENOPROTOOPT, 1, "unreachable"),
        (False, errno.ETIMEDOUT, 7, "unanswered"),
        (False, 0, 2, "unanswered"),
        (False, 0, 0, "unreachable"),
    ],
)
def test_what_counts_as_a_connection(established: bool, error: int, segments: int, state: str) -> None:
    assert state_of(established=established, error=error, segments=segments) == state


@pytest.mark.parametrize(
    ("result", "state"),
    [
        (0, "established"), (-errno.EINPROGRESS, "unresolved"), (-errno.EINTR, "unresolved"), (-512, "unresolved"),
        (-errno.ECONNREFUSED, "refused"), (-errno.ETIMEDOUT, "unanswered"), (-errno.EHOSTUNREACH, "unreachable"),
        (-errno.EALREADY, None), (-errno.EISCONN, None), (-errno.EBADF, None), (-errno.EACCES, None),
    ],
)  # fmt: skip
def test_what_connect_returned(result: int, state: str | None) -> None:
    assert state_of_result(result) == state


def test_a_short_connection_is_one_document(encoder: ConnectionEncoder) -> None:
    found = encode(encoder)
    assert found["@timestamp"] == "2023-11-14T22:15:00.000Z"
    assert found["event"]["type"] == ["connection", "start", "end"]
    assert found["event"]["duration"] == 60_000_000
    assert found["source"] == {"ip": "192.0.2.1", "port": 12345, "bytes": 1000}
    assert found["destination"] == {"ip": "203.0.113.9", "port": 443, "bytes": 50}
    assert found["network"]["bytes"] == 1050
    assert found["user"]["audit"] == {"id": "1000"} | found["user"]["audit"]
    assert found["auditd"]["session"] == "3"
    own = found["auditdeck"]["connection"]
    assert own == {
        "id": found["event"]["id"], "state": "established", "source": "tracepoint", "establish_time": 20_000,
        "retransmits": 0, "rtt": 40_000,
    }  # fmt: skip


def test_the_id_is_where_outputs_look_for_it(encoder: ConnectionEncoder) -> None:
    assert EVENT_ID in encoder.encode(Change(connection(), Phase.WHOLE))


@pytest.mark.parametrize("phase", list(Phase))
@pytest.mark.parametrize("error", [0, errno.ECONNREFUSED, 999])
@pytest.mark.parametrize("established", [0, 100 * SECOND + 1])
@pytest.mark.parametrize("source_port", [0, 0x3930])
@pytest.mark.parametrize("comm", [b"curl", b'%d"\\', b"\xff\x01%b"])
def test_whatever_is_there_it_is_json(
    encoder: ConnectionEncoder, phase: Phase, error: int, established: int, source_port: int, comm: bytes
) -> None:
    found = encode(encoder, phase, error=error, established=established, source_port=source_port, comm=comm)
    assert ("state" in found["auditdeck"]["connection"]) == (phase is not Phase.ENDED)
    assert ("error" in found) == (not established and error > 0)


def test_addresses_of_ipv4_within_ipv6(encoder: ConnectionEncoder) -> None:
    mapped = b"\0" * 10 + b"\xff\xff" + bytes([203, 0, 113, 9])
    near = b"\0" * 10 + b"\xff\xff" + bytes([192, 0, 2, 1])
    found = encode(encoder, family=10, destination=mapped, source=near)
    assert (found["destination"]["ip"], found["source"]["ip"], found["network"]["type"]) == (
        "203.0.113.9", "192.0.2.1", "ipv4",
    )  # fmt: skip
    assert found["network"]["community_id"] == encode(encoder)["network"]["community_id"]


def test_the_hash_of_a_flow() -> None:
    """The example of the Community ID specification: 128.232.110.120:34855 > 66.35.250.204:80, TCP."""
    near, far = bytes([128, 232, 110, 120]), bytes([66, 35, 250, 204])
    expected = b',"community_id":"1:LQU9qZlK+B5F3KDmev6m5PMibrg="'
    assert community_id(near, far, 34855, 80) == community_id(far, near, 80, 34855) == expected


@pytest.mark.parametrize(
    ("before", "error", "sent", "flags", "received", "expected"),
    [
        (5, 0, 1002, 2, 51, (1000, 50)),
        (9, 0, 1002, 2, 51, (1000, 50)),
        (9, errno.ECONNRESET, 1001, 2, 51, (1000, 50)),
        (4, errno.ECONNRESET, 1001, 0, 50, (1000, 50)),
        (1, errno.ECONNRESET, 1001, 0, 50, (1000, 50)),
        (5, 0, 1002, 0, 50, (1000, 50)),
    ],
)
def test_bytes_are_those_of_the_program(
    before: int, error: int, sent: int, flags: int, received: int, expected: tuple[int, int]
) -> None:
    c = connection(state_before=before, error=error, sent=sent, flags=flags, received=received)
    assert (c.bytes_sent, c.bytes_received) == expected


def execution(pid: int, started: int, moment: int, program: bytes, *words: bytes, filename: bytes = b"") -> Execution:
    arguments = b"".join(word + b"\0" for word in words)
    return Execution(
        3, pid, started, moment, 1, len(arguments), filename or program, program, arguments.ljust(1024, b"\0")
    )


def test_the_program_that_opened_it_is_meant(encoder: ConnectionEncoder) -> None:
    """A shell that opens a connection, then executes another program over itself."""
    table = encoder.table
    table.execute(execution(4000, 99 * SECOND, 99 * SECOND, b"/nowhere/shell", b"shell", b"-c"))
    table.execute(execution(4000, 99 * SECOND, 100 * SECOND + 10, b"/nowhere/cat", b"cat"))
    assert encode(encoder)["process"]["executable"] == "/nowhere/shell"
    assert encode(encoder, opened=100 * SECOND + 20)["process"]["args"] == ["cat"]


def test_a_child_runs_its_parents_program(encoder: ConnectionEncoder) -> None:
    encoder.table.execute(execution(3999, 98 * SECOND, 98 * SECOND, b"/nowhere/server", b"server"))
    encoder.table.fork(Fork(2, 3999, 4000, 99 * SECOND))
    assert encode(encoder)["process"]["executable"] == "/nowhere/server"


def test_a_pid_that_was_used_before_is_another_process(encoder: ConnectionEncoder) -> None:
    encoder.table.execute(execution(4000, 50 * SECOND, 50 * SECOND, b"/nowhere/older", b"older"))
    assert "executable" not in encode(encoder)["process"]
    assert encoder.unknown == 1


def test_scripts_and_secrets(encoder: ConnectionEncoder) -> None:
    encoder.table.execute(
        execution(4000, 99 * SECOND, 99 * SECOND, b"/nowhere/python", b"python", b"/srv/x.py", b"--password=hunter2",
                  filename=b"/srv/x.py")
    )  # fmt: skip
    found = encode(encoder)
    assert found["auditdeck"]["script"] == "/srv/x.py"
    assert "hunter2" not in json.dumps(found)
    assert found["process"]["args"][2] == "--password=[redacted]"


def test_a_pid_that_is_used_again_is_another_process() -> None:
    """Also if only the newer process is in /proc when the older one's connection is told."""

    class Newer(NoProc):
        def read(self, pid: int, name: str, limit: int = 0) -> bytes | None:  # noqa: ARG002
            after = b"S 1 " + b"0 " * 17 + b"%d 0" % (300 * 100)
            return {"stat": b"4000 (curl) " + after, "cmdline": b"newer\0"}.get(name)

    found = ProcessTable(Newer(), nowhere)
    assert found.of(4000, 200 * SECOND, 201 * SECOND) is None
    newer = found.of(4000, 300 * SECOND, 301 * SECOND)
    assert newer is not None
    assert newer.arguments == (b"newer",)


class Source:
    """Records and open connections that a test chooses."""

    def __init__(self) -> None:
        self.waiting: list[bytes] = []
        self.open: list[bytes] = []

    def records(self) -> list[bytes]:
        found, self.waiting = self.waiting, []
        return found

    def still_open(self) -> memoryview:
        return memoryview(b"".join(self.open))


def test_one_that_stays_open_is_told_when_it_is_settled_and_when_it_ends() -> None:
    source = Source()
    now = 101 * SECOND + 30_000_000
    tracker = Tracker(source, table(), lambda: now)
    source.open = [record(closed=0), record(sock=2, established=0, closed=0)]
    [begun] = tracker.poll()
    assert begun.phase is Phase.BEGUN
    assert len(list(tracker.established())) == 1
    tracker.swept = 0
    assert tracker.poll() == [], "it is told once"
    source.open, source.waiting = [], [record()]
    [ended] = tracker.poll()
    assert ended.phase is Phase.ENDED
    source.waiting = [record()]
    assert tracker.poll()[0].phase is Phase.WHOLE, "the same memory was used for another socket"


def test_one_whose_end_was_lost_is_forgotten_and_one_whose_end_waits_is_not() -> None:
    """Of the ring buffer, which had no room for it, or has not been read to its end."""
    source = Source()
    now = 101 * SECOND + 30_000_000
    tracker = Tracker(source, table(), lambda: now)

    def sweep(*waiting: bytes) -> list[Phase]:
        source.waiting = list(waiting)
        tracker.swept = 0
        return [change.phase for change in tracker.poll()]

    source.open = [record(sock=7, closed=0)]
    assert sweep() == [Phase.BEGUN]
    source.open = []
    busy = record(sock=9)
    assert [sweep(busy) for _ in range(3)] == [[Phase.WHOLE]] * 3
    assert 7 in tracker.begun, "its end may still come"
    assert sweep(record(sock=7)) == [Phase.ENDED]
    source.open = [record(sock=7, closed=0)]
    assert sweep() == [Phase.BEGUN]
    source.open = []
    assert [sweep(), sweep()] == [[], []]
    assert tracker.begun == {}


class Tracepoint(Source):
    lost = 0


def test_what_the_kernel_had_no_room_for_is_counted() -> None:
    source, counters, written = Tracepoint(), Counters(), list[bytes]()
    context, settings = offline_context(), Settings()
    reader = ConnectionReader(source, context, settings, make_filters([], context.users), counters, written.extend)
    source.waiting, source.lost = [record()], 3
    reader.look()
    assert (counters.ring_lost, counters.connections, counters.documents) == (3, 1, len(written)) == (3, 1, 1)


def test_a_clock_that_was_set_does_not_move_what_came_before() -> None:
    times = {"real": 1000 * SECOND, "boot": 10 * SECOND}
    clock = Clock(lambda: times["real"], lambda: times["boot"])
    assert clock.wall(9 * SECOND) == 999 * SECOND
    times.update(real=5000 * SECOND, boot=20 * SECOND)
    clock.look()
    assert clock.wall(9 * SECOND) == 999 * SECOND
    assert clock.wall(21 * SECOND) == 5001 * SECOND


def test_the_first_of_a_user_and_a_network_is_marked(encoder: ConnectionEncoder, tmp_path: Path) -> None:
    """Of established connections to other hosts; an attempt that failed, or one to this host, uses nothing up."""
    encoder.context.first = FirstSeen(tmp_path / "first-seen.ndjson")

    def first(phase: Phase = Phase.WHOLE, **changes: Any) -> list[str] | None:
        found: dict[str, Any] = json.loads(encoder.encode(Change(connection(**changes), phase)))["auditdeck"]
        return found.get("first")

    assert first(established=0, error=errno.ECONNREFUSED) is None
    assert first(destination=bytes([127, 0, 0, 1])) is None
    assert first(Phase.BEGUN) == ["user", "network"]
    assert first(Phase.ENDED) is None
    assert first(uid=0, euid=0, destination=bytes([203, 0, 113, 200])) == ["user"]
    assert first(destination=bytes([198, 51, 100, 1])) == ["network"]
    assert first(destination=bytes([198, 51, 100, 1])) is None


def test_filters_see_an_event_as_audit_has_it() -> None:
    context = offline_context()
    event = as_event(connection(), "/usr/bin/curl")
    for wanted, drops in (
        (Filter(destination="203.0.113.0/24"), True), (Filter(destination="10.0.0.0/8"), False),
        (Filter(port=443, user="1000"), True), (Filter(executable="/curl$"), True), (Filter(syscall="connect"), True),
        (Filter(key="netconns_out"), True), (Filter(user="0"), False),
    ):  # fmt: skip
        assert make_filters([wanted], context.users).drops(event) == drops
    assert origin_of(connection()).comm.startswith(b"curl")


@pytest.mark.parametrize(
    ("executable", "command", "script"),
    [
        ("/usr/bin/python3.11", "python3 app.py --port 1", "/srv/app.py"),
        ("/usr/bin/python3.11", "python3 -u -W ignore /opt/x/app.py", "/opt/x/app.py"),
        ("/usr/bin/python3.11", "python3 -m http.server", "-m http.server"),
        ("/usr/bin/python3.11", "python3 -c print(1)", ""),
        ("/usr/bin/python3.11", "python3", ""),
        ("/usr/bin/node", "node -r dotenv/config server.js", "/srv/server.js"),
        ("/usr/lib/jvm/bin/java", "java -Xmx1g -cp a.jar com.example.Main", "com.example.Main"),
        ("/usr/lib/jvm/bin/java", "java -jar app.jar", "/srv/app.jar"),
        ("/usr/bin/bash", "bash -eu ./run.sh", "/srv/run.sh"),
        ("/usr/bin/perl", "perl -e 1", ""),
        ("/usr/bin/curl", "curl https://example.org", ""),
    ],
)
def test_the_script_of_an_interpreter(executable: str, command: str, script: str) -> None:
    assert script_of_arguments(executable, command.split(), "/srv") == script


def test_at_the_end_everything_is_told_however_young_it_is() -> None:
    """It ends after the collector does: without this, nobody would ever tell of it."""
    source = Source()
    tracker = Tracker(source, table(), lambda: 100 * SECOND + 30_000_000)
    source.open = [record(closed=0), record(sock=2, established=0, closed=0)]
    assert tracker.poll() == []
    begun, tried = tracker.finish()
    assert (begun.phase, begun.connection.established > 0) == (Phase.BEGUN, True)
    assert (tried.phase, tried.connection.established > 0) == (Phase.BEGUN, False)
