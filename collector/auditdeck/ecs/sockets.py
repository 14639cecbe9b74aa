"""The network part of a document: ends of the connection, transport and direction, and what a connect counts as."""

from __future__ import annotations

import errno

from auditdeck.audit import sockaddr
from auditdeck.audit.fields import HEX, fields
from auditdeck.audit.sockaddr import SocketAddress
from auditdeck.connections.state import state_of_result
from auditdeck.context.addresses import OwnAddresses
from auditdeck.context.network import Connect
from auditdeck.context.sockets import Descriptor
from auditdeck.ecs.part import Part, Whole

INCOMING = {"accept", "accept4", "recvfrom", "recvmsg", "recvmmsg", "recv"}
OUTGOING = {"connect", "sendto", "sendmsg", "sendmmsg", "send"}


def address_of(found: dict[str, str] | None) -> SocketAddress | None:
    """Of a SOCKADDR record."""
    if found is None or "saddr" not in found:
        return None
    try:
        raw = bytes.fromhex(found["saddr"])
    except ValueError:
        raw = b""
    return sockaddr.parse(raw)


def address_in(body: bytes) -> SocketAddress | None:
    """Of the body of a SOCKADDR record."""
    if body.startswith(b"saddr=") and HEX.match(body, 6):
        return sockaddr.parse(bytes.fromhex(body[6:].decode()))
    return address_of(fields(body))


def address_part(address: SocketAddress | None, call: str, addresses: OwnAddresses, *, is_object: bool) -> Part:
    """Of a call's address, which `is_object` if the call is about a socket."""
    if address is None:
        return {}
    shown = Whole(family=address.family)
    data: Part = {"path": address.path} if address.path else {}
    part: Part = {"auditd": {"data": {"socket": shown, **data}}}
    if address.detail:
        shown["address"] = address.detail
    if address.port is not None and address.ip:
        network: Part = {"type": "ipv6" if ":" in address.ip else "ipv4"}
        internal = addresses.internal(address.ip)
        if call in INCOMING:
            side, network["direction"] = "source", "internal" if internal else "ingress"
        elif call in OUTGOING:
            side, network["direction"] = "destination", "internal" if internal else "egress"
        else:
            side = "server"
        part |= {side: Whole(ip=address.ip, port=address.port), "network": network}
        if is_object:
            part["auditd"]["summary"] = end_summary(address.ip, address.port)
    elif is_object and address.path:
        part["auditd"]["summary"] = {"object": {"primary": address.path}}
    return part


def end_summary(ip: str, port: int) -> Part:
    return {"object": {"primary": ip, "secondary": str(port)}}


def connect_part(connect: Connect, result: int) -> Part:
    """Of a connect(2) that returned `result`."""
    part: Part = {"auditdeck": {"transport": {"source": connect.source}}}
    if connect.transport:
        part["network"] = {"transport": connect.transport}
    event = part["event"] = {}
    state = None
    if connect.transport == "tcp" and not connect.repeat:
        state = state_of_result(result)
    if state is not None:
        part["auditdeck"]["connection"] = Whole(state=state, source="audit")
    if connect.under_way:
        event["outcome"] = "unknown"
        part["auditd"] = {"result": "unknown"}
    elif state not in (None, "established"):
        part["error"] = Whole(code=errno.errorcode.get(-result, str(-result)))
    if connect.repeat or not (result == 0 or connect.under_way or connect.failed):
        event["type"] = ["connection", "info"]
    return part


def made_part(transport: str, domain: int) -> Part:
    """Of a socket(2) that gave an inet socket."""
    return {"network": {"transport": transport, "type": "ipv6" if domain == sockaddr.AF_INET6 else "ipv4"}}


def listening_part(found: Descriptor) -> Part:
    part: Part = {}
    if found.local:
        ip, port = found.local
        part = {"server": {"ip": ip, "port": port}, "auditd": {"summary": end_summary(ip, port)}}
    if found.transport:
        part["network"] = {"transport": found.transport}
    return part
