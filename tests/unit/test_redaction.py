"""Secrets in command lines are replaced before anything is written; everything else stays to the byte."""

from __future__ import annotations

import re
import shlex
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditdeck.audit.event import Event
from auditdeck.audit.fields import arguments, raw_arguments, raw_fields
from auditdeck.ecs.redaction import EXECVE, PROCTITLE, USER_CMD, Redactor, encoded, encoded_arguments, redactor
from auditdeck.errors import SettingsError

X = "[redacted]"
LINES = Path(__file__).parent.parent / "fixtures/redaction"
SECRETS = (LINES / "secrets.txt").read_text().splitlines()
ALONE = re.compile(r"(?:-u|--user|-p|-P|-a|--password|--token|-w|--passphrase|-k|-A) (?:bob:)?S3CR3T(?: |$)")
"""Command lines of programs as their manual pages have them; S3CR3T stands where a secret does."""
ORDINARY = (LINES / "ordinary.txt").read_text().splitlines()


def execve(words: list[bytes]) -> bytes:
    return encoded_arguments(dict(enumerate(words)), len(words))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("tool --password=hunter2 file", f"tool --password={X} file"),
        ("tool --password hunter2 file", f"tool --password {X} file"),
        ("tool --db-password hunter2", f"tool --db-password {X}"),
        ("tool -secret hunter2", f"tool -secret {X}"),
        ("tool --api-key=abc --verbose", f"tool --api-key={X} --verbose"),
        ("tool --auth.token=abc", f"tool --auth.token={X}"),
        ("env DB_PASSWORD=abc AWS_SECRET_ACCESS_KEY=abc run", f"env DB_PASSWORD={X} AWS_SECRET_ACCESS_KEY={X} run"),
        ("curl -u ada:hunter2 https://example.org", f"curl -u ada:{X} https://example.org"),
        ("curl https://ada:hunter2@example.org/x", f"curl https://ada:{X}@example.org/x"),
        ("curl -H 'Authorization: Bearer abc.def'", f"curl -H 'Authorization: Bearer {X}'"),
        ("curl -H 'X-Api-Key: abc'", f"curl -H 'X-Api-Key: {X}'"),
        ("mysql -uroot -phunter2 db", f"mysql -uroot -p{X} db"),
        ("sshpass -p hunter2 ssh host", f"sshpass -p {X} ssh host"),
        ("redis-cli -a hunter2 ping", f"redis-cli -a {X} ping"),
        # What looks like it but is none stays.
        ("ssh -p 22 host", "ssh -p 22 host"),
        ("mkdir -p /srv/x", "mkdir -p /srv/x"),
        ("tool --password --verbose", "tool --password --verbose"),
        ("ls /home/ada/passwords", "ls /home/ada/passwords"),
        ("curl -u ada https://example.org:443/a@b", "curl -u ada https://example.org:443/a@b"),
        ("passwd ada", "passwd ada"),
        ("git clone git@example.org:team/token", "git clone git@example.org:team/token"),
        ("tool --tokenizer=fast --passes=3", "tool --tokenizer=fast --passes=3"),
    ],
)
def test_the_default_set(given: str, expected: str) -> None:
    words = [word.encode() for word in shlex.split(given)]
    assert Redactor().arguments(words) == [word.encode() for word in shlex.split(expected)]
    body = Redactor().record(EXECVE, execve(words))
    assert arguments([body]) == shlex.split(expected)
    title = b"proctitle=" + encoded(b"\0".join(words))
    assert raw_fields(Redactor().record(PROCTITLE, title))["proctitle"].split(b"\0") == [
        word.encode() for word in shlex.split(expected)
    ]


@pytest.mark.parametrize(
    ("line", "secret"),
    [(line, "Zq7xSesam9") for line in SECRETS]
    + [
        (line, secret)
        for line in SECRETS
        if ALONE.search(line)
        for secret in ("-Zq7Sesam9", "Zq7@Sesam9", "Zq7 Sesam9")
    ],
)
def test_no_secret_is_left_in_any_record(line: str, secret: str) -> None:
    words = [word.replace("S3CR3T", secret).encode() for word in shlex.split(line)]
    part = secret.encode()[-8:]
    body = Redactor().record(EXECVE, execve(words))
    assert not any(part in word for word in raw_arguments([body]).values())
    titled = Redactor().record(PROCTITLE, b"proctitle=" + encoded(b"\0".join(words)))
    assert part not in raw_fields(titled)["proctitle"]
    command = b"pid=1 uid=0 msg='cwd=\"/\" cmd=%s terminal=pts/1 res=success'" % b" ".join(words).hex().upper().encode()
    assert part not in raw_fields(Redactor().record(USER_CMD, command))["cmd"]
    script = execve([b"sh", b"-c", line.replace("S3CR3T", secret).encode()])
    assert not any(part in word for word in raw_arguments([Redactor().record(EXECVE, script)]).values())


