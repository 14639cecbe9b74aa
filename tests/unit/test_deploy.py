"""What is in deploy/ is valid, least in privilege, and says the same as the compose files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

TOP = Path(__file__).parent.parent.parent
KUBERNETES = TOP / "deploy" / "kubernetes"
NEEDED = {"AUDIT_CONTROL", "AUDIT_READ", "BPF", "PERFMON", "SYS_PTRACE", "DAC_READ_SEARCH"}


def resources() -> list[dict[str, Any]]:
    names = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())["resources"]
    return [yaml.safe_load((KUBERNETES / name).read_text()) for name in names]


@pytest.mark.parametrize("resource", resources(), ids=lambda resource: resource["kind"])
@pytest.mark.parametrize("version", ["1.30", "1.37"])
def test_every_object_fits_the_api(resource: dict[str, Any], version: str) -> None:
    kubernetes_validate.validate(resource, version, strict=True)


def test_a_wrong_object_is_noticed() -> None:
    wrong = next(resource for resource in resources() if resource["kind"] == "DaemonSet")
    wrong["spec"]["template"]["spec"]["hostPid"] = True
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, "1.37", strict=True)


def test_every_manifest_is_part_of_it() -> None:
    named = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())
    used = {*named["resources"], *named["configMapGenerator"][0]["files"], "kustomization.yaml"}
    assert used == {path.name for path in KUBERNETES.iterdir()}


def test_the_daemon_set_has_only_what_a_collector_needs() -> None:
    [daemon_set] = [resource for resource in resources() if resource["kind"] == "DaemonSet"]
    pod = daemon_set["spec"]["template"]["spec"]
    [container] = pod["containers"]
    assert container["securityContext"]["capabilities"] == {
        "drop": ["ALL"],
        "add": [*container["securityContext"]["capabilities"]["add"]],
    }
    assert set(container["securityContext"]["capabilities"]["add"]) == NEEDED
    assert not container["securityContext"].get("privileged")
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert not pod["automountServiceAccountToken"]
    assert container["resources"]["limits"]["memory"]


def test_the_same_capabilities_everywhere() -> None:
    for file in ("compose.yaml", "compose.collector.yaml"):
        service = yaml.safe_load((TOP / file).read_text())["services"]["collector"]
        assert set(service["cap_add"]) == NEEDED
    unit = (TOP / "deploy" / "systemd" / "auditdeck.service").read_text()
    for name in ("AmbientCapabilities=", "CapabilityBoundingSet="):
        [line] = [line for line in unit.splitlines() if line.startswith(name)]
        assert set(line.removeprefix(name).replace("CAP_", "").split()) == NEEDED


@pytest.mark.parametrize("version", ["", "9.6.0"])
def test_one_version_rules_images_and_volumes(version: str) -> None:
    """As compose reads the file (docs.docker.com: "Interpolation")."""
    text = (TOP / "compose.yaml").read_text()
    [default] = set(re.findall(r"STACK_VERSION:-([\d.]+)", text))
    services = yaml.safe_load(re.sub(r"\$\{STACK_VERSION:-[\d.]+\}", version or default, text))["services"]
    assert services["elasticsearch"]["image"] == f"${{ELASTICSEARCH_IMAGE:-elasticsearch:{version or default}}}"
    assert services["kibana"]["image"] == f"${{KIBANA_IMAGE:-kibana:{version or default}}}"
    assert services["init"]["environment"]["STACK_VERSION"] == (version or default)
    assert f"version=${{STACK_VERSION:-{default}}}" in (TOP / "scripts" / "images.sh").read_text()
    assert f"#STACK_VERSION={default}" in (TOP / ".env.example").read_text()


def test_no_profile_hides_other_processes() -> None:
    for file in ("compose.yaml", "compose.collector.yaml"):
        service = yaml.safe_load((TOP / file).read_text())["services"]["collector"]
        assert service["security_opt"] == ["no-new-privileges:true", "apparmor:unconfined", "label:disable"]
        assert service.get("privileged", "") in ("", "${COLLECTOR_PRIVILEGED:-false}")


def test_settings_of_the_daemon_set_are_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    from auditdeck.settings.read import read_settings

    monkeypatch.delenv("AUDITDECK_HOST__NAME", raising=False)
    settings = read_settings(KUBERNETES / "auditdeck.yaml")
    assert settings.outputs.elasticsearch.enabled
    assert settings.outputs.elasticsearch.ca == "/secrets/ca.crt"


def test_the_playbook_is_a_list_of_plays() -> None:
    [play] = yaml.safe_load((TOP / "deploy" / "ansible" / "collectors.yml").read_text())
    assert [task["name"] for task in play["tasks"]][-1].startswith("Join")
