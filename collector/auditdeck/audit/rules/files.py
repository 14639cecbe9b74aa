"""Rule files: one auditctl command a line (audit.rules(7)), and directories of them, in order."""

from __future__ import annotations

import getopt
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from auditdeck.audit.rules.builder import RuleBuilder
from auditdeck.audit.rules.rule import Rule
from auditdeck.errors import RuleError

SHORT_OPTIONS = "hicslDvtC:e:f:r:b:a:A:d:S:F:m:R:w:W:k:p:q:"
LONG_OPTIONS = ["loginuid-immutable", "backlog_wait_time=", "reset-lost", "reset_backlog_wait_time_actual", "signal="]
BUILDING = {"-a", "-A", "-d", "-w", "-W", "-S", "-F", "-C", "-k", "-p"}

# Settings of the kernel: option, name, highest value.
SETTINGS = {
    "-e": ("enabled", 2),
    "-f": ("failure", 2),
    "-r": ("rate_limit", 0xFFFFFFFF),
    "-b": ("backlog_limit", 0xFFFFFFFF),
    "--backlog_wait_time": ("backlog_wait_time", 0xFFFFFFFF),
}
VERBS = {
    "-c": "continue",
    "-i": "ignore",
    "-t": "trim",
    "--loginuid-immutable": "loginuid_immutable",
    "--reset-lost": "reset_lost",
    # These only show something; in a rule file they change nothing.
    "-s": "nothing",
    "-l": "nothing",
    "-v": "nothing",
    "--reset_backlog_wait_time_actual": "nothing",
}


NUMBER = re.compile(r"0*[0-9]{1,10}")


@dataclass(frozen=True, slots=True)
class Statement:
    """One line of a rule file.

    `verb` is add, delete, delete_all (`value` a key or ""), set (`name`, `value`), equivalent (`value` is
    mount,subtree), continue, ignore, trim, loginuid_immutable, reset_lost or nothing.
    """

    verb: str
    text: str
    file: str = ""
    line: int = 0
    rule: Rule | None = None
    name: str = ""
    value: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def where(self) -> str:
        return f"{self.file}:{self.line}" if self.file else "command line"


def parse_line(text: str, file: str = "", line: int = 0) -> Statement | None:
    """One line as auditctl reads it; None for a comment or an empty line; raises RuleError with file and line."""
    words = split_words(text)
    if not words or words[0].startswith("#"):
        return None
    try:
        return parse_words(words, text.strip(), file, line)
    except RuleError as error:
        raise error.at(file, line) from None


def split_words(text: str) -> list[str]:
    """Words between blanks; a backslash keeps a blank or a backslash inside a word."""
    words: list[str] = []
    word = ""
    position = 0
    while position < len(text):
        character = text[position]
        if character == "\\" and text[position + 1 : position + 2] in (" ", "\\"):
            position += 1
            word += text[position]
        elif character in " \t\r\n":
            words.append(word)
            word = ""
        else:
            word += character
        position += 1
    words.append(word)
    return [word for word in words if word]


def parse_words(words: list[str], text: str, file: str, line: int) -> Statement:
    if "\0" in text:
        raise RuleError("a zero byte cannot be part of a rule")
    try:
        options, rest = getopt.gnu_getopt(words, SHORT_OPTIONS, LONG_OPTIONS)
    except getopt.GetoptError as error:
        raise RuleError(str(error)) from None
    if rest:
        raise RuleError(f"{rest[0]!r} stands without an option")
    if not options:
        raise RuleError("no option is given")
    first = options[0][0]
    if first in BUILDING:
        return build(options, text, file, line)
    if first == "-D":
        keys = [value for option, value in options[1:] if option == "-k"]
        if len(keys) != len(options) - 1 or len(keys) > 1:
            raise RuleError("-D takes only -k")
        return Statement("delete_all", text, file, line, value="".join(keys))
    if len(options) > 1:
        raise RuleError(f"{first} must stand alone on its line")
    return setting(first, options[0][1], text, file, line)


def setting(option: str, value: str, text: str, file: str, line: int) -> Statement:
    if option in SETTINGS:
        name, highest = SETTINGS[option]
        if not NUMBER.fullmatch(value) or int(value) > highest:
            allowed = f"0 to {highest}" if highest < 10 else "a number"
            raise RuleError(f"{option} wants {allowed}, not {value!r}")
        return Statement("set", text, file, line, name=name, value=str(int(value)))
    if option == "-q":
        mount, _, subtree = value.partition(",")
        if not (mount.startswith("/") and subtree.startswith("/")):
            raise RuleError(f"-q wants two absolute paths, mount,subtree, not {value!r}")
        return Statement("equivalent", text, file, line, value=value)
    if option == "-R":
        raise RuleError("rule files cannot be nested (-R)")
    if option not in VERBS:
        raise RuleError(f"{option} cannot be used in a rule file")
    return Statement(VERBS[option], text, file, line)


def build(options: list[tuple[str, str]], text: str, file: str, line: int) -> Statement:
    builder = RuleBuilder()
    for option, value in options:
        match option:
            case "-a" | "-A" | "-d":
                builder.start(option, value)
            case "-w" | "-W":
                builder.add_watch(value, delete=option == "-W")
            case "-S":
                builder.add_syscalls(value)
            case "-F":
                builder.add_field(value)
            case "-C":
                builder.add_comparison(value)
            case "-k":
                builder.add_key(value)
            case "-p":
                builder.set_permission(value)
            case _:
                raise RuleError(f"{option} cannot be part of a rule")
    verb = "nothing" if builder.ignored else "delete" if builder.delete else "add"
    rule = builder.build()
    return Statement(verb, text, file, line, rule=rule, warnings=tuple(builder.warnings))


def rule_files(path: Path) -> list[Path]:
    """The file itself, or a directory's `*.rules` in the order of their names (as augenrules has them)."""
    if path.is_dir():
        return sorted(path.glob("*.rules"), key=lambda file: file.name)
    return [path]


def read_rules(paths: Iterable[Path]) -> tuple[list[Statement], list[RuleError]]:
    """All statements of files and directories, and every error with its line."""
    statements: list[Statement] = []
    errors: list[RuleError] = []
    for path in paths:
        try:
            files = rule_files(path)
            texts = [(file, file.read_text(errors="surrogateescape")) for file in files]
        except OSError as error:
            errors.append(RuleError(f"{path}: {error.strerror}"))
            continue
        for file, text in texts:
            for number, line in enumerate(text.splitlines(), 1):
                try:
                    statement = parse_line(line, str(file), number)
                except RuleError as error:
                    errors.append(error)
                else:
                    if statement:
                        statements.append(statement)
    return statements, errors
