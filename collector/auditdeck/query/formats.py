"""How found events are shown; text of audited programs never reaches a terminal or a table as it is."""

from __future__ import annotations

import csv
import io
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import orjson

from auditdeck.audit.event import Event
from auditdeck.audit.record import ENRICHMENT, Payload, read_line
from auditdeck.context.users import Users
from auditdeck.ecs.lines import interpreted_lines
from auditdeck.errors import AuditdeckError
from auditdeck.query.event_kind import event_kind, subject_kind
from auditdeck.query.search import FoundEvent
from auditdeck.visible import visible_json

ESCAPES = {"raw": "", "tty": "", "shell": "\"'`$\\!()| ", "shell_quote": "\"'`$\\!()| ;#&*?[]<>{}"}
"""What gets a backslash besides control characters, by mode of ausearch's --escape; in `raw` nothing does."""
EXTRAS = ("keys", "labels", "obj2", "time")
SEPARATOR = ENRICHMENT.decode()
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def harmless(text: str) -> str:
    """Control and other unprintable characters as \\xNN or \\uNNNN, so that a terminal does nothing but print."""
    return "".join(char if char.isprintable() else escaped(char) for char in text)


def escaped(char: str) -> str:
    number = ord(char)
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def original(event: FoundEvent) -> str:
    """The records as they came. Raises AuditdeckError if they were not kept."""
    found = event.get("event.original")
    if not found:
        raise AuditdeckError(
            "the records of these events were not kept as they came, so they cannot be shown raw or interpreted",
            "collect with documents.original: true, or ask for --format text, csv or json",
        )
    return str(found)


def records_of(event: FoundEvent) -> Event:
    items: list[Payload] = []
    stamp = node = b""
    for line in original(event).split("\n"):
        found = read_line(line.encode())
        if found is None:
            continue
        node, kind, payload = found
        stamp = payload[6 : payload.index(b"): ")]
        items.append((kind, payload))
    return Event(stamp, items, node=node)


def escaper(mode: str) -> Callable[[str], str]:
    """Control characters as \\ooo, others as \\xNN or \\uNNNN, a backslash before those of the mode."""
    if mode == "raw":
        return str
    table = {number: f"\\{number:03o}" for number in (*range(32), 127)} | {
        ord(char): f"\\{char}" for char in ESCAPES[mode]
    }
    return lambda text: harmless(text.translate(table))


