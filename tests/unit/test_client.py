"""The audit socket against a kernel that a test plays: which answer belongs to which request."""

from __future__ import annotations

import errno
import struct
from collections import deque

import pytest

from auditdeck.audit import client as module
from auditdeck.audit import messages as m
from auditdeck.audit.client import AuditSocket
from auditdeck.errors import KernelError, RuleExists
from auditdeck.netlink import HEADER, NLMSG_DONE, NLMSG_ERROR

Answers = list[tuple[int, int, bytes]]
"""Type, by how much its sequence number differs from the request's, and the payload of each."""


class Kernel:
    """A netlink socket that gives the answers that were chosen for the next request."""

    def __init__(self) -> None:
        self.answers: Answers = []
        self.asked: list[tuple[int, bytes]] = []
        self.waiting: deque[bytes] = deque()

    def send(self, message: bytes) -> None:
        _, kind, _, sequence, _ = HEADER.unpack_from(message)
        self.asked.append((kind, message[HEADER.size :]))
        for answer, other, body in self.answers:
            self.waiting.append(HEADER.pack(HEADER.size + len(body), answer, 0, sequence + other, 0) + body)

    def recv(self, _: int) -> bytes:
        if not self.waiting:
            raise TimeoutError
        return self.waiting.popleft()

    def bind(self, _: tuple[int, int]) -> None:
        pass

    def settimeout(self, _: float) -> None:
        pass

    def close(self) -> None:
        pass


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    made = Kernel()
    monkeypatch.setattr(module.socket, "socket", lambda *_: made)
    return made


def status(pid: int) -> bytes:
    return m.AUDIT_STATUS.pack(enabled=1, pid=pid)


def code(number: int) -> bytes:
    return struct.pack("=i", -number)


def test_the_answer_to_another_request_is_not_this_ones(kernel: Kernel) -> None:
    """One that came too late for the request before."""
    kernel.answers = [(m.AUDIT_GET, -1, status(1)), (m.AUDIT_GET, 0, status(42)), (NLMSG_ERROR, 0, code(0))]
    assert AuditSocket().status().pid == 42


def test_the_acknowledgement_may_come_first(kernel: Kernel) -> None:
    kernel.answers = [(NLMSG_ERROR, 0, code(0)), (m.AUDIT_GET, 0, status(7))]
    assert AuditSocket().status().pid == 7


def test_an_older_kernels_shorter_status_is_read(kernel: Kernel) -> None:
    kernel.answers = [(m.AUDIT_GET, 0, status(7)[:32]), (NLMSG_ERROR, 0, code(0))]
    found = AuditSocket().status()
    assert (found.enabled, found.pid, found.backlog_wait_time_actual) == (1, 7, 0)


def test_a_request_that_is_refused_fails(kernel: Kernel) -> None:
    kernel.answers = [(NLMSG_ERROR, 0, code(errno.EEXIST))]
    with pytest.raises(RuleExists):
        AuditSocket().add_rule(b"rule")
    kernel.answers = [(NLMSG_ERROR, 0, code(errno.EINVAL))]
    with pytest.raises(KernelError, match="cannot add the rule"):
        AuditSocket().add_rule(b"rule")


def test_the_refusal_of_another_request_is_not_this_ones(kernel: Kernel) -> None:
    kernel.answers = [(NLMSG_ERROR, -1, code(errno.EEXIST)), (NLMSG_ERROR, 0, code(0))]
    AuditSocket().add_rule(b"rule")
    assert kernel.asked == [(m.AUDIT_ADD_RULE, b"rule")]


def test_rules_are_read_to_their_end(kernel: Kernel) -> None:
    listed = [(m.AUDIT_LIST_RULES, 0, b"one"), (m.AUDIT_LIST_RULES, 0, b"two")]
    kernel.answers = [(NLMSG_ERROR, 0, code(0)), *listed, (NLMSG_DONE, 0, b"")]
    assert AuditSocket().rules() == [b"one", b"two"]


def test_a_kernel_that_does_not_answer_is_an_error(kernel: Kernel) -> None:
    kernel.answers = [(m.AUDIT_GET, 5, status(1))]
    with pytest.raises(KernelError, match="did not answer"):
        AuditSocket().status()


def test_only_what_is_given_is_set(kernel: Kernel) -> None:
    kernel.answers = [(NLMSG_ERROR, 0, code(0))]
    AuditSocket().set(enabled=1, backlog_limit=64)
    [(kind, body)] = kernel.asked
    assert kind == m.AUDIT_SET
    assert m.AUDIT_STATUS.read(body) == {
        **dict.fromkeys(m.AUDIT_STATUS.members, 0),
        "mask": m.STATUS_ENABLED | m.STATUS_BACKLOG_LIMIT,
        "enabled": 1,
        "backlog_limit": 64,
    }
