"""Where in a command line secrets stand, read as the program reads it: options, positions, wrappers, shells.

`hide` takes words, `hide_joined` a command of which only the joined words are known. What is known of programs is in
secrets.yaml, of names in `secret_names`, of what stands beside a secret in `secret_text`, of tokens in `token_shapes`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from auditdeck.ecs.secret_names import is_header, is_secret
from auditdeck.ecs.secret_programs import (
    IN_CONTAINERS,
    INNER_VERBS,
    JOINED,
    SHELLS,
    UNKNOWN,
    WITH_COMMAND,
    Program,
    known_names,
    programs,
)
from auditdeck.ecs.secret_text import SCHEME, hide_header, hide_text, is_telling, text
from auditdeck.ecs.shell_words import Command, commands, quoted
from auditdeck.ecs.token_shapes import REDACTED

DEPTH = 6
"""How many shells within shells are looked into; deeper ones are read as text."""
SEPARATORS = {"user:secret": b":", "user%secret": b"%", "user/secret": b"/", "user,secret": b","}
SETTING = {b"set", b"SET", b"config", b"configure", b"modify", b"connect", b"add", b"create", b"put"}
"""Words that say that a key and its value follow."""

ASSIGNMENT = re.compile(rb"[A-Za-z_]\w{0,100}=")
OPTION_LIKE = re.compile(rb"--[a-z][a-z-]*(?:=.*)?\Z|-[a-zA-Z]\Z", re.DOTALL)
Look = Callable[[bytes], bytes]


def hide(words: list[bytes], depth: int = 0) -> list[bytes]:
    """A command's words, the first being the program, with [redacted] for secrets; the same list if there are none."""
    if not words:
        return words
    name = base(words[0])
    telling = is_telling(b"\0".join(words))
    if not telling:
        known = known_names()
        for word in words:
            if word.rpartition(b"/")[2] in known:
                break
        else:
            return words
    made = hide_command(name, words, depth, hide_text if telling else unchanged)
    return words if made == words else made


def base(word: bytes) -> bytes:
    return word.rpartition(b"/")[2].removeprefix(b"-")


def hide_command(name: bytes, words: list[bytes], depth: int, look: Look) -> list[bytes]:
    inner = inner_command(name, words) if depth < DEPTH else len(words)
    if inner < len(words):
        before = hide_words(name, words[:inner], depth, look)
        rest = words[inner:]
        if len(rest) == 1 or name in JOINED:
            return [
                *before,
                *(hide_string(word, depth + 1) if b" " in word else word for word in hide(rest, depth + 1)),
            ]
        return [*before, *hide(rest, depth + 1)]
    return hide_words(name, words, depth, look)


def inner_command(name: bytes, words: list[bytes]) -> int:
    """Where the words of the program begin that this one runs; behind the last if it runs none."""
    if name in IN_CONTAINERS:
        return inner_of_container(words)
    known = programs().get(name)
    if known is None and name not in WITH_COMMAND:
        # It may run a program that is known.
        for place in range(1, len(words)):
            if base(words[place]) in known_names() and not words[place - 1].startswith(b"-"):
                return place
    if known is None or known.wraps is None:
        return len(words)
    values, skip = known.values, known.wraps
    place = 1
    while place < len(words):
        word = words[place]
        if word == b"--":
            place += 1
            break
        if ASSIGNMENT.match(word):
            place += 1
        elif len(word) > 1 and word[:1] in b"-+":
            if (
                not word.startswith(b"--")
                and word[-1:] in values
                and not any(letter in values for letter in word[1:-1])
            ):
                place += 1
            place += 1
        elif skip:
            skip -= 1
            place += 1
        else:
            break
    return min(place, len(words))


def inner_of_container(words: list[bytes]) -> int:
    """After `--`, or at the first word that is a shell or known, behind `exec`, `run` …"""
    place = next((place for place, word in enumerate(words) if word in INNER_VERBS), len(words))
    if b"--" in words[place:]:
        return words.index(b"--", place) + 1
    for later in range(place + 1, len(words)):
        if (name := base(words[later])) in SHELLS or (name in programs() and not words[later - 1].startswith(b"-")):
            return later
    return len(words)


