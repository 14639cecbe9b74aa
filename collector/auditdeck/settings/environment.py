"""Settings from variables: AUDITDECK_ and the key's path in capitals, with two underscores between levels.

A text is taken whole, as it stands; everything else is read as YAML, so that a list is ["a", "b"]. Names without two
underscores that are not settings (AUDITDECK_IMAGE, AUDITDECK_TOKEN) belong to others.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches

from auditdeck.errors import did_you_mean
from auditdeck.settings.given import Given, Problem, read_yaml
from auditdeck.settings.model import Settings, is_text, leaves

PREFIX = "AUDITDECK_"
ALIKE = 0.85
"""So much like a setting's name is a slip of the pen, and not somebody else's."""


def put_variables(given: Given, environment: Mapping[str, str]) -> None:
    known = {variable(path): (path, kind) for path, kind in leaves(Settings)}
    sections = {variable((name,)) for name in Settings.__struct_fields__} - known.keys()
    for name, text in environment.items():
        if name in known:
            path, kind = known[name]
            given.put(
                path, Given(name, text, texts={(): text}) if is_text(kind) else read_yaml(text, name, numbered=False)
            )
        elif name in sections:
            example = next(other for other in known if other.startswith(f"{name}__"))
            given.problems.append(Problem(name, name, f"this is a section; set one of its keys, such as {example}"))
        elif name.startswith(PREFIX) and ("__" in name or get_close_matches(name, known, 1, ALIKE)):
            given.problems.append(Problem(name, name, f"there is no such setting{did_you_mean(name, known)}"))


def variable(path: tuple[str, ...]) -> str:
    return PREFIX + "__".join(path).upper()
