"""Records made of fields of every kind, as the kernel and libaudit write them, are read back as what went in."""

from __future__ import annotations

import ipaddress
import struct

from hypothesis import given
from hypothesis import strategies as st

from auditdeck.audit import sockaddr
from auditdeck.audit.fields import ENCODED, raw_arguments, raw_fields, title
from auditdeck.audit.record import milliseconds, read_line, record_of, serial, type_name
from auditdeck.audit.tables.record_types import RECORD_TYPES
from auditdeck.ecs.redaction import encoded, encoded_arguments

NUMBERS = st.integers(0, 2**64 - 1).map(lambda value: str(value).encode())
HEXADECIMAL = st.integers(0, 2**64 - 1).map(lambda value: b"%x" % value)
# Not with what stands behind a value in sentences of old programs: `(hostname=?, res=success)`, `uid=500:`.
WORDS = st.text(
    st.characters(codec="ascii", exclude_categories=["Z", "C"], exclude_characters="\"'{}=,):"), min_size=1
).map(str.encode)
BYTES = st.binary(min_size=1).filter(lambda value: b"\0" not in value)
PLAIN = st.sampled_from([b"pid", b"uid", b"exit", b"syscall", b"a0", b"items", b"ses", b"inode", b"tty", b"op"])
TEXTS = st.sampled_from(sorted(ENCODED))
# A value of these that is not encoded would look as if it were.
ABSENT = {b"?", b"(null)", b"(none)"}


def written(name: bytes, value: bytes) -> bytes:
    return name + b"=" + (encoded(value) if name in ENCODED else value)


PAIRS = st.dictionaries(PLAIN, NUMBERS | HEXADECIMAL | WORDS.filter(lambda value: value not in ABSENT), max_size=6)
ENCODED_PAIRS = st.dictionaries(TEXTS, BYTES.filter(lambda value: value not in ABSENT), max_size=6)


@given(PAIRS, ENCODED_PAIRS)
def test_fields(plain: dict[bytes, bytes], texts: dict[bytes, bytes]) -> None:
    body = b" ".join(written(name, value) for name, value in (plain | texts).items())
    assert raw_fields(body) == {name.decode(): value for name, value in (plain | texts).items()}


@given(PAIRS, st.dictionaries(TEXTS, BYTES.filter(lambda value: value not in ABSENT), max_size=4))
def test_fields_of_user_space(plain: dict[bytes, bytes], texts: dict[bytes, bytes]) -> None:
    inner = b" ".join([*(written(name, value) for name, value in texts.items()), b"res=success"])
    if b"'" in inner:
        return
    body = b" ".join([*(name + b"=" + value for name, value in plain.items()), b"msg='" + inner + b"'"])
    expected = {name.decode(): value for name, value in (plain | texts).items()}
    assert raw_fields(body) == expected | {"res": b"success"}


@given(PAIRS)
def test_absent_values_are_left_out(plain: dict[bytes, bytes]) -> None:
    body = b" ".join([b"hostname=?", b"addr=?", b"key=(null)", *(name + b"=" + value for name, value in plain.items())])
    assert raw_fields(body) == {name.decode(): value for name, value in plain.items()}


@given(st.lists(BYTES, min_size=1, max_size=5), st.integers(1, 5))
def test_arguments_in_pieces(arguments: list[bytes], size: int) -> None:
    """Long arguments come in pieces of hex, over several records."""
    pieces = [
        b"a%d[%d]=%s" % (number, place // size, argument[place : place + size].hex().upper().encode())
        for number, argument in enumerate(arguments)
        for place in range(0, len(argument), size)
    ]
    bodies = [b" ".join(pieces[start : start + 3]) for start in range(0, len(pieces), 3)]
    numbered = dict(enumerate(arguments))
    assert raw_arguments(bodies) == numbered
    assert raw_arguments([encoded_arguments(numbered, len(arguments))]) == numbered


@given(st.lists(BYTES, min_size=1, max_size=5))
def test_titles(arguments: list[bytes]) -> None:
    shown = title(b"proctitle=" + encoded(b"\0".join(arguments)))
    assert shown == b"\0".join(arguments).replace(b"\0", b" ").decode("utf-8", "backslashreplace")


@given(st.ip_addresses(v=4), st.integers(0, 65535))
def test_ipv4(address: ipaddress.IPv4Address, port: int) -> None:
    found = sockaddr.parse(struct.pack("<H", 2) + port.to_bytes(2, "big") + address.packed + bytes(8))
    assert (found.family, found.ip, found.port) == ("inet", str(address), port)


@given(st.ip_addresses(v=6), st.integers(0, 65535), st.integers(0, 2**32 - 1))
def test_ipv6(address: ipaddress.IPv6Address, port: int, scope: int) -> None:
    raw = struct.pack("<H", 10) + port.to_bytes(2, "big") + bytes(4) + address.packed + struct.pack("<I", scope)
    found = sockaddr.parse(raw)
    assert (found.ip, found.port, found.scope) == (str(address.ipv4_mapped or address), port, scope)


@given(st.binary(min_size=1, max_size=107).filter(lambda value: b"\0" not in value))
def test_unix_sockets(path: bytes) -> None:
    shown = path.decode("utf-8", "backslashreplace")
    assert sockaddr.parse(b"\x01\x00" + path + b"\0").path == shown
    assert sockaddr.parse(b"\x01\x00\x00" + path).path == "@" + shown


@given(st.binary(max_size=40))
def test_any_address(raw: bytes) -> None:
    sockaddr.parse(raw)


@given(
    st.sampled_from(sorted(RECORD_TYPES)), st.integers(0, 10**11 - 1), st.integers(0, 999), st.integers(0, 2**32), PAIRS
)
def test_lines(kind: int, seconds: int, fraction: int, number: int, plain: dict[bytes, bytes]) -> None:
    body = b" ".join(name + b"=" + value for name, value in plain.items())
    stamp = b"%d.%03d:%d" % (seconds, fraction, number)
    line = b"node=one type=%s msg=audit(%s): %s\n" % (type_name(kind).encode(), stamp, body)
    found = read_line(line)
    assert found
    node, kind_read, payload = found
    record = record_of(kind_read, payload)
    assert (node, type_name(record.kind)) == (b"one", type_name(kind))
    assert (milliseconds(record.stamp), serial(record.stamp)) == (seconds * 1000 + fraction, number)
    assert raw_fields(record.body) == {name.decode(): value for name, value in plain.items()}
