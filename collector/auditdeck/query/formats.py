"""How found events are shown; text of audited programs never reaches a terminal or a table as it is."""

from __future__ import annotations

import csv
import io
import shlex
from collections.abc import Callable, Iterator

import orjson

from auditdeck.audit.event import Event
from auditdeck.audit.record import ENRICHMENT, Payload, read_line
from auditdeck.context.users import Users
from auditdeck.ecs.lines import interpreted_lines
from auditdeck.errors import AuditdeckError
from auditdeck.query.search import FoundEvent
from auditdeck.report.visible import visible_json

COLUMNS = [
    "NODE", "EVENT", "DATE", "TIME", "SERIAL_NUM", "EVENT_KIND", "SESSION", "SUBJ_PRIME", "SUBJ_SEC", "SUBJ_KIND",
    "ACTION", "RESULT", "OBJ_PRIME", "OBJ_SEC", "OBJ_KIND", "HOW",
]  # fmt: skip
SEPARATOR = ENRICHMENT.decode()
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def harmless(text: str) -> str:
    """Control and other unprintable characters as \\xNN or \\uNNNN, so that a terminal does nothing but print."""
    return "".join(char if char.isprintable() else escaped(char) for char in text)


def escaped(char: str) -> str:
    number = ord(char)
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def cell(text: object) -> str:
    """For a table: nothing that a spreadsheet takes for a formula."""
    shown = harmless(str(text))
    return f"'{shown}" if shown.startswith(FORMULA) else shown


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


def as_raw(event: FoundEvent) -> Iterator[str]:
    for line in original(event).split("\n"):
        yield SEPARATOR.join(map(harmless, line.split(SEPARATOR)))


def as_default(event: FoundEvent) -> Iterator[str]:
    """The last record first, and without auditd's enrichment, as ausearch does it."""
    yield "----"
    yield f"time->{event.time.astimezone():%a %b %e %H:%M:%S %Y}"
    for line in reversed(original(event).split("\n")):
        yield harmless(line.partition(SEPARATOR)[0])


def as_interpreted(event: FoundEvent, users: Users) -> Iterator[str]:
    yield "----"
    yield from (harmless(line) for line in interpreted_lines(records_of(event), users))


def as_json(event: FoundEvent) -> Iterator[str]:
    yield visible_json(orjson.dumps(event.document).decode())


def as_text(event: FoundEvent) -> Iterator[str]:
    """One sentence: when, who, acting as whom, did what to what, by what."""
    moment = event.time.astimezone()
    actor, acting = event.get("auditd.summary.actor.primary"), event.get("auditd.summary.actor.secondary")
    who = "system" if actor in ("unset", "") else actor
    words = [f"At {moment:%H:%M:%S %Y-%m-%d}"]
    if node := event.get("host.name"):
        words.append(f"on {node}")
    words.append(f"{who}," if who == acting or not acting else f"{who}, acting as {acting},")
    result = {"success": "successfully", "fail": "unsuccessfully"}.get(event.get("auditd.result"))
    words += filter(None, [result, event.get("event.action")])
    thing = event.get("auditd.summary.object.primary")
    second = event.get("auditd.summary.object.secondary")
    if event.get("process.args", None) and event.get("event.action") == "executed":
        thing = shlex.join(map(str, event.get("process.args")))
    if thing:
        words.append(f"{thing}:{second}" if second else str(thing))
    if how := event.get("auditd.summary.how"):
        words.append(f"using {how}")
    yield harmless(" ".join(words))


def as_csv(event: FoundEvent) -> Iterator[str]:
    moment = event.time.astimezone()
    values = [
        event.get("host.name"),
        str(event.get("auditd.message_type")).upper(),
        f"{moment:%Y-%m-%d}",
        f"{moment:%H:%M:%S}",
        event.get("auditd.sequence"),
        ",".join(event.get("event.category", [])),
        event.get("auditd.session"),
        event.get("auditd.summary.actor.primary"),
        event.get("auditd.summary.actor.secondary"),
        "user" if event.get("user", None) else "",
        event.get("event.action"),
        event.get("auditd.result"),
        event.get("auditd.summary.object.primary"),
        event.get("auditd.summary.object.secondary"),
        event.get("auditd.summary.object.type"),
        event.get("auditd.summary.how"),
    ]
    yield row([cell(value) for value in values])


def row(values: list[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(values)
    return line.getvalue()


def shower(form: str, users: Users) -> Callable[[FoundEvent], Iterator[str]]:
    """From an event to the lines that show it."""
    if form == "interpret":
        return lambda event: as_interpreted(event, users)
    return {"raw": as_raw, "default": as_default, "json": as_json, "text": as_text, "csv": as_csv}[form]
