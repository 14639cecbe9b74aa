"""Harmless traffic for the dashboards: several users and programs, in a network namespace and a container of its own.

Everything stays on this machine: the "outside" is a namespace at the other end of a veth pair. Run it as root while a
collector runs (`make demo`). Programs are copies of bash under other names; accounts are never changed, records of
logins and of account tools are only written, as sshd, sudo and useradd write them.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from auditdeck.audit.client import AuditSocket
from auditdeck.audit.record import TYPE_NUMBERS
from auditdeck.audit.rules.files import parse_line
from auditdeck.errors import AuditdeckError

NAMESPACE, HERE, THERE = "auditdeck-demo", "deckdemo0", "deckdemo1"
IPV4, IPV6 = "10.198.7.2", "fd00:dec:de::2"
PORTS = [443, 443, 443, 80, 5432, 25]
CLOSED = 9
PROGRAMS = ["web-crawler", "mailer", "backup-agent", "package-updater", "metrics"]
USERS = ["www-data", "daemon", "backup", "games", "nobody"]
SERVER = """
import selectors, socket, sys
waiting = selectors.DefaultSelector()
for port in set(map(int, sys.argv[2:])):
    family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
    dual = family == socket.AF_INET6
    listener = socket.create_server((sys.argv[1], port), family=family, backlog=512, dualstack_ipv6=dual)
    waiting.register(listener, selectors.EVENT_READ)
print("ready", flush=True)
while True:
    for key, _ in waiting.select():
        key.fileobj.accept()[0].close()
