"""The audit netlink socket: status, settings, features and rules (netlink(7), linux/audit.h).

Records are received by `capture.Capture`, on a socket of its own, so that an answer never waits behind them.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import time
from types import TracebackType
from typing import Self

from auditdeck.audit import messages as m
from auditdeck.capabilities import has_capability
from auditdeck.errors import DaemonRunning, KernelError, NotInitialNamespace, NotPermitted, RuleExists, RulesLocked
from auditdeck.netlink import HEADER, HEADER_SIZE, NLMSG_DONE, NLMSG_ERROR, message

ANSWER_TIMEOUT = 5.0


class AuditSocket:
    """Requests to the kernel's audit subsystem, each answered before the call returns.

    Raises `KernelError` or one of its kinds; needs CAP_AUDIT_CONTROL in the initial user and pid namespaces.
    """

    def __init__(self) -> None:
        try:
            self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, m.NETLINK_AUDIT)
        except OSError as error:
            raise explain(error.errno or 0, "open the audit socket") from error
        self.socket.bind((0, 0))
        self.socket.settimeout(ANSWER_TIMEOUT)
        self.sequence = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    def status(self) -> m.Status:
        """AUDIT_GET."""
        answers = self.request(m.AUDIT_GET, b"", "read the audit status")
        fields = m.AUDIT_STATUS.read(answers[0])
        del fields["mask"]
        return m.Status(**fields)

    def set(
        self,
        *,
        enabled: int | None = None,
        failure: int | None = None,
        pid: int | None = None,
        rate_limit: int | None = None,
        backlog_limit: int | None = None,
        backlog_wait_time: int | None = None,
    ) -> None:
        """AUDIT_SET of what is given; the rest stays as it is."""
        wanted = {
            "enabled": enabled,
            "failure": failure,
            "pid": pid,
            "rate_limit": rate_limit,
            "backlog_limit": backlog_limit,
            "backlog_wait_time": backlog_wait_time,
        }
        given = {name: value for name, value in wanted.items() if value is not None}
        if given:
            self.set_status(given, "change " + ", ".join(given))

    def reset_lost(self) -> None:
        """Sets the kernel's count of lost records to 0 (Linux 4.15)."""
        self.set_status({"lost": 0}, "reset the count of lost records")

    def set_status(self, values: dict[str, int], what: str) -> None:
        sequence = self.next()
        self.exchange(m.status_request(values, sequence), sequence, what, answered=False, many=False)

    def features(self) -> dict[str, int]:
        """AUDIT_GET_FEATURE: `mask`, `features` and `lock`, one bit a feature."""
        return m.AUDIT_FEATURES.read(self.request(m.AUDIT_GET_FEATURE, b"", "read the audit features")[0])

    def lock_loginuid(self) -> None:
        """`auditctl --loginuid-immutable`: login uids cannot be changed until the next boot."""
        bit = m.LOGINUID_IMMUTABLE
        body = m.AUDIT_FEATURES.pack(vers=1, mask=bit, features=bit, lock=bit)
        self.request(m.AUDIT_SET_FEATURE, body, "make login uids immutable", answered=False)

    def rules(self) -> list[bytes]:
        """AUDIT_LIST_RULES: the loaded rules in the kernel's order, each a `struct audit_rule_data`."""
        return self.request(m.AUDIT_LIST_RULES, b"", "list the audit rules", many=True)

    def add_rule(self, rule: bytes) -> None:
        self.request(m.AUDIT_ADD_RULE, rule, "add the rule", answered=False)

    def delete_rule(self, rule: bytes) -> None:
        self.request(m.AUDIT_DEL_RULE, rule, "delete the rule", answered=False)

    def trim(self) -> None:
        """`auditctl -t`: trims subtrees that appeared after the watch was placed."""
        self.request(m.AUDIT_TRIM, b"", "trim watched subtrees", answered=False)

    def make_equivalent(self, mount: str, subtree: str) -> None:
        """`auditctl -q mount,subtree`: what is under `mount` is watched as `subtree` is."""
        paths = [os.fsencode(path) for path in (mount, subtree)]
        body = struct.pack("=II", *map(len, paths)) + b"".join(paths)
        self.request(m.AUDIT_MAKE_EQUIV, body, "make the subtrees equivalent", answered=False)

    def next(self) -> int:
        self.sequence += 1
        return self.sequence

    def request(self, kind: int, body: bytes, what: str, *, answered: bool = True, many: bool = False) -> list[bytes]:
        """Sends one request; the payloads of its answers (up to NLMSG_DONE if `many`)."""
        sequence = self.next()
        return self.exchange(message(kind, sequence, body), sequence, what, answered=answered, many=many)

    def exchange(self, message: bytes, sequence: int, what: str, *, answered: bool, many: bool) -> list[bytes]:
        try:
            self.socket.send(message)
        except OSError as error:
            raise explain(error.errno or 0, what) from error
        answers: list[bytes] = []
        acknowledged = False
        deadline = time.monotonic() + ANSWER_TIMEOUT
        while time.monotonic() < deadline:
            try:
                data = self.socket.recv(65536)
            except TimeoutError:
                break
            _, kind, _, reply, _ = HEADER.unpack_from(data)
            if reply != sequence:
                continue
            if kind == NLMSG_ERROR:
                (code,) = struct.unpack_from("=i", data, HEADER_SIZE)
                if code:
                    raise explain(-code, what)
                acknowledged = True
                if not answered or (answers and not many):
                    return answers
            elif kind == NLMSG_DONE:
                return answers
            else:
                answers.append(data[HEADER_SIZE:])
                if acknowledged and not many:
                    return answers
        raise KernelError(
            f"the kernel did not answer within {ANSWER_TIMEOUT:.0f} s when asked to {what}",
            "see the kernel log (dmesg) and whether audit=0 is on the kernel command line",
        )


