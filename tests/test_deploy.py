"""What is in deploy/: valid, hardened, and about metrics that exist."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import prometheus_client
import pytest
import yaml

from app import queue_metrics
from meta_core import metrics

DEPLOY = Path(__file__).parents[1] / "deploy"
COMPOSE = yaml.safe_load((DEPLOY.parent / "docker-compose.yml").read_text())
MANIFESTS = [
    pytest.param(manifest, id=f"{file.stem}-{manifest['kind']}")
    for file in sorted((DEPLOY / "kubernetes").glob("*.yaml"))
    for manifest in yaml.safe_load_all(file.read_text())
]


def told() -> set[str]:
    """Names of the families that the service tells."""
    known = {family.name for family in prometheus_client.REGISTRY.collect()}
    return known | set(re.findall(r'"(shotput_\w+)"', Path(queue_metrics.__file__).read_text()))


def pods(manifest: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if "template" in manifest["spec"]:
        yield manifest["spec"]["template"]["spec"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("manifest", MANIFESTS)
def test_a_manifest_is_what_kubernetes_takes(manifest: dict[str, Any]) -> None:
    kubernetes_validate.validate(manifest, kubernetes_validate.latest_version(), strict=True)


@pytest.mark.parametrize("manifest", MANIFESTS)
def test_every_pod_is_bounded_and_may_nothing(manifest: dict[str, Any]) -> None:
    for pod in pods(manifest) if manifest["kind"] != "ConfigMap" else ():
        assert pod["securityContext"]["runAsNonRoot"]
        for container in pod["containers"]:
            context = container["securityContext"]
            assert context["readOnlyRootFilesystem"]
            assert not context["allowPrivilegeEscalation"]
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert "memory" in container["resources"]["limits"]
            assert "livenessProbe" in container


@pytest.mark.parametrize("name", sorted(COMPOSE["services"]))
def test_every_service_of_compose_is_bounded_and_may_nothing(name: str) -> None:
    service = COMPOSE["services"][name]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert service["restart"] == "unless-stopped"
    assert service["mem_limit"]
    assert service["healthcheck"]["test"]


def test_alerts_and_panels_ask_for_metrics_that_exist() -> None:
    assert metrics.REQUESTS is not None  # imported, and so registered
    texts = [(DEPLOY / "prometheus" / "alerts.yml").read_text()]
    panels = json.loads((DEPLOY / "grafana" / "dashboards" / "shotput.json").read_text())["panels"]
    texts += [target["expr"] for panel in panels for target in panel["targets"]]
    asked = {
        re.sub(r"_(total|bucket|sum|count)$", "", name) for text in texts for name in re.findall(r"shotput_\w+", text)
    }
    assert len(asked) > 10
    assert asked <= told()


def test_the_table_of_incidents_names_every_alert() -> None:
    page = (DEPLOY.parent / "docs" / "operations.md").read_text()
    groups = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text())["groups"]
    assert {rule["alert"] for group in groups for rule in group["rules"]} <= set(re.findall(r"Shotput[A-Z]\w+", page))
