"""The component that gives reasoning its keys builds on the base and mounts a secret where they are read."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

OVERLAY = """\
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [base]
components: [components/models]
"""


@pytest.fixture
def built(deploy: Path, tmp_path: Path) -> list[dict[str, Any]]:
    """What kustomize makes of the base with the component."""
    kubectl = shutil.which("kubectl")
    if not kubectl:
        pytest.skip("kubectl is not installed: the component cannot be built")
    shutil.copytree(deploy / "k8s", tmp_path / "k8s")
    (tmp_path / "k8s" / "kustomization.yaml").write_text(OVERLAY, encoding="utf-8")
    done = subprocess.run(
        [kubectl, "kustomize", tmp_path / "k8s"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return [d for d in yaml.safe_load_all(done.stdout) if d]


def test_reasoning_reads_its_keys_from_a_mounted_secret(built: list[dict[str, Any]]) -> None:
    (reasoning,) = [d for d in built if d["kind"] == "Deployment" and d["metadata"]["name"] == "reasoning"]
    pod = reasoning["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    environment = {e["name"]: e.get("value") for e in container["env"]}
    mounts = {m["name"]: m for m in container["volumeMounts"]}
    volumes = {v["name"]: v for v in pod["volumes"]}
    assert environment["HELIOGRAPH_KEYS_FOLDER"] == mounts["models"]["mountPath"]
    assert mounts["models"]["readOnly"] is True
    assert volumes["models"]["secret"]["secretName"] == "models"
    assert {"tmp", "models"} <= set(volumes)


def test_only_reasoning_may_reach_the_providers(built: list[dict[str, Any]]) -> None:
    (policy,) = [d for d in built if d["kind"] == "NetworkPolicy"]
    assert policy["spec"]["podSelector"]["matchLabels"] == {"app.kubernetes.io/name": "reasoning"}
    (egress,) = policy["spec"]["egress"]
    assert egress["ports"] == [{"protocol": "TCP", "port": 443}]
