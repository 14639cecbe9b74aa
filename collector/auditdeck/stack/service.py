"""The collector as a service of systemd on this host."""

from __future__ import annotations

import pwd
import re
import shutil
import subprocess
import sys
from pathlib import Path

from auditdeck.assets import asset
from auditdeck.errors import ProvisionError
from auditdeck.stack.secrets import write

UNIT = "auditdeck.service"
FOLDER = Path("/etc/systemd/system")
USER = "auditdeck"


def has_systemd() -> bool:
    """Whether systemd runs this host (sd_booted(3))."""
    return Path("/run/systemd/system").is_dir()


def unit(command: str | None = None) -> str:
    """The unit with the path of this installation."""
    text = (asset("systemd") / UNIT).read_text()
    return re.sub(r"(?m)^ExecStart=\S+", f"ExecStart={command or executable()}", text)


def executable() -> str:
    beside = Path(sys.executable).with_name("auditdeck")
    return str(beside) if beside.exists() else shutil.which("auditdeck") or str(beside)


def install(*, start: bool, folder: Path = FOLDER) -> list[str]:
    """Writes the unit, makes its user, and starts it; what was done. Raises ProvisionError."""
    done = []
    try:
        pwd.getpwnam(USER)
    except KeyError:
        run("useradd", "--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin", USER)
        done.append(f"user {USER} created")
    path = folder / UNIT
    text = unit().encode()
    if not path.exists() or path.read_bytes() != text:
        try:
            write(path, text, mode=0o644)
        except OSError as error:
            raise ProvisionError(f"cannot write {path}: {error.strerror}", "run it as root") from error
        done.append(f"{path} written")
    if not has_systemd():
        if start:
            raise ProvisionError(
                "systemd does not run this host, so nothing was started", "start it yourself: auditdeck run"
            )
        return done
    run("systemctl", "daemon-reload")
    if start:
        run("systemctl", "enable", UNIT)
        run("systemctl", "restart", UNIT)
        done.append("started, also after every boot")
    return done


def remove(folder: Path = FOLDER) -> list[str]:
    """Stops the service and deletes its unit; what it collected stays."""
    path = folder / UNIT
    if not path.exists():
        return []
    if has_systemd():
        run("systemctl", "disable", "--now", UNIT)
    path.unlink()
    if has_systemd():
        run("systemctl", "daemon-reload")
    return [f"{path} removed; what was collected stays in /var/lib/auditdeck"]


def run(*command: str) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise ProvisionError(f"there is no program {command[0]} here", "install it first") from error
    except subprocess.CalledProcessError as error:
        raise ProvisionError(f"{' '.join(command)} failed: {error.stderr.strip()}", "run it as root") from error
