"""What the tests of the deployment share: the parsed files and the settings that the services read."""

import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.metrics import MetricWrapperBase

from heliograph.common import metrics
from heliograph.common.config import Settings
from heliograph.stack.settings_list import ALL, every_setting, settings_of

DEPLOY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(DEPLOY))  # deploy/ holds scripts, not a distribution

LIBRARY_VARIABLES = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"}
"""Read by the S3 client itself."""
INTERPOLATION = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?}")


@pytest.fixture(scope="session")
def deploy() -> Path:
    return DEPLOY


@pytest.fixture(scope="session")
def services() -> list[str]:
    return sorted(path.parent.name for path in (DEPLOY.parent / "services").glob("*/pyproject.toml"))


@pytest.fixture(scope="session")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yml").read_text(encoding="utf-8"))
    return loaded


@pytest.fixture(scope="session")
def metric_names() -> set[str]:
    """Every series that `heliograph.common.metrics` gives, its suffixes included."""
    found: set[str] = set()
    for metric in vars(metrics).values():
        for family in metric.describe() if isinstance(metric, MetricWrapperBase) else ():
            suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_count", "_sum"]}.get(
                family.type, [""]
            )
            found.update(family.name + suffix for suffix in suffixes)
    return found


@pytest.fixture
def load_settings(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Mapping[str, str]], Settings]:
    """Load a service's settings from exactly these variables, as its process would."""
    names = {setting.variable for setting in every_setting()}

    def load(service: str, environment: Mapping[str, str]) -> Settings:
        for name in names:
            monkeypatch.delenv(name, raising=False)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        return settings_of(service)()

    return load


@pytest.fixture(scope="session")
def known_variables() -> Callable[[str], set[str]]:
    return lambda service: variables(service) | LIBRARY_VARIABLES


def variables(service: str) -> set[str]:
    return {s.variable for s in every_setting() if service in s.users or s.users == (ALL,)}


@pytest.fixture(scope="session")
def interpolate() -> Callable[[str, Mapping[str, str]], str]:
    """Put variables into a value as compose does."""

    def put(value: str, environment: Mapping[str, str]) -> str:
        return INTERPOLATION.sub(
            lambda m: environment.get(m[1]) or (m[3] if m[2] == "-" else f"secret-{m[1]}"), value
        )

    return put
