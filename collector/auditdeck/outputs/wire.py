"""Connections to log servers: unix sockets, UDP, TCP and TLS, by one interface."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass

from auditdeck.settings.kinds import host_and_port

TIMEOUT = 10.0
STREAMS = {"tcp", "tls", "unix"}


@dataclass(slots=True)
class Wire:
    """`network` is udp, tcp, tls, unix or unixgram; `address` host:port, or a path. Opened when first used."""

    network: str
    address: str
    ca: str = ""
    opened: socket.socket | None = None

    @property
    def is_stream(self) -> bool:
        return self.network in STREAMS

    def send(self, data: bytes) -> None:
        """Raises OSError; a stream is then to be closed."""
        if self.opened is None:
            self.opened = self.open()
        if self.is_stream:
            self.opened.sendall(data)
        else:
            self.opened.send(data)

    def open(self) -> socket.socket:
        if self.network in ("unix", "unixgram"):
            kind = socket.SOCK_STREAM if self.network == "unix" else socket.SOCK_DGRAM
            opened = socket.socket(socket.AF_UNIX, kind)
            opened.settimeout(TIMEOUT)
            opened.connect(self.address)
            return opened
        host, port = host_and_port(self.address)
        if self.network == "udp":
            family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
            opened = socket.socket(family, kind, protocol)
            opened.connect(address)
            return opened
        opened = socket.create_connection((host, port), TIMEOUT)
        if self.network == "tls":
            context = ssl.create_default_context(cafile=self.ca or None)
            return context.wrap_socket(opened, server_hostname=host)
        return opened

    def close(self) -> None:
        if self.opened is not None:
            self.opened.close()
        self.opened = None
