"""The collectors that are compared, each started as its own users start it, with the same rules and large buffers.

auditd and laurel are Debian's packages. go-audit and go-libaudit's `audit` (what auditbeat receives with) are
used where their binaries are on PATH, or named by GO_AUDIT and LIBAUDIT_AUDIT.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from auditdeck.audit.client import AuditSocket, process_alive
from bench.process import children

BACKLOG = 8192
RECEIVE_BUFFER = 16 << 20
PATIENCE = 20.0


@dataclass
class Peer(ABC):
    """`output` is the file that it writes; a collector loads the rules itself, or finds them in the kernel."""

    folder: Path
    rules: list[str]
    process: subprocess.Popen[bytes] | None = None
    name: str = field(default="", init=False)
    loads_rules: bool = field(default=False, init=False)

    @staticmethod
    def missing() -> str:
        """What is not there; "" if it can be run."""
        return ""

    @property
    def output(self) -> Path:
        return self.folder / "output"

    @abstractmethod
    def command(self) -> list[str]:
        """Writes its configuration and returns how to start it."""

    def start(self) -> None:
        self.folder.mkdir(parents=True)
        command = self.command()
        with open(self.folder / "log", "wb") as log:
            self.process = subprocess.Popen(command, stdout=self.stdout(log.fileno()), stderr=log, cwd=self.folder)
        deadline = time.monotonic() + PATIENCE
        while not self.ready():
            assert self.process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < deadline, f"{self.name} did not start"
            time.sleep(0.05)
        time.sleep(0.5)

    def stdout(self, log: int) -> int:
        return log

    def ready(self) -> bool:
        """By default: it is the kernel's audit daemon."""
        with AuditSocket() as audit:
            status = audit.status()
        return bool(status.pid) and process_alive(status.pid) and status.pid in self.pids()

    def pids(self) -> list[int]:
        assert self.process
        return children(self.process.pid)

    def settle(self) -> None:
        """Until nothing more is written."""
        size, since = -1, time.monotonic()
        deadline = since + PATIENCE
        while time.monotonic() - since < 1.5 and time.monotonic() < deadline:
            now = sum(path.stat().st_size for path in self.files())
            if now != size:
                size, since = now, time.monotonic()
            time.sleep(0.1)

    def files(self) -> list[Path]:
        return [self.output] if self.output.exists() else []

    def count(self, key: str) -> int:
        """Events of the rule with this key in the output."""
        needle = self.needle(key)
        return sum(needle in line for path in self.files() for line in open(path, "rb"))

    def needle(self, key: str) -> bytes:
        return f'key="{key}"'.encode()

    def bytes_written(self) -> int:
        return sum(path.stat().st_size for path in self.files())

    def stop(self) -> None:
        assert self.process
        self.process.terminate()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@dataclass
class Auditdeck(Peer):
    """Full ECS documents in the event log; `options` are more settings."""

    options: str = ""
    source: ClassVar[str] = "audit"
    """Where connections come from: what audit's rules cost is compared with the others'; "" for versions before."""

    def __post_init__(self) -> None:
        self.name, self.loads_rules = "auditdeck", True

    def command(self) -> list[str]:
        (self.folder / "bench.rules").write_text("\n".join(self.rules) + "\n")
        (self.folder / "auditdeck.yaml").write_text(
            f"kernel: {{backlog_limit: {BACKLOG}, receive_buffer: {RECEIVE_BUFFER}}}\n"
            "event_log: {segment_size: 2GiB}\n"
            + (f"connections: {{source: {self.source}}}\n" if self.source else "")
            + self.options
        )
        words = ["run", "--no-default-rules", "--rules", "bench.rules", "-c", "auditdeck.yaml", "--data-dir", "data"]
        return [sys.executable, "-m", "auditdeck", *words]

    def ready(self) -> bool:
        return "collecting" in (self.folder / "log").read_text()

    def files(self) -> list[Path]:
        return sorted((self.folder / "data" / "events").glob("*.ndjson*"))

    def needle(self, key: str) -> bytes:
        return f'"tags":["{key}"]'.encode()


@dataclass
class InEcs(Auditdeck):
    """The event log, and a file that is written from it in a form of its own."""

    form: ClassVar[str] = "ecs"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.options = f"outputs: {{file: {{enabled: true, form: {self.form}, path: {self.folder}/output}}}}\n"


@dataclass
class InGoAudit(InEcs):
    form: ClassVar[str] = "go-audit"


@dataclass
class InFluentd(InEcs):
    form: ClassVar[str] = "fluentd"


@dataclass
class InRaw(InEcs):
    form: ClassVar[str] = "raw"


