"""Secrets that show in a text by what stands beside them: in addresses, headers, forms, JSON, connection strings."""

from __future__ import annotations

import re

from auditdeck.ecs.secret_names import is_header, is_secret
from auditdeck.ecs.token_shapes import REDACTED, hide_tokens, may_have_token

NAMED = re.compile(
    rb"""(?<![\w./-])(?P<name>[\w.-]{1,64})(?P<between>\\{0,3}["']?\s{0,3}(?P<mark>=|:|=>)\s{0,3})"""
    rb"""(?=(?P<quote>\\{0,3}["'])?(?P<first>[^\s=]))"""
)
VALUE_ENDS = re.compile(rb"""[\s&;"'<>)}\]]|,(?=\s{0,3}["']?[\w.-]{1,64}["']?\s{0,3}[:=])""")
IN_ADDRESS = re.compile(rb"(?<![\w+.-])([a-zA-Z][\w+.-]{0,30}://)([^\s/?#'\"<>]{1,4096})@")
CUT_ADDRESS = re.compile(rb"([a-zA-Z][\w+.-]{0,30}://[^\s:/@]{0,200}:)([^\s/@]+)\Z")
USER_NAME = re.compile(rb"[a-z][a-z._-]{0,15}\Z")
HEADER = re.compile(rb"(?<![\w-])([A-Za-z][\w-]{0,60}):\s{0,9}(?=\S)")
SCHEME = re.compile(
    rb"(?i)(?:bearer|basic|token|digest|negotiate|ntlm|apikey|api-key|key|oauth|hawk|aws4-hmac-sha256)\s{1,9}(?=\S)"
)
PASS_SOURCE = re.compile(rb"(?<![\w-])(pass:)(\S+)")
BEARER = re.compile(rb"(?i)(?<!\w)(bearer\s{1,9})([\w.~+/=-]{6,})")
MARKERS = (
    b"pass", b"pwd", b"pw=", b"secret", b"token", b"key", b"cred", b"auth", b"cookie", b"bearer", b"://",
    b"psk", b"sig", b"otp", b"jwt", b"code=",
)  # fmt: skip
"""One of them is in every word that shows a secret by the name beside it."""


def hide_text(word: bytes) -> bytes:
    """What shows in any word by its form; the same object if nothing does."""
    if not is_telling(word):
        return word
    made = hide_addresses(word) if b"://" in word else word
    if b":" in made or b"=" in made:
        made = hide_header(made)
        made = hide_named(made)
        made = PASS_SOURCE.sub(rb"\1" + REDACTED, made)
    if b" " in made:
        made = BEARER.sub(rb"\1" + REDACTED, made)
    made = hide_tokens(made)
    return word if made == word else made


def hide_addresses(word: bytes) -> bytes:
    def hidden(match: re.Match[bytes]) -> bytes:
        user, colon, secret = match[2].partition(b":")
        if colon:
            return match[1] + user + colon + (REDACTED if secret else b"") + b"@"
        return match[0] if USER_NAME.match(user) else match[1] + REDACTED + b"@"

    return IN_ADDRESS.sub(hidden, word)


def hide_header(word: bytes) -> bytes:
    """`Name: value`, up to the end of the line or the quotes that it stands in."""
    made, at = [], 0
    for match in HEADER.finditer(word):
        if match.start() < at or not is_header(text(match[1])):
            continue
        start = match.end()
        quote = word[match.start() - 1 : match.start()]
        ends = [word.find(mark, start) for mark in (b"\n", b"\r", b"\\n", quote if quote in (b'"', b"'") else b"\n")]
        end = min((place for place in ends if place >= 0), default=len(word))
        scheme = SCHEME.match(word, start)
        if scheme:
            start = scheme.end()
        if start < end:
            made += [word[at:start], REDACTED]
            at = end
    return b"".join([*made, word[at:]]) if made else word


def hide_named(word: bytes) -> bytes:
    """`name=value` and `"name": "value"`, wherever they stand in a word, in forms, JSON and lists."""
    made, at = [], 0
    whole = True
    for match in NAMED.finditer(word):
        if match.start() < at or (match["mark"] == b":" and word.startswith(b"//", match.end())):
            continue
        name = text(match["name"])
        if not is_secret(name) and not (
            match["mark"] == b"="
            and name.lower() in ("sig", "signature", "auth", "cookie", "code")
            and word[match.start() - 1 : match.start()] in (b"?", b"&")
        ):
            whole = False
            continue
        start, quote = match.end(), match["quote"]
        if quote:
            start += len(quote)
            end = word.find(quote, start)
            end = len(word) if end < 0 else end
        elif whole and match.start() == 0 and match["mark"] == b"=" and match["between"] == b"=":
            # All of the word: its end is that of the value.
            end = len(word)
        else:
            found = VALUE_ENDS.search(word, start)
            end = found.start() if found else len(word)
        if word[start:end] and word[start:end] != REDACTED and not is_reference(word[start:end]):
            made += [word[at:start], REDACTED]
            at = end
    return b"".join([*made, word[at:]]) if made else word


def is_reference(value: bytes) -> bool:
    """A variable that holds it ($PASSWORD, $(cat file)), or what was put here before."""
    return value.startswith((b"$", b"[redacted", b"%{")) or value in (b"{", b"[", b"true", b"false", b"null", b"(")


def hide_cut(word: bytes) -> bytes:
    """The last word of a title that the kernel cut: an address with a password may lack what tells it."""
    return CUT_ADDRESS.sub(rb"\1" + REDACTED, word)


def text(name: bytes) -> str:
    return name.decode("ascii", "replace")


def is_telling(text: bytes) -> bool:
    """False for nearly every text without a secret, at little cost."""
    lower = text.lower()
    for marker in MARKERS:
        if marker in lower:
            return True
    return may_have_token(text)
