"""The settings: one typed model. The text below a key says what it is for, here and in the commented file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal, get_args, get_origin

import msgspec
from msgspec import Meta

from auditdeck.settings.kinds import (
    BytePattern,
    Duration,
    FileMode,
    Fingerprint,
    Group,
    Listen,
    Network,
    Pattern,
    RecordType,
    RuleLine,
    Secret,
    Size,
    SystemCall,
    Url,
    host_and_port,
)

Count = Annotated[int, Meta(ge=0)]
Unsigned = Annotated[int, Meta(ge=0, le=0xFFFF_FFFF)]
"""A number of struct audit_status (linux/audit.h)."""
Trouble = Iterator[tuple[str, str]]
"""A field, and what is wrong with it."""


class Model(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Base of all sections: a key that is not known is an error."""

    def problems(self) -> Trouble:
        """What is wrong with values that are right by themselves."""
        return iter(())


class Kernel(Model):
    """The audit socket."""

    mode: Literal["auto", "unicast", "multicast"] = "auto"
    """unicast: be the audit daemon; multicast: listen beside another one; auto: unicast unless another one is alive."""
    take_over: bool = False
    """End another audit daemon that is alive (SIGTERM), and take its place."""
    backlog_limit: Unsigned = 8192
    """Records that the kernel may hold back while they wait to be read (auditctl -b)."""
    backlog_wait_time: Unsigned = 0
    """How long the audited programs wait when the backlog is full, in the kernel's jiffies. 0: they never wait for
    us."""
    failure: Literal[0, 1, 2] = 1
    """What the kernel does when it must drop a record: 0 nothing, 1 a line in the kernel log, 2 panic (auditctl -f)."""
    rate_limit: Unsigned = 0
    """Records a second, 0 is no limit (auditctl -r)."""
    receive_buffer: Annotated[Size, Meta(ge=1, le=1 << 30)] = 16 << 20
    """The socket's buffer. Larger survives longer bursts."""
    exclude_eoe: bool = True
    """As the audit daemon: have the kernel leave out EOE records, which only say that an event ends (a rule in its
    exclude list). Its last record says so as well."""
    keep: Literal["restore", "report"] = "restore"
    """When somebody switches audit off, deletes auditdeck's rules, or the kernel drops its registration: restore puts
    it back within seconds, report only says so. Both count the time as not watched."""


class ConnectionSettings(Model):
    """Where TCP connections are taken from."""

    source: Literal["auto", "tracepoint", "audit"] = "auto"
    """tracepoint: from the kernel's TCP state machine (a BPF program on inet_sock_set_state; Linux 5.11, CAP_BPF and
    CAP_PERFMON): what became of each connection, bytes, times. audit: from rules on connect(2), where what is in
    progress cannot always be settled. auto: the tracepoint where it can be loaded."""
    udp: bool = False
    """Keep connects of UDP sockets as well (rules on connect(2) and socket(2)); they are never counted as
    connections."""


class Rules(Model):
    """What is watched."""

    default: bool = True
    """Load the rules that auditdeck brings along (collector/rules)."""
    files: list[str] = []
    """More rule files, or directories of *.rules, in auditctl's syntax."""
    lines: list[RuleLine] = []
    """More rules, a line each."""


class Filter(Model):
    """Events that are not kept (or kept in any case): those that match all that is given."""

    syscall: SystemCall | None = None
    message_type: RecordType | None = None
    regex: BytePattern = ""
    key: str = ""
    user: str = ""
    executable: Pattern = ""
    destination: Network = ""
    port: Annotated[int, Meta(ge=0, le=65535)] | None = None
    keep: bool = False

    def problems(self) -> Trouble:
        if all(getattr(self, name) in (None, "") for name in self.__struct_fields__ if name != "keep"):
            yield "", "this filter says nothing about the events that it is for; use syscall, message_type, regex, …"


