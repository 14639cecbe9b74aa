"""One Elasticsearch alone, without TLS and users, for tests of mappings, queries and sending."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

# The reaper is one more image to pull; the container is ended below in any case.
os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")

from elasticsearch import ApiError, Elasticsearch, TransportError
from testcontainers.core.container import DockerContainer

from tests.support.stack import TOP, images

CONFIG = """
network.host: 0.0.0.0
discovery.type: single-node
xpack.security.enabled: false
xpack.license.self_generated.type: basic
"""
HOME = "/usr/share/elasticsearch"


@contextmanager
def elasticsearch() -> Iterator[Elasticsearch]:
    """An empty node, with auditdeck's templates."""
    config = Path(mkdtemp()) / "elasticsearch.yml"
    config.write_text(CONFIG)
    config.parent.chmod(0o755)
    container = (
        DockerContainer(images()["ELASTICSEARCH_IMAGE"])
        .with_exposed_ports(9200)
        .with_env("ES_JAVA_OPTS", "-Xms1g -Xmx1g")
        .with_volume_mapping(str(config), f"{HOME}/config/elasticsearch.yml", "ro")
    )
    with container:
        client = Elasticsearch(
            f"http://{container.get_container_host_ip()}:{container.get_exposed_port(9200)}",
            request_timeout=60,
            max_retries=0,
        )
        wait(client)
        put_templates(client)
        yield client
        client.close()


def wait(client: Elasticsearch) -> None:
    deadline = time.monotonic() + 180
    while True:
        try:
            client.cluster.health(wait_for_status="yellow", timeout="5s")
        except (TransportError, ApiError):
            assert time.monotonic() < deadline
            time.sleep(0.5)
        else:
            return


def put_templates(client: Elasticsearch) -> None:
    headers = {"content-type": "application/json", "accept": "application/json"}
    for kind in ("component-templates", "index-templates"):
        for path in sorted((TOP / "elasticsearch" / kind).glob("*.json")):
            address = f"/_{kind.removesuffix('s').replace('-', '_')}/{path.stem}"
            client.perform_request("PUT", address, headers=headers, body=json.loads(path.read_text()))