def explain(code: int, what: str) -> KernelError:
    """The errno of a refused request as one sentence, with what to do."""
    if code == errno.EPERM:
        return not_permitted(what)
    if code == errno.ECONNREFUSED:
        return NotInitialNamespace(
            f"cannot {what}: the kernel talks about audit only in the initial user namespace",
            "run on the host, or in a container with the host's user namespace (no userns-remap, not rootless)",
            code,
        )
    if code in (errno.EPROTONOSUPPORT, errno.EAFNOSUPPORT):
        return KernelError(f"cannot {what}: this kernel is built without audit", "use a kernel with CONFIG_AUDIT", code)
    if code == errno.EEXIST:
        return RuleExists(f"cannot {what}: it is loaded already", "delete it first, or load with -c or -i", code)
    if code == errno.ENOENT:
        return KernelError(
            f"cannot {what}: no such rule, or a path in it does not exist",
            "check paths and `auditdeck rules list`",
            code,
        )
    if code == errno.EINVAL:
        return KernelError(
            f"cannot {what}: the kernel does not accept it",
            "this kernel may lack a field or list that it uses, or may want it in another list",
            code,
        )
    return KernelError(f"cannot {what}: {os.strerror(code)} ({errno.errorcode.get(code, code)})", "", code)


def not_permitted(what: str) -> KernelError:
    """EPERM has three causes; which one it is can be seen."""
    if os.geteuid() != 0 and not has_capability("AUDIT_CONTROL"):
        return NotPermitted(
            f"cannot {what}: not permitted", "run as root, or with CAP_AUDIT_CONTROL and CAP_AUDIT_READ", errno.EPERM
        )
    if not in_initial_pid_namespace():
        return NotPermitted(
            f"cannot {what}: the kernel takes audit requests only from the initial pid namespace",
            "run on the host, or in a container with --pid=host",
            errno.EPERM,
        )
    return RulesLocked(
        f"cannot {what}: audit is locked (enabled is 2), or the capability CAP_AUDIT_CONTROL is missing",
        "rules that were locked with -e 2 can be changed only after a reboot",
        errno.EPERM,
    )


INITIAL_PID_NAMESPACE = 0xEFFFFFFC
"""The inode of the initial pid namespace: PROC_PID_INIT_INO of linux/proc_ns.h."""


def in_initial_pid_namespace() -> bool:
    return os.stat("/proc/self/ns/pid").st_ino == INITIAL_PID_NAMESPACE


def process_alive(pid: int) -> bool:
    """Whether a process runs; one that ended and was not yet waited for does not (proc_pid_stat(5), state Z)."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            return stat.read().rpartition(b")")[2].split()[0] not in (b"Z", b"X")
    except OSError:
        return False


def daemon_running(pid: int) -> DaemonRunning:
    try:
        with open(f"/proc/{pid}/comm") as comm:
            name = comm.read().strip()
    except OSError:
        name = "a process"
    return DaemonRunning(
        f"{name} (pid {pid}) is the audit daemon of this host",
        "run beside it with --mode multicast, stop it, or let auditdeck end it with --take-over",
        errno.EEXIST,
        pid,
    )
