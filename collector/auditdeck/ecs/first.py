"""`auditdeck.first` in documents of connections that come from audit; those of the tracepoint have it from
ecs/connection.py."""

from __future__ import annotations

import ipaddress
import re

import orjson

from auditdeck.cache import Cache
from auditdeck.context.first import FirstSeen

ESTABLISHED, EGRESS, OWN = b'"state":"established"', b'"direction":"egress"', b'"auditdeck":{'
# Within a string of JSON these quotes would be escaped, so none of it is a text of the event.
HOW = re.compile(rb'"how":("(?:[^"\\]|\\.)*")')
USER = re.compile(rb'"user":\{"id":"(\d+)"')
DESTINATION = re.compile(rb'"destination":\{"ip":"([^"]+)"')
REMEMBERED = 8192


class FirstMarker:
    """For one thread."""

    def __init__(self, seen: FirstSeen) -> None:
        self.seen = seen
        self.known: Cache[tuple[bytes, ...], bool] = Cache(REMEMBERED)

    def marked(self, line: bytes) -> bytes:
        """A line, with `auditdeck.first` if it is of an outbound connection that is the first of a kind."""
        if ESTABLISHED not in line or EGRESS not in line:
            return line
        found = (HOW.search(line), USER.search(line), DESTINATION.search(line))
        how, user, destination = key = tuple(match[1] if match else b"" for match in found)
        if key in self.known:
            return line
        self.known.keep(key, True)
        kinds = self.seen.of(orjson.loads(how) if how else "", user.decode(), network_of(destination.decode()))
        return line.replace(OWN, OWN + b'"first":' + orjson.dumps(kinds) + b",", 1) if kinds else line


def network_of(address: str) -> str:
    """The /24 or /48 of an address; "" for none."""
    if not address:
        return ""
    bits = 48 if ":" in address else 24
    return str(ipaddress.ip_network((address, bits), strict=False))
