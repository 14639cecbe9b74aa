"""`auditdeck serve`: the answers as a live page."""

from __future__ import annotations

import ipaddress
import secrets
import socket
from pathlib import Path

import click

from auditdeck.cli.options import Shared, print_json, shared
from auditdeck.packages import require

PORT = 8765


@click.command("serve")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=PORT, show_default=True, help="Port; 0 takes one that is free."
)
@click.option(
    "--listen",
    default="127.0.0.1",
    show_default=True,
    metavar="ADDRESS",
    help="Another address than this host's own loopback: whoever reaches it and has the token sees everything, and so "
    "does whoever listens on the way, since it is not encrypted. Better: ssh -L, or a proxy with TLS.",
)
@click.option(
    "--socket",
    "path",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="PATH",
    help="A unix socket instead, for this user alone and without a token.",
)
@shared
def command(shared: Shared, port: int, listen: str, path: Path | None) -> None:
    """Show the answers of `report` as a live page: who connected, with what, when and where to, down to the events.

    Prints an address with a token that lets a browser in; a new one at every start. Reads the data directory while a
    collector writes it, as the same user as `report`. Ctrl-C ends it.
    """
    for package in ("starlette", "uvicorn"):
        require(package, "`auditdeck serve`")
    from auditdeck.serve.app import make_app
    from auditdeck.serve.server import listen as listen_on
    from auditdeck.serve.server import listen_on_file, run
    from auditdeck.serve.source import Source

    source = Source(shared.data_dir)
    if path is not None:
        with listen_on_file(path) as on:
            tell(shared, str(path), f"a page for http://localhost/ on the unix socket {path}; Ctrl-C ends it")
            run(make_app(source, None), on)
        return
    token = secrets.token_urlsafe(32)
    with listen_on(listen, port) as on:
        where = on.getsockname()
        if not ipaddress.ip_address(where[0]).is_loopback:
            shared.say(f"{listen} is not only this host: the page and its token cross the network unencrypted")
        name = name_of(listen, where[0])
        tell(shared, f"http://{name}:{where[1]}/?token={token}", "Ctrl-C ends it")
        run(make_app(source, token, name), on)


def tell(shared: Shared, address: str, remark: str) -> None:
    """Where it is, at once, also into a pipe."""
    if shared.json:
        print_json({"address": address})
    else:
        click.echo(address)
    shared.say(remark)


def name_of(listen: str, bound: str) -> str:
    """What a browser is to open: of all addresses this host's name."""
    found = ipaddress.ip_address(bound)
    if found.is_unspecified:
        return socket.gethostname()
    return f"[{bound}]" if found.version == 6 else listen
