"""Records that cannot be read, and events that cannot be decoded: counted, and kept without secrets."""

from __future__ import annotations

from pathlib import Path

import pytest

from auditdeck import Encoder, offline_context
from auditdeck.audit.assembler import Assembler
from auditdeck.collector.attempts import Attempts
from auditdeck.collector.damaged import DamagedLog
from auditdeck.collector.decoder import Decoder
from auditdeck.collector.filters import make_filters
from auditdeck.collector.health import Counters
from auditdeck.collector.sink import Sink
from auditdeck.eventlog.writer import Writer

HEAD = b"audit(1700000000.123:42): "
EXECVE, LOGIN = 1309, 1112


@pytest.fixture
def decoder(tmp_path: Path) -> Decoder:
    context, counters, attempts = offline_context(), Counters(), Attempts()
    return Decoder(
        Assembler(counts=counters),
        Encoder(context),
        make_filters([], context.users),
        DamagedLog(tmp_path / "damaged.log", context.redactor),
        Sink(Writer(tmp_path / "events"), attempts, counters),
        counters,
        attempts=attempts,
    )


def kept(tmp_path: Path) -> str:
    return (tmp_path / "damaged.log").read_text()


def test_a_record_that_cannot_be_read_is_counted_and_kept(decoder: Decoder, tmp_path: Path) -> None:
    decoder.take([(1300, b"no stamp at all"), (LOGIN, HEAD + b"pid=1 uid=0"), (1300, b"nor here")], 3, last=True)
    assert (decoder.counters.damaged, decoder.counters.documents) == (2, 1)
    assert [line.split(" ", 1)[1] for line in kept(tmp_path).splitlines()] == [
        "type=1300 no stamp at all",
        "type=1300 nor here",
    ]


def test_an_event_that_cannot_be_decoded_is_kept_and_the_next_is_decoded(
    decoder: Decoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode = decoder.encoder.encode_checked

    def fails_once(_: object) -> bytes:
        monkeypatch.setattr(decoder.encoder, "encode_checked", encode)
        raise RecursionError("once")

    monkeypatch.setattr(decoder.encoder, "encode_checked", fails_once)
    decoder.take([(LOGIN, HEAD + b"pid=7"), (LOGIN, HEAD.replace(b"42", b"43") + b"pid=8")], 2, last=True)
    assert (decoder.counters.damaged, decoder.counters.documents) == (1, 1)
    assert "type=1112 audit(1700000000.123:42): pid=7\n" in kept(tmp_path)


def test_what_is_kept_has_no_secrets(decoder: Decoder, tmp_path: Path) -> None:
    decoder.take([(EXECVE, b'audit(damaged): argc=2 a0="x" a1="--password=hunter2"')], 1, last=True)
    assert decoder.counters.damaged == 1
    assert "hunter2" not in kept(tmp_path)
    assert "--password=[redacted]" in kept(tmp_path)
    assert decoder.damaged.redactor.count == 1
