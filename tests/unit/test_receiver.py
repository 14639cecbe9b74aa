"""Records in their order from the kernel to the decoder, by whichever thread."""

from __future__ import annotations

import threading

import pytest

from auditdeck.audit.assembler import Assembler
from auditdeck.collector import receiver as module
from auditdeck.collector.decoder import Batch, Types
from auditdeck.collector.health import Counters
from auditdeck.collector.receiver import Receiver


class Source:
    """Batches as they are given, then nothing."""

    def __init__(self, batches: list[int]) -> None:
        self.batches = batches
        self.sent = 0
        self.count = self.overruns = 0
        self.empty = threading.Event()

    def records(self, timeout: float) -> Batch:
        if not self.batches:
            self.count = 0
            self.empty.set()
            threading.Event().wait(min(timeout, 0.001))
            return []
        self.count = self.batches.pop(0)
        first, self.sent = self.sent, self.sent + self.count
        self.overruns += 1
        return [(1300, b"%d" % number) for number in range(first, self.sent)]


class Decoder:
    def __init__(self) -> None:
        self.seen: list[int] = []
        self.lasts: list[bool] = []
        self.patience = 0.0
        self.finished = False

    def take(self, batch: Batch, count: int, *, last: bool) -> None:
        assert len(batch) == count
        self.seen += [int(item[1]) for item in batch if isinstance(item, tuple)]
        self.lasts.append(last)

    def finish(self) -> None:
        self.finished = True


@pytest.mark.parametrize("batches", [[1] * 50, [5000, 1, 5000, 2], [1, 3000, 1, 3000] * 5])
def test_every_record_in_its_order(batches: list[int]) -> None:
    total = sum(batches)
    source, decoder, counters = Source(batches), Decoder(), Counters()
    receiver = Receiver(source, decoder, counters)
    threads = [threading.Thread(target=work) for work in (receiver.receive, receiver.decode)]
    for thread in threads:
        thread.start()
    assert source.empty.wait(10)
    receiver.stop()
    threads[0].join(10)
    source.batches = [7, 3]
    receiver.drain(1)
    receiver.finish()
    threads[1].join(10)
    assert decoder.seen == list(range(total + 10))
    assert decoder.finished
    assert receiver.queued == 0
    assert counters.overruns


def test_the_kernel_keeps_what_does_not_fit_into_the_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "QUEUE_LIMIT", 6000)
    source = Source([3000] * 6)
    receiver = Receiver(source, Decoder(), Counters())
    thread = threading.Thread(target=receiver.receive)
    thread.start()
    threading.Event().wait(0.2)
    assert receiver.queued == 9000
    assert len(source.batches) == 3
    receiver.stop()
    thread.join(10)
    assert not thread.is_alive()


def test_types_that_are_wanted() -> None:
    assert Types().are_all
    some = Types(1300, 1399)
    assert not some.are_all
    assert [some.has(kind) for kind in (1299, 1300, 1399, 1400, 1320)] == [False, True, True, False, True]


def test_serials_between_a_crash_and_the_next_start_are_missing() -> None:
    record = b"audit(1700000000.000:%d): arch=c000003e syscall=59 success=yes"
    counts = Counters()
    assembler = Assembler(timeout=0.0, counts=counts)
    assembler.follow(100)
    assembler.feed([(1300, record % 141), (1320, record[:26] % 141)])
    assembler.flush()
    assembler.close()
    assert counts.gaps == 40