@dataclass
class GoAudit(Peer):
    def __post_init__(self) -> None:
        self.name, self.loads_rules = "go-audit", True

    @staticmethod
    def binary() -> str:
        return os.environ.get("GO_AUDIT") or shutil.which("go-audit") or ""

    @staticmethod
    def missing() -> str:
        return "" if GoAudit.binary() else "go-audit (name its binary in GO_AUDIT)"

    def command(self) -> list[str]:
        rules = "".join(f"  - {rule}\n" for rule in [f"-b {BACKLOG}", "--backlog_wait_time 0", *self.rules])
        (self.folder / "go-audit.yaml").write_text(
            f"socket_buffer: {{receive: {RECEIVE_BUFFER}}}\nevents: {{min: 1300, max: 1399}}\n"
            "message_tracking: {enabled: false}\n"
            f"output: {{file: {{enabled: true, attempts: 2, path: {self.output}, "
            "mode: 0600, user: root, group: root}}\n"
            f"log: {{flags: 0}}\nrules:\n{rules}"
        )
        return [self.binary(), "-config", "go-audit.yaml"]

    def needle(self, key: str) -> bytes:
        return f'key=\\"{key}\\"'.encode()


@dataclass
class Auditd(Peer):
    """auditd writing its own log; `form` is RAW or ENRICHED."""

    form: str = "RAW"

    def __post_init__(self) -> None:
        self.name = f"auditd {self.form}"

    @staticmethod
    def missing() -> str:
        return "" if shutil.which("auditd", path="/usr/sbin:/sbin") else "auditd (package auditd)"

    def command(self) -> list[str]:
        self.configure("yes")
        return ["/usr/sbin/auditd", "-n", "-c", str(self.folder)]

    def configure(self, write_logs: str) -> None:
        self.folder.chmod(0o700)
        (self.folder / "plugins.d").mkdir()
        (self.folder / "auditd.conf").write_text(
            f"local_events = yes\nwrite_logs = {write_logs}\nlog_file = {self.output}\nlog_format = {self.form}\n"
            "flush = INCREMENTAL_ASYNC\nfreq = 50\nmax_log_file = 8000\nmax_log_file_action = IGNORE\n"
            "priority_boost = 4\nname_format = NONE\nspace_left = 75\nspace_left_action = IGNORE\n"
            "admin_space_left = 50\nadmin_space_left_action = IGNORE\ndisk_full_action = IGNORE\n"
            f"disk_error_action = IGNORE\nq_depth = 20000\nplugin_dir = {self.folder}/plugins.d\n"
        )
        for path in self.folder.rglob("*.conf"):
            path.chmod(0o600)


@dataclass
class Laurel(Auditd):
    """auditd with laurel as its plugin, which writes the log."""

    def __post_init__(self) -> None:
        self.name, self.form = "auditd + laurel", "ENRICHED"

    @staticmethod
    def missing() -> str:
        return "" if shutil.which("laurel", path="/usr/sbin") else "laurel (package laurel)"

    def command(self) -> list[str]:
        self.configure("no")
        settings = laurel_settings(self.folder)
        plugin = self.folder / "plugins.d" / "laurel.conf"
        plugin.write_text(
            "active = yes\ndirection = out\npath = /usr/sbin/laurel\ntype = always\n"
            f"args = --config {settings}\nformat = string\n"
        )
        plugin.chmod(0o600)
        return ["/usr/sbin/auditd", "-n", "-c", str(self.folder)]

    def ready(self) -> bool:
        return super().ready() and len(self.pids()) > 1

    def needle(self, key: str) -> bytes:
        return f'"key":"{key}"'.encode()


def laurel_settings(folder: Path) -> Path:
    """A settings file with which laurel writes `output` in this folder."""
    path = folder / "laurel.toml"
    path.write_text(
        f'directory = "{folder}"\nstatusreport-period = 0\n[auditlog]\nfile = "output"\nsize = 8000000000\n'
        'generations = 1\n[transform]\nexecve-argv = ["array"]\n[translate]\nuniversal = true\nuser-db = true\n'
    )
    path.chmod(0o600)
    return path


@dataclass
class Libaudit(Peer):
    """go-libaudit's `audit` command prints records as they come; it takes rules from the kernel."""

    def __post_init__(self) -> None:
        self.name = "go-libaudit audit"

    @staticmethod
    def binary() -> str:
        return os.environ.get("LIBAUDIT_AUDIT") or shutil.which("go-libaudit-audit") or ""

    @staticmethod
    def missing() -> str:
        return "" if Libaudit.binary() else "go-libaudit's audit command (name its binary in LIBAUDIT_AUDIT)"

    def command(self) -> list[str]:
        return ["sh", "-c", f"exec {self.binary()} -backlog {BACKLOG} >{self.output} 2>&1"]


PEERS: list[type[Peer]] = [Auditdeck, GoAudit, Auditd, Laurel, Libaudit]
FORMS: list[type[Peer]] = [Auditdeck, InEcs, InGoAudit, InFluentd, InRaw]
