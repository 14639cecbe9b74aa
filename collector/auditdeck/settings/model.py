"""The settings: one typed model, read from auditdeck.yaml, overridden by AUDITDECK_* variables and by options.

A variable's name is the key's path in capitals, with two underscores between levels: AUDITDECK_KERNEL__MODE=multicast.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import yaml

from auditdeck.errors import SettingsError
from auditdeck.settings.goaudit import KEYS, from_go_audit, is_go_audit

DEFAULT_FILE = Path("/etc/auditdeck/auditdeck.yaml")
DEFAULT_DATA_DIR = Path("/var/lib/auditdeck")
PREFIX = "AUDITDECK_"

SIZE_UNITS = {
    "": 1,
    "B": 1,
    "KIB": 1 << 10,
    "MIB": 1 << 20,
    "GIB": 1 << 30,
    "TIB": 1 << 40,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
}
TIME_UNITS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}

Count = Annotated[int, msgspec.Meta(ge=0)]


class Size(int):
    """Bytes, written as 16MiB, 10GiB or a number."""


class Duration(float):
    """Seconds, written as 500ms, 2s, 1h, 7d or a number."""


class Model(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Base of all sections: a key that is not known is an error."""


class Kernel(Model):
    """The audit socket."""

    mode: Literal["auto", "unicast", "multicast"] = "auto"
    take_over: bool = False
    backlog_limit: Count = 8192
    backlog_wait_time: Count = 0
    failure: Literal[0, 1, 2] = 1
    rate_limit: Count = 0
    receive_buffer: Size = Size(16 << 20)
    exclude_eoe: bool = True


class ConnectionSettings(Model):
    """Where TCP connections are taken from."""

    source: Literal["auto", "tracepoint", "audit"] = "auto"
    udp: bool = False


class Rules(Model):
    """What is watched."""

    default: bool = True
    files: list[str] = []
    lines: list[str] = []


class Filter(Model):
    """Events that are not kept (or kept in any case): those that match all that is given."""

    syscall: int | str | None = None
    message_type: int | str | None = None
    regex: str = ""
    key: str = ""
    user: str = ""
    executable: str = ""
    destination: str = ""
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] | None = None
    keep: bool = False


class EventLog(Model):
    """The event log on disk."""

    segment_size: Size = Size(64 << 20)
    segment_age: Duration = Duration(3600)
    fsync_interval: Duration = Duration(1)
    max_size: Size = Size(10 << 30)
    max_age: Duration = Duration(30 * 86400)


class StoreSettings(Model):
    """The local store (Parquet)."""

    enabled: bool = True
    max_size: Size = Size(10 << 30)
    max_age: Duration = Duration(400 * 86400)


class Documents(Model):
    """What is written about an event."""

    original: bool = False
    socket_events: bool = False
    connection_ends: bool = True
    arguments_limit: Size = Size(64 << 10)
    min_type: Count = 0
    max_type: Count = 65535


class LabelSetting(Model):
    """A label for processes: by the key of a rule, or by an executable's path (a regular expression)."""

    label: str
    key: str = ""
    executable: str = ""


class Enrich(Model):
    """What is looked up beside the records."""

    containers: bool = True
    cgroups: bool = False
    docker_socket: str = "/var/run/docker.sock"
    parents: bool = True
    scripts: bool = True
    environment: list[str] = msgspec.field(default_factory=lambda: ["LD_PRELOAD", "LD_LIBRARY_PATH"])
    groups: bool = False
    hashes: bool = False
    hash_limit: Size = Size(64 << 20)
    labels: list[LabelSetting] = []


class Redact(Model):
    """Secrets in command lines, which are not written."""

    defaults: bool = True
    patterns: list[str] = []


class HostSettings(Model):
    """The host, where it is not the one that this process sees: in a container."""

    name: str = ""
    root: str = "/"


class ElasticsearchOutput(Model):
    """Documents to Elasticsearch."""

    enabled: bool = False
    hosts: list[str] = msgspec.field(default_factory=lambda: ["https://localhost:9200"])
    index: str = "audit-events"
    api_key: str = ""
    api_key_file: str = ""
    username: str = ""
    password: str = ""
    password_file: str = ""
    ca: str = ""
    ca_fingerprint: str = ""
    bulk_count: Annotated[int, msgspec.Meta(ge=1)] = 4000
    bulk_size: Size = Size(8 << 20)
    flush_interval: Duration = Duration(1)
    workers: Annotated[int, msgspec.Meta(ge=1, le=32)] = 2
    compression: Literal["auto", "on", "off"] = "auto"
    timeout: Duration = Duration(60)
    backoff_max: Duration = Duration(30)


Form = Literal["ecs", "go-audit", "fluentd", "raw"]


class FileOutput(Model):
    """Documents to a file."""

    enabled: bool = False
    form: Form = "ecs"
    path: str = "/var/log/auditdeck/events.ndjson"
    mode: str = "0600"
    user: str = ""
    group: str = ""
    max_size: Size = Size(0)
    keep: Count = 5
    compress: bool = True


class StdoutOutput(Model):
    """Documents to standard output."""

    enabled: bool = False
    form: Form = "ecs"


class SyslogOutput(Model):
    """Documents to a syslog server."""

    enabled: bool = False
    form: Form = "ecs"
    network: Literal["unixgram", "unix", "udp", "tcp", "tls"] = "unixgram"
    address: str = "/dev/log"
    priority: Annotated[int, msgspec.Meta(ge=0, le=191)] = 134
    tag: str = "auditdeck"
    ca: str = ""