@dataclass(slots=True)
class Show:
    """`escape` is one of ESCAPES, for texts of programs; in a `line` as it came what matters to a shell stays. `extra`
    are columns of the csv, of EXTRAS."""

    escape: str
    users: Users
    extra: tuple[str, ...] = ()
    text: Callable[[str], str] = field(init=False)
    line: Callable[[str], str] = field(init=False)

    def __post_init__(self) -> None:
        self.text = escaper(self.escape)
        self.line = escaper("raw" if self.escape == "raw" else "tty")

    def raw(self, event: FoundEvent) -> Iterator[str]:
        for line in original(event).split("\n"):
            yield SEPARATOR.join(map(self.line, line.split(SEPARATOR)))

    def default(self, event: FoundEvent) -> Iterator[str]:
        """The last record first, and without auditd's enrichment, as ausearch does it."""
        yield "----"
        yield f"time->{event.time.astimezone():%a %b %e %H:%M:%S %Y}"
        for line in reversed(original(event).split("\n")):
            yield self.line(line.partition(SEPARATOR)[0])

    def interpret(self, event: FoundEvent) -> Iterator[str]:
        yield "----"
        yield from (self.line(line) for line in interpreted_lines(records_of(event), self.users, escape=self.text))

    def json(self, event: FoundEvent) -> Iterator[str]:
        yield visible_json(orjson.dumps(event.document).decode())

    def sentence(self, event: FoundEvent) -> Iterator[str]:
        """When, who, acting as whom, did what to what, by what."""
        moment = event.time.astimezone()
        actor, acting = event.get("auditd.summary.actor.primary"), event.get("auditd.summary.actor.secondary")
        who = "system" if actor in ("unset", "") else self.text(actor)
        words = [f"At {moment:%H:%M:%S %Y-%m-%d}"]
        if node := event.get("host.name"):
            words.append(f"on {self.text(node)}")
        words.append(f"{who}," if actor == acting or not acting else f"{who}, acting as {self.text(acting)},")
        result = {"success": "successfully", "fail": "unsuccessfully"}.get(event.get("auditd.result"))
        words += filter(None, [result, event.get("event.action")])
        thing = event.get("auditd.summary.object.primary")
        second = event.get("auditd.summary.object.secondary")
        if event.get("process.args", None) and event.get("event.action") == "executed":
            thing = shlex.join(map(str, event.get("process.args")))
        if thing:
            words.append(self.text(f"{thing}:{second}" if second else str(thing)))
        if how := event.get("auditd.summary.how"):
            words.append(f"using {self.text(how)}")
        yield " ".join(words)

    def columns(self) -> list[str]:
        """Of the csv, under ausearch's names."""
        return list(self.values(None))

    def csv(self, event: FoundEvent) -> Iterator[str]:
        yield row([self.cell(value) for value in self.values(event).values()])

    def cell(self, value: object) -> str:
        """For a table: nothing that a spreadsheet takes for a formula."""
        shown = self.text(str(value))
        return f"'{shown}" if shown.startswith(FORMULA) else shown

    def values(self, event: FoundEvent | None) -> dict[str, object]:
        event = event or FoundEvent({"@timestamp": "1970-01-01T00:00:00Z"})
        moment, record = event.time.astimezone(), str(event.get("auditd.message_type")).upper()
        actor = event.get("auditd.summary.actor.primary")
        label = ("auditd.data.obj", "auditd.data.tcontext", "auditd.paths.obj")
        of_time = {
            "YEAR": f"{moment:%Y}", "MONTH": f"{moment:%m}", "DAY": f"{moment:%d}", "WEEKDAY": f"{moment:%u}",
            "HOUR": f"{moment:%k}", "MILLI": moment.microsecond // 1000, "GMT_OFFSET": moment.isoformat()[-6:],
        }  # fmt: skip
        made: dict[str, object] = {
            "NODE": event.get("host.name"),
            "EVENT": record,
            "DATE": f"{moment:%Y-%m-%d}",
            "TIME": f"{moment:%H:%M:%S}",
            **(of_time if "time" in self.extra else {}),
            "SERIAL_NUM": event.get("auditd.sequence"),
            "EVENT_KIND": event_kind(record),
            "SESSION": event.get("auditd.session"),
            "SUBJ_PRIME": "system" if actor == "unset" else actor,
            "SUBJ_SEC": event.get("auditd.summary.actor.secondary"),
            "SUBJ_KIND": subject_kind(str(event.get("user.id"))),
        }
        if "labels" in self.extra:
            made["SUBJ_LABEL"] = first(event, ("auditd.data.subj", "auditd.data.scontext"))
        made |= {
            "ACTION": event.get("event.action"),
            "RESULT": {"success": "success", "fail": "failed"}.get(event.get("auditd.result"), ""),
            "OBJ_PRIME": event.get("auditd.summary.object.primary"),
            "OBJ_SEC": event.get("auditd.summary.object.secondary"),
        }
        if "obj2" in self.extra:
            made["OBJ2"] = second_object(event)
        if "labels" in self.extra:
            made["OBJ_LABEL"] = first(event, label)
        made |= {"OBJ_KIND": event.get("auditd.summary.object.type"), "HOW": event.get("auditd.summary.how")}
        if "keys" in self.extra:
            made["KEY"] = ",".join(event.get("tags", []))
        return made


def first(event: FoundEvent, paths: tuple[str, ...]) -> str:
    return next((value for path in paths for value in event.values(path)), "")


def second_object(event: FoundEvent) -> str:
    """What a file was called before, the mode or owner that it got, the device of a mount, or the virtual machine."""
    action, paths = event.get("event.action"), event.get("auditd.paths", [])
    if action in ("renamed", "linked", "symlinked"):
        kind = "DELETE" if action == "renamed" else "NORMAL"
        return next((path["name"] for path in paths if path.get("nametype") == kind and "name" in path), "")
    if action == "mounted":
        return str(paths[1].get("name", "")) if len(paths) > 1 else ""
    return first(
        event,
        ("auditdeck.arguments.a1",)
        if action.startswith("changed-file-")
        else ("auditd.data.vm", "auditd.data.root_dir"),
    )


def row(values: list[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(values)
    return line.getvalue()
