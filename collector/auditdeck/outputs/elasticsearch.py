"""Documents of the event log to Elasticsearch: several requests at once, each until it is answered (bulk.py)."""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from auditdeck.context.addresses import own_addresses
from auditdeck.errors import SettingsError
from auditdeck.eventlog.reader import Position, Reader
from auditdeck.outputs.bulk import Answer, Bulk
from auditdeck.outputs.dead_letters import DeadLetters
from auditdeck.outputs.formats.encode import Encode
from auditdeck.outputs.output import IDLE, Output
from auditdeck.settings.model import ElasticsearchSettings

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch


@dataclass(slots=True)
class Batch:
    """Lines that go in one request; when they are delivered, all before `position` is."""

    lines: list[bytes]
    position: Position


class ElasticsearchOutput(Output):
    """Sends with several requests at once; waits, with growing pauses, as long as Elasticsearch cannot take it."""

    def __init__(self, settings: ElasticsearchSettings, data_dir: Path, encode: Encode) -> None:
        super().__init__("elasticsearch", data_dir, encode)
        self.settings = settings
        self.bulk = Bulk(settings.index, compress=compressed(settings))
        self.dead_letters = DeadLetters(data_dir)
        self.counting = threading.Lock()
        self.client: Elasticsearch

    def follow(self, reader: Reader) -> None:
        while (client := self.connect()) is None:
            if self.stopping.wait(1):
                return
        self.client = client
        under_way: deque[tuple[Future[bool], Position]] = deque()
        with ThreadPoolExecutor(self.settings.workers, thread_name_prefix="bulk") as pool:
            while not self.stopping.is_set():
                while under_way and (len(under_way) > self.settings.workers or under_way[0][0].done()):
                    delivered, position = under_way.popleft()
                    if not delivered.result():
                        return
                    self.cursor.save(position)
                batch = self.next_batch(reader, idle=not under_way)
                if batch is not None:
                    under_way.append((pool.submit(self.deliver, self.encoded(batch.lines)), batch.position))
                elif not self.stopping.wait(IDLE):
                    continue
            for delivered, position in under_way:
                if not delivered.result():
                    return
                self.cursor.save(position)

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

    def deliver(self, lines: list[bytes]) -> bool:
        """Until all are acknowledged or refused for good; False if `stop` came first."""
        pause = 0.25
        while lines:
            client = self.client
            answer = self.bulk.send(client, lines)
            self.take(answer)
            lines = answer.again
            if not lines:
                break
            self.trouble(answer.trouble or f"Elasticsearch could not take {len(lines)} documents now")
            if self.stopping.wait(pause * random.uniform(0.5, 1.5)):
                return False
            if answer.credentials and self.client is client:
                # The key may have been replaced (auditdeck provision --rotate): for all that follows.
                self.client = self.connect() or client
            pause = min(pause * 2, self.settings.backoff_max)
        self.trouble("")
        return True

    def take(self, answer: Answer) -> None:
        """Counts, and keeps what was refused for good. Raises OSError."""
        with self.counting:
            self.counts.sent += answer.sent
            self.counts.repeated += answer.repeated
            self.counts.dead_letters += answer.redirected + len(answer.refused)
            for line, error in answer.refused:
                self.dead_letters.add(line, error)

    def connect(self) -> Elasticsearch | None:
        """The client, or None while a file that it needs is not there yet (the init job makes it)."""
        try:
            return make_client(self.settings)
        except FileNotFoundError as error:
            self.trouble(f"waiting for {error.filename}")
            return None


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
            raise FileNotFoundError(2, "no such file", settings.ca)
        options["ca_certs"] = settings.ca
    elif settings.ca_fingerprint:
        options["ssl_assert_fingerprint"] = settings.ca_fingerprint
    return Elasticsearch(**options)


def compressed(settings: ElasticsearchSettings) -> bool:
    if settings.compression != "auto":
        return settings.compression == "on"
    here = {"localhost", "127.0.0.1", "::1", *own_addresses()}
    return any(urlsplit(host).hostname not in here for host in settings.hosts)
