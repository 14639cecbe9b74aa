"""The fields of a record's body: `name=value` pairs, and the three ways in which audit writes a value.

Trusted numbers and words stand bare, text stands in quotes, and text with blanks, quotes or bytes that are no
printable ASCII stands as upper-case hex (audit_log_untrustedstring in the kernel's audit.c).
"""

from __future__ import annotations

import re

PAIR = re.compile(rb"""(?<![\w-])([\w-]{1,64})=(?:"([^"]*)"|'(.*?)'(?=\s|$)|(\{[^}]*\}|[^\s,]*))""", re.DOTALL)
LINEAR = re.compile(rb"""(?<![\w-])([\w-]{1,64})=(?:"([^"]*)"|'([^']*)'(?=\s|$)|(\{[^{}]*\}|[^\s,]*))""")
"""For bodies with many quotes or braces, as only somebody writes them who wants to be in the way: every byte is looked
at a bounded number of times, and nothing is nested."""
MANY = 16
HEX = re.compile(rb"(?:[0-9A-F]{2})+\Z")
AVC = re.compile(rb"avc:\s+(\w+)\s+\{ ([^}]*) \} for ")

# Fields that the kernel or libaudit writes with audit_log_untrustedstring or audit_encode_value.
ENCODED = {
    b"acct", b"cmd", b"comm", b"cwd", b"data", b"device", b"dir", b"exe", b"file", b"grp", b"key", b"name", b"new-disk",
    b"ocomm", b"old-disk", b"path", b"proctitle", b"root_dir", b"sw", b"vm", b"watch", b"profile", b"unit", b"dev",
}  # fmt: skip
ABSENT = {b"", b"?", b"(null)", b"(none)"}
NESTED, MESSAGE, CLOSING = b"msg", b"msg='", re.compile(rb"'(?=\s|$)")
# LOGIN until Linux 3.13: login pid=1 uid=0 old auid=4294967295 new auid=500 old ses=4294967295 new ses=10
OLD_LOGIN = b"login pid="
OLD, NEW = re.compile(rb"\bold ((?:login|a)uid|ses)="), re.compile(rb"\bnew ((?:login|a)uid|ses)=")


def text(raw: bytes) -> str:
    """Bytes as text; those that are not UTF-8 stay visible as \\xNN."""
    return raw.decode("utf-8", "backslashreplace")


def unhex(value: bytes) -> bytes:
    """The bytes of a value that is hex as audit writes it; any other value as it is."""
    return bytes.fromhex(value.decode()) if HEX.match(value) else value


def raw_fields(body: bytes) -> dict[str, bytes]:
    """Every field with its bytes, quotes and hex taken away; the fields of a nested msg='…' among the others.

    A field that stands twice keeps its first value; that of a nested one which differs from it is `msg.NAME`. Absent
    values (`?`, `(null)`) are left out.
    """
    fields: dict[str, bytes] = {}
    if body.startswith(OLD_LOGIN):
        body = OLD.sub(rb"old-\1=", NEW.sub(rb"\1=", body))
    collect(closed(body), fields)
    return fields


def closed(body: bytes) -> bytes:
    """A body whose msg='… has lost its closing quote, without the opening one."""
    start = unclosed(body)
    return body if start < 0 else body[:start] + body[start + len(MESSAGE) :]


def unclosed(body: bytes) -> int:
    """Where a msg='… begins that has lost its closing quote; -1 if none has.

    Text from outside that stands in quotes has no blanks, so what it says is not taken for one.
    """
    start = 0 if body.startswith(MESSAGE) else body.find(b" " + MESSAGE) + 1
    if not body.startswith(MESSAGE, start) or CLOSING.search(body, start + len(MESSAGE)):
        return -1
    return start


def collect(body: bytes, fields: dict[str, bytes], prefix: str = "") -> None:
    match = AVC.match(body)
    if match:
        fields.setdefault("seresult", match[1])
        fields.setdefault("seperms", match[2])
    odd = body.count(b"'") > MANY or body.count(b"{") > MANY
    for name, quoted, nested, bare in (LINEAR if odd else PAIR).findall(body):
        if nested:
            if name == NESTED:
                collect(nested, fields, f"{NESTED.decode()}.")
                continue
            value = nested
        elif quoted:
            value = quoted
        elif bare in ABSENT:
            continue
        else:
            value = unhex(bare) if name in ENCODED else bare
            if prefix and value is bare:
                value = without_punctuation(value)
                if value in ABSENT:
                    continue
        known = fields.setdefault(name.decode(), value)
        if prefix and known != value:
            fields.setdefault(prefix + name.decode(), value)


def without_punctuation(value: bytes) -> bytes:
    """Without what stands behind it in sentences of old programs: `(hostname=?, addr=?, res=success)`, `uid=500:`."""
    last = value[-1:]
    if last == b")" and b"(" not in value:
        return value.rstrip(b")")
    return value[:-1] if last == b":" and value[:-1].isdigit() else value


def fields(body: bytes) -> dict[str, str]:
    """Every field as text, as `raw_fields` finds them."""
    return {name: text(value) for name, value in raw_fields(body).items()}


ARGUMENT = re.compile(rb'a(\d{1,9})(?:\[(\d{1,9})\])?=(?:"([^"]*)"|([0-9A-F]*)(?=\s|$)|(\S*))')
ARGUMENT_COUNT = re.compile(rb" *argc=(\d{1,9})(?= |$)")


def argument_count(bodies: list[bytes]) -> int | None:
    """What an event's first EXECVE record says that there are; None if it was lost."""
    match = ARGUMENT_COUNT.match(bodies[0]) if bodies else None
    return int(match[1]) if match else None


def arguments(bodies: list[bytes]) -> list[str]:
    """The argument list of an event's EXECVE records as text."""
    return [text(argument) for argument in raw_arguments(bodies).values()]


def raw_arguments(bodies: list[bytes]) -> dict[int, bytes]:
    """The arguments of an event's EXECVE records by their number, in order; those whose record was lost are not there.

    Long arguments come in pieces, `a1_len=8000 a1[0]=… a1[1]=…`, over several records; pieces are hex all or none.
    """
    if len(bodies) == 1 and b"[" not in bodies[0]:
        whole = {
            int(number): quoted or (unhex(encoded) if encoded else other)
            for number, _, quoted, encoded, other in ARGUMENT.findall(bodies[0])
        }
        return {number: whole[number] for number in sorted(whole)}
    pieces: dict[int, dict[int, bytes]] = {}
    for body in bodies:
        for number, piece, quoted, encoded, other in ARGUMENT.findall(body):
            value = quoted or (unhex(encoded) if encoded else other)
            pieces.setdefault(int(number), {})[int(piece or 0)] = value
    return {n: b"".join(pieces[n][p] for p in sorted(pieces[n])) for n in sorted(pieces)}


def raw_title(body: bytes) -> bytes:
    """The command line of a PROCTITLE record, NUL between the words; audit cuts it at 128 bytes."""
    value = body[10:].upper()
    if body.startswith(b"proctitle=") and HEX.match(value):
        return bytes.fromhex(value.decode())
    return raw_fields(body).get("proctitle", b"")


def title(body: bytes) -> str:
    """The command line of a PROCTITLE record as text."""
    return text(raw_title(body).rstrip(b"\0").replace(b"\0", b" "))
