"""The network part of a document: ends of the connection, transport and direction, and what a connect counts as."""

from __future__ import annotations

from typing import Any

from auditdeck.audit import sockaddr
from auditdeck.context.network import EAGAIN, EINPROGRESS, Connect
from auditdeck.ecs.context import Context
from auditdeck.ecs.syscalls import Call, integer, signed32

INCOMING = {"accept", "accept4", "recvfrom", "recvmsg", "recvmmsg", "recv"}
OUTGOING = {"connect", "sendto", "sendmsg", "sendmmsg", "send"}


def describe_socket(parts: dict[str, Any], call: Call, address: dict[str, str] | None, context: Context) -> None:
    """Adds what the socket calls of an event say."""
    parsed = None
    if address and "saddr" in address:
        parsed = sockaddr.parse(bytes.fromhex(address["saddr"]) if is_hex(address["saddr"]) else b"")
        describe_address(parts, call, parsed, context)
    if call.name == "connect" and parsed is not None and parsed.ip:
        describe_connect(parts, call, parsed, context)
    elif call.name == "socket":
        describe_made(parts, call, context)
    elif call.name == "listen" and call.success:
        describe_listening(parts, call, context)


def is_hex(value: str) -> bool:
    try:
        bytes.fromhex(value)
    except ValueError:
        return False
    return True


def describe_address(parts: dict[str, Any], call: Call, parsed: sockaddr.SocketAddress, context: Context) -> None:
    data = parts["auditd"].setdefault("data", {})
    data["socket"] = {"family": parsed.family}
    if parsed.path:
        data["path"] = parsed.path
    if parsed.detail:
        data["socket"]["address"] = parsed.detail
    if parsed.port is None or not parsed.ip:
        return
    end = {"ip": parsed.ip, "port": parsed.port}
    network = {"type": "ipv6" if ":" in parsed.ip else "ipv4"}
    if call.name in INCOMING:
        parts["source"] = end
        network["direction"] = "internal" if context.network.addresses.internal(parsed.ip) else "ingress"
    elif call.name in OUTGOING:
        parts["destination"] = end
        network["direction"] = "internal" if context.network.addresses.internal(parsed.ip) else "egress"
    else:
        parts["server"] = end
    parts["network"] = network


def describe_connect(parts: dict[str, Any], call: Call, parsed: sockaddr.SocketAddress, context: Context) -> None:
    pid = integer(call.fields.get("pid")) or 0
    number = signed32(call.arguments[0]) if call.arguments else -1
    result = call.result if call.result is not None else 0
    if call.io_uring and result == -EAGAIN:
        # Not done at once, so it goes on; what becomes of it no record tells.
        result = -EINPROGRESS
    describe_outcome(parts, context.network.connected(pid, number, (parsed.ip, parsed.port or 0), result), result)


def describe_outcome(parts: dict[str, Any], connect: Connect, result: int) -> None:
    if connect.transport:
        parts["network"]["transport"] = connect.transport
    parts["auditdeck"]["transport"] = {"source": connect.source}
    if connect.under_way:
        parts["event"]["outcome"] = "success"
        parts["auditd"]["result"] = "success"
    if connect.repeat or not (result == 0 or connect.under_way or connect.failed):
        parts["event"]["type"] = ["connection", "info"]


def describe_made(parts: dict[str, Any], call: Call, context: Context) -> None:
    if len(call.arguments) < 3 or call.result is None or call.result < 0:
        return
    domain, kind, protocol = call.arguments[:3]
    pid = integer(call.fields.get("pid")) or 0
    transport = context.network.made(pid, call.result, domain, kind, protocol)
    if transport:
        parts["network"] = {"transport": transport, "type": "ipv6" if domain == sockaddr.AF_INET6 else "ipv4"}


def describe_listening(parts: dict[str, Any], call: Call, context: Context) -> None:
    pid = integer(call.fields.get("pid")) or 0
    found = context.network.listening(pid, signed32(call.arguments[0]) if call.arguments else -1)
    if found is None:
        return
    if found.local:
        parts["server"] = {"ip": found.local[0], "port": found.local[1]}
    if found.transport:
        parts["network"] = {"transport": found.transport}
