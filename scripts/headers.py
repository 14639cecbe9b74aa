"""What C headers define: macros and their values, and the members of enums."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable

DEFINE = re.compile(r"^#define[ \t]+(\w+)[ \t]+(.+?)[ \t]*$", re.MULTILINE)


def macros(header: str, *flags: str) -> dict[str, str]:
    """All object-like macros that are defined after including `header`."""
    source = f"#include <{header}>\n"
    result = subprocess.run(["cpp", "-dM", *flags, "-"], input=source, capture_output=True, text=True, check=True)
    return dict(DEFINE.findall(result.stdout))


def number(expression: str, known: dict[str, str]) -> int | None:
    """The value of a constant C expression, None where it is not one."""
    for _ in range(8):
        expanded = re.sub(r"\b[A-Za-z_]\w*\b", lambda m: f"({known[m[0]]})" if m[0] in known else m[0], expression)
        if expanded == expression:
            break
        expression = expanded
    expression = re.sub(r"\b(0[xX][0-9a-fA-F]+|\d+)[uUlL]+\b", r"\1", expression)
    expression = re.sub(r"\(\s*(unsigned\s+)?int\s*\)", "", expression)
    if not re.fullmatch(r"[\s0-9a-fA-FxX()|+*/<>~-]+", expression):
        return None
    try:
        value = eval(re.sub(r"\b0+(?=[1-7][0-7]*\b)", "0o", expression), {"__builtins__": {}})
    except (SyntaxError, TypeError):
        return None
    return int(value)


def prefixed(known: dict[str, str], prefix: str, skip: Iterable[str] = ()) -> dict[str, int]:
    found: dict[str, int] = {}
    for name, expression in known.items():
        if name.startswith(prefix) and name not in skip:
            value = number(expression, known)
            if value is not None:
                found[name] = value
    return dict(sorted(found.items(), key=lambda item: (item[1], item[0])))


def enumerated(header: str, prefix: str, first: str = "") -> dict[str, int]:
    """The members of a header's enums (or of the one that has `first`) whose names begin with `prefix`."""
    source = subprocess.run(
        ["cpp", "-P", "-"], input=f"#include <{header}>\n", capture_output=True, text=True, check=True
    ).stdout
    known = macros(header)
    found: dict[str, int] = {}
    for body in re.findall(r"\benum\b[^{;]*\{(.*?)\}", source, re.DOTALL):
        if first and not re.search(rf"\b{first}\b", body):
            continue
        following = 0
        for member in body.split(","):
            name, _, expression = (" ".join(part.split()) for part in member.partition("="))
            if not name:
                continue
            if expression:
                value = number(expression, known | {key: str(value) for key, value in found.items()})
                if value is None:
                    break
                following = value
            found[name] = following
            following += 1
    return {name: value for name, value in found.items() if name.startswith(prefix)}
