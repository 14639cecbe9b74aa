"""What counts as a connection: the one definition, from what the kernel says of an attempt.

A connection counts when it was established: its handshake was completed. Everything else is an attempt, with what
became of it.
"""

from __future__ import annotations

import errno
from typing import Literal

State = Literal["established", "refused", "unanswered", "unreachable", "unresolved"]

REFUSED = {errno.ECONNREFUSED, errno.ECONNRESET, errno.ECONNABORTED}
"""The other side said no: a reset, or an ICMP message that the port is unreachable."""
UNREACHABLE = {
    errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN, errno.EHOSTDOWN, errno.ENONET, errno.ENOPROTOOPT,
}  # fmt: skip
"""Somebody on the way, or this host, said that there is no way."""
UNDER_WAY = {errno.EINPROGRESS, errno.EINTR, 512}
"""What connect(2) returns while the handshake goes on; 512 is the kernel's own ERESTARTSYS."""


def state_of(*, established: bool, error: int, segments: int = 1) -> State:
    """Of a connection that is closed, or established. `error` is sk_err, 0 for none; `segments` is how many were sent.

    Without an error nobody answered before the kernel or the program gave up, or, if not even the first segment was
    sent, this host had no way (no local port, no neighbour).
    """
    if established:
        return "established"
    if error in REFUSED:
        return "refused"
    if error in UNREACHABLE or segments == 0:
        return "unreachable"
    return "unanswered"


def state_of_result(result: int) -> State | None:
    """Of connect(2), which returned 0 or a negative errno; None if it says nothing of the network (EALREADY, EBADF)."""
    error = -result
    if result == 0:
        return "established"
    if error in UNDER_WAY:
        return "unresolved"
    if error in REFUSED:
        return "refused"
    if error in UNREACHABLE:
        return "unreachable"
    return "unanswered" if error == errno.ETIMEDOUT else None
