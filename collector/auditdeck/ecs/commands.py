"""EXECVE and PROCTITLE records: a process's arguments and its title."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from auditdeck.audit.fields import argument_count, arguments, title
from auditdeck.ecs.part import Part


def command_part(executed: Sequence[bytes], limit: int = 0) -> Part:
    """Of the bodies of EXECVE records; more than `limit` bytes are cut in the middle.

    `auditdeck.incomplete` if records of the list were lost, at its beginning (which has argc=) or later.
    """
    if not executed:
        return {}
    args = arguments(list(executed))
    found, count = len(args), argument_count(list(executed))
    if limit and sum(map(len, args)) + found > limit:
        args = cut(args, limit)
    part: Part = {
        "process": {
            "args": args,
            "args_count": found if count is None else count,
            "command_line": shlex.join(args),
        }
    }
    if count is not None:
        part["auditd"] = {"data": {"argc": str(count)}}
    if count is None or found < count:
        part["auditdeck"] = {"incomplete": True}
    return part


def title_part(body: bytes) -> Part:
    """Of the body of a PROCTITLE record."""
    shown = title(body)
    return {"process": {"title": shown}} if shown else {}


def cut(args: list[str], limit: int) -> list[str]:
    """The first and the last arguments, each half of the limit, and between them a marker that says what is missing."""
    first: list[str] = []
    last: list[str] = []
    for kept, source in ((first, iter(args)), (last, reversed(args))):
        room = limit // 2
        for argument in source:
            if len(first) + len(last) >= len(args):
                break
            if len(argument) + 1 > room:
                if not kept:
                    kept.append(argument[:room] if kept is first else argument[-room:])
                break
            kept.append(argument)
            room -= len(argument) + 1
    size = sum(map(len, args)) - sum(map(len, first)) - sum(map(len, last))
    return [*first, f"<{size} bytes cut>", *reversed(last)]
