"""The outputs that the settings ask for."""

from __future__ import annotations

import threading
from pathlib import Path

from auditdeck.context.users import Users
from auditdeck.outputs.formats.encode import Encode, encoder
from auditdeck.outputs.output import Output
from auditdeck.packages import require
from auditdeck.settings.model import OutputForm, Settings


def open_outputs(settings: Settings, users: Users) -> list[Output]:
    """All that are enabled, not started yet; their modules are loaded only then. Raises SettingsError and
    MissingPackage."""
    data_dir = Path(settings.data_dir)
    outputs = settings.outputs
    found: list[Output] = []

    def encode(form: OutputForm) -> Encode:
        return encoder(form, users, original=settings.documents.original)

    if outputs.elasticsearch.enabled:
        require("elasticsearch", "outputs.elasticsearch")
        from auditdeck.outputs.elasticsearch import ElasticsearchOutput

        found.append(ElasticsearchOutput(outputs.elasticsearch, data_dir, encode("ecs")))
    if outputs.file.enabled:
        from auditdeck.outputs.file import FileOutput

        found.append(FileOutput(outputs.file, data_dir, encode(outputs.file.form)))
    if outputs.stdout.enabled:
        from auditdeck.outputs.file import StdoutOutput

        found.append(StdoutOutput(data_dir, encode(outputs.stdout.form)))
    if outputs.syslog.enabled:
        from auditdeck.outputs.syslog import SyslogOutput

        found.append(SyslogOutput(outputs.syslog, data_dir, encode(outputs.syslog.form)))
    if outputs.gelf.enabled:
        from auditdeck.outputs.gelf import GelfOutput

        found.append(GelfOutput(outputs.gelf, data_dir, encode(outputs.gelf.form)))
    return found


def stop_outputs(outputs: list[Output], patience: float) -> None:
    """All at the same time, so that one that hangs takes no time from the others; see `Output.stop`."""
    threads = [threading.Thread(target=output.stop, args=(patience,)) for output in outputs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
