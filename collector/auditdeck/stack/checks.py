"""What usually spoils such a stack, said before anything starts."""

from __future__ import annotations

from pathlib import Path

from auditdeck.errors import ProvisionError
from auditdeck.stack.progress import Progress
from auditdeck.stack.secrets import write

NEEDED_MEMORY = 3 << 30
NEEDED_MAPS = 262144
VERSION = "stack_version"


def check_host(progress: Progress, proc: Path = Path("/proc")) -> None:
    """Raises ProvisionError for too little memory; warns of a low vm.max_map_count."""
    lines = (proc / "meminfo").read_text().splitlines()
    memory = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines}
    available = memory.get("MemAvailable", memory.get("MemFree", 0))
    if available < NEEDED_MEMORY:
        raise ProvisionError(
            f"only {available / (1 << 30):.1f} GB of memory are free, and the stack needs 3 GB",
            "free some, lower ES_HEAP and set IGNORE_MEMORY=true, or run Elasticsearch elsewhere",
        )
    progress.note(f"{available / (1 << 30):.1f} GB of memory are free", changed=False)
    maps = int((proc / "sys/vm/max_map_count").read_text())
    if maps < NEEDED_MAPS:
        # One node alone starts all the same; a node of a cluster refuses.
        progress.warn(f"vm.max_map_count is {maps}; more than one node needs: sysctl -w vm.max_map_count={NEEDED_MAPS}")


def check_version(folder: Path, version: str) -> None:
    """The volumes belong to a version of the stack, and only go forward. Raises ProvisionError."""
    before = kept_version(folder)
    if before and numbers(version) < numbers(before):
        raise ProvisionError(
            f"the volumes are from version {before} of the stack, and {version} cannot read them",
            f"set STACK_VERSION={before} or newer, or begin without the old data (docker compose down -v)",
        )
    if before and numbers(version)[0] > numbers(before)[0] + 1:
        raise ProvisionError(
            f"the volumes are from version {before} of the stack; {version} is too far ahead to read them",
            f"go through the last version of {numbers(before)[0] + 1}.x first",
        )


def keep_version(folder: Path, version: str, progress: Progress) -> None:
    """Notes which version has opened the volumes: that of the Elasticsearch that runs."""
    before = kept_version(folder)
    if before != version:
        write(folder / VERSION, version.encode() + b"\n")
        progress.note(f"version {version} of the stack", changed=True, done=f"was {before}" if before else "new")


def kept_version(folder: Path) -> str:
    """ "" if none has."""
    path = folder / VERSION
    return path.read_text().strip() if path.exists() else ""


def numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("-")[0].split(".") if part.isdigit())
