"""/metrics, /healthz and /readyz by HTTP, in threads of their own: whoever asks holds up nothing else."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any

from auditdeck.eventlog.status import is_fresh, read_status, troubles

MOST = 16
"""Requests at the same time; further ones are refused."""
PATIENCE = 5.0
"""Seconds that a request may take."""
TEXT = "text/plain; charset=utf-8"

logger = logging.getLogger("auditdeck")
Page = Callable[[str], tuple[str, bytes]]
"""Of the header Accept: content type and body."""


class MetricsServer:
    """Listens as soon as `listen` can; `page` is what /metrics shows, `status` the file that the health is read from.

    /healthz and /readyz are what `auditdeck status` says: 200 where it exits with 0; it exits with 3 where /healthz is
    503, and with 4 where /readyz alone is.
    """

    def __init__(self, host: str, port: int, page: Page, status: Path) -> None:
        self.host = host
        self.port = port
        self.page = page
        self.status = status
        self.server: Server | None = None

    def listen(self) -> None:
        """Does nothing if it does already. Raises OSError."""
        if self.server is not None:
            return
        [(family, _, _, _, where), *_] = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        self.server = Server(family, where, self)
        threading.Thread(target=self.server.serve_forever, name="metrics", daemon=True).start()

    def close(self) -> None:
        if self.server is not None:
            self.server.shutdown()
            self.server.server_close()

    def answer(self, path: str, accept: str) -> tuple[HTTPStatus, str, bytes]:
        match path:
            case "/metrics":
                return HTTPStatus.OK, *self.page(accept)
            case "/healthz" | "/readyz":
                found = self.wrong(path)
                status = HTTPStatus.SERVICE_UNAVAILABLE if found else HTTPStatus.OK
                return status, TEXT, "".join(f"{line}\n" for line in found or ["ok"]).encode()
            case _:
                return HTTPStatus.NOT_FOUND, TEXT, b"use /metrics, /healthz or /readyz\n"

    def wrong(self, path: str) -> list[str]:
        status = read_status(self.status)
        if status is None or status["pid"] != os.getpid() or not is_fresh(status):
            return [f"{self.status} is not written any more, or not yet"]
        return troubles(status) if path == "/readyz" else []


class Server(ThreadingMixIn, HTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, family: socket.AddressFamily, where: Any, owner: MetricsServer) -> None:
        self.address_family = family
        self.owner = owner
        self.began: dict[socket.socket, float] = {}
        super().__init__(where, Handler)

    def server_bind(self) -> None:
        """Without asking DNS for a name, as HTTPServer does."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_name, self.server_port = self.socket.getsockname()[:2]

    def verify_request(self, request: Any, client_address: Any) -> bool:  # noqa: ARG002
        return len(self.began) < MOST

    def process_request(self, request: Any, client_address: Any) -> None:
        self.began[request] = time.monotonic()
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self.began.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """Twice a second, and after each request: ends those that take too long."""
        for request, began in [*self.began.items()]:
            if time.monotonic() - began > PATIENCE:
                with contextlib.suppress(OSError):
                    request.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        """A client that is gone is nobody's fault."""
        if not isinstance(sys.exception(), OSError):
            logger.exception("metrics: a request failed")


class Handler(BaseHTTPRequestHandler):
    server: Server
    server_version = "auditdeck"
    sys_version = ""
    timeout = PATIENCE

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        status, kind, body = self.server.owner.answer(path, self.headers.get("Accept", ""))
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, *_: Any) -> None:
        """Nothing is logged of a request: anybody on this host could fill the log."""
