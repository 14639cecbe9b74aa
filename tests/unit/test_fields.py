"""Values as audit writes them, read back."""

from __future__ import annotations

import pytest

from auditdeck.audit.fields import arguments, fields, title
from auditdeck.audit.record import read_line, record_of
from auditdeck.audit.sockaddr import parse
from auditdeck.ecs.keystrokes import keystrokes


def test_numbers_words_and_quoted_text() -> None:
    assert fields(b'arch=c000003e exe="/bin/a b" key=(null) tty=? comm="x"') == {
        "arch": "c000003e",
        "exe": "/bin/a b",
        "comm": "x",
    }


def test_hex_is_decoded_only_where_text_is_expected() -> None:
    found = fields(b"comm=612062 a0=612062 name=C3A9")
    assert found == {"comm": "a b", "a0": "612062", "name": "é"}


def test_bytes_that_are_no_utf8_stay_visible() -> None:
    assert fields(b"name=FF41") == {"name": "\\xffA"}


def test_the_message_of_a_program_is_read_as_well() -> None:
    body = b'pid=1 uid=0 msg=\'op=PAM:session_open acct="root" exe="/usr/sbin/sshd" addr=10.0.0.7 res=success\''
    assert fields(body) == {
        "pid": "1", "uid": "0", "op": "PAM:session_open", "acct": "root", "exe": "/usr/sbin/sshd",
        "addr": "10.0.0.7", "res": "success",
    }  # fmt: skip


def test_selinux_denials() -> None:
    found = fields(b'avc:  denied  { read write } for  pid=3 comm="x" dev="sda1" tclass=file permissive=0')
    assert (found["seresult"], found["seperms"], found["dev"]) == ("denied", "read write", "sda1")


def test_arguments_in_pieces_over_several_records() -> None:
    bodies = [b'argc=3 a0="sh" a1_len=8 a1[0]=6162', b'a1[1]=6364 a2="e f"']
    assert arguments(bodies) == ["sh", "abcd", "e f"]


def test_titles_have_blanks_for_nuls() -> None:
    assert title(b"proctitle=6C73002D6C00") == "ls -l"
    assert title(b'proctitle="ls"') == "ls"
    assert title(b"proctitle=6c73002d6c00") == "ls -l"


@pytest.mark.parametrize(
    ("raw", "ip", "port", "family"),
    [
        ("02001F900AC73B020000000000000000", "10.199.59.2", 8080, "inet"),
        ("0A00005000000000FD000DEC003B0000000000000000000200000000", "fd00:dec:3b::2", 80, "inet6"),
        ("0A000050000000000000000000000000 0000FFFF0A00000100000000", "10.0.0.1", 80, "inet6"),
    ],
)
def test_internet_addresses(raw: str, ip: str, port: int, family: str) -> None:
    found = parse(bytes.fromhex(raw))
    assert (found.ip, found.port, found.family) == (ip, port, family)


def test_unix_addresses() -> None:
    assert parse(b"\x01\0/run/x\0junk").path == "/run/x"
    assert parse(b"\x01\0\0abstract").path == "@abstract"


@pytest.mark.parametrize("raw", [b"", b"\x02", b"\x02\0\0", b"\x0a\0" + bytes(5), b"\xff\xff", b"\x10\0"])
def test_short_and_unknown_addresses_have_only_a_family(raw: bytes) -> None:
    assert parse(raw).ip == ""


def test_lines_of_a_log() -> None:
    raw = b"type=SYSCALL msg=audit(1700000000.123:456): arch=c000003e\n"
    assert read_line(raw) == (b"", 1300, b"audit(1700000000.123:456): arch=c000003e\n")
    node = read_line(b"node=web1 type=UNKNOWN[1999] msg=audit(1700000000.123:456): a=1")
    assert node
    assert (node[0], node[1]) == (b"web1", 1999)
    enriched = record_of(1300, b'audit(1700000000.123:456): uid=0\x1dUID="root"')
    assert (enriched.body, enriched.names) == (b"uid=0", b'UID="root"')


@pytest.mark.parametrize(
    "line", [b"", b"# comment", b"type=SYSCALL", b"type=nosuch msg=audit(1.000:1): ", b"msg=audit(1.000:1): "]
)
def test_lines_that_are_no_records(line: bytes) -> None:
    assert read_line(line) is None


def test_what_was_typed() -> None:
    """audit-userspace's auparse/interpret.c: print_tty_data."""
    assert keystrokes(b'ls "\\\r\x7f\x1b[A\x1b[15~\x01\xc3q') == (
        '"ls \\"\\\\",<ret>,<backspace>,<up>,<F5>,<^A>,"\\303q"'
    )
    assert keystrokes(b"") == ""
