"""The outputs that the settings ask for."""

from __future__ import annotations

from pathlib import Path

from auditdeck.config import Settings
from auditdeck.outputs.output import Output


def open_outputs(settings: Settings) -> list[Output]:
    """All that are enabled, not started yet."""
    data_dir = Path(settings.data_dir)
    found: list[Output] = []
    if settings.outputs.elasticsearch.enabled:
        from auditdeck.outputs.elasticsearch import ElasticsearchOutput

        found.append(ElasticsearchOutput(settings.outputs.elasticsearch, data_dir))
    return found
