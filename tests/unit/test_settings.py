"""Settings from a file and from variables: what is wrong is told with its place, its key and what to do."""

from __future__ import annotations

from pathlib import Path
from tempfile import NamedTemporaryFile

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from auditdeck.errors import SettingsError
from auditdeck.settings.kinds import duration, size
from auditdeck.settings.model import Filter, LabelSetting, Settings, leaves
from auditdeck.settings.read import load, read_settings


def written(folder: Path, text: str) -> Path:
    file = folder / "f.yaml"
    file.write_text(text)
    return file


def problems(folder: Path, text: str, variables: dict[str, str] | None = None) -> list[str]:
    _, found = load(written(folder, text), variables or {})
    return [str(problem).replace(f"{folder}/", "") for problem in found.problems]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("kernel:\n  mod: auto", "2: unknown key `kernel.mod`; did you mean mode?"),
        ("outputs:\n  elastic: {}", "2: unknown key `outputs.elastic`; did you mean elasticsearch?"),
        ("outputs:\n  kafka: {}", "2: unknown key `outputs.kafka`; use elasticsearch, file, stdout, syslog, gelf"),
        ("log: {}", "1: unknown key `log`; go-audit has it: its file is taken with `auditdeck run --go-audit FILE`"),
        ("filters:\n- {usr: ada}", "2: unknown key `filters[0].usr`; did you mean user?"),
        ("kernel: {mode: both}", "1: kernel.mode: 'both' is not valid; use auto, unicast or multicast"),
        ("kernel: {failure: 3}", "1: kernel.failure: 3 is not valid; use 0, 1 or 2"),
        (
            "kernel: {rate_limit: 5000000000}",
            "1: kernel.rate_limit: 5000000000 is not a whole number from 0 to 4294967295",
        ),
        (
            "kernel: {receive_buffer: 4GiB}",
            "1: kernel.receive_buffer: '4GiB' is not a whole number from 1 to 1073741824",
        ),
        ("data_dir: ''", "1: data_dir: this is empty; name a folder"),
        ("kernel: {take_over: maybe}", "1: kernel.take_over: 'maybe' is not true or false"),
        ("kernel:\n\n  backlog_limit: -1", "3: kernel.backlog_limit: -1 is not a whole number from 0 to 4294967295"),
        ("kernel: {backlog_limit: many}", "1: kernel.backlog_limit: 'many' is not a whole number from 0 to 4294967295"),
        ("filters: [{port: 70000}]", "1: filters[0].port: 70000 is not a whole number from 0 to 65535"),
        (
            "kernel: {receive_buffer: lots}",
            "1: kernel.receive_buffer: 'lots' is not a valid size; use 16MiB, 10GiB or a number of bytes",
        ),
        (
            "event_log: {segment_age: 1 fortnight}",
            "1: event_log.segment_age: '1 fortnight' is not a valid duration; use 500ms, 2s, 1h, 7d or a number "
            "of seconds",
        ),
        ("event_log: {segment_age: 0}", "1: event_log.segment_age: 0 is not a number of more than 0"),
        ("rules: {files: a.rules}", "1: rules.files: 'a.rules' is not a list; write [a, b], or a line with - for each"),
        ("rules: []", "1: rules: a list is not a section; write keys with values"),
        ("- a", "1: a list is not a section; write keys with values"),
        ("host: {name: [a]}", "1: host.name: a list is not a text"),
        ("redact: {patterns: [{a: b}]}", "1: redact.patterns[0]: a section is not a text"),
        ("filters: [~]", "1: filters[0]: nothing is not a section; write keys with values"),
    ],
)
def test_a_wrong_key_or_value_is_told_with_file_line_and_key(tmp_path: Path, text: str, problem: str) -> None:
    assert problems(tmp_path, text) == [f"f.yaml:{problem}"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("kernel: {}\nhost: {}\nkernel: {}", "3: kernel: this key is on line 1 already; keep one of them"),
        ("outputs:\n  file:\n    form: raw\n    form: ecs", "4: outputs.file.form: this key is on line 3 already"),
        ("documents:\n  min_type: 1400\n  max_type: 1300", "2: documents.min_type: 1400 is more than max_type"),
        ("documents: {max_type: -1}", "1: documents.max_type: -1 is not a whole number of at least 0"),
        (
            "rules:\n  lines:\n  - -a always,exit -S nosuch",
            "3: rules.lines[0]: '-a always,exit -S nosuch' is not a valid rule: ",
        ),
        ("enrich:\n  labels:\n  - label: web", "3: enrich.labels[0]: no process gets the label 'web'"),
        ("enrich: {labels: [{key: web}]}", "1: enrich.labels[0].label: this is missing"),
        ("enrich: {labels: [{label: '', key: web}]}", "1: enrich.labels[0].label: this is empty"),
        (
            "enrich:\n  labels:\n  - label: a\n    executable: '('",
            "4: enrich.labels[0].executable: '(' is not a valid regular expression: missing )",
        ),
        ("redact:\n  patterns:\n  - ok\n  - '['", "4: redact.patterns[1]: '[' is not a valid regular expression"),
        (r"redact: {patterns: ['\u00e9']}", r"1: redact.patterns[0]: '\\u00e9' is not a valid regular expression"),
        ("filters: [{regex: '*'}]", "1: filters[0].regex: '*' is not a valid regular expression: nothing to repeat"),
        ("filters: [{executable: '+'}]", "1: filters[0].executable: '+' is not a valid regular expression"),
        ("filters: [{destination: 10.0.0.0/99}]", "1: filters[0].destination: '10.0.0.0/99' is not a valid network"),
        (
            "filters: [{message_type: SOCKADR}]",
            "1: filters[0].message_type: 'SOCKADR' is not a record type; did you mean SOCKADDR?",
        ),
        ("filters: [{syscall: conect}]", "1: filters[0].syscall: 'conect' is not a system call; did you mean connect?"),
        ("filters: [{keep: true}]", "1: filters[0]: this filter says nothing"),
        (
            "outputs: {file: {mode: rw}}",
            "1: outputs.file.mode: 'rw' is not a valid file mode; use an octal one such as 0600",
        ),
        ("outputs: {file: {mode: 0888}}", "1: outputs.file.mode: '0888' is not a valid file mode"),
        (
            "event_log:\n  max_size: 1GiB\n  group: rooot",
            "3: event_log.group: 'rooot' is not a group of this host; did you mean root?",
        ),
        (
            "metrics:\n  listen: 9464",
            "2: metrics.listen: '9464' is not a valid address; use host:port, for example 127.0.0.1:9464",
        ),
        ("outputs: {file: {enabled: true, path: ''}}", "1: outputs.file.path: this is empty"),
        ("outputs:\n  gelf:\n    enabled: true", "2: outputs.gelf.address: '' is not a valid address; use host:port"),
        (
            "outputs: {syslog: {enabled: true, network: tcp, address: logs}}",
            "1: outputs.syslog.address: 'logs' is not a valid address; use host:port",
        ),
        (
            "outputs: {syslog: {enabled: true, network: unix, address: 'logs:514'}}",
            "1: outputs.syslog.address: 'logs:514' is not a valid path of a socket",
        ),
        (
            "outputs:\n  elasticsearch:\n    hosts:\n    - https://a:9200\n    - localhost:9200",
            "5: outputs.elasticsearch.hosts[1]: 'localhost:9200' is not a valid address of Elasticsearch; use https://",
        ),
        (
            "outputs: {elasticsearch: {ca_fingerprint: ab:cd}}",
            "1: outputs.elasticsearch.ca_fingerprint: 'ab:cd' is not a valid",
        ),
        ("outputs: {elasticsearch: {hosts: ['https://a']}}", "1: outputs.elasticsearch.hosts[0]: 'https://a' is not"),
        ("outputs: {elasticsearch: {hosts: ['https://a:b']}}", "1: outputs.elasticsearch.hosts[0]: 'https://a:b' is"),
        ("outputs: {elasticsearch: {enabled: true, hosts: []}}", "1: outputs.elasticsearch.hosts: this is empty"),
        ("outputs: {elasticsearch: {enabled: true, username: ada}}", "1: outputs.elasticsearch.username: there is no"),
        ("outputs: {elasticsearch: {enabled: true, password: x}}", "1: outputs.elasticsearch.password: there is no"),
        (
            "outputs: {elasticsearch: {enabled: true, api_key: x, username: ada, password: x}}",
            "1: outputs.elasticsearch.username: a user name and an API key exclude each other",
        ),
    ],
)
def test_what_cannot_work_is_told_at_load(tmp_path: Path, text: str, problem: str) -> None:
    [found] = problems(tmp_path, text)
    assert found.startswith(f"f.yaml:{problem}")


