"""The stack's cluster, as commands on its host reach it, by options that the compose file gives as variables."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from auditdeck.assets import asset
from auditdeck.stack.progress import Progress
from auditdeck.stack.secrets import Secrets

if TYPE_CHECKING:
    from auditdeck.stack.elasticsearch import Cluster

FOLDER = click.Path(path_type=Path, file_okay=False)
PATIENCE = 30.0


def setting(name: str, variable: str, **more: Any) -> Callable[[Any], Any]:
    """An option that the compose file gives as a variable."""
    return click.option(name, envvar=variable, show_default=True, **more)


SECRETS = setting(
    "--secrets", "SECRETS_DIR", type=FOLDER, default="/secrets", help="The init job's: a folder for each service."
)
ELASTICSEARCH = setting(
    "--elasticsearch", "ELASTICSEARCH_URL", default="https://elasticsearch:9200", help="Elasticsearch's address."
)


def reach(url: str, secrets: Path) -> Cluster:
    """As the user elastic, without a word. Raises ProvisionError."""
    from auditdeck.stack.elasticsearch import connect

    return connect(url, Secrets(secrets), asset("elasticsearch"), Progress(quiet=True), PATIENCE)
