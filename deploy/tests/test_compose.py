"""compose.yml: valid, closed to the outside, limited, and in terms that the services know."""

import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import nats_users
import pytest
import yaml

from heliograph.common.config import Settings
from heliograph.common.permissions import USERS
from heliograph.common.shards import DEFAULT_SHARDS
from heliograph.stack.engines.postgres import READER, TRACKER

WITHOUT_HEALTH_CHECK = {"otel-collector": "its image holds no client that could ask"}
OWNERS = {
    "postgres": {"postgres", "tracker"},
    "clickhouse": {"clickhouse", "archiver"},
    "s3": {"s3", "archiver"},
    "cache": {"redis", "fetcher", "reasoning", "gateway"},
}
VARIABLE = re.compile(r"(?<!\$)\$\{(\w+)(:\?)?")


@pytest.fixture
def example(deploy: Path) -> dict[str, str]:
    lines = (deploy / ".env.example").read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def test_is_a_compose_file(deploy: Path) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run([*command, deploy / "compose.yml"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_runs_every_service(compose: dict[str, Any], services: list[str]) -> None:
    built = {name: s["build"]["args"]["SERVICE"] for name, s in compose["services"].items() if "build" in s}
    assert built == {name: name for name in services}
    for name in services:
        assert compose["services"][name]["image"].startswith("${IMAGE_PREFIX:-heliograph}/" + name + ":")


def test_every_container_is_limited_and_confined(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        limits = service["deploy"]["resources"]["limits"]
        assert limits["memory"], name
        assert float(limits["cpus"]) > 0, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["logging"]["options"]["max-size"], name


def test_our_services_take_two_processors_and_two_gigabytes_at_most(
    compose: dict[str, Any], services: list[str]
) -> None:
    megabytes = {"m": 1, "g": 1024}
    for name in services:
        limits = compose["services"][name]["deploy"]["resources"]["limits"]
        assert float(limits["cpus"]) <= 2, name
        assert int(limits["memory"][:-1]) * megabytes[limits["memory"][-1]] <= 2048, name


def test_our_services_write_nowhere_and_gain_no_capability(
    compose: dict[str, Any], services: list[str]
) -> None:
    for name in services:
        service = compose["services"][name]
        assert service["read_only"] is True
        assert any(mount.startswith("/tmp:") for mount in service["tmpfs"])  # noqa: S108 - in the container
        assert "cap_add" not in service
        assert "user" not in service, "the image says who: 10001"


def test_every_container_has_a_health_check(compose: dict[str, Any]) -> None:
    without = {name for name, service in compose["services"].items() if "healthcheck" not in service}
    assert without == set(WITHOUT_HEALTH_CHECK)


def test_nobody_waits_for_health_that_is_not_checked(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        for needed, how in service.get("depends_on", {}).items():
            assert how == {"condition": "service_healthy"}, name
            assert "healthcheck" in compose["services"][needed], (name, needed)


def test_health_of_our_services_is_their_probe(compose: dict[str, Any], services: list[str]) -> None:
    for name in services:
        service = compose["services"][name]
        port = service["environment"]["HELIOGRAPH_PROBE_PORT"]
        assert f"http://127.0.0.1:{port}/livez" in service["healthcheck"]["test"][-1]


def test_only_loopback_ports_are_published(compose: dict[str, Any]) -> None:
    published = [port for service in compose["services"].values() for port in service.get("ports", [])]
    assert len(published) == 5
    assert all(re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port) for port in published), published
    assert not any(
        "network_mode" in service or "privileged" in service for service in compose["services"].values()
    )


def test_a_store_is_reached_by_its_owner_alone(compose: dict[str, Any]) -> None:
    for network, owners in OWNERS.items():
        joined = {name for name, service in compose["services"].items() if network in service["networks"]}
        assert joined == owners
        assert compose["networks"][network] == {"internal": True}


def test_images_are_pinned(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        name, _, tag = service["image"].rpartition(":")
        assert name
        assert tag != "latest"
        assert re.search(r"\d", tag)


def test_mounted_files_exist_and_volumes_are_declared(compose: dict[str, Any], deploy: Path) -> None:
    for service in compose["services"].values():
        for mount in service.get("volumes", []):
            source = mount.rsplit(":", 2)[0] if mount.endswith(":ro") else mount.split(":")[0]
            if source.startswith("./"):
                assert (deploy / source).exists(), source
                assert mount.endswith(":ro")
            elif not source.startswith("$"):
                assert source in compose["volumes"]


def test_services_are_told_only_what_they_know(
    compose: dict[str, Any], services: list[str], known_variables: Callable[[str], set[str]]
) -> None:
    for name in services:
        assert set(compose["services"][name]["environment"]) <= known_variables(name), name


def test_services_accept_what_they_are_told(
    compose: dict[str, Any],
    services: list[str],
    example: dict[str, str],
    interpolate: Callable[[str, Mapping[str, str]], str],
    load_settings: Callable[[str, Mapping[str, str]], Settings],
) -> None:
    for name in services:
        environment = compose["services"][name]["environment"]
        told = {key: interpolate(value, example) for key, value in environment.items()}
        settings = load_settings(name, told)
        assert settings.nats_url == "nats://nats:4222"
        assert settings.probe_port == 8080
        assert settings.otlp_endpoint == "http://otel-collector:4318"


def test_addresses_name_containers_on_a_shared_network(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        for value in service.get("environment", {}).values():
            for host in re.findall(r"://(?:[^@/]*@)?([a-z][a-z0-9-]*):\d+", str(value)):
                other = compose["services"][host]
                assert set(other["networks"]) & set(service["networks"]), (name, host)


def test_every_variable_is_in_the_example(deploy: Path, example: dict[str, str]) -> None:
    used = VARIABLE.findall((deploy / "compose.yml").read_text(encoding="utf-8"))
    assert {name for name, _ in used} == set(example)


def test_secrets_are_required_and_have_no_default(deploy: Path, example: dict[str, str]) -> None:
    required = {
        n for n, must in VARIABLE.findall((deploy / "compose.yml").read_text(encoding="utf-8")) if must
    }
    empty = {name for name, value in example.items() if not value}
    assert empty <= required
    assert all("PASSWORD" in name or "SECRET" in name for name in empty)
    ignored = (deploy / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert ignored == [".env", "live.env", "models.env"]


def test_collector_pipelines_use_what_is_configured(deploy: Path) -> None:
    collector = yaml.safe_load((deploy / "otel" / "collector.yaml").read_text(encoding="utf-8"))
    for pipeline in collector["service"]["pipelines"].values():
        for part in ("receivers", "processors", "exporters"):
            assert set(pipeline[part]) <= set(collector[part])
    assert set(collector["service"]["extensions"]) <= set(collector["extensions"])


def test_nats_server_accepts_its_configuration(deploy: Path) -> None:
    server = Path(sys.executable).with_name("nats-server")
    environment = {nats_users.variable(user): f"of-{user}" for user in USERS}
    command = [str(server), "-t", "-c", str(deploy / "nats" / "nats.conf")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    del environment[nats_users.variable("tracker")]
    refused = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert refused.returncode != 0, "a server without a password must not start"


def test_users_of_nats_are_those_of_the_table(compose: dict[str, Any], services: list[str]) -> None:
    found = nats_users.FILE.read_text(encoding="utf-8")
    assert found == nats_users.configuration(DEFAULT_SHARDS), "run `python deploy/nats_users.py`"
    server = compose["services"]["nats"]["environment"]
    assert set(server) == {nats_users.variable(user) for user in USERS}
    for name in services:
        told = compose["services"][name]["environment"]
        assert told["NATS_USER"] == name
        assert told["NATS_PASSWORD"] == server[nats_users.variable(name)]
        assert {key for key in told if key.startswith("NATS_PASSWORD")} == {"NATS_PASSWORD"}


def test_roles_of_postgres_are_made_with_the_database(compose: dict[str, Any], deploy: Path) -> None:
    text = (deploy / "postgres" / "roles.sql").read_text(encoding="utf-8")
    for role in (TRACKER, READER):
        assert f"CREATE ROLE {role} LOGIN" in text
    told = compose["services"]["tracker"]["environment"]
    assert told["POSTGRES_URL"].startswith(f"postgresql://{TRACKER}:${{TRACKER_POSTGRES_PASSWORD}}@")
    assert "./postgres/roles.sql:" in " ".join(compose["services"]["postgres"]["volumes"])
