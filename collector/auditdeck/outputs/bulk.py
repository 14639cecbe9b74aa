"""Requests to Elasticsearch's bulk API (elastic.co: "Bulk API"), and what each answer means for each document.

The lines of the event log are JSON already; a bulk body is put together from them as they are. An event's `_id` follows
from its host and its stamp, and it is only ever created, so that what is sent again after a doubt is there once.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from isal import igzip

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch

EVENT_ID = b'"event":{"id":"'
ID = b'"id":"'
HOST_NAME = b'"host":{"name":"'
STATUS = "items.*.status,items.*.failure_store,items.*.error.type,items.*.error.reason"
INDEX = ",items.*._index"
OF_THE_CLUSTER = {
    "index_closed_exception", "validation_exception", "cluster_block_exception", "index_not_found_exception",
    "resource_not_found_exception", "resource_already_exists_exception", "security_exception",
    "invalid_index_name_exception", "no_shard_available_action_exception",
}  # fmt: skip
"""Errors with status 400 and others that say nothing of the document: the same one is taken when that is over."""
NOT_OF_THE_DOCUMENT = re.compile(
    r"pipeline with id \[.*\] does not exist|no write index is defined|data_stream \[|indices:admin/auto_create"
)
"""Reasons of an illegal_argument_exception that say nothing of the document either."""
MALFORMED = {"x_content_parse_exception", "json_parse_exception", "action_request_validation_exception"}
"""Errors of a whole request in which one line cannot be read."""
TOO_LARGE = {"type": "document_too_large", "reason": "larger than a request may be (http.max_content_length)"}
IN_FAILURE_STORE = {
    "type": "failure_store",
    "reason": "it is in the failure store of the data stream, whose ::failures say why; resend sends it to the stream",
}
GENERATION = re.compile(r"-([0-9]+)$")
"""Of the name of a backing index."""


@dataclass(slots=True)
class Answer:
    """What became of the lines of a request.

    `again` are to be sent again, as `trouble` says why, and `cause` in a word. `refused` are so for good, with the
    error of each. `created` are those of `sent` that were not there before, `generations` those of the backing indices
    that took them, if it was asked for. `lost`: there was no answer, or not Elasticsearch's, so some may be there.
    """

    sent: int = 0
    repeated: int = 0
    created: int = 0
    again: list[bytes] = field(default_factory=list)
    refused: list[tuple[bytes, dict[str, Any]]] = field(default_factory=list)
    trouble: str = ""
    cause: str = ""
    lost: bool = False
    generations: set[int] = field(default_factory=set)

    def add(self, other: Answer) -> Answer:
        """Of another part of the same lines."""
        return Answer(
            self.sent + other.sent,
            self.repeated + other.repeated,
            self.created + other.created,
            self.again + other.again,
            self.refused + other.refused,
            self.trouble or other.trouble,
            self.cause or other.cause,
            self.lost or other.lost,
            self.generations | other.generations,
        )


class Bulk:
    """`send(client, lines)` for one data stream; in several threads."""

    def __init__(self, index: str, *, compress: bool) -> None:
        self.index = index
        self.compress = compress
        self.hosts: dict[bytes, bytes] = {}

    def send(self, client: Elasticsearch, lines: list[bytes], *, generations: bool = False) -> Answer:
        from elasticsearch import ApiError, SerializationError, TransportError

        try:
            answer = self.post(client, self.body(lines), STATUS + (INDEX if generations else ""))
        except ApiError as error:
            return self.not_taken(client, lines, error, generations=generations)
        except SerializationError as error:
            return strange(lines, error.message)
        except TransportError as error:
            refused = "refused" in error.message
            return Answer(again=lines, trouble=unreachable(error), cause="unreachable", lost=not refused)
        return read(lines, answer)

    def post(self, client: Elasticsearch, body: bytes, wanted: str) -> Any:
        headers = {"content-type": "application/x-ndjson", "accept": "application/json"}
        if self.compress:
            # Not by the client, whose zlib takes ten times as long.
            headers["content-encoding"] = "gzip"
            body = igzip.compress(body, compresslevel=1)
        # A name that is not a data stream is an error, never a new index with types of its own guess.
        params = {"filter_path": wanted, "require_data_stream": "true"}
        return client.perform_request("POST", f"/{self.index}/_bulk", params=params, headers=headers, body=body).body

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

    def not_taken(self, client: Elasticsearch, lines: list[bytes], error: Any, *, generations: bool) -> Answer:
        """The whole request failed: of one that is too large, or that has a line which cannot be read, the halves are
        sent, down to the line."""
        status, said = error.status_code, error_of(error.body)
        too_large = status == 413
        if too_large or (status == 400 and is_malformed(said)):
            if len(lines) == 1:
                return Answer(refused=[(lines[0], TOO_LARGE if too_large else said)])
            middle = len(lines) // 2
            first, second = lines[:middle], lines[middle:]
            answer = self.send(client, first, generations=generations)
            if answer.trouble:
                return answer.add(Answer(again=second))
            return answer.add(self.send(client, second, generations=generations))
        if status < 300:
            return strange(lines, str(error))
        trouble, cause = explain(status, said), f"{status} {said['type']}"
        return Answer(again=lines, trouble=trouble, cause=cause, lost=status >= 500)


def read(lines: list[bytes], answer: Any) -> Answer:
    """Of an answer for the single documents; nothing else is success."""
    items = answer.get("items") if isinstance(answer, Mapping) else None
    if not isinstance(items, list):
        return strange(lines, str(answer))
    made = [item["create"] for item in items if isinstance(item, Mapping) and isinstance(item.get("create"), Mapping)]
    if len(made) != len(lines) or not all(isinstance(one.get("status"), int) for one in made):
        return strange(lines, f"answers for {len(made)} of {len(lines)} documents")
    found = Answer()
    for line, one in zip(lines, made, strict=True):
        status = one["status"]
        if (status < 300 or status == 409) and (match := GENERATION.search(one.get("_index", ""))):
            found.generations.add(int(match[1]))
        if status < 300 and one.get("failure_store") == "used":
            found.refused.append((line, IN_FAILURE_STORE))
        elif status < 300:
            found.sent += 1
            found.created += 1
        elif status == 409:
            found.sent += 1
            found.repeated += 1
        else:
            error = error_of(one)
            if is_the_documents(status, error):
                found.refused.append((line, error))
            else:
                found.again.append(line)
                found.trouble, found.cause = explain(status, error), f"{status} {error['type']}"
    return found


def strange(lines: list[bytes], said: str) -> Answer:
    trouble = f"what answers is not Elasticsearch's bulk API (see outputs.elasticsearch.hosts): {said[:120]}"
    return Answer(again=lines, trouble=trouble, cause="strange", lost=True)


def is_the_documents(status: int, error: Mapping[str, Any]) -> bool:
    """Whether the document itself is to blame, so that it will never be taken."""
    if status not in (400, 413) or error["type"] in OF_THE_CLUSTER:
        return False
    return error["type"] != "illegal_argument_exception" or not NOT_OF_THE_DOCUMENT.search(error["reason"])


def is_malformed(error: Mapping[str, Any]) -> bool:
    return error["type"] in MALFORMED or error["reason"].startswith("Malformed action/metadata line")


def error_of(body: Any) -> dict[str, Any]:
    """`type` and `reason`, always texts."""
    error = body.get("error") if isinstance(body, Mapping) else None
    if not isinstance(error, Mapping):
        return {"type": "error", "reason": str(error or body)[:300]}
    return {"type": str(error.get("type") or "error"), "reason": str(error.get("reason") or "")}


def unreachable(error: Any) -> str:
    """Of a TransportError, without what differs from one attempt to the next."""
    from elasticsearch import ConnectionTimeout, SSLError

    if isinstance(error, ConnectionTimeout):
        return "Elasticsearch does not answer in time (outputs.elasticsearch.timeout)"
    what = "cannot trust the certificate of" if isinstance(error, SSLError) else "cannot reach"
    known = re.search(r"\[Errno -?\d+\] ([\w ]+)|(certificate verify failed[\w :-]*)|'([\w ]+)'", error.message)
    why = next(filter(None, known.groups())) if known else error.message[:200]
    return f"{what} Elasticsearch: {why}"


def explain(status: int, error: Mapping[str, Any]) -> str:
    """What keeps documents from being taken, in a sentence, and what to do."""
    kind, reason = error["type"], error["reason"][:300]
    if kind == "cluster_block_exception":
        return f"Elasticsearch takes no writes now (see its disk space and index.blocks): {reason}"
    if kind == "index_closed_exception":
        return f"the index is closed in Elasticsearch (POST INDEX/_open opens it): {reason}"
    if "require_data_stream" in reason:
        return f"outputs.elasticsearch.index has to be a data stream, in Elasticsearch 8.14 or later: {reason}"
    if status == 404:
        return f"the data stream is not there (auditdeck provision makes it): {reason}"
    if status == 401:
        return f"Elasticsearch refuses the credentials (auditdeck provision --rotate makes new ones): {reason}"
    if status == 403:
        return f"these credentials may not write there (they need create_doc on the data stream): {reason}"
    if status == 429:
        return f"Elasticsearch has too much to do (429): {reason}"
    if NOT_OF_THE_DOCUMENT.search(reason):
        return f"Elasticsearch is not set up for these documents (see the index's settings): {reason}"
    return f"Elasticsearch answered {status}: {kind}: {reason}"
