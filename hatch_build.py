"""Compiles records.c for the wheel, or for the clone's own virtual environment (`python hatch_build.py`).

Without a C compiler auditdeck is pure Python: everything works, and the collector costs more.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NATIVE = Path("collector/auditdeck/audit/ext")
FLAGS = [
    "-std=gnu11", "-O2", "-Wall", "-Wextra", "-shared", "-fPIC", "-fvisibility=hidden", "-fstack-protector-strong",
    "-D_FORTIFY_SOURCE=2",
]  # fmt: skip
LINK = ["-Wl,-z,relro", "-Wl,-z,now", "-Wl,-z,noexecstack"]


def compiled(root: Path) -> Path | None:
    """The library, made if the source is newer; None if there is no compiler."""
    source, library = root / NATIVE / "records.c", root / NATIVE / "records.so"
    if not library.exists() or library.stat().st_mtime <= source.stat().st_mtime:
        compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc")
        if not compiler:
            library.unlink(missing_ok=True)
            print("no C compiler (Debian: gcc, libc6-dev): the collector does all in Python", file=sys.stderr)
            return None
        more, link = (shlex.split(os.environ.get(name, "")) for name in ("CFLAGS", "LDFLAGS"))
        command = [*shlex.split(compiler), *FLAGS, *more, "-o", str(library), str(source), *LINK, *link]
        try:
            subprocess.run(command, check=True, capture_output=True, text=True)
        except (OSError, subprocess.CalledProcessError) as error:
            library.unlink(missing_ok=True)
            lines = (getattr(error, "stderr", "") or str(error)).strip().splitlines()
            reason = next((line for line in lines if "error" in line), lines[-1] if lines else "")
            print(f"{shlex.join(command[:2])} … failed, so the collector does all in Python: {reason}", file=sys.stderr)
            return None
    return library


class Compile(BuildHookInterface):
    """hatchling's hook for the wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        library = compiled(Path(self.root))
        if library and version != "editable":
            build_data["pure_python"] = False
            build_data["tag"] = "py3-none-" + sysconfig.get_platform().replace("-", "_").replace(".", "_")
            build_data["force_include"][str(library)] = "auditdeck/audit/ext/records.so"


if __name__ == "__main__":
    compiled(Path(__file__).parent)
