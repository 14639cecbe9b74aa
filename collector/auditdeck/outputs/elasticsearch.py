"""Documents to Elasticsearch's bulk API (elastic.co: "Bulk API"), each exactly once.

The lines of the event log are JSON already; a bulk body is put together from them as they are. An event's `_id` follows
from its host and its stamp, and it is only ever created, so that what is sent again after a doubt is there once.
"""

from __future__ import annotations

import hashlib
import random
import time
from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import orjson
from isal import igzip

from auditdeck.context.addresses import own_addresses
from auditdeck.errors import SettingsError
from auditdeck.eventlog.reader import Position, Reader
from auditdeck.outputs.formats.encode import Encode
from auditdeck.outputs.output import IDLE, Output
from auditdeck.settings.model import ElasticsearchSettings

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch

RETRIED = {408, 429, 500, 502, 503, 504}
EVENT_ID = b'"event":{"id":"'
ID = b'"id":"'
HOST_NAME = b'"host":{"name":"'
# What went well is not listed: an answer of some bytes instead of 100 kB. If something did not, the same is sent again
# with all details; what is there already is then told apart by its _id.
BRIEF = "errors,items.*.failure_store"
DETAILS = "errors,items.*.status,items.*.error.type,items.*.error.reason"
DEAD_LETTERS = "dead-letters.ndjson"


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
        self.hosts: dict[bytes, bytes] = {}
        self.refused = False
        self.compress = compressed(settings)

    def follow(self, reader: Reader) -> None:
        while (client := self.connect()) is None:
            if self.stopping.wait(1):
                return
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
                    under_way.append((pool.submit(self.deliver, client, self.encoded(batch.lines)), batch.position))
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

    def deliver(self, client: Elasticsearch, lines: list[bytes]) -> bool:
        """Until all are acknowledged or refused for good; False if `stop` came first."""
        pause = 0.25
        while lines and (lines := self.send(client, lines)):
            if self.stopping.wait(pause * random.uniform(0.5, 1.5)):
                return False
            if self.refused:
                # The key may have been replaced (auditdeck provision --rotate).
                client = self.connect() or client
            pause = min(pause * 2, self.settings.backoff_max)
        self.trouble("")
        return True

    def send(self, client: Elasticsearch, lines: list[bytes]) -> list[bytes]:
        """One request; the lines that are to be sent again."""
        from elasticsearch import ApiError, TransportError

        body = self.body(lines)
        try:
            answer = self.post(client, body, BRIEF)
            if answer.get("errors"):
                details = self.post(client, body, DETAILS)
                self.refused = False
                return self.take(lines, details)
        except ApiError as error:
            if error.status_code == 413 and len(lines) > 1:
                middle = len(lines) // 2
                return self.send(client, lines[:middle]) + self.send(client, lines[middle:])
            self.refused = error.status_code == 401
            self.trouble(explain(error.status_code, str(error)))
            return lines
        except TransportError as error:
            self.trouble(f"cannot reach Elasticsearch: {error.message}")
            return lines
        self.refused = False
        self.counts.sent += len(lines)
        self.counts.dead_letters += sum(item["create"]["failure_store"] == "used" for item in answer.get("items", ()))
        return []

    def post(self, client: Elasticsearch, body: bytes, wanted: str) -> Mapping[str, Any]:
        headers = {"content-type": "application/x-ndjson", "accept": "application/json"}
        if self.compress:
            # Not by the client, whose zlib takes ten times as long.
            headers["content-encoding"] = "gzip"
            body = igzip.compress(body, compresslevel=1)
        answer: Any = client.perform_request(
            "POST", f"/{self.settings.index}/_bulk", params={"filter_path": wanted}, headers=headers, body=body
        )
        found: Mapping[str, Any] = answer.body
        return found

    def body(self, lines: list[bytes]) -> bytes:
        """An event's id goes into its `_id` and out of the document: it costs a tenth of the index to have it twice."""
        parts: list[bytes] = []
        for line in lines:
            start = line.find(EVENT_ID) + len(EVENT_ID)
            end = line.find(b'"', start)
            parts += (
                b'{"create":{"_id":"', self.host_key(line), b"-", line[start:end], b'"}}\n',
                line[: start - len(ID)], line[end + 2 :], b"\n",
            )  # fmt: skip
        return b"".join(parts)

    def host_key(self, line: bytes) -> bytes:
        """Eight characters for the host, so that the ids of different hosts differ."""
        start = line.find(HOST_NAME) + len(HOST_NAME)
        host = line[start : line.find(b'"', start)]
        key = self.hosts.get(host)
        if key is None:
            key = self.hosts[host] = hashlib.sha256(host).hexdigest()[:8].encode()
        return key

    def take(self, lines: list[bytes], answer: Mapping[str, Any]) -> list[bytes]:
        """Counts what an answer with all details says of each line; those to be sent again."""
        counts = self.counts
        again = []
        for line, item in zip(lines, answer["items"], strict=True):
            created = item["create"]
            status = created["status"]
            if status < 300:
                counts.sent += 1
            elif status == 409:
                counts.sent += 1
                counts.repeated += 1
            elif status in RETRIED:
                again.append(line)
            else:
                self.bury(line, created.get("error", {}))
        if again:
            self.trouble(f"Elasticsearch could not take {len(again)} of {len(lines)} documents now")
        return again

    def bury(self, line: bytes, error: Mapping[str, str]) -> None:
        """A document that is refused for good is kept with the reason."""
        self.counts.dead_letters += 1
        letter = orjson.dumps({"error": error, "document": orjson.loads(line)})
        with open(self.data_dir / DEAD_LETTERS, "ab") as file:
            file.write(letter + b"\n")

    def connect(self) -> Elasticsearch | None:
        """The client, or None while a file that it needs is not there yet (the init job makes it)."""
        try:
            return make_client(self.settings)
        except FileNotFoundError as error:
            self.trouble(f"waiting for {error.filename}")
            return None


def explain(status: int, error: str) -> str:
    if status in (401, 403):
        return f"Elasticsearch refuses the credentials ({status}): {error}"
    return f"Elasticsearch answered {status}: {error}"


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
