"""The consumers that services make are those that the table of permissions gives them."""

import importlib
from typing import Any

import pytest

from heliograph.common.permissions import ROLES
from heliograph.stack.services import SERVICES


@pytest.mark.parametrize("name", SERVICES)
def test_what_a_service_reads_by_shard_is_its_own(name: str) -> None:
    module = importlib.import_module(f"heliograph.{name}.service")
    service: Any = getattr(module, f"{name.capitalize()}Service")
    role = ROLES[name]
    for source in getattr(service, "sources", ()):
        assert f"{name}-{{shard}}-{source.name}" in role.consumers[source.stream], source
