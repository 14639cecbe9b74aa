"""Lines to a syslog server: RFC 5424, over datagrams, or over streams with octet counting (RFC 6587)."""

from __future__ import annotations

import os
from pathlib import Path

import orjson

from auditdeck.outputs.formats.encode import Encode
from auditdeck.outputs.lines import LineOutput
from auditdeck.outputs.wire import Wire
from auditdeck.settings.model import SyslogSettings


class SyslogOutput(LineOutput):
    """One message a document, with the document's own time and host in the header."""

    def __init__(self, settings: SyslogSettings, data_dir: Path, encode: Encode) -> None:
        self.wire = Wire(settings.network, settings.address, settings.ca)
        self.priority = settings.priority
        self.tag = settings.tag
        self.form = encode
        super().__init__("syslog", data_dir, self.message)
        self.target = str(self.wire)

    def message(self, line: bytes) -> bytes:
        body = self.form(line)
        if not body:
            return b""
        document = orjson.loads(line)
        host = document.get("host", {}).get("name", "-")
        header = f"<{self.priority}>1 {document['@timestamp']} {host} {self.tag} {os.getpid()} - - "
        return header.encode() + body

    def send(self, lines: list[bytes]) -> None:
        if self.wire.is_stream:
            self.deliver_frames(self.wire, lines, [f"{len(line)} ".encode() + line for line in lines])
            return
        while lines:
            self.count_form(self.wire.send_datagram(lines[0]))
            del lines[0]

    def disconnect(self) -> None:
        self.wire.close()
