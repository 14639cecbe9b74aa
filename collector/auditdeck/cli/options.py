"""Options that every command shares."""

from __future__ import annotations

import functools
import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import orjson

from auditdeck.private_file import require_readable
from auditdeck.settings.model import Settings
from auditdeck.settings.read import read_settings
from auditdeck.visible import VisibleFormatter, visible_json


@dataclass(frozen=True, slots=True)
class Common:
    """The options of every command, as they were given: where settings come from, and how to speak."""

    file: Path | None
    data_dir: Path | None
    json: bool
    quiet: bool
    go_audit: bool = False


@dataclass(slots=True)
class Shared:
    """The settings with the options applied, and how to speak."""

    settings: Settings
    json: bool
    quiet: bool
    config: Path | None = None
    read: Callable[[], Settings] = Settings
    """The settings as they are now, with the options applied. Raises SettingsError."""

    @property
    def data_dir(self) -> Path:
        """Raises StoreError if this user may not read it."""
        folder = Path(self.settings.data_dir)
        require_readable(folder)
        return folder

    def say(self, text: str) -> None:
        """A remark, on standard error; nothing with --quiet."""
        if not self.quiet:
            click.echo(text, err=True)


def shared(function: Callable[..., Any]) -> Callable[..., Any]:
    """Adds -c/--config, --data-dir, --json and --quiet, and passes them on as one `Shared`."""
    return with_shared(function, ("-c", "--config"))


def with_shared(function: Callable[..., Any], config_names: tuple[str, ...]) -> Callable[..., Any]:
    """As `shared`, for a command in which -c means something else."""

    @functools.wraps(function)
    def wrapper(given: Common, **options: Any) -> Any:
        def read() -> Settings:
            settings = read_settings(given.file, go_audit=given.go_audit)
            if given.data_dir is not None:
                settings.data_dir = str(given.data_dir)
            return settings

        return function(Shared(read(), given.json, given.quiet, given.file, read), **options)

    return with_common(wrapper, config_names)


def common(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same options for a command that reads the settings itself, passed on as one `Common`."""
    return with_common(function, ("-c", "--config"))


def with_common(function: Callable[..., Any], config_names: tuple[str, ...]) -> Callable[..., Any]:
    @click.option(
        *config_names,
        "config",
        type=click.Path(path_type=Path, dir_okay=False),
        help="Settings file (default: /etc/auditdeck/auditdeck.yaml).",
    )
    @click.option(
        "--data-dir",
        type=click.Path(path_type=Path, file_okay=False, readable=False),
        help="Where events are kept (default: /var/lib/auditdeck).",
    )
    @click.option("--json", "as_json", is_flag=True, help="Print JSON.")
    @click.option("--quiet", "-q", is_flag=True, help="Print nothing but results and errors.")
    @functools.wraps(function)
    def wrapper(
        config: Path | None,
        data_dir: Path | None,
        as_json: bool,
        quiet: bool,
        go_audit: Path | None = None,
        **options: Any,
    ) -> Any:
        if config and go_audit:
            raise click.UsageError("--config and --go-audit both name the settings; use one of them")
        start_log(quiet=quiet)
        given = Common(config or go_audit, data_dir, as_json, quiet, go_audit is not None)
        return function(given, **options)

    return wrapper


go_audit_option = click.option(
    "--go-audit",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Settings from a go-audit.yaml: its rules, filters and output.",
)
"""Goes above `shared` or `common`."""


def start_log(*, quiet: bool) -> None:
    """Before the settings are read: what is said about them is heard."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(VisibleFormatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%d %H:%M:%S %Z"))
    logging.basicConfig(level=logging.ERROR if quiet else logging.INFO, handlers=[handler])
    # Elastic's client logs every request.
    logging.getLogger("elastic_transport").setLevel(logging.ERROR)


def print_json(value: object) -> None:
    text = visible_json(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())
    sys.stdout.buffer.write(text.encode() + b"\n")
    sys.stdout.buffer.flush()
