"""A command string as a shell reads it (sh(1), "Quoting" and "Token Recognition"): commands, pipes, words in quotes.

Only as far as needed to find words again: nothing is expanded.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

TOKEN = re.compile(
    rb"""(?P<blank>[ \t\r]+|\\\n)|(?P<comment>(?<![^\s;|&()])\#[^\n]*)"""
    rb"""|(?P<end>\|\|?&?|&&|;;?|&(?!>)|\n|[(){}](?=[\s;)]|\Z)|[()]|\$\(|`)"""
    rb"""|(?P<redirect>\d*(?:<<<|<<-?|>>|[<>]&?|&>>?))|(?P<piece>'[^']*(?:'|\Z)|"(?:[^"\\]|\\.)*(?:"|\Z)|\\.|\$'(?:[^'\\]|\\.)*(?:'|\Z)|[^\s;|&()<>'"\\`$]+|.)""",
    re.DOTALL,
)
ESCAPED = re.compile(rb"\\(.)", re.DOTALL)
IN_DOUBLE = re.compile(rb'\\([$`"\\\n])')
PLAIN = re.compile(rb"[\w@%+=:,./\[\]-]*\Z")


@dataclass(slots=True)
class Word:
    """`value` is the word without its quotes; `start` and `end` are its place in the string."""

    value: bytes
    start: int
    end: int
    quote: bytes


@dataclass(slots=True)
class Command:
    """A simple command: its words; `piped` says that its output goes to the next one."""

    words: list[Word] = field(default_factory=list)
    piped: bool = False


def commands(text: bytes) -> list[Command]:
    """The simple commands of a string, those in parentheses and substitutions among them."""
    found = [Command()]
    pieces: list[bytes] = []
    start = end = 0
    quote = b""

    def finish() -> None:
        nonlocal quote
        if pieces:
            found[-1].words.append(Word(b"".join(pieces), start, end, quote))
            pieces.clear()
        quote = b""

    for match in TOKEN.finditer(text):
        if (piece := match["piece"]) is not None:
            if not pieces:
                start = match.start()
                quote = piece[:1] if piece[:1] in b"'\"" else b""
            elif quote:
                quote = b"" if piece[:1] != quote else quote
            pieces.append(unquoted(piece))
            end = match.end()
            continue
        finish()
        if (mark := match["end"]) is not None:
            found[-1].piped = mark in (b"|", b"|&")
            found.append(Command())
    finish()
    return [command for command in found if command.words]


def unquoted(piece: bytes) -> bytes:
    if piece[:1] == b"'":
        return piece[1:].removesuffix(b"'")
    if piece[:1] == b'"':
        inner = piece[1:-1] if len(piece) > 1 and piece.endswith(b'"') else piece[1:]
        return IN_DOUBLE.sub(rb"\1", inner)
    if piece[:2] == b"$'":
        return ESCAPED.sub(rb"\1", piece[2:].removesuffix(b"'"))
    return ESCAPED.sub(rb"\1", piece) if b"\\" in piece else piece


def quoted(value: bytes, quote: bytes) -> bytes:
    """The word as it may stand in a command string, in the quotes that it had if it had any."""
    if quote == b'"':
        return b'"' + value.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
    if quote == b"'" or not PLAIN.match(value):
        return b"'" + value.replace(b"'", b"'\\''") + b"'"
    return value
