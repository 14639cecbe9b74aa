"""`auditdeck doctor`: what usually goes wrong, checked, with how to mend it."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import click
from rich.text import Text

from auditdeck.audit.client import AuditSocket, in_initial_pid_namespace, process_alive
from auditdeck.audit.ext import native
from auditdeck.capabilities import has_capability
from auditdeck.cli.options import Shared, print_json, shared
from auditdeck.cli.status import collector_state
from auditdeck.errors import KernelError, StoreError, TracepointError
from auditdeck.outputs.dead_letters import DeadLetters
from auditdeck.report.console import make_console
from auditdeck.visible import visible

GOOD, WARNING, BAD = "ok", "warning", "error"
MARKS = {GOOD: ("✔", "green"), WARNING: ("!", "yellow"), BAD: ("✘", "red")}
SMALL_BACKLOG = 1024
LITTLE_DISK = 1 << 30
OLDEST_KERNEL = (5, 10)


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: what was found, and what to do if it is not good."""

    check: str
    state: str
    found: str
    remedy: str = ""


Check = Callable[[Shared], Iterator[Finding]]


@click.command("doctor")
@shared
def command(shared: Shared) -> int:
    """Check everything that usually goes wrong: privileges, namespaces, other audit daemons, locked rules, the kernel
    command line, the backlog, clock and disk. Exit status 1 if something keeps auditdeck from working."""
    findings = [finding for check in CHECKS for finding in found_by(check, shared)]
    if shared.json:
        print_json([asdict(finding) for finding in findings])
    else:
        console = make_console()
        for finding in findings:
            if finding.state == GOOD and shared.quiet:
                continue
            console.print(Text.assemble(MARKS[finding.state], visible(f" {finding.check}: {finding.found}")))
            if finding.remedy:
                console.print(visible(f"    → {finding.remedy}"))
    return 1 if any(finding.state == BAD for finding in findings) else 0


def privileges(_: Shared) -> Iterator[Finding]:
    missing = [name for name in ("AUDIT_CONTROL", "AUDIT_READ", "SYS_PTRACE") if not has_capability(name)]
    if missing:
        needed = ", ".join(f"CAP_{name}" for name in missing)
        yield Finding("privileges", BAD, f"{needed} missing", "run as root, or give the capabilities that are missing")
    else:
        yield Finding("privileges", GOOD, "all capabilities are there")


def tracepoint(shared: Shared) -> Iterator[Finding]:
    """Where TCP connections can be taken from."""
    from auditdeck.connections.tracepoint import Tracepoint

    wanted = shared.settings.connections.source
    if wanted == "audit":
        found = "not used (connections.source: audit): what is in progress may stay unresolved"
        yield Finding("tracepoint", WARNING, found, "connections.source: auto")
        return
    try:
        Tracepoint(ring_size=1 << 16, most_open=1024).close()
    except TracepointError as error:
        state = BAD if wanted == "tracepoint" else WARNING
        yield Finding("tracepoint", state, f"{error}: connections come from audit's rules", error.hint)
    else:
        yield Finding("tracepoint", GOOD, "connections come from the kernel's TCP state machine")


def namespaces(_: Shared) -> Iterator[Finding]:
    if in_initial_pid_namespace():
        yield Finding("pid namespace", GOOD, "the host's")
    else:
        yield Finding("pid namespace", BAD, "not the host's", "in a container: --pid=host (compose: pid: host)")


def compiled_part(_: Shared) -> Iterator[Finding]:
    if native():
        yield Finding("compiled part", GOOD, "in use")
    else:
        remedy = "install auditdeck again where gcc and libc6-dev are; what it does is the same either way"
        yield Finding("compiled part", WARNING, "missing: records are put together in Python, which costs more", remedy)


def kernel_version(_: Shared) -> Iterator[Finding]:
    release = os.uname().release
    numbers = tuple(int(part) for part in release.split("-")[0].split(".")[:2] if part.isdigit())
    if numbers >= OLDEST_KERNEL:
        yield Finding("kernel", GOOD, release)
    else:
        yield Finding("kernel", WARNING, f"{release} is older than 5.10", "some rules are narrowed less on it")


def command_line(_: Shared) -> Iterator[Finding]:
    words = Path("/proc/cmdline").read_text().split()
    if "audit=0" in words:
        yield Finding("kernel command line", BAD, "audit=0", "take audit=0 off the boot loader's line, and reboot")
    elif "audit=1" in words:
        yield Finding("kernel command line", GOOD, "audit=1: every process is audited from the boot on")
    else:
        # audit_alloc() in kernel/auditsc.c: a task gets its audit context at fork, once audit was ever enabled.
        remedy = "add audit=1 to the boot loader's line, or restart old daemons after the first `auditdeck run`"
        found = "no audit=1: of processes older than the first collector since the boot, audit sees nothing"
        yield Finding("kernel command line", WARNING, found, remedy)