class EventLog(Model):
    """The event log on disk."""

    segment_size: Annotated[Size, Meta(ge=1)] = 64 << 20
    """A segment is closed and compressed at this size or age."""
    segment_age: Annotated[Duration, Meta(gt=0)] = 3600.0
    fsync_interval: Duration = 1.0
    """What a crash of the machine can cost; at least 100ms."""
    max_size: Size = 10 << 30
    """Bounds of the event log; 0 is none. The oldest segments go first."""
    max_age: Duration = 30 * 86400.0
    group: Group = ""
    """A group (name or number) that may read what was collected, with report, search, serve, verify and status: the
    folders get 0750, the files 0640. Empty: the user that collects, and root."""
    sign_key_file: str = ""
    """A file with a key (openssl rand -hex 32), with which the hashes are signed that `auditdeck verify` checks."""


class StoreSettings(Model):
    """The local store (Parquet)."""

    enabled: bool = True
    """Keep the columns that the report needs as Parquet files."""
    max_size: Size = 10 << 30
    max_age: Duration = 400 * 86400.0


class Documents(Model):
    """What is written about an event."""

    original: bool = False
    """Keep the kernel's records as they came in event.original."""
    socket_events: bool = False
    """Keep the socket(2) events that only tell TCP from UDP."""
    connection_ends: bool = True
    """A document of its own when a connection ends that was open for longer than a second: with its bytes and
    duration."""
    arguments_limit: Size = 64 << 10
    """Longer argument lists are cut in the middle, with a marker (0: never)."""
    min_type: Count = 0
    """Records of other types (linux/audit.h) are left out: 1300 to 1399 are the kernel's, without those of user
    space."""
    max_type: Count = 65535

    def problems(self) -> Trouble:
        if self.min_type > self.max_type:
            yield "min_type", f"{self.min_type} is more than max_type ({self.max_type}): no record would be kept"


class LabelSetting(Model):
    """A label for processes: by the key of a rule, or by an executable's path (a regular expression)."""

    label: str
    key: str = ""
    executable: Pattern = ""

    def problems(self) -> Trouble:
        if not self.label:
            yield "label", "this is empty; give the label a name"
        if not (self.key or self.executable):
            yield "", f"no process gets the label {self.label!r}; give it a key or an executable"


class Enrich(Model):
    """What is looked up beside the records."""

    containers: bool = True
    """container.id by the control group of a process; with Docker's socket also name, image and labels."""
    docker_socket: str = "/var/run/docker.sock"
    cgroups: bool = False
    """The control group's path, in auditdeck.cgroup."""
    parents: bool = True
    """Program, identity and start of the parent, in process.parent."""
    scripts: bool = True
    """The script that an interpreter ran (#!), in auditdeck.script."""
    environment: list[str] = msgspec.field(default_factory=lambda: ["LD_PRELOAD", "LD_LIBRARY_PATH"])
    """Environment variables of executed programs, in process.env_vars. []: none."""
    groups: bool = False
    """All groups of the user by the database, in auditdeck.groups."""
    hashes: bool = False
    """SHA-256 of executed files, in process.hash.sha256; larger ones are left out."""
    hash_limit: Size = 64 << 20
    labels: list[LabelSetting] = []
    """Labels in auditdeck.labels: a process gets them by the key of a rule or by its executable (a regular expression),
    and all that it starts inherits them.
      - {label: package-management, executable: "/(apt|dpkg)$"}
      - {label: web, key: webserver}"""


class Redact(Model):
    """Secrets in command lines, which are not written."""

    defaults: bool = True
    """--password=…, TOKEN=…, user:password@host, Authorization: …, mysql -p… and the like."""
    patterns: list[BytePattern] = []
    r"""More regular expressions, for each argument; of a match the group `secret` is replaced, or all of it.
      - 'pin:(?P<secret>\d+)'"""


class HostSettings(Model):
    """The host, where it is not the one that this process sees: in a container."""

    name: str = ""
    """Another name than the host's own."""
    root: str = "/"
    """Where the host's files are seen, when this runs in a container; of several (with colons) the first that can be
    read."""