def test_a_password_in_an_address_is_not_shown(tmp_path: Path) -> None:
    [problem] = problems(tmp_path, "outputs: {elasticsearch: {hosts: ['ada:hunter2@host']}}")
    assert "hunter2" not in problem


def test_all_problems_are_found_and_the_first_is_raised(tmp_path: Path) -> None:
    text = "kernel: {mode: both, failure: 3}\nhos: {}\nfilters: [{regex: '('}, {port: -1}]"
    found = problems(tmp_path, text)
    assert len(found) == 5
    with pytest.raises(SettingsError) as raised:
        read_settings(written(tmp_path, text), {})
    assert str(raised.value).endswith(found[0])
    assert "4 more" in raised.value.hint


def test_an_empty_value_is_the_default(tmp_path: Path) -> None:
    assert read_settings(written(tmp_path, "kernel:\nhost: {name: }\nfilters:\n"), {}) == Settings()
    assert read_settings(written(tmp_path, ""), {}) == Settings()


def test_text_is_what_is_written(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        "outputs:\n  elasticsearch: {password: 123456, compression: on}\n  file: {mode: 0640, user: 1_0}\n"
        "host: {name: 2026-11-24}\nenrich: {environment: [NO, 12, yes]}\n",
    )
    settings = read_settings(file, {})
    assert settings.outputs.elasticsearch.password == "123456"
    assert settings.outputs.elasticsearch.compression == "on"
    assert (settings.outputs.file.mode, settings.outputs.file.user) == ("0640", "1_0")
    assert settings.host.name == "2026-11-24"
    assert settings.enrich.environment == ["NO", "12", "yes"]


