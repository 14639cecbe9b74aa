"""Lines to Graylog: GELF 1.1 over UDP (compressed, in chunks) or TCP (docs.graylog.org: "GELF")."""

from __future__ import annotations

import os
import zlib
from datetime import datetime
from pathlib import Path

import orjson

from auditdeck.outputs.formats.encode import Encode
from auditdeck.outputs.lines import LineOutput
from auditdeck.outputs.shorten import shortened
from auditdeck.outputs.wire import Wire
from auditdeck.settings.model import GelfSettings

CHUNK, CHUNKS = 1420, 128
MAGIC = b"\x1e\x0f"
INFORMATIONAL = 6
WINDOWS = {"gzip": 31, "zlib": 15}


class GelfOutput(LineOutput):
    """The line is the message; one that needs more than 128 chunks, which is all that GELF can carry, is shortened."""

    def __init__(self, settings: GelfSettings, data_dir: Path, encode: Encode) -> None:
        self.settings = settings
        self.wire = Wire(settings.network, settings.address)
        self.form = encode
        super().__init__("gelf", data_dir, self.message)
        self.target = str(self.wire)

    def message(self, line: bytes) -> bytes:
        body = self.form(line)
        if not body:
            return b""
        document = orjson.loads(line)
        made = {
            "version": "1.1",
            "host": document.get("host", {}).get("name", "-"),
            "short_message": body.decode(),
            "timestamp": datetime.fromisoformat(document["@timestamp"]).timestamp(),
            "level": INFORMATIONAL,
            "_facility": "auditdeck",
        }
        return orjson.dumps(made)

    def send(self, lines: list[bytes]) -> None:
        if self.wire.is_stream:
            self.deliver_frames(self.wire, lines, [line + b"\0" for line in lines])
            return
        while lines:
            for part in self.datagrams(lines[0]):
                self.wire.send(part)
            del lines[0]

    def datagrams(self, message: bytes) -> list[bytes]:
        """Of the message, or the longest form of it that GELF can carry."""
        parts = self.chunks(message)
        if len(parts) <= CHUNKS:
            return parts
        made = orjson.loads(message)
        for text in shortened(made["short_message"].encode()):
            parts = self.chunks(orjson.dumps({**made, "short_message": text.decode(errors="replace")}))
            if len(parts) <= CHUNKS:
                self.count_form(1)
                return parts
        self.count_form(-1)
        return []

    def chunks(self, message: bytes) -> list[bytes]:
        data = message
        if self.settings.compression in WINDOWS:
            packer = zlib.compressobj(self.settings.compression_level, wbits=WINDOWS[self.settings.compression])
            data = packer.compress(message) + packer.flush()
        if len(data) <= CHUNK:
            return [data]
        parts = [data[place : place + CHUNK] for place in range(0, len(data), CHUNK)]
        if len(parts) > CHUNKS:
            return parts
        head = MAGIC + os.urandom(8)
        return [head + bytes((number, len(parts))) + part for number, part in enumerate(parts)]

    def disconnect(self) -> None:
        self.wire.close()
