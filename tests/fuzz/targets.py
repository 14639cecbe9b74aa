"""What is fuzzed: functions of any bytes, one a kind of text from outside, that raise only where they find a fault."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory

import orjson

from auditdeck import gz
from auditdeck.audit.assembler import Assembler
from auditdeck.audit.event import Event
from auditdeck.audit.log import Reading
from auditdeck.audit.record import Record, record_of
from auditdeck.audit.rules import Rule, parse_line, rule_text
from auditdeck.collector.damaged import DamagedLog
from auditdeck.collector.filters import make_filters
from auditdeck.context.users import Users
from auditdeck.ecs.context import offline_context
from auditdeck.ecs.lines import interpreted_lines
from auditdeck.ecs.redaction import Redactor
from auditdeck.ecs.template import Encoder
from auditdeck.errors import CheckpointError, RuleError, SettingsError
from auditdeck.eventlog.chain import read_marks
from auditdeck.eventlog.cursor import CURSORS, Cursor
from auditdeck.eventlog.last import last_serial
from auditdeck.eventlog.packed import member
from auditdeck.eventlog.reader import Reader
from auditdeck.eventlog.segment import EVENTS, blocks_of, segments
from auditdeck.eventlog.verification import verify
from auditdeck.eventlog.writer import Writer
from auditdeck.outputs.formats.encode import encoder as encoder_of
from auditdeck.query.checkpoint import read_checkpoint
from auditdeck.query.formats import EXTRAS, Show
from auditdeck.query.search import FoundEvent
from auditdeck.settings.model import Filter
from auditdeck.settings.read import first_problem, load

SCRATCH = TemporaryDirectory(prefix="auditdeck-fuzz-")
FOLDER = Path(SCRATCH.name)
KINDS = [1006, 1112, 1123, 1300, 1302, 1306, 1307, 1309, 1320, 1327, 1400, 2000]
SPLIT = b"\n----\n"
"""Between the files of one input."""
LINES = b'{"event":{"sequence":1}}\n{"event":{"sequence":2}}\n'

users, redactor = Users(), Redactor()
encoder = Encoder(offline_context(), original=True)
filters = make_filters([Filter(user="nobody", destination="192.0.2.0/24", executable="^/x"), Filter(syscall=1)], users)
show = Show("tty", users, EXTRAS)
forms = [encoder_of(name, users, original=False) for name in ("ecs", "raw", "go-audit", "fluentd")]
damaged_log = DamagedLog(FOLDER / "damaged.log", redactor)


def told(event: Event) -> None:
    """All that is made of an event, before it is a document and after that."""
    filters.drops(event)
    list(interpreted_lines(event, users))
    if not (line := encoder.encode(event)):
        return
    found = FoundEvent(orjson.loads(line))
    for form in (show.raw, show.default, show.json, show.sentence, show.csv, show.interpret):
        list(form(found))
    for query in (found.users("", "effective"), found.groups(""), found.keys(), found.names()):
        list(query)
    for encode in forms:
        encode(line)


def record(data: bytes) -> None:
    """An audit log: as lines, read by the compiled part and by Python; and the same as the kernel's messages."""
    quick, plain = Reading("log"), Reading("log")
    events, same = list(quick.events(io.BytesIO(data))), list(plain.events(io.BytesIO(data), compiled=False))
    assert records(events) == records(same)
    assert quick.damaged == plain.damaged
    for event in events:
        told(event)
    assembler = Assembler(title_ends=True)
    lines = data.split(b"\n")
    batch = [(KINDS[len(line) % len(KINDS)], line.partition(b"msg=")[2] or line) for line in lines]
    for event in [*assembler.feed(batch), *assembler.close()]:
        told(event)
    for kind, payload in batch:
        damaged_log.redacted(kind, payload)
        try:
            record_of(kind, payload)
        except ValueError:
            continue


def records(events: list[Event]) -> list[tuple[bytes, Record]]:
    """Of all of them: where parts of a log are there twice, how they go together is a matter of taste."""
    return sorted((event.node, made) for event in events for made in event.records)


def rule(data: bytes) -> None:
    """A rule file, and an answer of the kernel's."""
    for line in data.decode(errors="surrogateescape").splitlines():
        try:
            statement = parse_line(line, "fuzz.rules", 1)
        except RuleError:
            continue
        if statement is not None and statement.rule is not None:
            kernels = statement.rule.to_bytes()
            read = Rule.from_bytes(kernels)
            assert read.to_bytes() == kernels
            assert rule_text(read) == rule_text(statement.rule)
    rule_text(Rule.from_bytes(data))


def settings(data: bytes) -> None:
    read_settings(data, go_audit=False)


def go_audit(data: bytes) -> None:
    read_settings(data, go_audit=True)


def read_settings(data: bytes, *, go_audit: bool) -> None:
    file = FOLDER / "settings.yaml"
    file.write_bytes(data)
    try:
        made, given = load(file, {}, go_audit=go_audit)
    except SettingsError:
        return
    if made is None:
        str(first_problem(given))


def segment(data: bytes) -> None:
    """An event log: its open segment, its chain, the marks, and a compressed segment, damaged in its bytes or in what
    they hold."""
    parts = (data.split(SPLIT, 4) + [b""] * 4)[:5]
    events = FOLDER / "segment"
    rmtree(events, ignore_errors=True)
    events.mkdir()
    names = ["0000000002.ndjson.gz", "0000000003.ndjson", "chain.ndjson", "0000000002.marks", "0000000001.ndjson.gz"]
    for name, part in zip(names, parts, strict=True):
        (events / name).write_bytes(member(part) if name.startswith("0000000001") else part)
    damage: list[str] = []
    for one in segments(events):
        list(blocks_of(one, damage.append))
        try:
            list(blocks_of(one))
        except gz.DAMAGED:
            continue
        read_marks(one.path)
    with Reader(events) as reader:
        assert whole(reader).startswith(parts[4].rpartition(b"\n")[0])
    verify(events, b"k" * 16)
    last_serial(events)
    Writer(events).close()
    verify(events)


def whole(reader: Reader) -> bytes:
    """All that it gives."""
    lines: list[bytes] = []
    while some := reader.read():
        lines += some
    return b"\n".join(lines)


def cursor(data: bytes) -> None:
    """How far somebody came: of an output, with which it goes on; and of a search."""
    folder = FOLDER / "cursor"
    (folder / CURSORS).mkdir(exist_ok=True, parents=True)
    (folder / EVENTS).mkdir(exist_ok=True)
    (folder / EVENTS / "0000000001.ndjson.gz").write_bytes(member(LINES))
    (folder / EVENTS / "0000000002.ndjson").write_bytes(LINES)
    path = folder / CURSORS / "output.json"
    path.write_bytes(data)
    known = Cursor(folder, "output")
    with Reader(folder / EVENTS, known.position) as reader:
        whole(reader)
        known.save(reader.position, known.more)
    assert Cursor(folder, "output").position == reader.position
    path.write_bytes(data)
    try:
        checkpoint = read_checkpoint(path)
        assert checkpoint is not None
        str(checkpoint.time)
    except CheckpointError:
        return


TARGETS: dict[str, Callable[[bytes], None]] = {
    made.__name__: made for made in (record, rule, settings, go_audit, segment, cursor)
}