def test_merged_keys_may_be_overridden(tmp_path: Path) -> None:
    file = written(
        tmp_path, "outputs:\n  file: &one {form: raw, path: /a}\n  stdout: {<<: {form: raw}, form: fluentd}\n"
    )
    outputs = read_settings(file, {}).outputs
    assert (outputs.file.form, outputs.stdout.form) == ("raw", "fluentd")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: 1\nkernel: [", r"f\.yaml:2: this is not valid YAML"),
        ("kernel: {mode: auto", r"f\.yaml:1: this is not valid YAML"),
        ("a: *b", r"f\.yaml:1: this is not valid YAML"),
        ("a: 2026-13-45", r"f\.yaml: this is not valid YAML"),
        ("a: &a [*a]", r"f\.yaml: this is not valid YAML"),
        ("a: \x07", r"f\.yaml: this is not valid YAML"),
    ],
)
def test_what_is_not_yaml_is_told_with_its_line(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(SettingsError, match=problem):
        read_settings(written(tmp_path, text), {})


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"cannot read the settings file .*absent"):
        read_settings(tmp_path / "absent", {})
    (tmp_path / "bytes").write_bytes(b"\xff")
    with pytest.raises(SettingsError, match=r"bytes is not UTF-8"):
        read_settings(tmp_path / "bytes", {})


