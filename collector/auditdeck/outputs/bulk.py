"""Requests to Elasticsearch's bulk API (elastic.co: "Bulk API"), and what each answer means for each document.

The lines of the event log are JSON already; a bulk body is put together from them as they are. An event's `_id` follows
from its host and its stamp, and it is only ever created, so that what is sent again after a doubt is there once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson
from isal import igzip

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch

EVENT_ID = b'"event":{"id":"'
ID = b'"id":"'
HOST_NAME = b'"host":{"name":"'
# What went well is not listed: an answer of some bytes instead of 100 kB. If something did not, the same is sent again
# with all details; what is there already is then told apart by its _id.
BRIEF = "errors,items.*.failure_store"
DETAILS = "errors,items.*.status,items.*.error.type,items.*.error.reason"
OF_THE_CLUSTER = {
    "index_closed_exception", "validation_exception", "cluster_block_exception", "index_not_found_exception",
    "security_exception", "no_shard_available_action_exception",
}  # fmt: skip
"""Errors with status 400 and others that say nothing of the document: the same one is taken when that is over."""
TOO_LARGE = {"type": "document_too_large", "reason": "larger than a request may be (http.max_content_length)"}


@dataclass(slots=True)
class Answer:
    """What became of the lines of a request. `again` are to be sent again, as `trouble` says why; `refused` are so for
    good, with the error of each. `credentials`: they are not accepted (any more)."""

    sent: int = 0
    repeated: int = 0
    redirected: int = 0
    again: list[bytes] = field(default_factory=list)
    refused: list[tuple[bytes, dict[str, Any]]] = field(default_factory=list)
    trouble: str = ""
    credentials: bool = False

    def add(self, other: Answer) -> Answer:
        """Of another part of the same lines."""
        return Answer(
            self.sent + other.sent,
            self.repeated + other.repeated,
            self.redirected + other.redirected,
            self.again + other.again,
            self.refused + other.refused,
            self.trouble or other.trouble,
            self.credentials or other.credentials,
        )


class Bulk:
    """`send(client, lines)` for one data stream; in several threads."""

    def __init__(self, index: str, *, compress: bool) -> None:
        self.index = index
        self.compress = compress
        self.hosts: dict[bytes, bytes] = {}

    def send(self, client: Elasticsearch, lines: list[bytes]) -> Answer:
        from elasticsearch import ApiError, TransportError

        body = self.body(lines)
        try:
            answer = self.post(client, body, BRIEF)
            if answer.get("errors") is False:
                return Answer(sent=len(lines), redirected=redirected(answer))
            if answer.get("errors") is True:
                return self.read(lines, self.post(client, body, DETAILS))
        except ApiError as error:
            return self.not_taken(client, lines, error)
        except TransportError as error:
            return Answer(again=lines, trouble=f"cannot reach Elasticsearch: {error.message}")
        return Answer(again=lines, trouble=f"what answers is not Elasticsearch's bulk API: {str(answer)[:120]}")

    def post(self, client: Elasticsearch, body: bytes, wanted: str) -> Mapping[str, Any]:
        headers = {"content-type": "application/x-ndjson", "accept": "application/json"}
        if self.compress:
            # Not by the client, whose zlib takes ten times as long.
            headers["content-encoding"] = "gzip"
            body = igzip.compress(body, compresslevel=1)
        # A name that is not a data stream is an error, never a new index with types of its own guess.
        params = {"filter_path": wanted, "require_data_stream": "true"}
        answer: Any = client.perform_request("POST", f"/{self.index}/_bulk", params=params, headers=headers, body=body)
        return answer.body if isinstance(answer.body, Mapping) else {}

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

    def read(self, lines: list[bytes], answer: Mapping[str, Any]) -> Answer:
        """Of an answer with all details."""
        items = answer.get("items", [])
        if len(items) != len(lines):
            return Answer(again=lines, trouble=f"Elasticsearch answered for {len(items)} of {len(lines)} documents")
        found = Answer()
        for line, item in zip(lines, items, strict=True):
            made = item["create"]
            status, error = made["status"], made.get("error", {})
            if status < 300:
                found.sent += 1
            elif status == 409:
                found.sent += 1
                found.repeated += 1
            elif is_the_documents(status, error):
                found.refused.append((line, error))
            else:
                found.again.append(line)
                found.trouble = explain(status, error)
                found.credentials |= status == 401
        return found

    def not_taken(self, client: Elasticsearch, lines: list[bytes], error: Any) -> Answer:
        """The whole request failed."""
        status, said = error.status_code, error_of(error.body)
        if status == 413:
            if len(lines) == 1:
                return Answer(refused=[(lines[0], TOO_LARGE)])
            middle = len(lines) // 2
            return self.send(client, lines[:middle]).add(self.send(client, lines[middle:]))
        if status == 400 and (damaged := [line for line in lines if not is_json(line)]):
            refused: list[tuple[bytes, dict[str, Any]]] = [(line, said) for line in damaged]
            return Answer(again=[line for line in lines if is_json(line)], refused=refused)
        return Answer(again=lines, trouble=explain(status, said), credentials=status in (401, 403))


def redirected(answer: Mapping[str, Any]) -> int:
    """Documents that went to the failure store of the data stream."""
    return sum(item["create"].get("failure_store") == "used" for item in answer.get("items", ()))


def is_the_documents(status: int, error: Mapping[str, Any]) -> bool:
    """Whether the document itself is to blame, so that it will never be taken."""
    return status in (400, 413) and error.get("type") not in OF_THE_CLUSTER


def error_of(body: Any) -> dict[str, Any]:
    error = body.get("error") if isinstance(body, Mapping) else None
    return dict(error) if isinstance(error, Mapping) else {"type": "error", "reason": str(error or body)[:300]}


def explain(status: int, error: Mapping[str, Any]) -> str:
    """What keeps documents from being taken, in a sentence."""
    kind, reason = error.get("type", ""), str(error.get("reason", ""))[:300]
    if kind == "cluster_block_exception":
        return f"Elasticsearch takes no writes now (see its disk space and index.blocks): {reason}"
    if kind == "index_closed_exception":
        return f"the index is closed in Elasticsearch (POST INDEX/_open opens it): {reason}"
    if kind == "index_not_found_exception" or status == 404:
        return f"the data stream is not there (auditdeck provision makes it): {reason}"
    if status == 401:
        return f"Elasticsearch refuses the credentials (401): {reason}"
    if status == 403:
        return f"these credentials may not write there (403): {reason}"
    if status == 429:
        return f"Elasticsearch has too much to do (429): {reason}"
    return f"Elasticsearch answered {status}: {kind}: {reason}"


def is_json(line: bytes) -> bool:
    try:
        orjson.loads(line)
    except ValueError:
        return False
    return True
