"""Jaeger on Kubernetes: valid, confined, the one of compose, and where the services send their spans."""

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import kubernetes_validate
import pytest
import yaml

VERSION = "1.32"


def documents(path: Path) -> list[dict[str, Any]]:
    return [d for d in yaml.safe_load_all(path.read_text(encoding="utf-8")) if d]


@pytest.fixture(scope="module")
def kustomization(deploy: Path) -> dict[str, Any]:
    (found,) = documents(deploy / "observability" / "kustomization.yaml")
    return found


@pytest.fixture(scope="module")
def manifests(deploy: Path, kustomization: dict[str, Any]) -> list[dict[str, Any]]:
    folder = deploy / "observability"
    named = [folder / name for name in kustomization["resources"]]
    assert {*named, folder / "kustomization.yaml"} == set(folder.glob("*"))
    return [d for path in named for d in documents(path)]


def test_every_manifest_is_valid(manifests: list[dict[str, Any]]) -> None:
    for manifest in manifests:
        kubernetes_validate.validate(manifest, VERSION, strict=True)


def test_it_is_the_one_of_compose_and_confined(
    manifests: list[dict[str, Any]], compose: dict[str, Any]
) -> None:
    (deployment,) = [m for m in manifests if m["kind"] == "Deployment"]
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["image"] == compose["services"]["jaeger"]["image"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_spans_find_it(deploy: Path, kustomization: dict[str, Any], manifests: list[dict[str, Any]]) -> None:
    """The address in the services' configuration is a Service here that leads to the container."""
    (told,) = [
        d["data"]["OTEL_EXPORTER_OTLP_ENDPOINT"]
        for d in documents(deploy / "k8s" / "base" / "configuration.yaml")
        if "OTEL_EXPORTER_OTLP_ENDPOINT" in d.get("data", {})
    ]
    address = urlsplit(told)
    (service,) = [
        m
        for m in manifests
        if m["kind"] == "Service"
        and address.hostname == f"{m['metadata']['name']}.{kustomization['namespace']}.svc.cluster.local"
    ]
    (deployment,) = [m for m in manifests if m["kind"] == "Deployment"]
    template = deployment["spec"]["template"]
    assert service["spec"]["selector"] == template["metadata"]["labels"]
    ports = {p["name"]: p["containerPort"] for p in template["spec"]["containers"][0]["ports"]}
    (port,) = service["spec"]["ports"]
    assert (port["port"], ports[port["targetPort"]]) == (address.port, 4318)
