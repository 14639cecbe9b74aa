"""What is looked up beside the records: containers, parents, executions, groups and labels."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from auditdeck.context.containers import Containers, Docker, describe, open_containers
from auditdeck.context.executions import Executions
from auditdeck.context.labels import LabelRule, Labels
from auditdeck.context.parents import Parents
from auditdeck.context.proc import Proc
from auditdeck.context.processes import Processes
from auditdeck.context.users import Users
from auditdeck.ecs.commands import cut
from auditdeck.ecs.paths import script_of

ID = "0f" * 32
OTHER = "e1" * 32


@pytest.mark.parametrize(
    "cgroup",
    [
        f"0::/system.slice/docker-{ID}.scope",
        f"0::/docker/{ID}",
        f"0::/../../{ID}",
        f"0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-{ID}.scope",
        f"0::/kubepods/burstable/pod8e/{ID}",
        f"0::/machine.slice/libpod-{ID}.scope/container",
        f"0::/system.slice/crio-{ID}.scope",
        f"12:pids:/docker/{ID}\n11:memory:/docker/{ID}\n1:name=systemd:/docker/{ID}\n0::/system.slice/containerd.service",
        f"0::/docker/{OTHER}/docker/{ID}",
    ],
)
def test_the_container_of_a_cgroup(tmp_path: Path, cgroup: str) -> None:
    (tmp_path / "7").mkdir()
    (tmp_path / "7/cgroup").write_text(cgroup + "\n")
    assert Containers(proc=Proc(tmp_path)).of(7) == {"id": ID}


@pytest.mark.parametrize("cgroup", ["0::/user.slice/user-0.slice/session-1.scope", "0::/", f"0::/odd-{ID}00", ""])
def test_no_container(tmp_path: Path, cgroup: str) -> None:
    (tmp_path / "7").mkdir()
    (tmp_path / "7/cgroup").write_text(cgroup)
    assert Containers(proc=Proc(tmp_path)).of(7) == {}


def test_a_process_that_is_gone_is_where_its_parent_is(tmp_path: Path) -> None:
    (tmp_path / "7").mkdir()
    (tmp_path / "7/cgroup").write_text(f"0::/docker/{ID}")
    containers = Containers(proc=Proc(tmp_path))
    assert containers.of(8, 7) == {"id": ID}
    assert containers.of(9, 10) == {}


def test_a_containers_first_process_that_is_gone_is_known_by_its_shim(tmp_path: Path) -> None:
    (tmp_path / "7").mkdir()
    (tmp_path / "7/cgroup").write_text("0::/system.slice/containerd.service")
    words = ["/usr/bin/containerd-shim-runc-v2", "-namespace", "moby", "-id", ID, "-address", "/run/containerd.sock"]
    (tmp_path / "7/cmdline").write_text("\0".join(words) + "\0")
    containers = Containers(proc=Proc(tmp_path))
    assert containers.of(8, 7) == {"id": ID}
    assert containers.of(7) == {}, "the shim itself is outside"
    (tmp_path / "9").mkdir()
    (tmp_path / "9/cgroup").write_text("0::/\n")
    assert containers.of(9, 7) == {"id": ID}, "one that ended is in the root"
    (tmp_path / "7/cmdline").unlink()
    assert containers.of(10, 7) == {"id": ID}, "the shim ended too"


def test_both_versions_of_cgroups_have_a_path(tmp_path: Path) -> None:
    for pid, text in ((1, "0::/a"), (2, "3:cpu,cpuacct:/c\n2:pids:/p\n")):
        (tmp_path / str(pid)).mkdir()
        (tmp_path / f"{pid}/cgroup").write_text(text)
    containers = Containers(proc=Proc(tmp_path))
    assert [containers.cgroup(pid).path for pid in (1, 2, 3)] == ["/a", "/p", ""]


def test_names_follow_dockers_events() -> None:
    docker = Docker("/nowhere")
    attributes = {"name": "web", "image": "registry:5000/team/nginx:1.27", "team": "a"}
    docker.take({"Action": "create", "Actor": {"ID": ID, "Attributes": attributes}})
    assert docker.containers[ID] == {
        "id": ID,
        "runtime": "docker",
        "name": "web",
        "image": {"name": "registry:5000/team/nginx", "tag": ["1.27"]},
        "labels": {"team": "a"},
    }
    docker.take(
        {"Action": "rename", "Actor": {"ID": ID, "Attributes": {**attributes, "name": "new", "oldName": "/web"}}}
    )
    assert docker.containers[ID]["name"] == "new"
    docker.take({"Action": "destroy", "Actor": {"ID": ID, "Attributes": attributes}})
    assert ID in docker.containers, "its last events may still come"


def test_images_without_a_tag() -> None:
    assert describe(ID, "x", "host:80/image", None)["image"] == {"name": "host:80/image"}
    assert describe(ID, "x", "", {}) == {"id": ID, "runtime": "docker", "name": "x"}


def test_a_socket_that_is_none_is_not_asked(tmp_path: Path) -> None:
    assert open_containers("/dev/null").names is None
    assert open_containers(str(tmp_path / "absent")).names is None
    assert open_containers("").names is None


@pytest.fixture
def child() -> subprocess.Popen[bytes]:
    environment = {"LD_LIBRARY_PATH": "/odd", "LD_PRELOAD_NOT": "x", "SECRET": "y"}
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], env=environment)


def test_variables_and_hash_of_a_program(child: subprocess.Popen[bytes]) -> None:
    executions = Executions(("LD_PRELOAD", "LD_LIBRARY_PATH"), hash_limit=1 << 30)
    program = os.path.realpath(sys.executable)
    try:
        deadline = time.monotonic() + 5
        # The arguments and variables of a new program are there a moment after its file.
        started = Path(f"/proc/{child.pid}/environ")
        while b"SECRET" not in started.read_bytes() and time.monotonic() < deadline:
            time.sleep(0.01)
        found = executions.of(child.pid)
    finally:
        child.kill()
        child.wait()
    assert found == {
        "env_vars": ["LD_LIBRARY_PATH=/odd"],
        "hash": {"sha256": hashlib.sha256(Path(program).read_bytes()).hexdigest()},
    }
    assert executions.of(child.pid) == {}
    assert Executions(("X",), hash_limit=10).of(os.getpid()) == {}


def test_a_parent_is_described() -> None:
    found = Parents(Processes("host")).of(os.getpid())
    assert found["executable"] == os.path.realpath(sys.executable)
    assert found["entity_id"] == Processes("host").entity_id(os.getpid())
    began = datetime.fromisoformat(found["start"])
    assert abs((datetime.now(UTC) - began).total_seconds()) < 3600
    assert Parents(Processes("host")).of(2**22 + 1) == {}


def test_labels_are_inherited() -> None:
    parents = {30: 20}
    rules = (LabelRule("packages", key="apt"), LabelRule("web", executable=re.compile("/nginx$")))
    labels = Labels(rules, lambda pid: parents.get(pid, 0))
    assert labels.of(10, 1, "/usr/bin/apt", ["apt"]) == ["packages"]
    assert labels.of(10, 1, "/usr/bin/apt", []) == ["packages"]
    assert labels.of(20, 10, "/bin/sh", []) == ["packages"]
    assert labels.of(40, 30, "/usr/sbin/nginx", []) == ["packages", "web"], "over a process that was never seen"
    assert labels.of(50, 1, "/bin/sh", []) == []
    assert labels.of(20, 1, "/bin/sh", []) == ["packages"], "its parent ended"
    assert labels.of(20, 50, "/bin/sh", []) == [], "the pid was used again"
    assert Labels().of(1, 0, "", []) == []


def test_groups_of_a_user(tmp_path: Path) -> None:
    (tmp_path / "passwd").write_text("ada:x:1000:1000::/:/bin/sh\n")
    (tmp_path / "group").write_text("ada:x:1000:\nsudo:x:27:bob,ada\ndocker:x:99:bob\n")
    users = Users(tmp_path / "passwd", tmp_path / "group")
    assert users.groups_of(1000, 1000) == ["ada", "sudo"]
    assert users.groups_of(7, 99) == ["docker"]
    assert "root" in Users().groups_of(0, 0)


@pytest.mark.parametrize(
    ("names", "script"),
    [
        (["/usr/bin/ldd", "/bin/bash", "/lib64/ld-linux-x86-64.so.2"], "/usr/bin/ldd"),
        (["./run.py", "/usr/bin/python3", "/lib/ld-musl-x86_64.so.1"], "/srv/run.py"),
        (["script", "/static/interpreter"], "/srv/script"),
        (["/bin/ls", "/lib64/ld-linux-x86-64.so.2"], ""),
        (["/bin/busybox"], ""),
        ([], ""),
    ],
)
def test_scripts(names: list[str], script: str) -> None:
    paths = [{"item": str(item), "name": name} for item, name in enumerate(names)]
    assert script_of(paths, "/srv") == script


def test_long_argument_lists_are_cut_in_the_middle() -> None:
    args = [f"argument{number:03}" for number in range(100)]
    assert cut(args, 60) == ["argument000", "argument001", "<1056 bytes cut>", "argument098", "argument099"]
    assert cut(["x" * 100], 20) == ["x" * 10, "<90 bytes cut>"]
    assert cut(["ls", "y" * 100], 20) == ["ls", "<90 bytes cut>", "y" * 10]


def test_a_process_that_is_gone_is_asked_for_once(tmp_path: Path) -> None:
    proc = Proc()
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        assert proc.read(child.pid, "stat", 20)
        assert proc.read(child.pid, "nothing") is None
        assert not proc.is_gone(child.pid)
        assert Processes("host", proc=proc).parent_of(child.pid) == os.getpid()
    finally:
        child.kill()
        child.wait()
    assert proc.read(child.pid, "stat") is None
    assert proc.is_gone(child.pid)
    assert child.pid == proc.gone
    (tmp_path / "1").mkdir()
    (tmp_path / "1/comm").write_text("init\n")
    assert Proc(tmp_path).read(1, "comm") == b"init\n", "not of this machine: no process is asked for"