def audit(_: Shared) -> Iterator[Finding]:
    try:
        with AuditSocket() as kernel:
            status = kernel.status()
    except KernelError as error:
        yield Finding("kernel audit", BAD, str(error), error.hint)
        return
    yield Finding("kernel audit", GOOD, "answers")
    if status.locked:
        yield Finding(
            "rules", WARNING, "locked until the next boot (-e 2)", "auditdeck collects what the kernel's rules ask for"
        )
    else:
        yield Finding("rules", GOOD, "can be changed")
    if status.pid and status.pid != os.getpid():
        yield daemon(status.pid)
    else:
        yield Finding("audit daemon", GOOD, "none is registered")
    if status.backlog_limit < SMALL_BACKLOG and not status.pid:
        yield Finding("backlog limit", GOOD, f"{status.backlog_limit} now; auditdeck raises it while it runs")
    elif status.backlog_limit < SMALL_BACKLOG:
        yield Finding("backlog limit", WARNING, f"{status.backlog_limit} is small", "auditctl -b 8192")
    else:
        yield Finding("backlog limit", GOOD, str(status.backlog_limit))
    if status.lost:
        remedy = "auditctl --reset-lost sets it back; a larger backlog (-b) prevents it"
        yield Finding("lost records", WARNING, f"{status.lost:,} since the boot", remedy)
    else:
        yield Finding("lost records", GOOD, "none since the boot")


def daemon(pid: int) -> Finding:
    if not process_alive(pid):
        return Finding("audit daemon", GOOD, f"pid {pid} is registered but gone: auditdeck takes its place")
    name = Path(f"/proc/{pid}/comm").read_text().strip()
    if name.startswith("auditdeck") or "python" in name:
        return Finding("audit daemon", GOOD, f"{name} (pid {pid})")
    remedy = "auditdeck listens beside it (multicast), or takes its place with --take-over"
    return Finding("audit daemon", WARNING, f"{name} (pid {pid})", remedy)


def found_by(check: Check, shared: Shared) -> list[Finding]:
    try:
        return list(check(shared))
    except StoreError as error:
        return [Finding(check.__name__, BAD, str(error), error.hint)]


def clock(_: Shared) -> Iterator[Finding]:
    if time.time() < 1_700_000_000:
        yield Finding("clock", BAD, time.strftime("%Y-%m-%d"), "set the clock: events carry the kernel's time")
    else:
        yield Finding("clock", GOOD, time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()))


def disk(shared: Shared) -> Iterator[Finding]:
    folder = shared.data_dir
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    text = f"{free / (1 << 30):.1f} GiB free for {shared.data_dir}"
    if not os.access(folder, os.W_OK):
        yield Finding("disk", BAD, f"{folder} cannot be written", "see --data-dir")
    elif free < LITTLE_DISK:
        yield Finding("disk", WARNING, text, "lower event_log.max_size, or choose another --data-dir")
    else:
        yield Finding("disk", GOOD, text)


def collector(shared: Shared) -> Iterator[Finding]:
    state = collector_state(shared)
    if not state["running"]:
        yield Finding("collector", WARNING, f"nothing is being written to {shared.data_dir}", "auditdeck run")
        return
    if state.get("not_watched"):
        remedy = "kernel.keep: restore puts it back; whoever changes audit's rules beside auditdeck should not"
        yield Finding("collector", BAD, f"does not watch everything: {'; '.join(state['not_watched'])}", remedy)
    if state.get("failing"):
        yield Finding("collector", BAD, f"cannot {'; cannot '.join(state['failing'])}", "see the disk, and its log")
    trouble = {name: state["counters"].get(name, 0) for name in ("lost", "ring_lost", "gaps", "dropped", "damaged")}
    trouble["seconds not watched"] = round(state["counters"].get("unwatched", 0))
    if any(trouble.values()):
        text = ", ".join(f"{value:,} {name}" for name, value in trouble.items() if value)
        yield Finding("collector", WARNING, f"runs (pid {state['pid']}), but {text}", "see docs on what was lost")
    else:
        yield Finding("collector", GOOD, f"runs (pid {state['pid']}), nothing lost")


def outputs(shared: Shared) -> Iterator[Finding]:
    for name, counts in collector_state(shared).get("outputs", {}).items():
        if counts.get("error"):
            yield Finding(f"output {name}", WARNING, f"waits: {counts['error']}", "the log keeps what it has to send")
        elif counts.get("doubled"):
            found = f"up to {counts['doubled']:,} documents are there twice: the data stream rolled over meanwhile"
            yield Finding(f"output {name}", WARNING, found, "see docs/architecture.md on what Elasticsearch gets")
        else:
            yield Finding(f"output {name}", GOOD, f"{counts.get('sent', 0):,} documents sent")
    try:
        letters = DeadLetters(shared.data_dir).count()
    except OSError as error:
        yield Finding("dead letters", WARNING, f"cannot read {error.filename}: {error.strerror}", "run as root")
        return
    if letters:
        found = f"{letters:,} documents were refused for good"
        yield Finding("dead letters", WARNING, found, "mend what dead-letters.ndjson says, then auditdeck resend")


CHECKS: list[Check] = [
    privileges,
    tracepoint,
    namespaces,
    kernel_version,
    compiled_part,
    command_line,
    audit,
    clock,
    disk,
    collector,
    outputs,
]
