"""What the collector may do once it has begun: of root's capabilities those that are still needed (capabilities(7)).

Capabilities belong to a thread, and threads inherit them: this is done before the first one is started.
"""

from __future__ import annotations

import ctypes
import logging
import os
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

from auditdeck.capabilities import NUMBERS, has_capability, held
from auditdeck.libc import libc
from auditdeck.settings.model import Settings

ALWAYS = {"AUDIT_CONTROL", "AUDIT_READ", "BPF", "SYS_PTRACE", "DAC_READ_SEARCH"}
"""Records, rules that are put back; the tracepoint's map, which Linux before 5.19 does not let others read; other
processes."""
VERSION_3 = 0x20080522
"""_LINUX_CAPABILITY_VERSION_3: two words a set."""
PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 24, 38
LAST = Path("/proc/sys/kernel/cap_last_cap")
PRIVILEGED_PORTS = 1024

logger = logging.getLogger("auditdeck")


def needed(settings: Settings) -> set[str]:
    """Names of the capabilities that a collector with these settings needs after it has begun."""
    names = set(ALWAYS)
    if settings.event_log.group or (settings.outputs.file.enabled and settings.outputs.file.group):
        names |= {"CHOWN", "FOWNER"}
    if settings.outputs.file.enabled and settings.outputs.file.user:
        names |= {"CHOWN", "FOWNER", "DAC_OVERRIDE"}
    if any(belongs_to_others(path) for path in written(settings)):
        names |= {"DAC_OVERRIDE", "FOWNER"}
    port = settings.metrics.listen.rpartition(":")[2]
    if port and int(port) < PRIVILEGED_PORTS:
        names.add("NET_BIND_SERVICE")
    return names


def written(settings: Settings) -> Iterator[Path]:
    """Folders and sockets that are opened while it runs."""
    outputs = settings.outputs
    yield Path(settings.data_dir)
    if outputs.file.enabled:
        yield Path(outputs.file.path).parent
    if outputs.syslog.enabled and outputs.syslog.network in ("unix", "unixgram"):
        yield Path(outputs.syslog.address)
    if settings.enrich.containers and settings.enrich.docker_socket:
        yield Path(settings.enrich.docker_socket)


def belongs_to_others(path: Path) -> bool:
    """Also if that cannot be known."""
    try:
        return path.stat().st_uid != os.geteuid()
    except FileNotFoundError:
        return False
    except OSError:
        return True


def confine(names: set[str]) -> None:
    """Gives up all other capabilities for good, in this thread and all that it starts, programs among them.

    Where the kernel refuses that, it is logged.
    """
    kept = sum(1 << NUMBERS[name] for name in names)
    try:
        # Without it the bounding set is what whoever started this has chosen.
        if has_capability("SETPCAP"):
            for number in range(int(LAST.read_text()) + 1):
                if not kept >> number & 1:
                    call(libc.prctl, PR_CAPBSET_DROP, number, 0, 0, 0)
        call(libc.prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        effective, permitted = (held(name) & kept for name in ("CapEff", "CapPrm"))
        words = [value >> shift & 0xFFFFFFFF for shift in (0, 32) for value in (effective, permitted, 0)]
        call(libc.capset, struct.pack("=Ii", VERSION_3, 0), struct.pack("=6I", *words))
    except OSError as error:
        logger.warning("capabilities that are not needed any more stay: %s", error)


def call(function: Callable[..., int], *arguments: object) -> None:
    """Raises OSError."""
    if function(*arguments):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
