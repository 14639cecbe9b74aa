"""Filters: which events are kept, the first match decides, and each counts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from auditdeck.audit.event import Event
from auditdeck.collector.filters import Filters, make_filters
from auditdeck.context.users import Users
from auditdeck.errors import SettingsError
from auditdeck.settings.model import Filter

STAMP = b"1700000000.123:7"
HEAD = b"audit(" + STAMP + b"): "
CALL = (
    HEAD + b"arch=c000003e syscall=42 success=yes exit=0 a0=3 a1=0 a2=10 a3=0 items=0 ppid=1 pid=9 auid=1000 uid=1000 "
    b'gid=1000 euid=1000 tty=pts0 ses=1 comm="curl" exe="/usr/bin/curl" subj=unconfined key="netconns_out"'
)
TO = HEAD + b"saddr=020001BB0A0100050000000000000000"
EVENT = Event(STAMP, [(1300, CALL), (1306, TO), (1327, HEAD + b'proctitle="curl"')])
LOGIN = Event(
    STAMP, [(1112, HEAD + b'pid=1 uid=0 auid=1000 ses=1 msg=\'op=login acct="ada" exe="/usr/sbin/sshd" res=success\'')]
)


@pytest.fixture
def users(tmp_path: Path) -> Users:
    (tmp_path / "passwd").write_text("ada:x:1000:1000::/:/bin/sh\n")
    (tmp_path / "group").write_text("")
    return Users(tmp_path / "passwd", tmp_path / "group")


def filters(users: Users, *entries: dict[str, Any]) -> Filters:
    return make_filters([msgspec.convert(entry, Filter) for entry in entries], users)


@pytest.mark.parametrize(
    ("entry", "connects", "logins"),
    [
        ({"syscall": 42}, True, False),
        ({"syscall": "connect"}, True, False),
        ({"syscall": "bind"}, False, False),
        ({"message_type": 1306, "regex": "saddr=020001BB"}, True, False),
        ({"syscall": 49, "message_type": 1306, "regex": "saddr=02"}, False, False),
        ({"message_type": "USER_LOGIN"}, False, True),
        ({"regex": "op=login"}, False, True),
        ({"key": "netconns_out"}, True, False),
        ({"user": "ada"}, True, False),
        ({"user": "1000"}, True, False),
        ({"user": "0"}, False, True),
        ({"executable": "/curl$"}, True, False),
        ({"executable": "^/usr/"}, True, True),
        ({"destination": "10.0.0.0/8"}, True, False),
        ({"destination": "10.1.0.5"}, True, False),
        ({"destination": "fd00::/8"}, False, False),
        ({"port": 443}, True, False),
        ({"port": 443, "user": "bob"}, False, False),
        ({"port": 443, "user": "ada", "destination": "10.1.0.0/16"}, True, False),
    ],
)
def test_what_a_filter_is_for(users: Users, entry: dict[str, Any], connects: bool, logins: bool) -> None:
    made = filters(users, entry)
    for _ in range(2):
        assert (made.drops(EVENT), made.drops(LOGIN)) == (connects, logins)
    assert made.rules[0].count == 2 * (connects + logins)


def test_the_first_match_decides(users: Users) -> None:
    made = filters(users, {"user": "ada", "port": 443, "keep": True}, {"destination": "10.0.0.0/8"}, {"port": 443})
    assert not made.drops(EVENT)
    assert [rule.count for rule in made.rules] == [1, 0, 0]
    assert made.rules[0].name == "user=ada, port=443, keep=True"


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({}, "filter 1 says nothing"),
        ({"keep": True}, "filter 1 says nothing"),
        ({"regex": "("}, "filter 1: not a valid regular expression"),
        ({"destination": "10.0.0.0/99"}, "filter 1: destination"),
        ({"message_type": "NOPE"}, "filter 1: 'NOPE' is not a record type"),
        ({"syscall": "nope"}, "filter 1: 'nope' is not a system call"),
    ],
)
def test_errors_say_which_filter(users: Users, entry: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message.replace("(", r"\(")):
        filters(users, entry)
