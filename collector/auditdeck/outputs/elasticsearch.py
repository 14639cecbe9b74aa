"""Documents of the event log to Elasticsearch: several requests at once, each until it is answered (bulk.py)."""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from auditdeck.context.addresses import own_addresses
from auditdeck.errors import SettingsError
from auditdeck.eventlog.reader import Position, Reader
from auditdeck.outputs.bulk import Answer, Bulk
from auditdeck.outputs.dead_letters import DeadLetters
from auditdeck.outputs.formats.encode import Encode
from auditdeck.outputs.output import IDLE, Output, logger
from auditdeck.settings.model import ElasticsearchSettings

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch

LAST_ANSWERS = 2.0
"""Seconds for the answers to requests that are under way at the end; what is not answered then is sent again by the
next run."""
GENERATION = "generation"
ASKED_AGAIN = 60.0
"""Seconds between two looks at which backing index of the data stream is written to."""


@dataclass(slots=True)
class Batch:
    """Lines that go in one request; when they are delivered, all before `position` is."""

    lines: list[bytes]
    position: Position


class Delivery(threading.Thread):
    """One batch under way. A daemon: a server that does not answer keeps no process from ending."""

    def __init__(self, deliver: Callable[[], bool], position: Position) -> None:
        super().__init__(name="bulk", daemon=True)
        self.deliver = deliver
        self.position = position
        self.delivered = False
        self.failure: Exception | None = None
        self.start()

    def run(self) -> None:
        try:
            self.delivered = self.deliver()
        except Exception as error:
            self.failure = error


class ElasticsearchOutput(Output):
    """Sends with several requests at once; waits, with growing pauses, as long as Elasticsearch cannot take it.

    A document is there once, by its `_id`, which is unique in one backing index of the data stream. The answer to a
    request may be lost, and the stream roll over before it is sent again: what is created then may be there twice, and
    is counted (`doubled`).
    """

    def __init__(self, settings: ElasticsearchSettings, data_dir: Path, encode: Encode) -> None:
        super().__init__("elasticsearch", data_dir, encode)
        self.settings = settings
        self.bulk = Bulk(settings.index, compress=compressed(settings))
        self.dead_letters = DeadLetters(data_dir)
        self.counting = threading.Lock()
        self.waiting: set[int] = set()
        self.client: Elasticsearch
        self.files: tuple[bytes, ...] = ()
        self.generation = self.cursor.more.get(GENERATION, 0)
        """Of the backing index that took the last documents of which it is known, 0 if of none."""
        self.asked = -ASKED_AGAIN

    def follow(self, reader: Reader) -> None:
        while not self.connect():
            if self.stopping.wait(1):
                return
        # Of a run that was killed, so many requests may have been under way.
        in_doubt = self.settings.workers if GENERATION in self.cursor.more else 0
        under_way: deque[Delivery] = deque()
        while not self.stopping.is_set():
            if len(under_way) == self.settings.workers:
                under_way[0].join(IDLE)
            if not self.settle(under_way):
                return
            if len(under_way) == self.settings.workers:
                continue
            batch = self.next_batch(reader, idle=not under_way)
            if batch is None:
                self.stopping.wait(IDLE)
                continue
            lines, generation = self.encoded(batch.lines), self.generation if in_doubt else 0
            in_doubt = max(0, in_doubt - 1)
            under_way.append(Delivery(partial(self.deliver, lines, generation), batch.position))
        deadline = time.monotonic() + LAST_ANSWERS
        for delivery in under_way:
            delivery.join(max(0.0, deadline - time.monotonic()))
        if self.settle(under_way) and not under_way:
            self.save(self.cursor.position)

    def settle(self, under_way: deque[Delivery]) -> bool:
        """Saves how far all is delivered; False if something cannot be any more."""
        while under_way and not under_way[0].is_alive():
            delivery = under_way.popleft()
            if delivery.failure is not None:
                raise delivery.failure
            if not delivery.delivered:
                return False
            self.save(delivery.position, {GENERATION: self.generation} if self.generation else {})
        return True

    def next_batch(self, reader: Reader, *, idle: bool) -> Batch | None:
        """Up to a request's worth; waits for more no longer than the flush interval, and not at all if all is idle."""
        settings = self.settings
        lines: list[bytes] = []
        size = 0
        deadline = time.monotonic() + (0 if idle else settings.flush_interval)
        while size < settings.bulk_size and len(lines) < settings.bulk_count:
            # About so many bytes that the count is not exceeded by much: a document is some 1.2 kB.
            room = min(settings.bulk_size - size, (settings.bulk_count - len(lines)) * 1200)
            more = reader.read(max(4096, room))
            lines += more
            size += sum(map(len, more))
            if not more and (time.monotonic() >= deadline or self.stopping.wait(IDLE)):
                break
        return Batch(lines, reader.position) if lines else None

    def deliver(self, lines: list[bytes], before: int = 0) -> bool:
        """Until all are acknowledged or refused for good; False if `stop` came first.

        `before`: the generation that may have them already, 0 if none has.
        """
        pause, me = 0.25, threading.get_ident()
        while lines:
            client, known = self.client, self.generation
            answer = self.bulk.send(client, lines, generations=self.asks(before))
            self.take(answer, before)
            lines = answer.again
            before = (before or known) if answer.lost else 0
            if not lines:
                break
            with self.counting:
                self.waiting.add(me)
                self.trouble(answer.trouble, answer.cause)
            if self.renew(client):
                continue
            if self.stopping.wait(pause * random.uniform(0.5, 1.5)):
                return False
            pause = min(pause * 2, self.settings.backoff_max)
        with self.counting:
            self.waiting.discard(me)
            if not self.waiting:
                self.trouble("")
        return True

    def asks(self, before: int) -> bool:
        """Whether the answer is to name the backing index: it makes it three times as long."""
        now = time.monotonic()
        if not before and now - self.asked < ASKED_AGAIN:
            return False
        self.asked = now
        return True

    def take(self, answer: Answer, before: int) -> None:
        """Counts, and keeps what was refused for good."""
        with self.counting:
            self.counts.sent += answer.sent
            self.counts.repeated += answer.repeated
            self.counts.dead_letters += len(answer.refused)
            for line, error in answer.refused:
                self.dead_letters.add(line, error)
            if answer.generations:
                self.generation = max(answer.generations)
            if before and answer.created and answer.generations - {before}:
                self.counts.doubled += answer.created
                logger.warning(
                    "output elasticsearch: the data stream rolled over while an answer was lost: up to %d documents "
                    "are there twice",
                    answer.created,
                )

    def connect(self) -> bool:
        """Makes the client; False while a file that it needs cannot be read (the init job makes it)."""
        try:
            self.files = files_of(self.settings)
            self.client = make_client(self.settings)
        except OSError as error:
            self.trouble(f"waiting for {error.filename or self.settings.ca}: {error.strerror or error}")
            return False
        return True

    def renew(self, client: Elasticsearch) -> bool:
        """Whether there is another client than this one now: the key or the certificate may have been replaced
        (auditdeck provision --rotate), and then all that follows takes the new one."""
        with self.counting:
            if self.client is client:
                try:
                    if files_of(self.settings) != self.files:
                        self.connect()
                except OSError:
                    pass
            return self.client is not client


