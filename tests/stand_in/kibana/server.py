"""A stand-in for Kibana: status, saved objects, settings and alert rules, over TLS, with users of Elasticsearch."""

from __future__ import annotations

import base64
import email.parser
import json
import os
import re
import ssl
import threading
import time
import urllib.error
import urllib.request
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml
from objects import Objects, Refused

STARTING = 3.0


def read_settings() -> dict[str, Any]:
    settings: dict[str, Any] = {}
    for path in os.environ["KBN_CONFIG_PATHS"].split(","):
        text = re.sub(r"\$\{(\w+)\}", lambda match: os.environ[match[1]], Path(path).read_text())
        settings |= yaml.safe_load(text) or {}
    return settings


SETTINGS = read_settings()
OBJECTS = Objects(Path("data/state.json"))
VERIFIED = ssl.create_default_context(cafile=SETTINGS["elasticsearch.ssl.certificateAuthorities"][0])
LOCK = threading.Lock()
KNOWN: dict[str, float] = {}
available = threading.Event()


def authenticates(authorization: str) -> bool:
    """Whether Elasticsearch knows these credentials."""
    if KNOWN.get(authorization, 0) > time.monotonic():
        return True
    url = SETTINGS["elasticsearch.hosts"][0] + "/_security/_authenticate"
    request = urllib.request.Request(url, headers={"authorization": authorization})
    try:
        urllib.request.urlopen(request, context=VERIFIED, timeout=10).read()
    except (urllib.error.URLError, OSError):
        return False
    KNOWN[authorization] = time.monotonic() + 5
    return True


def become_available() -> None:
    """As Kibana does, waits for Elasticsearch and its own password before it is ready."""
    own = f"{SETTINGS['elasticsearch.username']}:{SETTINGS['elasticsearch.password']}"
    while not authenticates("Basic " + base64.b64encode(own.encode()).decode()):
        time.sleep(0.5)
    time.sleep(STARTING)
    available.set()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.serve()

    def do_POST(self) -> None:
        self.serve()

    def do_PUT(self) -> None:
        self.serve()

    def serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        try:
            with LOCK:
                self.reply(200, self.answer(urlsplit(self.path).path, parse_qs(urlsplit(self.path).query), body))
        except Refused as refused:
            self.reply(refused.status, {"statusCode": refused.status, "message": str(refused)})

    def answer(self, path: str, query: dict[str, list[str]], body: bytes) -> Any:
        if path == "/api/status":
            if not available.is_set():
                raise Refused(503, "Kibana server is not ready yet")
            return {"status": {"overall": {"level": "available"}}}
        if not available.is_set():
            raise Refused(503, "Kibana server is not ready yet")
        if not authenticates(self.headers.get("authorization", "")):
            raise Refused(401, "Unauthorized")
        if self.command != "GET" and "kbn-xsrf" not in self.headers:
            raise Refused(400, "Request must contain a kbn-xsrf header.")
        if path == "/api/saved_objects/_import":
            return OBJECTS.take(self.uploaded(body), overwrite=query.get("overwrite") == ["true"])
        if path == "/api/saved_objects/_export":
            return OBJECTS.export(json.loads(body)["objects"])
        if path == "/api/kibana/settings":
            if self.command == "POST":
                OBJECTS.state["settings"] |= json.loads(body)["changes"]
                OBJECTS.save()
            return {"settings": {name: {"userValue": value} for name, value in OBJECTS.state["settings"].items()}}
        rule = re.fullmatch(r"/api/alerting/rule/([\w-]+)(/_enable|/_disable)?", path)
        if rule and rule[2] and self.command == "POST":
            if rule[1] not in OBJECTS.state["rules"]:
                raise Refused(404, f"Saved object [alert/{rule[1]}] not found")
            OBJECTS.state["rules"][rule[1]]["enabled"] = rule[2] == "/_enable"
            OBJECTS.save()
            return b""
        if rule:
            return self.rule(rule[1], body)
        raise Refused(404, f"{self.command} {path} is not one of the stand-in's endpoints")

    def rule(self, identity: str, body: bytes) -> Any:
        rules = OBJECTS.state["rules"]
        if self.command == "POST" and identity in rules:
            raise Refused(409, f"Saved object [alert/{identity}] conflict")
        if self.command != "POST" and identity not in rules:
            raise Refused(404, f"Saved object [alert/{identity}] not found")
        if self.command != "GET":
            given = json.loads(body)
            needed = {"name", "params", "schedule", "actions", "tags"}
            if self.command == "POST":
                needed |= {"rule_type_id", "consumer", "enabled"}
                if uuid.UUID(identity).version != 4:
                    raise Refused(400, "Predefined IDs are not allowed for saved objects with encrypted attributes")
            if set(given) - {"enabled"} != needed - {"enabled"}:
                raise Refused(400, f"[request body]: {sorted(set(given) ^ needed)}")
            rules[identity] = {**rules.get(identity, {}), **given, "id": identity}
            OBJECTS.save()
        return rules[identity]

    def uploaded(self, body: bytes) -> bytes:
        """The file of a multipart request; Kibana takes only names that end in .ndjson."""
        head = f"content-type: {self.headers['content-type']}\r\n\r\n".encode()
        message = email.parser.BytesParser().parsebytes(head + body)
        for part in message.get_payload() if message.is_multipart() else []:
            if part.get_param("name", header="content-disposition") == "file":
                if not str(part.get_filename()).endswith(".ndjson"):
                    raise Refused(400, "Invalid file extension")
                return part.get_payload(decode=True)
        raise Refused(400, "[request body.file]: expected value of type [Stream]")

    def reply(self, status: int, value: Any) -> None:
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def main() -> None:
    threading.Thread(target=become_available, daemon=True).start()
    server = ThreadingHTTPServer((SETTINGS.get("server.host", "localhost"), 5601), Handler)
    if SETTINGS.get("server.ssl.enabled"):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(SETTINGS["server.ssl.certificate"], SETTINGS["server.ssl.key"])
        server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
