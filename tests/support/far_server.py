"""A server for tests of connections: PORT [fastopen] [mptcp]. A first line `in out`: bytes to read, then to send."""

from __future__ import annotations

import asyncio
import socket
import sys

IPPROTO_MPTCP, TCP_FASTOPEN = 262, 23


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        line = await reader.readline()
        if line.strip():
            wanted, given = map(int, line.split())
            await reader.readexactly(wanted)
            writer.write(b"y" * given)
            await writer.drain()
            await reader.read()
    except (OSError, asyncio.IncompleteReadError, ValueError):
        pass
    finally:
        writer.close()


async def main() -> None:
    protocol = IPPROTO_MPTCP if "mptcp" in sys.argv else 0
    listening = socket.socket(socket.AF_INET6, socket.SOCK_STREAM, protocol)
    listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if "fastopen" in sys.argv:
        listening.setsockopt(socket.IPPROTO_TCP, TCP_FASTOPEN, 64)
    listening.bind(("::", int(sys.argv[1])))
    listening.listen(4096)
    server = await asyncio.start_server(serve, sock=listening)
    print("ready", flush=True)
    await server.serve_forever()


asyncio.run(main())
