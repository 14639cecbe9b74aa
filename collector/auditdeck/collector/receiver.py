"""The threads between the kernel and the decoder, and the queue between them."""

from __future__ import annotations

import threading
import time
from queue import SimpleQueue
from typing import Protocol

from auditdeck.collector.decoder import Batch
from auditdeck.collector.health import Counters

QUEUE_LIMIT = 400_000
"""Records that may wait to be decoded; beyond that they wait in the kernel, which counts what it cannot hold."""
LONGEST = 0.5
"""Seconds that it sleeps at most, so that it notices its end."""
AT_ONCE = 2000
"""Records that are decoded by the thread that received them: some milliseconds' work."""


class Source(Protocol):
    """Where records come from: `Capture`. `count` is how many the last call returned."""

    count: int
    overruns: int

    def records(self, timeout: float) -> Batch: ...


class Taker(Protocol):
    """What becomes of them: `Decoder`."""

    @property
    def patience(self) -> float: ...

    def take(self, batch: Batch, count: int, *, last: bool) -> None: ...

    def finish(self) -> None: ...


class Receiver:
    """`receive` and `decode` run in a thread each, until `stop`; then `drain` and `finish`.

    Small batches are decoded at once, while their bytes are still in this processor's cache; large ones wait for the
    other thread, so that the kernel never waits for decoding.
    """

    def __init__(self, source: Source, decoder: Taker, counters: Counters) -> None:
        self.source = source
        self.decoder = decoder
        self.counters = counters
        self.queue: SimpleQueue[tuple[Batch, int] | None] = SimpleQueue()
        self.decoding = threading.Lock()
        self.stopping = threading.Event()
        self.received = 0
        self.decoded = 0

    @property
    def queued(self) -> int:
        """Records that wait to be decoded."""
        return self.received - self.decoded

    def receive(self) -> None:
        while not self.stopping.is_set():
            patience = self.decoder.patience
            batch = self.source.records(patience or LONGEST)
            if batch or patience:
                self.hand_on(batch, self.source.count)
            self.counters.overruns = self.source.overruns
            while self.queued > QUEUE_LIMIT and not self.stopping.is_set():
                time.sleep(0.01)

    def hand_on(self, batch: Batch, count: int) -> None:
        if count <= AT_ONCE and not self.queued and self.decoding.acquire(blocking=False):
            try:
                self.received += count
                self.work(batch, count)
            finally:
                self.decoding.release()
        elif batch:
            self.received += count
            self.queue.put((batch, count))

    def decode(self) -> None:
        while waiting := self.queue.get():
            with self.decoding:
                self.work(*waiting)
        with self.decoding:
            self.decoder.finish()

    def work(self, batch: Batch, count: int) -> None:
        self.decoder.take(batch, count, last=self.queue.empty())
        self.decoded += count

    def stop(self) -> None:
        """`receive` returns soon."""
        self.stopping.set()

    def drain(self, seconds: float) -> None:
        """What is still on its way, until nothing more comes; `receive` must have returned."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            batch = self.source.records(0.1)
            if not batch:
                break
            self.received += self.source.count
            self.queue.put((batch, self.source.count))

    def finish(self) -> None:
        """`decode` returns once everything is decoded."""
        self.queue.put(None)