"""
CONNECT = 'for n in $(seq "$3"); do (exec 3<>"/dev/$4/$1/$2") 2>/dev/null; done'
SSHD = 'exe="/usr/sbin/sshd" hostname={0} addr={0} terminal=ssh res={1}'
RECORDS = [
    ("USER_AUTH", 'op=PAM:authentication grantors=? acct="ada" ' + SSHD.format("198.51.100.7", "failed")),
    ("USER_AUTH", 'op=PAM:authentication grantors=pam_unix acct="ada" ' + SSHD.format("198.51.100.8", "success")),
    ("USER_LOGIN", 'op=login acct="ada" ' + SSHD.format("198.51.100.8", "success")),
    ("USER_LOGIN", 'op=login acct="root" ' + SSHD.format("203.0.113.9", "failed")),
    ("USER_CMD", 'cwd="/home/ada" cmd=61707420757064617465 exe="/usr/bin/sudo" terminal=pts/3 res=success'),
    ("ADD_USER", 'op=add-user acct="demo" exe="/usr/sbin/useradd" hostname=? addr=? terminal=pts/3 res=success'),
    ("ADD_GROUP", 'op=add-group acct="demo" exe="/usr/sbin/groupadd" hostname=? addr=? terminal=pts/3 res=success'),
    ("DEL_USER", 'op=delete-user acct="demo" exe="/usr/sbin/userdel" hostname=? addr=? terminal=pts/3 res=success'),
]


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@contextlib.contextmanager
def outside() -> Iterator[None]:
    """The namespace with its addresses and a server; nothing of it stays."""
    subprocess.run(["ip", "netns", "del", NAMESPACE], check=False, capture_output=True)
    ip("netns", "add", NAMESPACE)
    server = None
    try:
        ip("link", "add", HERE, "type", "veth", "peer", "name", THERE, "netns", NAMESPACE)
        for prefix, mask, more in (("10.198.7.", "/24", []), ("fd00:dec:de::", "/64", ["nodad"])):
            Path(f"/proc/sys/net/ipv6/conf/{HERE}/disable_ipv6").write_text("0")
            ip("addr", "add", f"{prefix}1{mask}", "dev", HERE, *more)
            ip("-n", NAMESPACE, "addr", "add", f"{prefix}2{mask}", "dev", THERE, *more)
        ip("link", "set", HERE, "up")
        ip("-n", NAMESPACE, "link", "set", THERE, "up")
        command = ["ip", "netns", "exec", NAMESPACE, sys.executable, "-c", SERVER, "::", *map(str, PORTS)]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert server.stdout
        server.stdout.readline()
        yield
    finally:
        if server:
            server.terminate()
            server.wait()
        ip("netns", "del", NAMESPACE)


def people() -> list[pwd.struct_passwd]:
    found = []
    for name in USERS:
        with contextlib.suppress(KeyError):
            found.append(pwd.getpwnam(name))
    return found


# As a login does it: the session's user is set, then the process becomes that user.
LOGIN = 'echo "$1" 2>/dev/null >/proc/self/loginuid; exec setpriv --reuid="$1" --regid="$2" --clear-groups "${@:3}"'


def run(user: pwd.struct_passwd, *command: str | Path) -> None:
    words = ["bash", "-c", LOGIN, "demo", user.pw_uid, user.pw_gid, *command]
    environment = {"PATH": os.environ["PATH"]}
    subprocess.run([str(word) for word in words], cwd="/", check=False, capture_output=True, env=environment)


def connections(programs: list[Path], chance: random.Random) -> None:
    for user in people():
        for program in chance.sample(programs, 3):
            for _ in range(3):
                address, count = chance.choice([IPV4, IPV4, IPV6]), str(chance.randrange(2, 15))
                run(user, program, "-c", CONNECT, "demo", address, str(chance.choice(PORTS)), count, "tcp")
        run(user, chance.choice(programs), "-c", CONNECT, "demo", IPV4, str(CLOSED), "3", "tcp")
        run(user, chance.choice(programs), "-c", CONNECT, "demo", IPV4, "53", "2", "udp")


def commands(folder: Path, chance: random.Random) -> None:
    refused = folder / "not-a-program"
    refused.write_text("")
    refused.chmod(0o644)
    for user in people():
        for command in chance.sample(["id", "uname -a", "df -h /", "date", "ls /usr", "env", "true"], 4):
            run(user, *command.split())
        run(user, sys.executable, "-c", f"import os\ntry: os.execv('{refused}', ['x'])\nexcept OSError: pass")
        run(user, "sh", "-c", "cd /var && exec true")


@contextlib.contextmanager
def accepting(program: Path) -> Iterator[None]:
    """A rule for accepted connections of one program, as long as this lasts: such events come one a connection."""
    statement = parse_line(f"-a always,exit -F arch=b64 -S accept,accept4 -F exe={program} -k netconns_in")
    assert statement
    assert statement.rule
    with AuditSocket() as kernel:
        kernel.add_rule(statement.rule.to_bytes())
        try:
            yield
        finally:
            kernel.delete_rule(statement.rule.to_bytes())


def listening(folder: Path) -> None:
    """A program that listens, and is connected to from the namespace."""
    program = folder / "little-server"
    shutil.copy(os.path.realpath(sys.executable), program)
    program.chmod(0o755)
    with accepting(program):
        command = [str(program), "-c", SERVER, "0.0.0.0", "18080", "18443"]
        home = {"PYTHONHOME": sys.base_prefix, "PATH": os.environ["PATH"]}
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=home, user="daemon", cwd="/")
        try:
            assert server.stdout
            server.stdout.readline()
            for port in ("18080", "18443"):
                words = [
                    "ip",
                    "netns",
                    "exec",
                    NAMESPACE,
                    "bash",
                    "-c",
                    CONNECT,
                    "demo",
                    "10.198.7.1",
                    port,
                    "6",
                    "tcp",
                ]
                subprocess.run(words, check=False, capture_output=True)
            time.sleep(0.5)
        finally:
            server.terminate()
            server.wait()


def records() -> None:
    with AuditSocket() as kernel:
        for kind, text in RECORDS:
            number = TYPE_NUMBERS[kind.encode()]
            kernel.request(number, text.encode() + b"\0", f"write a record of type {kind}", answered=False)
    if shutil.which("su"):
        subprocess.run(["su", "-s", "/bin/true", "nobody"], check=False, capture_output=True)


def containers() -> bool:
    """A container that connects out; False where Docker or a fitting image is missing."""
    if not shutil.which("docker"):
        return False
    for image in ("auditdeck", "auditdeck-test", "python:3.13-slim", "auditdeck-stand-in/python:3.13-gcc"):
        if subprocess.run(["docker", "image", "inspect", image], check=False, capture_output=True).returncode:
            continue
        script = f"import socket\nfor n in range(9): socket.create_connection(('{IPV4}', 443), 5).close()"
        words = ["docker", "run", "--rm", "--name", "auditdeck-demo", "--entrypoint", "python3", image, "-c", script]
        return subprocess.run(words, check=False, capture_output=True).returncode == 0
    return False


@contextlib.contextmanager
def programs_folder() -> Iterator[Path]:
    folder = Path(tempfile.gettempdir()) / "auditdeck-demo"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def main() -> None:
    if os.geteuid() != 0:
        sys.exit("demo: needs root, for a network namespace and other users")
    chance = random.Random(20261124)
    with programs_folder() as folder, outside():
        programs = []
        for program in PROGRAMS:
            programs.append(folder / program)
            shutil.copy("/bin/bash", programs[-1])
            programs[-1].chmod(0o755)
        print("demo: connections of several users and programs", flush=True)
        connections(programs, chance)
        print("demo: commands, some of which fail", flush=True)
        commands(folder, chance)
        print("demo: a program that listens and accepts", flush=True)
        listening(folder)
        print("demo: logins, sudo, account changes (records only)", flush=True)
        records()
        print("demo: a container that connects out" if containers() else "demo: no container (no Docker or no image)")


if __name__ == "__main__":
    try:
        main()
    except AuditdeckError as error:
        sys.exit(f"demo: {error} ({error.hint})")