def files_of(settings: ElasticsearchSettings) -> tuple[bytes, ...]:
    """What is in the files of key, password and authority. Raises OSError."""
    named = (settings.api_key_file, settings.password_file, settings.ca)
    return tuple(Path(name).read_bytes() for name in named if name)


def make_client(settings: ElasticsearchSettings, **more: Any) -> Elasticsearch:
    """A client of Elastic's own library; certificates are always verified.

    Raises FileNotFoundError for a secret's file that is not there, SettingsError for settings that exclude each other.
    """
    from elasticsearch import Elasticsearch

    options: dict[str, Any] = {
        "hosts": settings.hosts,
        "request_timeout": settings.timeout,
        "max_retries": 0,
        "retry_on_timeout": False,
        "connections_per_node": settings.workers + 1,
        **more,
    }
    key = settings.api_key or (Path(settings.api_key_file).read_text().strip() if settings.api_key_file else "")
    password = settings.password or (Path(settings.password_file).read_text().strip() if settings.password_file else "")
    if key and settings.username:
        raise SettingsError("outputs.elasticsearch: api_key and username exclude each other", "give one of them")
    if key:
        options["api_key"] = key
    elif settings.username:
        options["basic_auth"] = (settings.username, password)
    if settings.ca:
        if not Path(settings.ca).exists():
            raise FileNotFoundError(2, "No such file or directory", settings.ca)
        options["ca_certs"] = settings.ca
    elif settings.ca_fingerprint:
        options["ssl_assert_fingerprint"] = settings.ca_fingerprint
    return Elasticsearch(**options)


def compressed(settings: ElasticsearchSettings) -> bool:
    if settings.compression != "auto":
        return settings.compression == "on"
    here = {"localhost", "127.0.0.1", "::1", *own_addresses()}
    return any(urlsplit(host).hostname not in here for host in settings.hosts)
