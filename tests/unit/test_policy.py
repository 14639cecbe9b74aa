"""What security modules say beside a call, and alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from auditdeck.audit.event import Event
from auditdeck.ecs.document import document
from auditdeck.ecs.template import Encoder
from tests.unit.test_documents import context, plainly

CONNECT = (
    b"arch=c000003e syscall=42 success=%b exit=%d a0=3 a1=7ffc1 a2=10 a3=0 items=0 ppid=1 pid=7 auid=1000 uid=0 gid=0 "
    b"euid=0 suid=0 fsuid=0 egid=0 sgid=0 fsgid=0 tty=(none) ses=1 "
    b"comm=\"curl\" exe=\"/usr/bin/curl\" key=\"netconns_out\""
)  # fmt: skip
ADDRESS = (1306, b"saddr=020001BB0808080800000000000000000000000000")
UNDER_WAY = (1300, CONNECT % (b"no", -115))
# Made in the form of security/selinux/avc.c, apparmor/audit.c, landlock/audit.c and ipe/audit.c of the kernel.
SELINUX = (
    b'avc:  denied  { name_connect } for  pid=7 comm="curl" dest=443 scontext=a tcontext=b tclass=tcp_socket '
    b"permissive=%d"
)
APPARMOR = b'apparmor="%b" operation="connect" class="net" profile="/usr/bin/curl" pid=7 comm="curl" family="inet"'
LANDLOCK = b"domain=195ba459b blockers=net.connect_tcp daddr=8.8.8.8 dest=443"
IPE = (
    b'ipe_op=EXECUTE ipe_hook=MMAP enforcing=%d pid=7 comm="curl" path="/tmp/x" dev="vda1" ino=1 '
    b'rule="DEFAULT action=DENY"'
)
STATUS = b'apparmor="STATUS" operation="profile_load" profile="unconfined" name="x"'


def event(*records: tuple[int, bytes]) -> Event:
    stamp = b"1700000000.123:42"
    return Event(stamp, [(kind, b"audit(%b): " % stamp + body) for kind, body in records])


@pytest.fixture
def made(tmp_path: Path) -> Any:
    """The document, which both ways agree on, seen once and again."""
    encoder, plain = Encoder(context(tmp_path), socket_events=True), context(tmp_path)

    def made(*records: tuple[int, bytes]) -> Any:
        expected = plainly(event(*records), plain)
        assert [encoder.encode(event(*records)) for _ in range(3)] == [expected] * 3
        return json.loads(expected)

    return made


@pytest.mark.parametrize(
    ("record", "module", "decision", "enforced"),
    [
        ((1400, SELINUX % 1), "selinux", "denied", False),
        ((1400, SELINUX % 0), "selinux", "denied", True),
        ((1400, SELINUX.replace(b"denied", b"granted") % 0), "selinux", "allowed", False),
        ((1400, APPARMOR % b"ALLOWED"), "apparmor", "allowed", False),
        ((1400, APPARMOR % b"DENIED"), "apparmor", "denied", True),
        ((1503, APPARMOR % b"DENIED"), "apparmor", "denied", True),
        ((1400, APPARMOR % b"AUDIT"), "apparmor", "allowed", False),
        ((1423, LANDLOCK), "landlock", "denied", True),
        ((1420, IPE % 0), "ipe", "denied", False),
    ],
)
def test_a_connect_stays_a_connect_whatever_is_said_of_it(
    made: Any, record: tuple[int, bytes], module: str, decision: str, enforced: bool
) -> None:
    alone = made(UNDER_WAY, ADDRESS)
    found = made(UNDER_WAY, ADDRESS, record)
    for name in ("action", "type", "outcome"):
        assert found["event"][name] == alone["event"][name]
    assert found["destination"] == {"ip": "8.8.8.8", "port": 443}
    assert found["auditdeck"]["connection"] == alone["auditdeck"]["connection"]
    assert found["auditdeck"]["policy"] == {"module": module, "decision": decision, "enforced": enforced}
    assert found["event"]["category"] == ["network", "process"]


@pytest.mark.parametrize(
    ("record", "action", "outcome"),
    [
        ((1400, SELINUX % 0), "violated-selinux-policy", "failure"),
        ((1400, SELINUX % 1), "violated-selinux-policy", "success"),
        ((1400, SELINUX.replace(b"denied", b"granted") % 0), "granted-by-selinux", "success"),
        ((1400, APPARMOR % b"DENIED"), "violated-apparmor-policy", "failure"),
        ((1400, APPARMOR % b"KILLED"), "violated-apparmor-policy", "failure"),
        ((1400, APPARMOR % b"ALLOWED"), "reported-by-apparmor", "success"),
        ((1400, APPARMOR % b"AUDIT"), "reported-by-apparmor", "success"),
        ((1400, STATUS), "reported-by-apparmor", "success"),
        ((1502, APPARMOR % b"ALLOWED"), "reported-by-apparmor", "success"),
        ((1423, LANDLOCK), "violated-landlock-policy", "failure"),
        ((1420, IPE % 1), "violated-ipe-policy", "failure"),
    ],
)  # fmt: skip
def test_alone_a_record_means_what_its_module_says(
    made: Any, record: tuple[int, bytes], action: str, outcome: str
) -> None:
    found = made(record)["event"]
    assert (found["action"], found["outcome"]) == (action, outcome)


def test_contexts_of_stacked_modules_are_no_violation(made: Any) -> None:
    """Ubuntu's kernels number MAC_TASK_CONTEXTS 1420 and MAC_OBJ_CONTEXTS 1421, which elsewhere are IPE's."""
    alone = made(UNDER_WAY, ADDRESS)
    for record in ((1420, b"subj_apparmor=unconfined"), (1421, b"obj_selinux=a obj_smack=b")):
        found = made(UNDER_WAY, ADDRESS, record)
        assert found["event"] == alone["event"]
        assert "policy" not in found["auditdeck"]
        assert made(record)["event"]["action"] == "part-of-policy-violation"
    assert made((1420, b"subj_apparmor=unconfined"))["auditd"]["message_type"] == "mac_task_contexts"


@pytest.mark.parametrize(
    ("record", "primary"),
    [
        ((1325, b"table=nat family=2 entries=5 op=nft_register_table pid=7"), "nat"),
        ((1700, b"dev=veth0 prom=256 old_prom=0 auid=0 uid=0 gid=0 ses=1"), "veth0"),
        ((1305, b"op=set audit_enabled=1 old=0 auid=0 ses=1 res=1"), "set"),
    ],
)
def test_the_object_is_named_by_the_record_beside_the_call(
    tmp_path: Path, made: Any, record: tuple[int, bytes], primary: str
) -> None:
    call = (1300, CONNECT.replace(b"syscall=42", b"syscall=46") % (b"yes", 60))
    assert made(call, record)["auditd"]["summary"]["object"]["primary"] == primary
    assert document(event(record), context(tmp_path))["auditd"]["summary"]["object"]["primary"] == primary