class GelfOutput(Model):
    """Documents to Graylog."""

    enabled: bool = False
    form: Form = "ecs"
    network: Literal["udp", "tcp"] = "udp"
    address: str = ""
    compression: Literal["gzip", "zlib", "none"] = "gzip"
    compression_level: Annotated[int, msgspec.Meta(ge=-1, le=9)] = 1


class Outputs(Model):
    """Where documents are sent, besides the event log."""

    elasticsearch: ElasticsearchOutput = msgspec.field(default_factory=ElasticsearchOutput)
    file: FileOutput = msgspec.field(default_factory=FileOutput)
    stdout: StdoutOutput = msgspec.field(default_factory=StdoutOutput)
    syslog: SyslogOutput = msgspec.field(default_factory=SyslogOutput)
    gelf: GelfOutput = msgspec.field(default_factory=GelfOutput)

    @property
    def needs_original(self) -> bool:
        """Whether an output's form is made of the records as they came."""
        sections = (self.file, self.stdout, self.syslog, self.gelf)
        return any(section.enabled and section.form != "ecs" for section in sections)


class Settings(Model):
    """Everything that can be set; defaults do for one host."""

    data_dir: str = str(DEFAULT_DATA_DIR)
    kernel: Kernel = msgspec.field(default_factory=Kernel)
    connections: ConnectionSettings = msgspec.field(default_factory=ConnectionSettings)
    rules: Rules = msgspec.field(default_factory=Rules)
    event_log: EventLog = msgspec.field(default_factory=EventLog)
    store: StoreSettings = msgspec.field(default_factory=StoreSettings)
    documents: Documents = msgspec.field(default_factory=Documents)
    enrich: Enrich = msgspec.field(default_factory=Enrich)
    redact: Redact = msgspec.field(default_factory=Redact)
    host: HostSettings = msgspec.field(default_factory=HostSettings)
    outputs: Outputs = msgspec.field(default_factory=Outputs)
    filters: list[Filter] = []


def read_settings(
    file: Path | None = None, environment: Mapping[str, str] = os.environ, *, go_audit: bool = False
) -> Settings:
    """The settings of a file (by default /etc/auditdeck/auditdeck.yaml, where it exists) and the environment.

    A go-audit.yaml is known by its keys, or with `go_audit` taken for one.

    Raises SettingsError that names the file and the key.
    """
    chosen = file or (DEFAULT_FILE if DEFAULT_FILE.exists() else None)
    values = read_yaml(chosen) if chosen else {}
    where = str(chosen or "defaults")
    if go_audit or is_go_audit(values):
        values = from_go_audit(values, where)
    for name, value in environment.items():
        if name.startswith(PREFIX):
            override(values, name, value)
    return convert(values, where)


def read_yaml(file: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(file.read_text())
    except OSError as error:
        raise SettingsError(f"cannot read the settings file {file}: {error.strerror}", "see --config") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"the settings file {file} is not UTF-8 text") from error
    except yaml.YAMLError as error:
        raise SettingsError(f"the settings file {file} is not YAML: {' '.join(str(error).split())}") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise SettingsError(f"{file}: the settings must be keys with values", "see the commented auditdeck.yaml")
    return values


def override(values: dict[str, Any], name: str, value: str) -> None:
    *sections, key = name.removeprefix(PREFIX).lower().split("__")
    place = values
    for section in sections:
        place = place.setdefault(section, {})
        if not isinstance(place, dict):
            raise SettingsError(f"the variable {name} names a key below one that is no section")
    if not sections and key not in Settings.__struct_fields__:
        # AUDITDECK_VERSION and the like belong to others (the compose file, for one).
        return
    try:
        place[key] = yaml.safe_load(value) if value[:1] not in ("%", "@", "*", "&") else value
    except yaml.YAMLError:
        place[key] = value


def convert(values: dict[str, Any], where: str) -> Settings:
    try:
        return msgspec.convert(values, Settings, strict=False, dec_hook=decode)
    except msgspec.ValidationError as error:
        reason, _, path = str(error).partition(" - at `$")
        key = path.rstrip("`").lstrip(".") or "the top level"
        foreign = sorted(KEYS & values.keys() - set(Settings.__struct_fields__))
        hint = "see the commented auditdeck.yaml"
        if foreign:
            hint = f"`{foreign[0]}` is a key of go-audit: its settings are taken with auditdeck run --go-audit {where}"
        raise SettingsError(f"{where}: {key}: {reason}", hint) from None


def decode(kind: type, value: Any) -> Any:
    if kind is Size:
        return Size(size(value))
    if kind is Duration:
        return Duration(duration(value))
    raise NotImplementedError(kind)


def size(value: object) -> int:
    """Bytes of 16MiB, 10GiB, 500MB or a number; raises ValueError."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?I?B?)", str(value).strip().upper())
    unit = match and (match[2] + "B" if match[2] in ("KI", "MI", "GI", "TI", "K", "M", "G") else match[2])
    if not match or unit not in SIZE_UNITS:
        raise ValueError(f"Expected a size such as 16MiB or 10GiB, got `{value}`")
    return int(float(match[1]) * SIZE_UNITS[unit])


def duration(value: object) -> float:
    """Seconds of 500ms, 2s, 5m, 1h, 7d, 2w or a number; raises ValueError."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)?", str(value).strip())
    if not match:
        raise ValueError(f"Expected a duration such as 500ms, 2s, 1h or 7d, got `{value}`")
    return float(match[1]) * TIME_UNITS[match[2] or ""]
