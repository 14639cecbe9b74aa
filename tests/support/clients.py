"""Clients that connect in the ways that programs do: python clients.py KIND COUNT ADDRESS PORT [IN OUT]."""

from __future__ import annotations

import array
import asyncio
import contextlib
import os
import socket
import struct
import sys
import threading

IPPROTO_MPTCP, MSG_FASTOPEN = 262, 0x20000000
PATIENCE = 1.5

kind, count, address, port = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
wanted, given = (int(word) for word in (*sys.argv[5:7], "0", "0")[:2])
family = socket.AF_INET6 if ":" in address else socket.AF_INET


def connected(protocol: int = 0) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM, protocol)
    made.settimeout(PATIENCE)
    made.connect((address, port))
    return made


def transfer(made: socket.socket) -> None:
    made.sendall(b"%d %d\n" % (wanted, given) + b"x" * wanted)
    left = given
    while left and (got := made.recv(65536)):
        left -= len(got)


async def by_asyncio() -> None:
    async def one() -> None:
        with contextlib.suppress(OSError, asyncio.TimeoutError):
            _, writer = await asyncio.wait_for(asyncio.open_connection(address, port), PATIENCE)
            writer.close()
            await writer.wait_closed()

    await asyncio.gather(*(one() for _ in range(count)))


def by_threads() -> None:
    threads = [threading.Thread(target=lambda: connected().close()) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def by_children() -> None:
    """Forked without executing anything, as preforking servers are."""
    for _ in range(count):
        if (child := os.fork()) == 0:
            connected().close()
            os._exit(0)
        os.waitpid(child, 0)


def by_passing() -> None:
    """The socket is made by one process and connected by another, which got it by SCM_RIGHTS (unix(7))."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if (child := os.fork()) == 0:
        for _ in range(count):
            _, ancillary, _, _ = theirs.recvmsg(1, socket.CMSG_LEN(4))
            got = socket.socket(fileno=array.array("i", ancillary[0][2])[0])
            got.connect((address, port))
            got.close()
        os._exit(0)
    for _ in range(count):
        made = socket.socket(family, socket.SOCK_STREAM)
        ours.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [made.fileno()]))])
        made.close()
    os.waitpid(child, 0)


for name in ("asyncio", "threads", "children", "passing"):
    if kind == name:
        found = globals()[f"by_{name}"]
        asyncio.run(found()) if name == "asyncio" else found()
        sys.exit()
for _ in range(count):
    try:
        if kind == "fastopen":
            made = socket.socket(family, socket.SOCK_STREAM)
            made.sendto(b"%d %d\n" % (wanted, given) + b"x" * wanted, MSG_FASTOPEN, (address, port))
            left = given
            while left and (got := made.recv(65536)):
                left -= len(got)
        elif kind == "dup":
            first = socket.socket(family, socket.SOCK_STREAM)
            made = first.dup()
            first.close()
            made.connect((address, port))
        else:
            made = connected(IPPROTO_MPTCP if kind == "mptcp" else 0)
            if wanted or given:
                transfer(made)
            if kind == "linger":
                made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            if kind == "held":
                sys.stdout.write("held\n")
                sys.stdout.flush()
                sys.stdin.readline()
        made.close()
    except OSError:
        made = None
