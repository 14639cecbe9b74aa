"""Which container a process is in: by its cgroup (cgroups(7)), with the names that Docker has for it.

Docker is never asked while an event waits: a thread follows its events (docker-events(1)) and keeps what it knows in
memory. Without its socket there is the id alone. Other runtimes write their ids into the cgroup in the same way.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import stat
import threading
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from auditdeck.cache import Cache
from auditdeck.context.proc import Proc
from auditdeck.packages import has, hint

logger = logging.getLogger("auditdeck")

# docker-ID.scope, /docker/ID, cri-containerd-ID.scope, libpod-ID.scope, crio-ID.scope, /kubepods/…/ID
ID = re.compile(rb"(?<![0-9a-f])([0-9a-f]{64})(?![0-9a-f])")
TRUSTED = 2.0
LASTING = 60.0
"""Seconds for which the container of a process that is gone is still known."""
REMEMBERED = 8192
PAUSE = 5.0
KEPT = 600.0
"""Seconds for which a container that was removed is still known: its last events may come late."""

Description = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Cgroup:
    """A process's container, "" for none, and its control group: of version 2, or that of the pids controller."""

    container: str = ""
    path: str = ""


NONE = Cgroup()
ROOT = "/"


class Containers:
    """`of(pid, parent)`: ECS `container.*` of a process; {} if it is in none. `names` knows more than the id."""

    def __init__(self, names: Docker | None = None, proc: Proc | None = None) -> None:
        self.names = names
        self.proc = proc or Proc()
        self.known: Cache[int, tuple[float, Cgroup]] = Cache(REMEMBERED)
        self.shims: Cache[int, tuple[float, str]] = Cache(REMEMBERED)
        self.groups: Cache[int, Cgroup] = Cache(REMEMBERED)

    def of(self, pid: int, parent: int = 0, now: float | None = None) -> Description:
        identity = self.cgroup(pid, parent, now).container
        if not identity:
            return {}
        described = self.names.containers.get(identity) if self.names else None
        return described or {"id": identity}

    def cgroup(self, pid: int, parent: int = 0, now: float | None = None) -> Cgroup:
        """That of the parent for a process that is gone already."""
        now = time.monotonic() if now is None else now
        seen, cgroup = self.known.get(pid, (float("-inf"), NONE))
        if now - seen < TRUSTED:
            return cgroup
        found = read_cgroup(self.proc, pid)
        if found is None or found.path == ROOT:
            # Gone; one that ended and was not yet waited for is in the root.
            known = cgroup.container and now - seen < LASTING
            if found is None and parent and not known:
                return self.of_parent(parent, now)
            found = cgroup if known else self.of_parent(parent, now)
        return self.known.keep(pid, (now, found))[1]

    def of_group(self, number: int, pid: int, parent: int = 0) -> Description:
        """As `of`, by the id of the control group: so also of a process that is gone."""
        group = self.group(number, pid, parent)
        if not group.container:
            return {}
        described = self.names.containers.get(group.container) if self.names else None
        return described or {"id": group.container}

    def group(self, number: int, pid: int, parent: int = 0) -> Cgroup:
        """By its id: the inode of its folder in version 2 of control groups; 1 and less where that is not used."""
        if number <= 1:
            return self.cgroup(pid, parent)
        known = self.groups.get(number)
        if known is None:
            found = read_cgroup(self.proc, pid) or find_group(number) or self.cgroup(pid, parent)
            known = self.groups.keep(number, found)
        return known

    def of_parent(self, parent: int, now: float) -> Cgroup:
        """The parent's container; of the first process of a container the parent is the shim that started it."""
        if not parent:
            return NONE
        found = self.cgroup(parent, 0, now)
        if found.container:
            return found
        # A shim may be gone as soon as its container.
        seen, container = self.shims.get(parent, (float("-inf"), ""))
        if now - seen >= (LASTING if container else TRUSTED):
            _, container = self.shims.keep(parent, (now, shim_container(self.proc, parent)))
        return Cgroup(container, found.path) if container else found

    def close(self) -> None:
        if self.names is not None:
            self.names.stop()


def find_group(number: int, root: str = "/sys/fs/cgroup") -> Cgroup | None:
    """The control group whose folder has this inode; None if it is gone."""
    for folder, _, _ in os.walk(root):
        try:
            if os.stat(folder).st_ino == number:
                return cgroup_of(b"0::" + (folder.removeprefix(root) or "/").encode())
        except OSError:
            continue
    return None