@pytest.mark.parametrize("line", ORDINARY)
def test_ordinary_commands_stay_readable(line: str) -> None:
    words = [word.encode() for word in shlex.split(line)]
    assert Redactor().arguments(words) == words
    script = [b"sh", b"-c", line.encode()]
    assert Redactor().arguments(script) == script or ":" in line


def test_an_address_that_the_kernel_cut_off() -> None:
    title = b"curl\0--silent\0--output\0/var/lib/app/" + b"x" * 60 + b"\0https://ada:hunter2Zq7Sesam9secret@example.org"
    body = b"proctitle=" + title[:128].hex().upper().encode()
    assert b"hunter2" not in raw_fields(Redactor().record(PROCTITLE, body))["proctitle"]


def test_shells_within_shells_end_somewhere() -> None:
    line = "mysql -phunter2"
    for _ in range(5):
        line = f"sh -c {shlex.quote(line)}"
    assert b"hunter2" not in b" ".join(Redactor().arguments([word.encode() for word in shlex.split(line)]))
    deep = b"sh -c " * 20_000
    Redactor().arguments(deep.split())
    Redactor().command(deep)


def test_commands_of_sudo() -> None:
    body = b"pid=1 uid=0 msg='cwd=\"/\" cmd=%s terminal=pts/1 res=success'" % encoded(b"tool --password=x y").strip(
        b'"'
    )
    found = Redactor().record(USER_CMD, body)
    assert raw_fields(found)["cmd"] == b"tool --password=[redacted] y"
    assert raw_fields(found)["terminal"] == b"pts/1"


def test_patterns_of_the_user() -> None:
    made = redactor(defaults=False, patterns=[r"pin:(?P<secret>\d+)", "whole"])
    assert made.arguments([b"x", b"pin:1234,a", b"--password=y", b"whole"]) == [
        b"x",
        b"pin:[redacted],a",
        b"--password=y",
        b"[redacted]",
    ]
    with pytest.raises(SettingsError, match=r"redact\.patterns: '\(' \(number 2\)"):
        redactor(defaults=True, patterns=["a", "("])


def test_arguments_over_several_records_are_looked_at_together() -> None:
    head = b"audit(1.000:1): "
    items = [(EXECVE, head + b'argc=3 a0="tool" a1="--password"'), (EXECVE, head + b"a2_len=8 a2[0]=61 a2[1]=62")]
    made = Redactor().event(Event(b"1.000:1", items))
    found = raw_arguments([payload[len(head) :] for _, payload in made.items])
    assert list(found.values()) == [b"tool", b"--password", b"[redacted]"]


def test_what_was_lost_of_an_argument_list_stays_lost() -> None:
    """Numbers stay, and what the first record says that there are; without it nothing is made up."""
    later = Redactor().record(EXECVE, b'a3="--password=x" a4="y"')
    assert later == b'a3="--password=[redacted]" a4="y"'
    cut = Redactor().record(EXECVE, b'argc=9 a0="tool" a1="--password=x"')
    assert cut == b'argc=9 a0="tool" a1="--password=[redacted]"'


@given(st.lists(st.binary(min_size=1, max_size=20).filter(lambda value: b"\0" not in value), min_size=1, max_size=6))
def test_what_the_encoding_says_is_what_was_given(words: list[bytes]) -> None:
    assert raw_arguments([execve(words)]) == dict(enumerate(words))


@given(st.binary(max_size=80))
def test_any_record_survives(body: bytes) -> None:
    for kind in (EXECVE, PROCTITLE, USER_CMD, 1300):
        Redactor().record(kind, body)


def test_switched_off_nothing_is_touched() -> None:
    body = execve([b"tool", b"--password=x"])
    assert Redactor(defaults=False).record(EXECVE, body) is body


@pytest.mark.parametrize(
    "piece",
    [
        b"x",
        b"a.",
        b"a_",
        b"a://",
        b"x-",
        b"token-",
        b"a:",
        b"token: ",
        b"token=",
        b"eyJ-",
        b"'",
        b"$(",
        b'a="',
        b"://a:",
    ],
)
def test_long_arguments_take_no_longer_than_they_are(piece: bytes) -> None:
    argument = piece * 50_000
    began = time.process_time()
    Redactor().arguments([b"tool", argument, b"--" + argument, argument + b"="])
    Redactor().arguments([b"sh", b"-c", argument])
    Redactor().command(argument)
    assert time.process_time() - began < 2
