"""One rule, put together option by option in the order in which auditctl(8) takes them."""

from __future__ import annotations

import os
import stat

from auditdeck.audit import architecture
from auditdeck.audit.rules import constants as c
from auditdeck.audit.rules.fields import checked_string, parse_comparison, parse_field, permission
from auditdeck.audit.rules.rule import ALL_SYSCALLS, Field, Rule
from auditdeck.audit.tables.io_uring import IO_URING_OPERATIONS
from auditdeck.errors import RuleError

NO_SYSCALLS = {c.USER: "user", c.TASK: "task", c.FILESYSTEM: "filesystem", c.EXCLUDE: "exclude"}
OPERATION_NUMBERS = {name: number for number, name in IO_URING_OPERATIONS.items()}


class RuleBuilder:
    """Collects the options of one line; every method raises RuleError."""

    def __init__(self) -> None:
        self.flags: int | None = None
        self.action = c.ACTIONS["always"]
        self.delete = False
        self.watch = False
        self.ignored = False
        self.fields: list[Field] = []
        self.keys: list[str] = []
        self.syscalls = 0
        self.has_syscalls = False
        self.arch: str | None = None
        self.warnings: list[str] = []

    @property
    def started(self) -> bool:
        return self.flags is not None

    @property
    def list(self) -> int:
        if self.flags is None:
            raise RuleError("the list (-a list,action) must come before this option")
        return self.flags & c.FILTER_MASK

    def start(self, option: str, value: str) -> None:
        """`-a`, `-A` or `-d` with `list,action` in either order."""
        if self.started:
            raise RuleError("only one of -a, -A, -d, -w and -W can be given in one rule")
        words = value.split(",")
        if len(words) != 2:
            raise RuleError(f"{option} wants list,action, not {value!r}")
        lists = [word for word in words if word in c.LISTS]
        actions = [word for word in words if word in c.ACTIONS or word == "possible"]
        if len(lists) != 1 or len(actions) != 1:
            bad = next((word for word in words if word not in lists + actions), value)
            raise RuleError(f"{bad!r} is neither a list ({', '.join(c.LISTS)}) nor an action ({', '.join(c.ACTIONS)})")
        if actions == ["possible"]:
            self.warnings.append("the action 'possible' is deprecated and ignored")
            self.ignored = True
        if lists == ["task"] and self.has_syscalls:
            raise RuleError("the task list cannot hold system calls")
        self.action = c.ACTIONS.get(actions[0], 0)
        self.flags = c.LISTS[lists[0]] | (c.FILTER_PREPEND if option == "-A" else 0)
        self.delete = option == "-d"

    def add_watch(self, path: str, *, delete: bool) -> None:
        """`-w` or `-W`: a path (or a directory and all below it)."""
        if self.started:
            raise RuleError("only one of -a, -A, -d, -w and -W can be given in one rule")
        if not path.startswith("/"):
            raise RuleError(f"the path of a watch must start with '/', not {path!r}")
        checked_string("path", path)
        if len(os.fsencode(os.path.basename(path))) > 255:
            raise RuleError("the last part of the path is longer than 255 bytes")
        if ".." in path:
            self.warnings.append("'..' in a path means nothing to the kernel")
        if "*" in path or "?" in path:
            self.warnings.append("wildcards in a path mean nothing to the kernel")
        if len(path) > 2:
            path = path.rstrip("/") or "/"
        try:
            directory = stat.S_ISDIR(os.stat(path).st_mode)
        except OSError:
            directory = False
        kind = c.FIELDS["dir" if directory else "path"]
        self.flags = c.EXIT
        self.delete = delete
        self.watch = True
        self.has_syscalls = True
        self.syscalls = ALL_SYSCALLS
        equal = c.OPERATORS["="]
        self.fields = [Field(kind, equal, path), Field(c.FIELDS["perm"], equal, permission("perm", "rwxa"))]

    def set_permission(self, value: str) -> None:
        """`-p`: replaces the permission of a watch, or adds one to a rule."""
        if not self.started:
            raise RuleError("-p needs a watch (-w) before it")
        new = Field(c.FIELDS["perm"], c.OPERATORS["="], permission("perm", value))
        for position, field in enumerate(self.fields):
            if field.field == new.field:
                self.fields[position] = new
                return
        self.add(new)

    def add_syscalls(self, value: str) -> None:
        """`-S`: names or numbers, separated by commas, or `all`."""
        if self.flags is not None and self.list in NO_SYSCALLS:
            raise RuleError(f"the {NO_SYSCALLS[self.list]} list cannot hold system calls")
        for name in filter(None, value.split(",")):
            if name == "all":
                self.syscalls = ALL_SYSCALLS
            else:
                self.syscalls |= 1 << self.syscall_number(name)
        self.has_syscalls = True

    def syscall_number(self, name: str) -> int:
        arch = self.arch or architecture.native()
        if self.flags is not None and self.list == c.IO_URING:
            table, what = OPERATION_NUMBERS, "io_uring operation"
        else:
            table, what = architecture.NUMBER_BY_SYSCALL.get(arch, {}), "system call"
        if name in table:
            return table[name]
        if not (name.isascii() and name.isdigit() and len(name) < 10):
            raise RuleError(f"{what} {name!r} is unknown" + (f" on {arch}" if what == "system call" else ""))
        number = int(name)
        if number >= c.SYSCALL_LIMIT:
            raise RuleError(f"{what} {number} is too big, {c.SYSCALL_LIMIT - 1} is the highest")
        return number

    def add_field(self, pair: str) -> None:
        """`-F field op value`."""
        filter_list = self.list
        if pair.startswith("key="):
            self.keys.append(checked_key(pair[4:]))
            return
        field = parse_field(pair, filter_list)
        if field.field == c.FIELDS["arch"]:
            if self.has_syscalls:
                raise RuleError("arch must come before the system calls (-S), which depend on it")
            assert isinstance(field.value, int)
            self.arch = architecture.NAMES[field.value]
        self.add(field)

    def add_comparison(self, pair: str) -> None:
        """`-C field op field`."""
        self.add(parse_comparison(pair, self.list))

    def add_key(self, key: str) -> None:
        """`-k key`."""
        if not self.started or not self.keyable:
            raise RuleError("a key needs a watch or system calls before it")
        self.keys.append(checked_key(key))

    def add(self, field: Field) -> None:
        if len(self.fields) >= c.MAX_FIELDS - 1:
            raise RuleError(f"a rule can have {c.MAX_FIELDS - 1} fields, no more")
        self.fields.append(field)

    @property
    def keyable(self) -> bool:
        carriers = {c.FIELDS[name] for name in ("perm", "path", "dir", "exe", "fstype")}
        return self.has_syscalls or any(field.field in carriers for field in self.fields)

    def build(self) -> Rule:
        if self.flags is None:
            raise RuleError("no list is given (-a list,action)")
        if self.keys:
            if not self.keyable:
                raise RuleError("a key needs a watch or system calls in the rule")
            key = checked_string("key", c.KEY_SEPARATOR.join(self.keys))
            self.add(Field(c.FIELDS["key"], c.OPERATORS["="], key))
        syscalls = self.syscalls
        if not self.has_syscalls and self.list != c.TASK:
            syscalls = ALL_SYSCALLS
        flags = self.flags & ~c.FILTER_PREPEND if self.delete else self.flags
        return Rule(flags, self.action, tuple(self.fields), syscalls)


def checked_key(key: str) -> str:
    if not key:
        raise RuleError("the key is empty")
    if c.KEY_SEPARATOR in key:
        raise RuleError(f"key {key!r} has a character that cannot be in a key (\\x01)")
    return key
