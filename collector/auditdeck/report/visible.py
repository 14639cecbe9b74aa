"""Text of audited programs, for people to look at."""

from __future__ import annotations


def visible(text: str) -> str:
    """Control characters as their escapes: a terminal would obey them, a browser swallow them."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