class ElasticsearchSettings(Model):
    """Documents to Elasticsearch."""

    enabled: bool = False
    """Send every document to Elasticsearch, exactly once. While it cannot be reached, documents wait in the event
    log."""
    hosts: list[Url] = msgspec.field(default_factory=lambda: ["https://localhost:9200"])
    """Several are taken in turn; one that fails is left alone for a while."""
    index: str = "audit-events"
    """A data stream. audit-* is what the templates of `auditdeck provision` are for."""
    api_key: Secret = ""
    """An API key as `auditdeck provision` makes it (id:secret in base64), or a file that holds it; or name and
    password."""
    api_key_file: str = ""
    username: str = ""
    password: Secret = ""
    password_file: str = ""
    ca: str = ""
    """The certificate authority (a file), or the SHA-256 fingerprint of its certificate. Empty: the system's
    authorities."""
    ca_fingerprint: Fingerprint = ""
    bulk_count: Annotated[int, Meta(ge=1)] = 4000
    """A request is sent at so many documents or bytes, or after so long (fluentd: flush_interval, chunk_limit_size;
    auditbeat: bulk_max_size, flush.timeout)."""
    bulk_size: Annotated[Size, Meta(ge=1)] = 8 << 20
    flush_interval: Duration = 1.0
    workers: Annotated[int, Meta(ge=1, le=32)] = 2
    """Requests under way at the same time (fluentd: flush_thread_count; auditbeat: worker)."""
    compression: Literal["auto", "on", "off"] = "auto"
    """gzip; auto: unless Elasticsearch is on this host."""
    timeout: Annotated[Duration, Meta(gt=0)] = 60.0
    backoff_max: Annotated[Duration, Meta(gt=0)] = 30.0
    """The longest wait between attempts; they go on for ever (auditbeat: backoff.max, max_retries: -1)."""

    def problems(self) -> Trouble:
        if not self.enabled:
            return
        if not self.hosts:
            yield "hosts", "this is empty; name at least one, such as https://host:9200"
        if not self.index:
            yield "index", "this is empty; name a data stream, such as audit-events"
        if self.username and (self.api_key or self.api_key_file):
            yield "username", "a user name and an API key exclude each other; give one of them"
        elif self.username and not (self.password or self.password_file):
            yield "username", "there is no password for it; set password or password_file"
        elif (self.password or self.password_file) and not self.username:
            yield "password", "there is no user name for it; set username"


OutputForm = Literal["ecs", "go-audit", "fluentd", "raw"]


class FileSettings(Model):
    """Documents to a file."""

    enabled: bool = False
    form: OutputForm = "ecs"
    path: str = "/var/log/auditdeck/events.ndjson"
    mode: FileMode = "0600"
    user: str = ""
    """Owners by name; empty: whoever runs auditdeck."""
    group: str = ""
    max_size: Size = 0
    """Rotated at this size (0: not by auditdeck; logrotate may move the file at any time), so many kept, gzip or
    not."""
    keep: Count = 5
    compress: bool = True

    def problems(self) -> Trouble:
        if self.enabled and not self.path:
            yield "path", "this is empty; name the file"


class StdoutSettings(Model):
    """Documents to standard output."""

    enabled: bool = False
    form: OutputForm = "ecs"


class SyslogSettings(Model):
    """Documents to a syslog server."""

    enabled: bool = False
    form: OutputForm = "ecs"
    network: Literal["unixgram", "unix", "udp", "tcp", "tls"] = "unixgram"
    """unixgram, unix (address is a path), udp, tcp or tls (host:port)."""
    address: str = "/dev/log"
    priority: Annotated[int, Meta(ge=0, le=191)] = 134
    """facility * 8 + severity: 134 is local0, informational."""
    tag: str = "auditdeck"
    ca: str = ""
    """The certificate authority for tls (a file); empty: the system's."""

    def problems(self) -> Trouble:
        if self.enabled:
            yield from address_problems(self.network, self.address)


class GelfSettings(Model):
    """Documents to Graylog."""

    enabled: bool = False
    form: OutputForm = "ecs"
    network: Literal["udp", "tcp"] = "udp"
    """udp or tcp (host:port)."""
    address: str = ""
    compression: Literal["gzip", "zlib", "none"] = "gzip"
    """For udp: gzip, zlib or none."""
    compression_level: Annotated[int, Meta(ge=-1, le=9)] = 1

    def problems(self) -> Trouble:
        if self.enabled:
            yield from address_problems(self.network, self.address)


def address_problems(network: str, address: str) -> Trouble:
    if network in ("unix", "unixgram"):
        if not address.startswith("/"):
            yield "address", f"{address!r} is not a valid path of a socket; use an absolute one such as /dev/log"
        return
    try:
        host_and_port(address)
    except ValueError as error:
        yield "address", str(error)