def hide_words(name: bytes, words: list[bytes], depth: int, look: Look) -> list[bytes]:
    known = programs().get(name, UNKNOWN)
    options = known.options
    for verb, more in known.inside.items():
        if verb in words[1:4]:
            options = options | more
    made = list(words)
    plain: list[int] = []
    place = 1
    while place < len(made):
        word = made[place]
        place += 1
        if name in WITH_COMMAND and depth < DEPTH and is_command_option(name, word) and place < len(made):
            made[place] = hide_string(made[place], depth + 1)
            place += 1
        elif len(word) > 1 and word.startswith(b"-"):
            place = hide_option(made, place, known, options, look)
        else:
            if known.slash and word.lower().startswith(b"/" + known.slash + b":"):
                made[place - 1] = word[: len(known.slash) + 2] + REDACTED
                continue
            plain.append(place - 1)
            made[place - 1] = look(word)
    hide_positions(known, words, made, plain)
    return made


def is_command_option(name: bytes, word: bytes) -> bool:
    if word == b"--command":
        return True
    bundle = name in SHELLS and re.fullmatch(rb"-[a-zA-Z]{0,6}c[a-zA-Z]{0,6}", word)
    return word == b"-c" or bool(bundle)


def hide_option(made: list[bytes], place: int, known: Program, options: dict[bytes, Any], look: Look) -> int:
    """Of the option before `place`; where the next word is."""
    word = made[place - 1]
    name, assigned, value = word.partition(b"=")
    if (kind := options.get(word)) is not None and kind != "attached":
        return hide_following(made, place, kind)
    if assigned and (kind := options.get(name)) is not None:
        made[place - 1] = name + assigned + hidden_by(kind, value)
        return place
    if not word.startswith(b"--"):
        for at, letter in enumerate(word[1:], 1):
            option = b"-" + bytes([letter])
            kind = options.get(option)
            if kind is not None:
                if rest := word[at + 1 :]:
                    equal = b"=" if rest.startswith(b"=") else b""
                    made[place - 1] = word[: at + 1] + equal + hidden_by(kind, rest[len(equal) :])
                    # `-token SECRET` of a program that has -t as well.
                    if is_secret(text(word)) and place < len(made) and not OPTION_LIKE.match(made[place]):
                        return hide_following(made, place, "all")
                    return place
                if kind == "attached":
                    break
                return hide_following(made, place, kind)
            if letter in known.values or not known.values:
                break
        longer = next(
            (name for name, kind in options.items() if kind == "attached" and len(name) > 2 and word.startswith(name)),
            b"",
        )
        if longer and len(word) > len(longer):
            made[place - 1] = longer + REDACTED
            return place
    shown = text(name)
    if (len(name) > 2 or assigned) and is_secret(shown):
        if assigned:
            made[place - 1] = name + assigned + (REDACTED if value else b"")
            return place
        if place < len(made) and not OPTION_LIKE.match(made[place]):
            made[place] = REDACTED
            return place + 1
        return place
    made[place - 1] = look(word)
    return place


def hide_following(made: list[bytes], place: int, kind: str) -> int:
    if place < len(made):
        made[place] = hidden_by(kind, made[place])
    return place + 1


def hidden_by(kind: str, value: bytes) -> bytes:
    if not value:
        return value
    if kind in SEPARATORS:
        user, mark, secret = value.partition(SEPARATORS[kind])
        return user + mark + (REDACTED if secret else b"") if mark else hide_text(value)
    if kind == "header":
        return hide_header(value)
    if kind == "proxy":
        return hide_text(value) if b"://" in value else hide_text(b"proxy://" + value).removeprefix(b"proxy://")
    if kind == "plain":
        return value
    if kind == "cookie":
        return REDACTED if b"=" in value else value
    return REDACTED


