"""Connections to log servers: unix sockets, UDP, TCP and TLS, by one interface."""

from __future__ import annotations

import errno
import socket
import ssl
from dataclasses import dataclass
from itertools import chain

from auditdeck.outputs.shorten import shortened
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

    def send_datagram(self, message: bytes) -> int:
        """A message that is too long (EMSGSIZE, send(2)) in the longest form that fits: 0 if it was sent as it is, 1 if
        it was shortened, -1 if nothing of it fits. Raises OSError."""
        for attempt, data in enumerate(chain([message], shortened(message))):
            try:
                self.send(data)
            except OSError as error:
                if error.errno != errno.EMSGSIZE:
                    raise
            else:
                return min(attempt, 1)
        return -1

    def look(self) -> None:
        """Lets go of a stream that the other side has closed: what is sent there would be lost unsaid."""
        if self.opened is None or not self.is_stream:
            return
        self.opened.settimeout(0)
        try:
            closed = self.opened.recv(4096) == b""
        except (BlockingIOError, ssl.SSLWantReadError):
            closed = False
        except OSError:
            closed = True
        if closed:
            self.close()
        else:
            self.opened.settimeout(TIMEOUT)

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
