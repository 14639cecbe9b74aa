"""The socket, and uvicorn on it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import uvicorn
from starlette.applications import Starlette

from auditdeck.errors import ServeError


def listen(address: str, port: int) -> socket.socket:
    """A TCP socket. Raises ServeError."""
    try:
        [(family, kind, protocol, _, where), *_] = socket.getaddrinfo(
            address, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except OSError as error:
        raise ServeError(f"{address!r} is not an address of this host: {error.strerror}", "see --listen") from None
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind(where)
        made.listen()
    except OSError as error:
        made.close()
        raise ServeError(
            f"cannot listen on port {port} of {address}: {error.strerror}", "--port 0 takes a free port"
        ) from None
    return made


@contextlib.contextmanager
def listen_on_file(path: Path) -> Iterator[socket.socket]:
    """A unix socket for this user alone, gone at the end. Raises ServeError."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        remove_stale(path)
        made.bind(str(path))
        made.listen()
    except OSError as error:
        made.close()
        raise ServeError(f"cannot listen on {path}: {error.strerror or error}", "see --socket") from None
    finally:
        os.umask(before)
    try:
        yield made
    finally:
        made.close()
        path.unlink(missing_ok=True)


def remove_stale(path: Path) -> None:
    """A socket that a server left behind; never one that is listened on, and nothing else."""
    if not path.exists() or not stat.S_ISSOCK(path.stat().st_mode):
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()


def run(app: Starlette, on: socket.socket) -> None:
    """Until SIGINT or SIGTERM; pages that wait for changes are let go at once."""
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, server_header=False, proxy_headers=False, lifespan="off",
        timeout_graceful_shutdown=1,
    )  # fmt: skip
    server = uvicorn.Server(config)
    app.state.ending = lambda: server.should_exit
    # uvicorn raises again what it was ended by; what is open here is to be closed then.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt):
        server.run(sockets=[on])
