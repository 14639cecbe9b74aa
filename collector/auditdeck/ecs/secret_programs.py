"""Programs whose command lines carry secrets, or other programs: what secrets.yaml says of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from auditdeck.assets import table

FILE = Path(__file__).with_name("secrets.yaml")

SHELLS = {b"sh", b"bash", b"dash", b"zsh", b"ksh", b"ash", b"fish", b"mksh", b"rbash", b"tcsh", b"csh"}
WITH_COMMAND = SHELLS | {b"su", b"runuser", b"script", b"flock", b"sg", b"newgrp", b"expect", b"tmux", b"entr"}
"""Programs whose -c has a command string."""
JOINED = {b"eval", b"watch", b"ssh", b"parallel", b"at", b"batch", b"rsh", b"autossh", b"mosh", b"pdsh", b"dsh"}
"""Programs that hand their words, joined by blanks, to a shell."""
IN_CONTAINERS = {b"docker", b"podman", b"nerdctl", b"kubectl", b"oc", b"lxc", b"crictl", b"ip", b"docker-compose"}
"""Programs of which some commands run another one: what looks like a known program or a shell begins it."""
INNER_VERBS = {b"exec", b"run", b"create", b"debug"}


@dataclass(slots=True)
class Program:
    """One entry of secrets.yaml."""

    values: bytes = b""
    options: dict[bytes, str] = field(default_factory=dict)
    keys: bool = False
    after: dict[bytes, int | str] = field(default_factory=dict)
    last: bytes | None = None
    least: int = 1
    stdin: bytes | None = None
    inside: dict[bytes, dict[bytes, Any]] = field(default_factory=dict)
    words: str = ""
    slash: bytes = b""
    wraps: int | None = None


@cache
def programs() -> dict[bytes, Program]:
    """Of secrets.yaml, by name."""
    return {name.encode(): program(entry or {}) for name, entry in table(FILE).items()}


def program(entry: dict[str, Any]) -> Program:
    def option_bytes(options: dict[str, Any]) -> dict[bytes, Any]:
        return {name.encode(): kind for name, kind in options.items()}

    return Program(
        entry.get("values", "").encode(),
        option_bytes(entry.get("options", {})),
        entry.get("keys", False),
        option_bytes(entry.get("after", {})),
        None if "last" not in entry else entry["last"].encode(),
        entry.get("least", 1),
        None if "stdin" not in entry else entry["stdin"].encode(),
        {verb.encode(): option_bytes(options) for verb, options in entry.get("in", {}).items()},
        entry.get("words", ""),
        entry.get("slash", "").encode(),
        entry.get("wraps"),
    )


UNKNOWN = Program()


@cache
def known_names() -> frozenset[bytes]:
    return frozenset([*programs(), *WITH_COMMAND, *IN_CONTAINERS])
