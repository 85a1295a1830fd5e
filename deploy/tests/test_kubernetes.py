"""The manifests: valid for Kubernetes, confined, probed, and in terms that the services know."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from heliograph.common.config import Settings

VERSION = "1.32"
KUSTOMIZE = ("Kustomization", "Component")
OVERLAYS = ("small", "production")
REGION = "multi-region"
"""An overlay without services, which has tests of its own."""
STORE_PORTS = {
    5432: {"tracker"},
    8123: {"archiver"},
    8333: {"archiver"},
    6379: {"fetcher", "reasoning", "gateway"},
}
KEDA_CRD = "KEDA_CRD"
OPTIONAL = ("clickhouse-replicated", "live-bars", "models")
"""Components that no overlay of ours takes."""
REPLICATED = "components/clickhouse-replicated"
PROVIDERS = {"fetcher": {443}, "reasoning": {443}}
"""Ways out to the Internet, where the component for it is taken."""


def documents(path: Path) -> list[dict[str, Any]]:
    return [d for d in yaml.safe_load_all(path.read_text(encoding="utf-8")) if d]


def manifests_under(folder: Path) -> list[dict[str, Any]]:
    paths = [path for path in sorted(folder.rglob("*.yaml")) if REGION not in path.parts]
    found = [d for path in paths for d in documents(path)]
    return [d for d in found if d["kind"] not in KUSTOMIZE]


@pytest.fixture(scope="module")
def folder(deploy: Path) -> Path:
    return deploy / "k8s"


@pytest.fixture(scope="module")
def manifests(folder: Path) -> list[dict[str, Any]]:
    return manifests_under(folder)


@pytest.fixture(scope="module", params=OVERLAYS)
def overlay(request: pytest.FixtureRequest, folder: Path) -> list[dict[str, Any]]:
    """What kustomize makes of an overlay."""
    kubectl = shutil.which("kubectl")
    if not kubectl:
        pytest.skip("kubectl is not installed: the overlays cannot be built")
    command = [kubectl, "kustomize", folder / "overlays" / request.param]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [d for d in yaml.safe_load_all(done.stdout) if d]


@pytest.fixture(scope="module")
def deployments(manifests: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {m["metadata"]["name"]: m for m in manifests if m["kind"] == "Deployment"}


def check(manifest: dict[str, Any], folder: Path) -> None:
    """Validate strictly; a kind that nothing here can validate is an error."""
    if manifest["kind"] == "ScaledObject":
        text = (folder.parent / "tests" / "scaledobject.schema.json").read_text(encoding="utf-8")
        jsonschema.Draft202012Validator(json.loads(text)).validate(manifest)
    else:
        kubernetes_validate.validate(manifest, VERSION, strict=True)


def test_every_manifest_is_valid(manifests: list[dict[str, Any]], folder: Path) -> None:
    assert len(manifests) > 25
    for manifest in manifests:
        check(manifest, folder)


@pytest.mark.parametrize(
    "wrong",
    [
        {"apiVersion": "example.org/v1", "kind": "Unheard", "metadata": {"name": "x"}},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "dta": {}},
        {
            "apiVersion": "keda.sh/v1alpha1",
            "kind": "ScaledObject",
            "metadata": {"name": "x"},
            "spec": {"bogus": 1},
        },
    ],
    ids=lambda m: m["kind"],
)
def test_the_check_refuses_what_it_does_not_know(wrong: dict[str, Any], folder: Path) -> None:
    refusals = (
        kubernetes_validate.SchemaNotFoundError,
        kubernetes_validate.ValidationError,
        jsonschema.ValidationError,
    )
    with pytest.raises(refusals):
        check(wrong, folder)


def test_scaled_objects_are_valid_under_keda_itself(manifests: list[dict[str, Any]]) -> None:
    path = os.environ.get(KEDA_CRD)
    if not path:
        pytest.skip(
            f"{KEDA_CRD} names no file: KEDA's own definition of ScaledObject is not part of this repository"
        )
    (definition,) = documents(Path(path))
    schema = strict(definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"])
    schema["properties"]["metadata"] = {"type": "object"}
    scaled = [m for m in manifests if m["kind"] == "ScaledObject"]
    assert scaled
    for manifest in scaled:
        jsonschema.Draft202012Validator(schema).validate(manifest)


def strict(node: Any) -> Any:
    """An OpenAPI schema of a custom resource as JSON Schema that refuses unknown fields."""
    if isinstance(node, list):
        return [strict(n) for n in node]
    if not isinstance(node, dict):
        return node
    if node.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]}
    made = {k: strict(v) for k, v in node.items() if not str(k).startswith("x-kubernetes-")}
    open_ended = node.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in node
    if node.get("type") == "object" and "properties" in node and not open_ended:
        made["additionalProperties"] = False
    return made


def test_every_file_is_named_and_every_name_is_a_file(folder: Path) -> None:
    named: set[Path] = set()
    for path in folder.rglob("kustomization.yaml"):
        (kustomization,) = documents(path)
        for key in ("resources", "components"):
            for name in kustomization.get(key, []):
                target = (path.parent / name).resolve()
                assert target.exists(), (path, name)
                named.add(target / "kustomization.yaml" if target.is_dir() else target)
    entry = {folder / "overlays" / name / "kustomization.yaml" for name in (*OVERLAYS, REGION)}
    entry |= {folder / "components" / name / "kustomization.yaml" for name in OPTIONAL}
    assert named | {path.resolve() for path in entry} == {path.resolve() for path in folder.rglob("*.yaml")}


def test_overlays_build_and_are_valid(
    overlay: list[dict[str, Any]], folder: Path, services: list[str]
) -> None:
    for manifest in overlay:
        check(manifest, folder)
        if manifest["kind"] != "Namespace":
            assert manifest["metadata"]["namespace"] == "heliograph"
    built = {m["metadata"]["name"]: m for m in overlay if m["kind"] == "Deployment"}
    assert sorted(built) == services
    for name, deployment in built.items():
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        assert container["image"] == f"heliograph/{name}:0.1.0"


def test_number_of_replicas_has_one_master(overlay: list[dict[str, Any]]) -> None:
    scaled = {m["spec"]["scaleTargetRef"]["name"] for m in overlay if m["kind"] == "ScaledObject"}
    fixed = {m["metadata"]["name"] for m in overlay if m["kind"] == "Deployment" and "replicas" in m["spec"]}
    every = {m["metadata"]["name"] for m in overlay if m["kind"] == "Deployment"}
    assert not scaled & fixed
    assert scaled | fixed == every


def test_there_is_a_deployment_for_every_service(
    deployments: dict[str, dict[str, Any]], services: list[str]
) -> None:
    assert sorted(deployments) == services


def test_pods_are_confined(deployments: dict[str, dict[str, Any]], manifests: list[dict[str, Any]]) -> None:
    accounts = {m["metadata"]["name"]: m for m in manifests if m["kind"] == "ServiceAccount"}
    for name, deployment in deployments.items():
        pod = deployment["spec"]["template"]["spec"]
        assert pod["serviceAccountName"] == name
        assert pod["automountServiceAccountToken"] is False
        assert accounts[name]["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] == 10001
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }


def test_namespace_admits_nothing_less_confined(manifests: list[dict[str, Any]]) -> None:
    (namespace,) = [m for m in manifests if m["kind"] == "Namespace"]
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_containers_are_probed_and_limited(deployments: dict[str, dict[str, Any]]) -> None:
    for deployment in deployments.values():
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        for probe, path in (("startup", "/livez"), ("liveness", "/livez"), ("readiness", "/readyz")):
            assert container[f"{probe}Probe"]["httpGet"] == {"path": path, "port": "probe"}
        assert {"name": "probe", "containerPort": 8080} in container["ports"]
        for part in ("requests", "limits"):
            assert set(container["resources"][part]) == {"cpu", "memory"}


def test_services_survive_disruptions(
    deployments: dict[str, dict[str, Any]], manifests: list[dict[str, Any]]
) -> None:
    budgets = {m["metadata"]["name"]: m["spec"] for m in manifests if m["kind"] == "PodDisruptionBudget"}
    for name, deployment in deployments.items():
        labels = {"app.kubernetes.io/name": name}
        pod = deployment["spec"]["template"]
        assert pod["metadata"]["labels"] == labels == deployment["spec"]["selector"]["matchLabels"]
        assert budgets[name] == {"maxUnavailable": 1, "selector": {"matchLabels": labels}}
        spread = {c["topologyKey"] for c in pod["spec"]["topologySpreadConstraints"]}
        assert spread == {"topology.kubernetes.io/zone", "kubernetes.io/hostname"}
        assert all(
            c["labelSelector"]["matchLabels"] == labels for c in pod["spec"]["topologySpreadConstraints"]
        )
        assert pod["spec"]["terminationGracePeriodSeconds"] >= 30


def test_mounts_have_volumes(deployments: dict[str, dict[str, Any]]) -> None:
    for deployment in deployments.values():
        pod = deployment["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        assert {m["name"] for m in container["volumeMounts"]} == {v["name"] for v in pod["volumes"]}


def environment_of(deployment: dict[str, Any], manifests: list[dict[str, Any]]) -> dict[str, str]:
    """The variables that a container gets; a secret stands for itself in a form that its setting accepts."""
    maps = {m["metadata"]["name"]: m["data"] for m in manifests if m["kind"] == "ConfigMap"}
    secrets = {
        "POSTGRES_URL": "postgresql://u:p@h:5432/d",
        "POSTGRES_OWNER_URL": "postgresql://o:p@h:5432/d",
        "POSTGRES_READ_URL": "postgresql://r:p@h:5432/d",
        "CLICKHOUSE_URL": "http://u:p@h:8123/d",
    }
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    told: dict[str, str] = {}
    for source in container["envFrom"]:
        told |= maps[source["configMapRef"]["name"]]
    for variable in container["env"]:
        assert variable["name"] not in told
        told[variable["name"]] = variable.get("value", secrets.get(variable["name"], "x"))
    return told


def test_services_know_and_accept_what_they_are_told(
    deployments: dict[str, dict[str, Any]],
    manifests: list[dict[str, Any]],
    known_variables: Callable[[str], set[str]],
    load_settings: Callable[[str, Mapping[str, str]], Settings],
) -> None:
    for name, deployment in deployments.items():
        told = environment_of(deployment, manifests)
        assert set(told) <= known_variables(name), name
        assert load_settings(name, told).probe_port == 8080


def test_replicated_tables_are_a_component_that_the_archiver_accepts(
    folder: Path, tmp_path: Path, load_settings: Callable[[str, Mapping[str, str]], Settings]
) -> None:
    kubectl = shutil.which("kubectl")
    if not kubectl:
        pytest.skip("kubectl is not installed: the component cannot be built")
    base, component = (os.path.relpath(folder / name, tmp_path) for name in ("base", REPLICATED))
    (tmp_path / "kustomization.yaml").write_text(
        yaml.safe_dump({"kind": "Kustomization", "resources": [base], "components": [component]})
    )
    done = subprocess.run([kubectl, "kustomize", tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    built = [d for d in yaml.safe_load_all(done.stdout) if d]
    [archiver] = [d for d in built if d["kind"] == "Deployment" and d["metadata"]["name"] == "archiver"]
    replication = load_settings("archiver", environment_of(archiver, built)).replication  # type: ignore[attr-defined]
    assert replication.cluster == "heliograph"
    assert replication.path == "/clickhouse/tables/{shard}/{database}/{table}"


def test_each_service_is_told_the_same_things_as_in_compose(
    deployments: dict[str, dict[str, Any]], manifests: list[dict[str, Any]], compose: dict[str, Any]
) -> None:
    for name, deployment in deployments.items():
        # Compose has one PostgreSQL, and pods have names of their own.
        apart = {"HELIOGRAPH_MEMBER", "HELIOGRAPH_PROVIDER", "POSTGRES_READ_URL"}
        told = set(environment_of(deployment, manifests)) - apart
        assert told == set(compose["services"][name]["environment"]), name


def test_each_service_has_a_user_and_a_secret_of_its_own(deployments: dict[str, dict[str, Any]]) -> None:
    for name, deployment in deployments.items():
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        told = {variable["name"]: variable for variable in container["env"]}
        assert told["NATS_USER"]["value"] == name
        secrets = {
            v["valueFrom"]["secretKeyRef"]["name"]
            for v in told.values()
            if "secretKeyRef" in v.get("valueFrom", {})
        }
        assert secrets <= {f"nats-{name}", name}
        assert f"nats-{name}" in secrets


def test_production_checks_who_nats_is(overlay: list[dict[str, Any]]) -> None:
    (told,) = [
        m["data"] for m in overlay if m["kind"] == "ConfigMap" and m["metadata"]["name"] == "heliograph"
    ]
    with_tls = told["NATS_URL"].startswith("tls://")
    assert with_tls == (told.get("HELIOGRAPH_REPLICAS") == "3")
    for deployment in (m for m in overlay if m["kind"] == "Deployment"):
        pod = deployment["spec"]["template"]["spec"]
        mounts = {m["name"]: m["mountPath"] for m in pod["containers"][0]["volumeMounts"]}
        assert {v["name"] for v in pod["volumes"]} == set(mounts)
        if with_tls:
            assert told["NATS_CA"] == f"{mounts['nats-ca']}/ca.crt"


def test_no_secret_is_in_the_repository(manifests: list[dict[str, Any]]) -> None:
    assert not [m for m in manifests if m["kind"] == "Secret"]
    for m in manifests:
        if m["kind"] == "ConfigMap":
            assert not any("@" in value or "PASSWORD" in key for key, value in m["data"].items())


def test_lag_scales_the_sharded_services(manifests: list[dict[str, Any]]) -> None:
    shards = next(
        int(m["data"]["HELIOGRAPH_SHARDS"]) for m in manifests if "HELIOGRAPH_SHARDS" in m.get("data", {})
    )
    scaled = [m for m in manifests if m["kind"] == "ScaledObject"]
    assert {m["metadata"]["name"] for m in scaled} == {"consensus", "reasoning", "tracker", "archiver"}
    for m in scaled:
        name, spec = m["metadata"]["name"], m["spec"]
        assert spec["scaleTargetRef"] == {"name": name}
        assert (
            1 <= spec["minReplicaCount"] <= spec["fallback"]["replicas"] <= spec["maxReplicaCount"] <= shards
        )
        assert (
            spec["triggers"][0]["metadata"]["query"]
            == f'sum(heliograph:lag_messages:sum{{service="{name}"}})'
        )


def selects(policy: dict[str, Any], name: str) -> bool:
    selector = policy["spec"]["podSelector"]
    labels = selector.get("matchLabels", {})
    among = [e["values"] for e in selector.get("matchExpressions", []) if e["operator"] == "In"]
    return labels.get("app.kubernetes.io/name", name) == name and all(name in values for values in among)


def test_network_is_closed_but_for_the_design(manifests: list[dict[str, Any]], services: list[str]) -> None:
    policies = {m["metadata"]["name"]: m for m in manifests if m["kind"] == "NetworkPolicy"}
    assert policies.pop("default-deny")["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    for service in services:
        mine = [p["spec"] for p in policies.values() if selects(p, service)]
        out = {port["port"] for p in mine for rule in p.get("egress", []) for port in rule["ports"]}
        into = {port["port"] for p in mine for rule in p.get("ingress", []) for port in rule["ports"]}
        owned = {port for port, owners in STORE_PORTS.items() if service in owners}
        assert out == {53, 4222, 4318} | owned | PROVIDERS.get(service, set()), service
        assert into == ({8080, 8000} if service == "gateway" else {8080}), service
    rules = [r for p in policies.values() for r in p["spec"].get("egress", []) + p["spec"].get("ingress", [])]
    assert all((rule.get("to") or rule.get("from")) and rule["ports"] for rule in rules), (
        "a rule without a peer is open"
    )
