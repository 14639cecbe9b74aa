"""The bill of materials of the image, as CycloneDX (cyclonedx.org): its Python packages, and those of its base.

    python scripts/sbom.py /opt/auditdeck/lib/python3.13/site-packages >auditdeck.cdx.json

The same packages give the same bytes: it has no time, and its serial number follows from them.
"""

from __future__ import annotations

import json
import re
import sys
import uuid
from collections.abc import Iterator
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL
from third_party import licence_of

DPKG, SYSTEM = Path("/var/lib/dpkg/status"), Path("/etc/os-release")


def python_packages(folder: str) -> Iterator[Component]:
    licences = LicenseFactory()
    for found in distributions(path=[folder]):
        name, licence = found.metadata["Name"], licence_of(found)
        yield Component(
            name=name,
            version=found.version,
            type=ComponentType.LIBRARY,
            purl=PackageURL("pypi", None, re.sub("[-_.]+", "-", name).lower(), found.version),
            licenses=[licences.make_from_string(licence)] if licence else None,
        )


def debian_packages(status: Path = DPKG, system: Path = SYSTEM) -> Iterator[Component]:
    """Of dpkg(1)'s list of what is installed; none where there is no dpkg."""
    if not status.exists():
        return
    distro = re.search(r"^ID=\"?([\w.-]+)", system.read_text(), re.MULTILINE)
    for paragraph in status.read_text().split("\n\n"):
        fields = dict(re.findall(r"^([\w-]+): (.*)$", paragraph, re.MULTILINE))
        if fields.get("Status") == "install ok installed":
            name, version, machine = (fields[key] for key in ("Package", "Version", "Architecture"))
            purl = PackageURL("deb", distro[1] if distro else None, name, version, {"arch": machine})
            yield Component(name=name, version=version, type=ComponentType.LIBRARY, purl=purl)


def bill(components: list[Component]) -> str:
    """JSON."""
    for component in components:
        component.bom_ref.value = str(component.purl)
    main = next((component for component in components if component.name == "auditdeck"), None)
    bom = Bom(components=[component for component in components if component is not main])
    if main is not None:
        bom.metadata.component = main
        bom.register_dependency(main, bom.components)
    made: dict[str, Any] = json.loads(JsonV1Dot6(bom).output_as_string())
    del made["metadata"]["timestamp"]
    made["serialNumber"] = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(made["components"])).urn
    return json.dumps(made, indent=2) + "\n"


def main() -> None:
    sys.stdout.write(bill([*python_packages(sys.argv[1]), *debian_packages()]))


if __name__ == "__main__":
    main()
