"""THIRD-PARTY.md: what auditdeck's image brings along, and under which licences.

Made from requirements/runtime.lock and what is installed; fails if a licence is unknown or not allowed.
"""

from __future__ import annotations

import re
import sys
from email.message import Message
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import cast

TOP = Path(__file__).parent.parent
LOCK, TARGET = TOP / "requirements" / "runtime.lock", TOP / "THIRD-PARTY.md"
ALLOWED = {"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MIT-0", "MPL-2.0", "PSF-2.0"}
"""SPDX identifiers: with these auditdeck may be passed on under its own. MPL-2.0 asks it of changed files alone."""
SPDX = {
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD-3-Clause",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
}
"""What packages write that have no SPDX expression (PEP 639) yet."""
BUNDLED = [("Apache ECharts", "https://echarts.apache.org", "Apache-2.0", "serve/assets/echarts.min.js")]
HEAD = """\
# Third-party software

What auditdeck's image brings along in Python, as `requirements/runtime.lock` has it. Each package holds the text of its
licence. The image lists them, and the packages of its base, as CycloneDX: `make sbom`.

| package | version | licence |
|---|---|---|
"""


def packages() -> list[tuple[str, str]]:
    """Names and versions of the lock, without those for other systems."""
    found = re.findall(r"^([\w.-]+)==(\S+)(.*)$", LOCK.read_text(), re.MULTILINE)
    return [(name, version) for name, version, marker in found if "sys_platform == 'win32'" not in marker]


def licence_of(package: Distribution) -> str:
    """As an SPDX expression; "" if the package does not say."""
    # PackageMetadata is a Message that does not say so.
    metadata = cast("Message", package.metadata)
    if expression := metadata.get("License-Expression"):
        return str(expression)
    if is_allowed(text := str(metadata.get("License", ""))):
        return text
    classified = [
        line.rpartition(" :: ")[2] for line in metadata.get_all("Classifier", []) if line.startswith("License :: ")
    ]
    return " OR ".join(SPDX[name] for name in classified if name in SPDX)


def is_allowed(expression: str) -> bool:
    """Whether each licence in it is."""
    names = {*re.findall(r"[\w.-]+", expression)} - {"AND", "OR"}
    return bool(names) and names <= ALLOWED


def text() -> tuple[str, list[str]]:
    """Of the file, and what is wrong."""
    rows, wrong = [], []
    for name, version in packages():
        try:
            licence = licence_of(distribution(name))
        except PackageNotFoundError:
            wrong.append(f"{name} is not installed: make setup")
            continue
        if not is_allowed(licence):
            wrong.append(f"{name} {version}: {licence or 'its licence is not known'}")
        rows.append(f"| {name} | {version} | {licence} |\n")
    rows += [f"| [{name}]({address}) | {file} | {licence} |\n" for name, address, licence, file in BUNDLED]
    return HEAD + "".join(rows), wrong


def main() -> None:
    made, wrong = text()
    TARGET.write_text(made)
    if wrong:
        sys.exit("\n".join(wrong))


if __name__ == "__main__":
    main()
