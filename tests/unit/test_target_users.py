"""user.target: the account that a login, su or an account tool was about, not the session that wrote the record."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from auditdeck.context.users import Users
from auditdeck.ecs.people import target_of


@pytest.fixture
def users(tmp_path: Path) -> Users:
    passwd, group = tmp_path / "passwd", tmp_path / "group"
    passwd.write_text("ada:x:1000:1000::/home/ada:/bin/sh\n")
    group.write_text("staff:x:50:\n")
    return Users(passwd, group)


@pytest.mark.parametrize(
    ("fields", "target"),
    [
        ({"op": "login", "acct": "oracle"}, {"name": "oracle"}),
        ({"op": "login", "id": "1000"}, {"id": "1000", "name": "ada"}),
        ({"op": "login", "id": "4294967295", "acct": "(invalid user)"}, {"name": "(invalid user)"}),
        ({"op": "PAM:session_open", "acct": "root"}, {"name": "root"}),
        ({"op": "delete-user", "id": "1001"}, {"id": "1001"}),
        ({"op": "add-user-to-group", "grp": "adm", "acct": "bob"}, {"name": "bob"}),
        ({"op": "add-group", "acct": "web"}, {"group": {"name": "web"}}),
        ({"op": "delete-group", "id": "50"}, {"group": {"id": "50", "name": "staff"}}),
        ({"op": "login", "acct": "?"}, {}),
        ({"uid": "0", "auid": "1000"}, {}),
    ],
)
def test_who_it_was_about(users: Users, fields: dict[str, str], target: dict[str, Any]) -> None:
    assert target_of(fields, {}, users) == target


def test_auditd_s_name_wins(users: Users) -> None:
    assert target_of({"op": "login", "id": "1000"}, {"ID": "ada.lovelace"}, users) == {
        "id": "1000",
        "name": "ada.lovelace",
    }