def hide_positions(known: Program, words: list[bytes], made: list[bytes], plain: list[int]) -> None:
    """What is known of words that belong to no option; `plain` are their places."""
    setting = known.keys and not SETTING.isdisjoint(words)
    for order, place in enumerate(plain):
        word = words[place]
        if setting and place + 1 < len(made) and is_key(word) and not words[place + 1].startswith(b"--"):
            made[place + 1] = REDACTED
        if (wanted := known.after.get(word)) is not None:
            behind = len(plain) - 1 if wanted == "last" else order + int(wanted)
            if order < behind < len(plain):
                made[plain[behind]] = REDACTED
    for verb, rules in known.inside.items():
        if b"word" in rules and verb in words[1:4]:
            later = [place for place in plain if place > words.index(verb)]
            if later:
                made[later[0]] = REDACTED
    if known.words and plain:
        made[plain[0]] = hidden_connection(words[plain[0]])
    if known.last is not None and len(plain) >= known.least and has_option(words, known.last):
        made[plain[-1]] = REDACTED


def is_key(word: bytes) -> bool:
    """`password`, `//registry.npmjs.org/:_authToken`, `profile.x.aws_session_token`."""
    last = word.rpartition(b":")[2].rpartition(b".")[2]
    return b"=" not in word and b"/" not in last and is_secret(text(last))


def has_option(words: list[bytes], option: bytes) -> bool:
    return not option or any(
        word.startswith(b"-") and not word.startswith(b"--") and option[1:] in word[1:] for word in words[1:]
    )


def hidden_connection(word: bytes) -> bytes:
    """sqlplus: user/secret@database."""
    user, mark, rest = word.partition(b"/")
    if not mark or not rest:
        return word
    _, at, database = rest.rpartition(b"@")
    return user + mark + REDACTED + at + database


def hide_string(script: bytes, depth: int = 0) -> bytes:
    """A command string of a shell; the same object if there is nothing to hide."""
    if depth > DEPTH:
        return hide_text(script)
    made, at = [], 0
    found = commands(script)
    for number, command in enumerate(found):
        values = [word.value for word in command.words]
        begin = next((place for place, value in enumerate(values) if not ASSIGNMENT.match(value)), len(values))
        hidden = [hide_text(value) for value in values[:begin]] + hide(values[begin:], depth)
        if command.piped and number + 1 < len(found) and reads_secret(found[number + 1]):
            hidden = [hidden[0], *(REDACTED for _ in hidden[1:])] if base(hidden[0]) in (b"echo", b"printf") else hidden
        for word, value in zip(command.words, hidden, strict=True):
            if value != word.value:
                made += [script[at : word.start], quoted(value, word.quote)]
                at = word.end
    changed = b"".join([*made, script[at:]]) if made else script
    return hide_text(changed)


def reads_secret(command: Command) -> bool:
    words = [word.value for word in command.words]
    name = base(words[0])
    known = programs().get(name)
    if known is not None and known.stdin is not None and (not known.stdin or known.stdin in words):
        return True
    inner = inner_command(name, words)
    return inner < len(words) and (entry := programs().get(base(words[inner]))) is not None and entry.stdin == b""


def hide_joined(command: bytes, depth: int = 0) -> bytes:
    """A command of which only the words joined by blanks are known."""
    words = command.split(b" ")
    for place, word in enumerate(words[:-1]):
        if base(word) in WITH_COMMAND and depth < DEPTH:
            for later in range(place + 1, min(place + 4, len(words) - 1)):
                if is_command_option(base(word), words[later]):
                    script = hide_string(b" ".join(words[later + 1 :]), depth + 1)
                    return b" ".join([*hide(words[: later + 1]), hide_joined(script, depth + 1)])
    made = list(hide(words))
    place = 0
    while place < len(made) - 1:
        word = words[place]
        place += 1
        if not word.endswith(b":") or not is_header(text(word[:-1].strip(b"\"'"))):
            continue
        if place < len(made) - 1 and SCHEME.match(made[place] + b" x"):
            place += 1
        made[place] = REDACTED
        while words[place].endswith(b";") and place < len(made) - 1:
            place += 1
            made[place] = REDACTED
    return b" ".join(made)


def unchanged(word: bytes) -> bytes:
    return word
