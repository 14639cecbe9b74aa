"""Connections to log servers: unix sockets, UDP, TCP and TLS, by one interface."""

from __future__ import annotations

import errno
import fcntl
import socket
import ssl
import sys
import termios
import time
from dataclasses import dataclass
from itertools import chain

from auditdeck.outputs.shorten import shortened
from auditdeck.settings.kinds import host_and_port

TIMEOUT = 10.0
"""Seconds in which the other side has to take something."""
STREAMS = {"tcp", "tls", "unix"}


@dataclass(slots=True)
class Wire:
    """`network` is udp, tcp, tls, unix or unixgram; `address` host:port, or a path. Opened when first used."""

    network: str
    address: str
    ca: str = ""
    opened: socket.socket | None = None
    written: int = 0
    """Bytes, since it was opened."""

    def __str__(self) -> str:
        return f"{self.network} {self.address}"

    @property
    def is_stream(self) -> bool:
        return self.network in STREAMS

    def send(self, data: bytes) -> None:
        """Raises OSError; a stream is then to be closed. A slow reader may take as long as it takes something."""
        if self.opened is None:
            self.opened, self.written = self.open(), 0
        if not self.is_stream:
            self.opened.send(data)
            return
        rest = memoryview(data)
        while rest:
            count = self.opened.send(rest)
            self.written += count
            rest = rest[count:]

    def deliver(self, messages: list[bytes]) -> None:
        """Sends them by stream until the other side's kernel has acknowledged all, and takes them from the list.

        Raises OSError; those that were acknowledged before have left the list then. Neither syslog nor GELF tells
        whether the server itself has read them.
        """
        if self.opened is not None and self.is_closed():
            self.close()
        before = self.written if self.opened is not None else 0
        try:
            for message in messages:
                self.send(message)
            self.drain()
        except OSError:
            # On a unix socket nothing tells what was read before it closed.
            room = 0 if self.network == "unix" or self.opened is None else self.written - before - self.in_flight()
            while messages and len(messages[0]) <= room:
                room -= len(messages.pop(0))
            raise
        messages.clear()

    def drain(self) -> None:
        """Waits until nothing is in flight, as long as it gets less. Raises OSError."""
        left, since, pause = self.in_flight(), time.monotonic(), 0.0005
        while left:
            if self.is_closed():
                raise ConnectionResetError(errno.ECONNRESET, "the other side closed the connection")
            if time.monotonic() - since > TIMEOUT:
                raise TimeoutError(errno.ETIMEDOUT, "the other side takes nothing")
            time.sleep(pause)
            pause = min(2 * pause, 0.05)
            now = self.in_flight()
            if now < left:
                since = time.monotonic()
            left = now
        if self.network == "unix" and self.is_closed():
            raise ConnectionResetError(errno.ECONNRESET, "the other side closed the connection")

    def in_flight(self) -> int:
        """Bytes that the other side's kernel has not acknowledged (SIOCOUTQ, tcp(7)), also after an error; of a unix
        socket, what was not read yet."""
        if self.opened is None:
            return 0
        return int.from_bytes(fcntl.ioctl(self.opened.fileno(), termios.TIOCOUTQ, b"\0" * 4), sys.byteorder)

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

    def is_closed(self) -> bool:
        """Whether the other side has closed the stream: what is sent there would be lost unsaid."""
        assert self.opened is not None
        self.opened.settimeout(0)
        try:
            return self.opened.recv(4096) == b""
        except (BlockingIOError, ssl.SSLWantReadError):
            return False
        except OSError:
            return True
        finally:
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
            try:
                context = ssl.create_default_context(cafile=self.ca or None)
                return context.wrap_socket(opened, server_hostname=host)
            except OSError:
                opened.close()
                raise
        return opened

    def close(self) -> None:
        if self.opened is not None:
            self.opened.close()
        self.opened = None
