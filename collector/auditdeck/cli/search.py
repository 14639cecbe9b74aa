"""`auditdeck search`: ausearch(8) for the event log."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import click

from auditdeck.audit.architecture import ALL_NAMES, by_name, native
from auditdeck.audit.tables.errors import ERRORS
from auditdeck.audit.tables.syscalls import SYSCALLS
from auditdeck.cli.logs import log_options
from auditdeck.cli.moment import END, HELP, Moment, TwoWords
from auditdeck.cli.options import Shared, with_shared
from auditdeck.context.users import Users
from auditdeck.errors import CheckpointError, did_you_mean
from auditdeck.query import search as q
from auditdeck.query import values
from auditdeck.query.checkpoint import Resumed
from auditdeck.query.formats import ESCAPES, EXTRAS, Show, row
from auditdeck.query.sources import auditd_logs, files_of, find

FORMATS = ("raw", "default", "interpret", "csv", "text", "json")
ROLES: dict[str, tuple[str, ...]] = {
    "uid_all": ("", "effective", "saved", "filesystem", "audit"),
    "uid": ("",),
    "uid_effective": ("effective",),
    "login": ("audit",),
    "gid_all": ("", "effective", "saved", "filesystem"),
    "gid": ("",),
    "gid_effective": ("effective",),
}


SUBJECTS = ["auditd.data.subj", "auditd.data.scontext", "auditd.data.vm-ctx"]
OBJECTS = ["auditd.data.obj", "auditd.data.tcontext", "auditd.data.img-ctx", "auditd.paths.obj"]
HOSTS = ["source.ip", "source.address", "destination.ip", "server.ip", "auditd.data.hostname", "auditd.data.addr"]


LAST = "checkpoint"


class Start(Moment):
    """Also `checkpoint`: the time of the last search with that file."""

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return value if value == LAST else super().convert(value, param, ctx)


def option(*names: str, **more: Any) -> Callable[[Any], Any]:
    return click.option(*names, **{"metavar": "VALUE", **more})


def without_c(function: Callable[..., Any]) -> Callable[..., Any]:
    return with_shared(function, ("--config",))


@click.command("search", cls=TwoWords)
@option("-a", "--event", help="Serial number.")
@option("--arch", help="Architecture: x86_64, i386, aarch64, b64 …")
@option("-c", "--comm", "comm", help="Process name (part of it).")
@option("--checkpoint", metavar="FILE", help="Only what is new since the last search with this file.")
@option("-e", "--exit", "exit_code", help="Result of the system call: number or errno's name.")
@option("-f", "--file", "file", help="Name of a file or unix socket (part of it).")
@option("-ga", "--gid-all", "gid_all", help="Group in any role, by number or name.")
@option("-gi", "--gid", "gid", help="Group.")
@option("-ge", "--gid-effective", "gid_effective", help="Effective group.")
@option("-hn", "--host", "host", help="Host in the event (address or name).")
@option("-i", "--interpret", "interpret", is_flag=True, help="Spell numbers out.", metavar=None)
@log_options
@option("-k", "--key", help="Key of a rule (part of it).")
@option("-l", "--line-buffered", "line_buffered", is_flag=True, help="Write each line at once.", metavar=None)
@option("-m", "--message", "message", multiple=True, help="Record types, with commas; ALL (can be repeated).")
@option("-n", "--node", multiple=True, help="The host that recorded it (can be repeated).")
@option("-o", "--object", "object_label", help="Security label of the object (part of it).")
@option("-p", "--pid", help="Process id.")
@option("-pp", "--ppid", "ppid", help="Parent's process id.")
@option("-r", "--raw", "raw", is_flag=True, help="Records as they came.", metavar=None)
@option("-sc", "--syscall", "syscall", help="System call, by name or number.")
@option("-se", "--context", "any_label", help="Security label of subject or object (part of it).")
@option("--session", help="Login session; -1 for none.")
@option("-su", "--subject", "subject_label", help="Security label of the subject (part of it).")
@option("-sv", "--success", "success", type=click.Choice(["yes", "no"]), help="Whether it succeeded.", metavar=None)
@option("-te", "--end", "end", metavar="TIME", type=Moment(end=True), help=END)
@option("-ts", "--start", "start", metavar="TIME", type=Start(), help=f"From when on: {HELP}; checkpoint.")
@option("-tm", "--terminal", "terminal", help="Terminal.")
@option("-ua", "--uid-all", "uid_all", help="User in any role (also at login), by number or name.")
@option("-ue", "--uid-effective", "uid_effective", help="Effective user.")
@option("-ui", "--uid", "uid", help="User.")
@option("-ul", "--loginuid", "login", help="User at login; -1 or unset for none.")
@option("-uu", "--uuid", "uuid", help="Virtual machine, by UUID (part of it).")
@option("-vm", "--vm-name", "vm", help="Virtual machine, by name (part of it).")
@option("-w", "--word", "whole", is_flag=True, help="Texts must match as a whole.", metavar=None)
@option("-x", "--executable", "executable", help="Executable (part of its path).")
@option("--container", help="Container, by id (or its beginning) or name.")
@option("--format", "form", type=click.Choice(FORMATS), help="How to show events.", metavar=None)
@option(
    "--escape",
    type=click.Choice(list(ESCAPES)),
    default="tty",
    help="What of texts gets a backslash: nothing, control characters (tty), or what a shell reads as well.",
    metavar=None,
)
@option("--extra-keys", is_flag=True, help="In csv: the keys of rules.", metavar=None)
@option("--extra-labels", is_flag=True, help="In csv: the security labels of subject and object.", metavar=None)
@option("--extra-obj2", is_flag=True, help="In csv: a second object.", metavar=None)
@option("--extra-time", is_flag=True, help="In csv: the parts of the time.", metavar=None)
@option("--just-one", is_flag=True, help="Stop after the first.", metavar=None)
@without_c
def command(shared: Shared, **given: Any) -> int:
    """Find events in the event log (or, with -if, in logs of auditd), with ausearch's options.

    All conditions must hold. Exit status 1 if nothing was found.
    """
    try:
        query = make_query(given)
        form = "json" if shared.json else chosen(given)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    logs = [file for name in given["logs"] for file in files_of(name)]
    logs += auditd_logs() if given["input_logs"] else []
    try:
        resumed = None
        if given["checkpoint"]:
            resumed = Resumed(Path(given["checkpoint"]), logs, by_time=given["start"] == LAST)
        found = show_events(shared, given, form, query, logs, resumed)
        if resumed:
            resumed.save()
    except CheckpointError as error:
        click.echo(f"auditdeck: {error}\n           {error.hint}", err=True)
        return error.status
    if not found:
        refuse_unknown(given)
        shared.say("<no matches>")
    return 0 if found else 1


def show_events(
    shared: Shared, given: dict[str, Any], form: str, query: q.Query, logs: list[str], resumed: Resumed | None
) -> int:
    """How many were found."""
    if resumed:
        everything = find(shared.settings, q.Query(), resumed.logs, timeout=given["eoe_timeout"], whole_only=True)
        events = resumed.events(everything, query)
    else:
        events = find(shared.settings, query, logs, timeout=given["eoe_timeout"])
    extra = tuple(name for name in EXTRAS if given[f"extra_{name}"])
    show = Show(given["escape"], Users(), extra)
    lines = {"raw": show.raw, "default": show.default, "interpret": show.interpret, "csv": show.csv,
             "text": show.sentence, "json": show.json}[form]  # fmt: skip
    found = 0
    out = sys.stdout
    for event in islice(events, 1) if given["just_one"] else events:
        if not found and form == "csv":
            out.write(row(show.columns()) + "\n")
        found += 1
        for line in lines(event):
            out.write(line + "\n")
            if given["line_buffered"]:
                out.flush()
    out.flush()
    return found


def refuse_unknown(given: dict[str, Any]) -> None:
    """Names that nobody has, here or in what was searched."""
    for name in ROLES:
        what = "group" if name.startswith("g") else "user"
        value = given[name]
        if value and value not in values.WITHOUT and not value.isdecimal() and not values.is_known(value, what):
            raise click.UsageError(f"no {what} is called {value!r}, neither on this host nor in what was searched")


def chosen(given: dict[str, Any]) -> str:
    """The form of the output. Raises ValueError if several are asked for."""
    asked = [name for name, wanted in (("raw", given["raw"]), ("interpret", given["interpret"]), (given["form"], True))
             if name and wanted]  # fmt: skip
    if len(asked) > 1:
        raise ValueError(f"one form at a time: {asked[0]} or {asked[1]}")
    if asked != ["csv"] and (extra := [name for name in EXTRAS if given[f"extra_{name}"]]):
        raise ValueError(f"--extra-{extra[0]} adds a column to the csv; ask for --format csv")
    # Records are there for logs; the event log keeps them only if it was asked to.
    return asked[0] if asked else "default" if given["logs"] or given["input_logs"] else "text"


def make_query(given: dict[str, Any]) -> q.Query:
    """Raises ValueError with what is wrong."""
    by_checkpoint = given["start"] == LAST
    if by_checkpoint and not given["checkpoint"]:
        raise ValueError("--start checkpoint needs the file: --checkpoint FILE")
    made = q.Query(None if by_checkpoint else given["start"], given["end"])
    whole = given["whole"]
    add = made.conditions.append
    for name, path, what, most in (("event", "auditd.sequence", "serial number", (1 << 64) - 1),
                                   ("pid", "process.pid", "process id", values.UNSET),
                                   ("ppid", "process.parent.pid", "process id", values.UNSET)):  # fmt: skip
        if given[name]:
            add(q.exact(values.number(given[name], what, most), path))
    if given["session"]:
        add(q.exact(values.session(given["session"]), "auditd.session"))
    if given["node"]:
        add(q.one_of(given["node"], "host.name"))
    for name, paths in (
        ("comm", ["process.name"]), ("executable", ["process.executable", "auditd.data.exe"]),
        ("terminal", ["auditd.data.tty", "auditd.data.terminal"]),
        ("host", HOSTS), ("uuid", ["auditd.data.uuid"]), ("vm", ["auditd.data.vm"]),
        ("subject_label", SUBJECTS), ("object_label", OBJECTS), ("any_label", SUBJECTS + OBJECTS),
    ):  # fmt: skip
        if given[name]:
            add(q.text_condition(given[name], whole, texts(paths)))
    if given["file"]:
        add(q.text_condition(given["file"], whole, q.FoundEvent.names))
    if given["key"]:
        add(q.text_condition(given["key"], whole, q.FoundEvent.keys))
    if given["message"]:
        add(q.message_types(",".join(given["message"])))
    for name, roles in ROLES.items():
        if given[name]:
            what, condition = ("group", q.group) if name.startswith("g") else ("user", q.user)
            add(condition(values.account(given[name], what), *roles))
    if given["success"]:
        add(q.outcome(given["success"]))
    if given["syscall"]:
        add(q.exact(syscall(given["syscall"], architecture(given["arch"] or native())), "auditd.data.syscall"))
    if given["arch"]:
        add(q.exact(architecture(given["arch"]), "auditd.data.arch"))
    if given["exit_code"]:
        add(q.exact(exit_name(given["exit_code"]), "auditd.data.exit"))
    if given["container"]:
        add(container(given["container"]))
    return made


def texts(paths: list[str]) -> Callable[[q.FoundEvent], Iterator[str]]:
    return lambda event: (value for path in paths for value in event.values(path))


def container(value: str) -> q.Condition:
    def condition(event: q.FoundEvent) -> bool:
        identity = str(event.get("container.id"))
        return event.get("container.name") == value or (bool(identity) and identity.startswith(value))

    return condition


def architecture(value: str) -> str:
    found = by_name(value)
    if found is None and value in ALL_NAMES.values():
        return value
    if found is None:
        raise ValueError(f"{value!r} is not an architecture; use x86_64, i386, aarch64, b64, …")
    return found


def syscall(value: str, arch: str) -> str:
    is_number = value.isascii() and value.isdecimal() and len(value) < 10
    name = SYSCALLS.get(arch, {}).get(int(value), "") if is_number else value
    known = {name for table in SYSCALLS.values() for name in table.values()}
    if name not in known:
        advice = did_you_mean(value, known)
        raise ValueError(f"{value!r} is not a system call{advice or '; use a name such as connect, or its number'}")
    return name


def exit_name(value: str) -> str:
    """As documents have it: a number, or the errno's name for a negative one."""
    if re.fullmatch(r"-?[0-9]{1,19}", value):
        return ERRORS.get(-int(value), value) if int(value) < 0 else value
    name = value.removeprefix("-").upper()
    if name not in ERRORS.values():
        raise ValueError(f"{value!r} is not a result; use a number, or an errno such as EACCES")
    return name
