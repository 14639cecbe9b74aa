"""The script that an interpreter was told to run, so that forty python3 services are not one line."""

from __future__ import annotations

import posixpath
import re

from auditdeck.ecs.paths import absolute

INTERPRETER = re.compile(
    r"(python|pypy|perl|ruby|node|nodejs|php|php-cgi|lua|tclsh|Rscript|sh|bash|dash|zsh|ksh|java|deno|bun|pwsh)[\d.]*\Z"
)
VALUES = {
    "python": ("-W", "-X", "-Q"), "perl": ("-I", "-M"), "ruby": ("-I", "-r", "-E"), "node": ("-r", "--require"),
    "java": ("-cp", "-classpath", "--class-path", "-p", "--module-path", "--add-modules"),
    "bash": ("-O", "-o", "--rcfile"), "php": ("-d", "-c"),
}  # fmt: skip
"""Options that take the next word, of interpreters whose script may stand behind it."""
INLINE = {"-c", "-e", "-E", "-r", "--eval", "-p", "--print"}
"""The code itself follows: no script."""


def script_of_arguments(executable: str, arguments: list[str], directory: str) -> str:
    """An absolute path, `-m module` of Python, or the main class of Java; "" if it is none of those programs."""
    match = INTERPRETER.match(posixpath.basename(executable))
    if match is None:
        return ""
    name = match[1]
    values = VALUES.get(name, ())
    place = 1
    while place < len(arguments):
        word = arguments[place]
        place += 1
        if word == "-m" and name in ("python", "pypy") and place < len(arguments):
            return f"-m {arguments[place]}"
        if word == "-jar" and name == "java" and place < len(arguments):
            return absolute(arguments[place], directory)
        if word in values:
            place += 1
        elif word in INLINE and name != "java":
            return ""
        elif word == "--":
            continue
        elif not word.startswith(("-", "+")):
            return word if name == "java" else absolute(word, directory)
    return ""