def test_variables_win_over_the_file(tmp_path: Path) -> None:
    file = written(tmp_path, "kernel: {mode: unicast, rate_limit: 5}\n")
    variables = {"AUDITDECK_KERNEL__MODE": "multicast", "AUDITDECK_EVENT_LOG__MAX_SIZE": "1GiB", "OTHER": "x"}

    settings = read_settings(file, variables)

    assert settings.kernel.mode == "multicast"
    assert settings.kernel.rate_limit == 5
    assert settings.event_log.max_size == 1 << 30


@pytest.mark.parametrize("text", ["abc #def", "123456", "true", "null", "", "*x", "a: b", "[x]", "'", " x ", "0x10"])
def test_a_text_in_a_variable_is_whole(text: str) -> None:
    assert (
        read_settings(None, {"AUDITDECK_OUTPUTS__ELASTICSEARCH__PASSWORD": text}).outputs.elasticsearch.password == text
    )


def test_other_variables_are_read_by_their_type() -> None:
    variables = {
        "AUDITDECK_DATA_DIR": "/data",
        "AUDITDECK_KERNEL__TAKE_OVER": "yes",
        "AUDITDECK_KERNEL__FAILURE": "2",
        "AUDITDECK_KERNEL__BACKLOG_LIMIT": "100",
        "AUDITDECK_KERNEL__RECEIVE_BUFFER": "1MiB",
        "AUDITDECK_EVENT_LOG__FSYNC_INTERVAL": "500ms",
        "AUDITDECK_OUTPUTS__ELASTICSEARCH__HOSTS": '["https://a:9200", https://b:9200]',
        "AUDITDECK_OUTPUTS__ELASTICSEARCH__COMPRESSION": "on",
        "AUDITDECK_RULES__FILES": "- one\n- 2\n",
        "AUDITDECK_ENRICH__LABELS": "[{label: web, key: 7}]",
        "AUDITDECK_FILTERS": '[{"syscall": 42}, {"message_type": "sockaddr", "port": null}]',
        "AUDITDECK_STORE__ENABLED": "",
    }
    settings = read_settings(None, variables)
    assert settings.data_dir == "/data"
    kernel = settings.kernel
    assert (kernel.take_over, kernel.failure, kernel.backlog_limit, kernel.receive_buffer) == (True, 2, 100, 1 << 20)
    assert settings.event_log.fsync_interval == 0.5
    assert settings.outputs.elasticsearch.hosts == ["https://a:9200", "https://b:9200"]
    assert settings.outputs.elasticsearch.compression == "on"
    assert settings.rules.files == ["one", "2"]
    assert settings.enrich.labels == [LabelSetting(label="web", key="7")]
    assert settings.filters == [Filter(syscall=42), Filter(message_type="SOCKADDR")]
    assert settings.store.enabled


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("AUDITDECK_KERNEL__MOED", "auto", "there is no such setting; did you mean AUDITDECK_KERNEL__MODE?"),
        ("AUDITDECK_KERNEL_MODE", "auto", "there is no such setting; did you mean AUDITDECK_KERNEL__MODE?"),
        ("AUDITDECK_DATADIR", "/x", "there is no such setting; did you mean AUDITDECK_DATA_DIR?"),
        ("AUDITDECK_A__B", "x", "there is no such setting"),
        ("AUDITDECK_KERNEL", "{mode: auto}", "this is a section; set one of its keys, such as AUDITDECK_KERNEL__MODE"),
        ("AUDITDECK_KERNEL__MODE", "both", "kernel.mode: 'both' is not valid; use auto, unicast or multicast"),
        ("AUDITDECK_KERNEL__TAKE_OVER", "maybe", "kernel.take_over: 'maybe' is not true or false"),
        (
            "AUDITDECK_OUTPUTS__ELASTICSEARCH__HOSTS",
            "https://a:9200",
            "outputs.elasticsearch.hosts: 'https://a:9200' is not a list; write [a, b],",
        ),
        (
            "AUDITDECK_REDACT__PATTERNS",
            "['(']",
            "redact.patterns[0]: '(' is not a valid regular expression",
        ),
    ],
)
def test_a_wrong_variable_is_told(tmp_path: Path, name: str, text: str, problem: str) -> None:
    [found] = problems(tmp_path, "", {name: text})
    assert found.startswith(f"{name}: {problem}")


