"""Values of ausearch's options: each is what it is to be, or a ValueError says what is wrong and what to write."""

from __future__ import annotations

import grp
import pwd

UNSET = 0xFFFFFFFF
WITHOUT = ("-1", "unset", str(UNSET))


def number(text: str, what: str, most: int = UNSET) -> str:
    """A decimal number, without zeros before it."""
    if not (text.isascii() and text.isdecimal()) or len(text) > 20 or int(text) > most:
        raise ValueError(f"{text!r} is not a valid {what}; use a number up to {most}")
    return str(int(text))


def session(text: str) -> str:
    """A login session as documents have it."""
    return "unset" if text in WITHOUT else number(text, "session; -1 is none, or")


def account(text: str, what: str) -> str:
    """The number or the name of a user or group; -1 and unset are that of nobody."""
    if text in WITHOUT:
        return str(UNSET)
    if text[:1].isdecimal():
        return number(text, f"{what} id", UNSET - 1)
    if not text or text.startswith("-") or any(char.isspace() or char in ":,/" for char in text):
        raise ValueError(f"{text!r} is not a valid {what}; use a name or a number")
    return text


def is_known(name: str, what: str) -> bool:
    """Whether this host has such a user or group."""
    try:
        grp.getgrnam(name) if what == "group" else pwd.getpwnam(name)
    except KeyError:
        return False
    return True