def read_cgroup(proc: Proc, pid: int) -> Cgroup | None:
    """None if the process is gone."""
    found = proc.read(pid, "cgroup")
    return None if found is None else cgroup_of(found)


@lru_cache(4096)
def cgroup_of(text: bytes) -> Cgroup:
    """From the lines of /proc/PID/cgroup, which are the same for all processes of a group."""
    lines = text.splitlines()
    ids = [found for line in lines for found in ID.findall(line)]
    paths = {
        tuple(line.split(b":", 2)[1].split(b",")): line.split(b":", 2)[2] for line in lines if line.count(b":") > 1
    }
    path = paths.get((b"",)) or paths.get((b"pids",)) or b""
    # The innermost, if there are containers in containers.
    return Cgroup(ids[-1].decode() if ids else "", path.decode("utf-8", "backslashreplace"))


def shim_container(proc: Proc, pid: int) -> str:
    """The container that a containerd-shim or conmon looks after, which its command line names; "" for others."""
    program, *arguments = (proc.read(pid, "cmdline") or b"").split(b"\0")
    if not program.rpartition(b"/")[2].startswith((b"containerd-shim", b"conmon")):
        return ""
    return next((found[1].decode() for found in map(ID.search, arguments) if found), "")


class Docker:
    """Names, images and labels of Docker's containers, from a subscription that is renewed whenever it breaks."""

    def __init__(self, socket: str) -> None:
        self.socket = socket
        self.containers: dict[str, Description] = {}
        self.removed: dict[str, float] = {}
        self.stopping = threading.Event()
        self.client: Any = None
        self.thread = threading.Thread(target=self.run, name="docker", daemon=True)

    def start(self) -> None:
        self.thread.start()

    def stop(self) -> None:
        self.stopping.set()
        with contextlib.suppress(Exception):
            if self.client is not None:
                self.client.close()

    def run(self) -> None:
        told = False
        while not self.stopping.is_set():
            try:
                self.follow()
            except Exception as error:  # Whatever breaks in the library or the engine: events go on with ids alone.
                if not told and not self.stopping.is_set():
                    logger.warning("containers: no names from Docker at %s: %s", self.socket, error)
                    told = True
            self.stopping.wait(PAUSE)

    def follow(self) -> None:
        """What is there, then every change. Subscribed first, so that nothing falls between."""
        from docker import APIClient

        self.client = client = APIClient(base_url=f"unix://{self.socket}", version="auto", timeout=60)
        events = client.events(decode=True, filters={"type": "container"})
        for found in client.containers(all=True):
            name = (found.get("Names") or [""])[0].lstrip("/")
            self.containers[found["Id"]] = describe(found["Id"], name, found.get("Image", ""), found.get("Labels"))
        for event in events:
            self.take(event)
            if self.stopping.is_set():
                return

    def take(self, event: dict[str, Any]) -> None:
        actor = event.get("Actor", {})
        identity, attributes = actor.get("ID", ""), dict(actor.get("Attributes") or {})
        match event.get("Action"):
            case "create" | "start" | "rename" | "update":
                name, image = attributes.pop("name", ""), attributes.pop("image", "")
                attributes.pop("oldName", None)
                self.containers[identity] = describe(identity, name, image, attributes)
                self.removed.pop(identity, None)
            case "destroy":
                now = time.monotonic()
                self.removed[identity] = now
                for gone in [gone for gone, since in self.removed.items() if now - since > KEPT]:
                    del self.removed[gone]
                    self.containers.pop(gone, None)


def describe(identity: str, name: str, image: str, labels: dict[str, str] | None) -> Description:
    """ECS `container.*`; the tag is what follows the last colon that belongs to no port."""
    repository, colon, tag = image.rpartition(":")
    if not colon or "/" in tag:
        repository, tag = image, ""
    described: Description = {"id": identity, "runtime": "docker"}
    if name:
        described["name"] = name
    if repository:
        described["image"] = {"name": repository, "tag": [tag]} if tag else {"name": repository}
    if labels:
        described["labels"] = dict(sorted(labels.items()))
    return described


def open_containers(socket: str, proc: Proc | None = None) -> Containers:
    """With names if `socket` is Docker's socket."""
    try:
        is_socket = bool(socket) and stat.S_ISSOCK(Path(socket).stat().st_mode)
    except OSError:
        is_socket = False
    if is_socket and not has("docker"):
        logger.warning("containers: no names from Docker, for want of its package: %s", hint("docker"))
        is_socket = False
    if not is_socket:
        return Containers(proc=proc)
    docker = Docker(socket)
    docker.start()
    return Containers(docker, proc)
