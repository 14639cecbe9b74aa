"""Files that users may edit and that auditdeck brings along: rules, templates, dashboards.

In a clone they are where people look for them; the wheel carries them inside the package.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""Ten times as fast where PyYAML was built with libyaml."""

PACKAGED = Path(__file__).parent / "assets"
CLONE = Path(__file__).parent.parent.parent


def asset(name: str) -> Path:
    """The path of `rules`, `elasticsearch`, `kibana` or `systemd`."""
    packaged = PACKAGED / name
    if packaged.exists():
        return packaged
    for folder in (CLONE / "collector", CLONE, CLONE / "deploy"):
        if (folder / name).exists():
            return folder / name
    return packaged


def table(file: Path) -> Any:
    """What a YAML file holds that belongs to the code."""
    return yaml.load(file.read_bytes(), LOADER)
