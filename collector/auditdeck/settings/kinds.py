"""The kinds of values that settings have beside texts and numbers: how each is written, and what is wrong with others.

A kind is a plain type with a function that takes what was written and gives the value, or raises ValueError with a
whole sentence.
"""

from __future__ import annotations

import grp
import ipaddress
import re
from collections.abc import Callable
from typing import Annotated, Any
from urllib.parse import urlsplit

from msgspec import Meta

from auditdeck.errors import RuleError, did_you_mean

SIZE_UNITS = {
    "": 1,
    "B": 1,
    "KIB": 1 << 10,
    "MIB": 1 << 20,
    "GIB": 1 << 30,
    "TIB": 1 << 40,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
}
TIME_UNITS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}


def size(value: object) -> int:
    """Bytes of 16MiB, 10GiB, 500MB or a number; raises ValueError."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?I?B?)", str(value).strip().upper())
    unit = match and (match[2] + "B" if match[2] in ("KI", "MI", "GI", "TI", "K", "M", "G") else match[2])
    if not match or unit not in SIZE_UNITS:
        raise ValueError(f"{value!r} is not a valid size; use 16MiB, 10GiB or a number of bytes")
    return int(float(match[1]) * SIZE_UNITS[unit])


def duration(value: object) -> float:
    """Seconds of 500ms, 2s, 5m, 1h, 7d, 2w or a number; raises ValueError."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)?", str(value).strip())
    if not match:
        raise ValueError(f"{value!r} is not a valid duration; use 500ms, 2s, 1h, 7d or a number of seconds")
    return float(match[1]) * TIME_UNITS[match[2] or ""]


def pattern(text: str) -> str:
    return compilable(text, text)


def byte_pattern(text: str) -> str:
    """One that is looked for in records as they are: bytes."""
    return compilable(text, text.encode())


def compilable(text: str, used: str | bytes) -> str:
    try:
        re.compile(used)
    except re.error as error:
        raise ValueError(f"{text!r} is not a valid regular expression: {error}") from None
    except RecursionError:
        raise ValueError("this regular expression has too many groups within each other") from None
    return text


def rule(text: str) -> str:
    """In auditctl's syntax."""
    from auditdeck.audit.rules.files import parse_line

    try:
        parse_line(text, "", 0)
    except RuleError as error:
        raise ValueError(f"{text!r} is not a valid rule: {error.reason}") from None
    return text


def network(text: str) -> str:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        if text:
            raise ValueError(f"{text!r} is not a valid network; use 10.0.0.0/8 or an address") from None
    return text


def url(text: str) -> str:
    """As Elastic's client takes it: with scheme, host and port."""
    try:
        parts = urlsplit(text)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port
    except ValueError:
        good = False
    if not good:
        # Without what may be a password.
        shown = text.rpartition("@")[2]
        raise ValueError(f"{shown!r} is not a valid address of Elasticsearch; use https://host:9200")
    return text


def host_and_port(text: str, example: str = "logs.example.org:514") -> tuple[str, int]:
    """Of host:port or [address]:port; raises ValueError."""
    host, _, port = text.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError(f"{text!r} is not a valid address; use host:port, for example {example}")
    return host.strip("[]"), int(port)


def listening(text: str) -> str:
    """Where to listen: host:port, or nothing."""
    if text:
        host_and_port(text, "127.0.0.1:9464")
    return text


def file_mode(text: str) -> str:
    if not re.fullmatch("(0o?)?[0-7]{3,4}", text):
        raise ValueError(f"{text!r} is not a valid file mode; use an octal one such as 0600")
    return text


def group(text: str) -> str:
    """By its name or number, as the databases of this host have it."""
    if text and not text.isdecimal():
        try:
            grp.getgrnam(text)
        except KeyError:
            like = did_you_mean(text, [entry.gr_name for entry in grp.getgrall()])
            remedy = like or "; make it (groupadd), or use a number"
            raise ValueError(f"{text!r} is not a group of this host{remedy}") from None
    return text


def group_number(text: str) -> int | None:
    """Of what `group` allows; None if it is empty."""
    if not text:
        return None
    return int(text) if text.isdecimal() else grp.getgrnam(text).gr_gid


def fingerprint(text: str) -> str:
    if text and not re.fullmatch("([0-9A-Fa-f]{2}:?){31}[0-9A-Fa-f]{2}", text):
        raise ValueError(f"{text!r} is not a valid fingerprint; use SHA-256 in hexadecimal, as openssl x509 prints it")
    return text


def system_call(value: int | str) -> int | str:
    from auditdeck.audit.tables.syscalls import SYSCALLS

    known = {name for table in SYSCALLS.values() for name in table.values()}
    return named(value, known, "system call")


def record_type(value: int | str) -> int | str:
    from auditdeck.audit.record import TYPE_NUMBERS

    name = value.upper() if isinstance(value, str) else value
    return named(name, {name.decode() for name in TYPE_NUMBERS}, "record type")


def named(value: int | str, known: set[str], what: str) -> int | str:
    if isinstance(value, str) and value.isdecimal():
        return int(value)
    if isinstance(value, str) and value not in known:
        raise ValueError(f"{value!r} is not a {what}{did_you_mean(value, known) or '; use its name or its number'}")
    return value


def size_text(number: int) -> str | int:
    """In the largest unit that it is a whole number of."""
    units = [(name, 1 << shift) for name, shift in (("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10))]
    return next((f"{number // unit}{name}" for name, unit in units if number and number % unit == 0), number)


def duration_text(seconds: float) -> str | int:
    units = [(name, TIME_UNITS[name]) for name in ("d", "h", "m", "s")]
    whole = (f"{seconds / unit:.0f}{name}" for name, unit in units if seconds and seconds % unit == 0)
    return next(whole, f"{seconds * 1000:g}ms" if seconds else 0)


def url_text(text: str) -> str:
    """Without its password."""
    return re.sub(r"(?<=//)[^/]*@", "…@", text)


def secret_text(text: str) -> str:
    return "…" if text else ""


def kind(
    read: Callable[[Any], Any] | None = None, show: Callable[[Any], str | int] | None = None, **schema: Any
) -> Meta:
    """`show`: how a value is written where people see it. `schema`: what JSON Schema says of it, beside the type."""
    return Meta(extra={"read": read, "show": show, "schema": schema})


Size = Annotated[
    int, kind(size, size_text, type=["integer", "string"], pattern=r"^\s*\d+(\.\d+)?\s*([KMGTkmgt]?[Ii]?[Bb]?)\s*$")
]
"""Bytes, written as 16MiB, 10GiB or a number."""
Duration = Annotated[
    float, kind(duration, duration_text, type=["number", "string"], pattern=r"^\s*\d+(\.\d+)?\s*(ms|s|m|h|d|w)?\s*$")
]
"""Seconds, written as 500ms, 2s, 1h, 7d or a number."""
Pattern = Annotated[str, kind(pattern, format="regex")]
BytePattern = Annotated[str, kind(byte_pattern, format="regex")]
RuleLine = Annotated[str, kind(rule)]
Network = Annotated[str, kind(network)]
Url = Annotated[str, kind(url, url_text, format="uri")]
Listen = Annotated[str, kind(listening)]
Group = Annotated[str, kind(group)]
FileMode = Annotated[str, kind(file_mode, pattern="^(0o?)?[0-7]{3,4}$")]
Fingerprint = Annotated[str, kind(fingerprint)]
Secret = Annotated[str, kind(show=secret_text)]
SystemCall = Annotated[int | str, kind(system_call)]
RecordType = Annotated[int | str, kind(record_type)]
