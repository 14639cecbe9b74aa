"""Text of audited programs, for people to look at."""

from __future__ import annotations

import logging


def visible(text: str) -> str:
    """Control characters (C0, C1), marks of direction and other unprintable ones as their escapes: a terminal would
    obey them, a browser swallow them."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def visible_json(text: str) -> str:
    """JSON with the same value in which no such character stands as it is; newlines stay."""
    if text.isascii() and "\x7f" not in text:
        return text
    return "".join(c if c.isprintable() or c == "\n" else json_escape(c) for c in text)


def json_escape(char: str) -> str:
    """RFC 8259, section 7: beyond the basic plane as a surrogate pair."""
    units = char.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[n]:02x}{units[n + 1]:02x}" for n in range(0, len(units), 2))


class VisibleFormatter(logging.Formatter):
    """Log messages hold text from outside as well: errors of servers, names of files."""

    def format(self, record: logging.LogRecord) -> str:
        return "\n".join(visible(line) for line in super().format(record).split("\n"))