def test_problems_of_variables_are_told_beside_others(tmp_path: Path) -> None:
    variables = {
        "AUDITDECK_RULES__LINES": "[",
        "AUDITDECK_ENRICH__LABELS": "[{label: a, key: b, key: c}]",
        "AUDITDECK_KERNEL__MODE": "auto",
    }
    other, text, double = problems(tmp_path, "- a", variables)
    assert other == "f.yaml:1: a list is not a section; write keys with values"
    assert text.startswith("AUDITDECK_RULES__LINES: this is not valid YAML")
    assert double == "AUDITDECK_ENRICH__LABELS: [0].key: this key is on line 1 already; keep one of them"


def test_a_variable_in_place_of_a_wrong_list(tmp_path: Path) -> None:
    file = written(tmp_path, "outputs:\n  elasticsearch:\n    hosts: [nonsense, 5]\n")
    variables = {"AUDITDECK_OUTPUTS__ELASTICSEARCH__HOSTS": "[https://a:9200]"}
    assert read_settings(file, variables).outputs.elasticsearch.hosts == ["https://a:9200"]


def test_a_variable_changes_one_of_two_sections_that_share_their_text(tmp_path: Path) -> None:
    file = written(tmp_path, "outputs:\n  stdout: &same {form: raw}\n  file: *same\n")
    outputs = read_settings(file, {"AUDITDECK_OUTPUTS__FILE__FORM": "fluentd"}).outputs
    assert (outputs.stdout.form, outputs.file.form) == ("raw", "fluentd")


@pytest.mark.parametrize("name", ["VERSION", "IMAGE", "TOKEN", "DOCKER", "SERVICE_HOST", "PORT", "PORT_9200_TCP_ADDR"])
def test_variables_of_others_are_left_alone(name: str) -> None:
    assert read_settings(None, {f"AUDITDECK_{name}": "x"}) == Settings()


def test_sizes_and_durations() -> None:
    assert [size("16MiB"), size("1.5GiB"), size("10k"), size(7)] == [16 << 20, 3 << 29, 10_000, 7]
    assert [duration("500ms"), duration("2h"), duration("7d"), duration(3)] == [0.5, 7200, 604800, 3]


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["1e999", "9" * 400]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["label", "regex", "type", "enabled", "syscall"]) | st.integers(), inner, max_size=2
        )
    ),
    max_leaves=4,
)
KNOWN = [path for path, _ in leaves(Settings)]
GO_AUDIT = [
    ("rules",), ("filters",), ("log",), ("events", "min"), ("extras", "containers"), ("socket_buffer", "receive"),
    ("output", "gelf", "compression"), ("output", "file"), ("output", "syslog", "address"),
]  # fmt: skip


@given(st.sampled_from(KNOWN + GO_AUDIT), st.integers(0, 2), ANYTHING, st.booleans())
def test_whatever_is_given_ends_in_settings_or_problems(
    path: tuple[str, ...], cut: int, value: object, go_audit: bool
) -> None:
    for name in reversed(path[: max(1, len(path) - cut)]):
        value = {name: value}
    with NamedTemporaryFile("w") as file:
        yaml.safe_dump(value, file)
        file.flush()
        settings, found = load(Path(file.name), {"AUDITDECK_KERNEL__MODE": "auto"}, go_audit=go_audit)
    assert (settings is None) == bool(found.problems)
    assert all(problem.place.startswith((file.name, "AUDITDECK")) for problem in found.problems)
