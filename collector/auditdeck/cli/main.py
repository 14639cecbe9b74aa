"""`auditdeck`: the commands, and the options that all of them share."""

from __future__ import annotations

import importlib
import sys

import click

from auditdeck import __version__
from auditdeck.errors import AuditdeckError
from auditdeck.packages import EXTRAS, missing
from auditdeck.private_file import refused
from auditdeck.visible import visible

COMMANDS = {
    "run": "collect from this host's kernel",
    "report": "how many outbound TCP connections, and by whom",
    "aureport": "aureport's reports, with its options",
    "serve": "the answers as a live page on 127.0.0.1",
    "search": "find events, with ausearch's options",
    "verify": "whether the event log is as it was written",
    "status": "the kernel's audit state and the collector's counters",
    "doctor": "check what usually goes wrong, and say how to mend it",
    "decode": "an audit log as JSON documents",
    "import": "put old audit logs into the event log",
    "resend": "send what Elasticsearch refused once more",
    "rules": "check, load, list and delete audit rules",
    "config": "check the settings, show where they come from, print an example",
    "provision": "set up the stack: secrets, Elasticsearch, Kibana",
    "enroll": "a token by which other hosts join the stack",
    "join": "send this host's events to a stack, with a token",
    "hosts": "the hosts of the stack, and when they last reported",
    "revoke": "take a host's key away",
    "service": "install the collector as a systemd service",
    "completion": "what makes a shell complete commands and options",
}


class Commands(click.Group):
    """Imports a command only when it is called: `run` starts without what `report` needs."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"auditdeck.cli.{cmd_name.replace('import', 'import_')}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="auditdeck")
def cli() -> None:
    """Who opened which outbound TCP connections on this host, from the kernel's audit subsystem.

    Begin with `auditdeck run`, and ask `auditdeck report`.

    Exit status: 0 done, 1 it failed or found what it looks for to be wrong, 2 wrong usage, 130 interrupted; what else a
    command has is said in its --help.
    """


def main() -> None:
    """Runs a command; errors are one sentence each, with what to do."""
    try:
        code = cli.main(standalone_mode=False)
    except AuditdeckError as error:
        sys.exit(tell(error))
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in EXTRAS:
            raise
        sys.exit(tell(missing(package)))
    except PermissionError as error:
        if error.filename is None:
            raise
        sys.exit(tell(refused(error.filename)))
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.exceptions.Abort, KeyboardInterrupt):
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
    sys.exit(code if isinstance(code, int) else 0)


def tell(error: AuditdeckError) -> int:
    """The exit status."""
    click.echo(f"auditdeck: {visible(str(error))}", err=True)
    if error.hint:
        click.echo(f"           {visible(error.hint)}", err=True)
    return 1