class Outputs(Model):
    """Where documents are sent, besides the event log."""

    elasticsearch: ElasticsearchSettings = msgspec.field(default_factory=ElasticsearchSettings)
    file: FileSettings = msgspec.field(default_factory=FileSettings)
    """The following write each document as a line: in ECS, as go-audit writes it, as fluentd's go_audit_parser passes
    it on, or the records as auditd logs them (form: ecs, go-audit, fluentd or raw). What cannot be delivered waits in
    the event log."""
    stdout: StdoutSettings = msgspec.field(default_factory=StdoutSettings)
    syslog: SyslogSettings = msgspec.field(default_factory=SyslogSettings)
    """RFC 5424; streams count octets (RFC 6587)."""
    gelf: GelfSettings = msgspec.field(default_factory=GelfSettings)
    """GELF 1.1."""

    @property
    def needs_original(self) -> bool:
        """Whether an output's form is made of the records as they came."""
        sections = (self.file, self.stdout, self.syslog, self.gelf)
        return any(section.enabled and section.form != "ecs" for section in sections)


class MetricsSettings(Model):
    """What the collector counts, for Prometheus."""

    listen: Listen = ""
    """127.0.0.1:9464: serve /metrics (Prometheus), /healthz and /readyz there by HTTP. Empty: not at all. They have
    neither password nor TLS: an address that others can reach shows them numbers, though no events."""


class Settings(Model):
    """Everything that can be set; defaults do for one host."""

    data_dir: str = "/var/lib/auditdeck"
    """Where the event log and the local store are kept."""
    kernel: Kernel = msgspec.field(default_factory=Kernel)
    connections: ConnectionSettings = msgspec.field(default_factory=ConnectionSettings)
    rules: Rules = msgspec.field(default_factory=Rules)
    event_log: EventLog = msgspec.field(default_factory=EventLog)
    store: StoreSettings = msgspec.field(default_factory=StoreSettings)
    documents: Documents = msgspec.field(default_factory=Documents)
    enrich: Enrich = msgspec.field(default_factory=Enrich)
    """What is looked up beside the records, while the processes live."""
    redact: Redact = msgspec.field(default_factory=Redact)
    """Secrets in command lines are replaced by [redacted] before anything is written."""
    filters: list[Filter] = []
    """Events that are not kept, counted as `filtered` and by filter in `auditdeck status`. The first filter that
    matches all that it names decides; `keep: true` keeps what later ones would drop. What is dropped in the kernel
    (rules) costs less.
      syscall, message_type (name or number)   regex (of the text of a record, of that type if one is named)
      key   user (name or number)   executable (regular expression)   destination (address or network)   port
      - {executable: "^/usr/lib/apt/", keep: true}
      - {destination: 10.0.0.0/8, port: 9200}
      - {syscall: bind, message_type: SOCKADDR, regex: "saddr=(10..|0A..)"}"""
    host: HostSettings = msgspec.field(default_factory=HostSettings)
    outputs: Outputs = msgspec.field(default_factory=Outputs)
    metrics: MetricsSettings = msgspec.field(default_factory=MetricsSettings)
    """What is counted, for Prometheus. docs/metrics.md"""

    def problems(self) -> Trouble:
        if not self.data_dir:
            yield "data_dir", "this is empty; name a folder"


def plain(kind: Any) -> tuple[Any, list[Meta]]:
    """A field's type without None and without its notes, and these."""
    choices = [choice for choice in get_args(kind) if choice is not type(None)]
    if type(None) in get_args(kind) and len(choices) == 1:
        [kind] = choices
    if get_origin(kind) is Annotated:
        base, *notes = get_args(kind)
        return base, notes
    return kind, []


def is_text(kind: Any) -> bool:
    base, _ = plain(kind)
    return base is str or (get_origin(base) is Literal and isinstance(get_args(base)[0], str))


def leaves(kind: type[Model], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every key that is not a section, with the type of its value."""
    for field in msgspec.structs.fields(kind):
        here = (*path, field.name)
        if isinstance(field.type, type) and issubclass(field.type, Model):
            yield from leaves(field.type, here)
        else:
            yield here, field.type
