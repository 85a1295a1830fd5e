"""Another region: its manifests, and its server's own configuration on a real leaf of a real platform."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import nats_users
import pytest
import yaml

from heliograph.client import Connection, connect
from heliograph.common import subjects
from heliograph.common.append import Message
from heliograph.common.bus import Bus
from heliograph.common.config import Settings
from heliograph.common.errors import ConfigError
from heliograph.common.events import identity_sha256
from heliograph.common.permissions import EVENTS, OPERATOR, REGION, SUBSCRIBER, USERS
from heliograph.common.shards import DEFAULT_SHARDS
from heliograph.gateway.region import follow

ROOT = Path(__file__).resolve().parents[2]
OVERLAY = ROOT / "deploy" / "k8s" / "overlays" / "multi-region"
GOLDEN = ROOT / "libs" / "common" / "tests" / "golden" / "signal.v1.json"
BIN = Path(sys.executable).parent
VERSION = "1.32"


@pytest.fixture(scope="module")
def manifests() -> list[dict[str, Any]]:
    """What kustomize makes of the overlay; without it the files as they are."""
    if kubectl := shutil.which("kubectl"):
        command = [kubectl, "kustomize", str(OVERLAY)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return [d for d in yaml.safe_load_all(done.stdout) if d]
    paths = [path for path in OVERLAY.glob("*.yaml") if path.name != "kustomization.yaml"]
    return [d for path in paths for d in yaml.safe_load_all(path.read_text(encoding="utf-8"))]


def test_the_manifests_are_valid_and_confined(manifests: list[dict[str, Any]]) -> None:
    kinds = {m["kind"] for m in manifests}
    assert {"StatefulSet", "Service", "Job", "NetworkPolicy", "Namespace"} <= kinds
    for manifest in manifests:
        kubernetes_validate.validate(manifest, VERSION, strict=True)
    for manifest in (m for m in manifests if m["kind"] in {"StatefulSet", "Job"}):
        pod = manifest["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["automountServiceAccountToken"] is False
        (container,) = pod["containers"]
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert {m["name"] for m in container["volumeMounts"]} == {
            v["name"] for v in pod["volumes"] + [{"name": c["metadata"]["name"]} for c in claims(manifest)]
        }


def claims(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = manifest["spec"].get("volumeClaimTemplates", [])
    return found


def test_it_runs_the_same_server_and_a_script_that_is_in_the_image(compose: dict[str, Any]) -> None:
    kustomization = yaml.safe_load((OVERLAY / "kustomization.yaml").read_text(encoding="utf-8"))
    tags = {image["name"]: image["newTag"] for image in kustomization["images"]}
    assert compose["services"]["nats"]["image"] == f"nats:{tags['nats']}"
    (job,) = [d for d in yaml.safe_load_all((OVERLAY / "follow.yaml").read_text()) if d["kind"] == "Job"]
    (command,) = job["spec"]["template"]["spec"]["containers"][0]["command"]
    assert (BIN / Path(command).name).exists()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """A nats-server with one of our configurations, on loopback; regions come in at `leaf_port`."""

    def __init__(self, folder: Path, configuration: str, environment: dict[str, str]) -> None:
        self.port, self.leaf_port = free_port(), free_port()
        text = configuration.replace("0.0.0.0:4222", f"127.0.0.1:{self.port}")
        text = text.replace("0.0.0.0:7422", f"127.0.0.1:{self.leaf_port}")
        text = text.replace("0.0.0.0:8222", "127.0.0.1:-1").replace("/data", str(folder / "data"))
        folder.mkdir()
        (folder / "nats.conf").write_text(text, encoding="utf-8")
        self._command = [str(BIN / "nats-server"), "-c", str(folder / "nats.conf"), "-l", str(folder / "log")]
        self._environment = environment
        self.process = self.start()

    def start(self) -> "subprocess.Popen[bytes]":
        """Start it; clients wait for it by themselves."""
        return subprocess.Popen(self._command, env=self._environment)

    def kill(self) -> None:
        """End it at once."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(20)

    def settings(self, user: str) -> Settings:
        """How a user connects."""
        return Settings(nats_url=f"nats://127.0.0.1:{self.port}", nats_user=user, nats_password=f"of-{user}")


@pytest.fixture
def main(tmp_path: Path) -> Iterator[Server]:
    """The platform's server: the file of compose, with what lets regions follow it."""
    folder = ROOT / "deploy" / "nats"
    (tmp_path / "users.conf").write_text(nats_users.configuration(DEFAULT_SHARDS, regions=True))
    text = (folder / "nats.conf").read_text(encoding="utf-8")
    text = text.replace("jetstream {", "jetstream {\n  domain: main\n")
    regions = (folder / "leafnodes.conf").read_text(encoding="utf-8")
    text = text.replace("include ./users.conf", f"include ../users.conf\n{regions}")
    passwords = {nats_users.variable(user): f"of-{user}" for user in (*USERS, REGION)}
    server = Server(tmp_path / "main", text, passwords)
    yield server
    server.kill()


@pytest.fixture
def region(tmp_path: Path, main: Server) -> Iterator[Server]:
    """The region's server with the very configuration of the overlay."""
    environment = {
        "SERVER_NAME": "nats-0",
        "REGION": "east",
        "MAIN_URL": f"nats-leaf://{REGION}:of-{REGION}@127.0.0.1:{main.leaf_port}",
        "NATS_PASSWORD_OPERATOR": f"of-{OPERATOR}",
        "NATS_PASSWORD_SUBSCRIBER": f"of-{SUBSCRIBER}",
    }
    server = Server(tmp_path / "east", (OVERLAY / "nats.conf").read_text(encoding="utf-8"), environment)
    yield server
    server.kill()


@pytest.fixture
async def platform(main: Server) -> AsyncIterator[Bus]:
    """The operator's way into the platform, with its streams."""
    bus = await Bus.connect(main.settings(OPERATOR), "platform")
    await bus.ensure_streams()
    yield bus
    await bus.close()


def sealed(previous: str, number: int) -> tuple[Message, str]:
    """A signal as it is published, and its hash."""
    fields = json.loads(GOLDEN.read_bytes()) | {"id": f"{number:016x}"}
    names = ("id", "symbol", "action", "entry", "target", "stop", "confidence", "strategy", "ts")
    sha256 = identity_sha256(**{name: fields[name] for name in names})
    data = json.dumps(fields | {"sha256": sha256, "prev_sha256": previous}).encode()
    subject = subjects.signal(0, fields["symbol"])
    return Message(subject=subject, data=data, msg_id=fields["id"]), sha256


def follow_by_script(region: Server) -> None:
    settings = region.settings(OPERATOR)
    environment = os.environ | {
        "NATS_URL": settings.nats_url,
        "NATS_USER": str(settings.nats_user),
        "NATS_PASSWORD": str(settings.nats_password),
    }
    done = subprocess.run(
        [BIN / "heliograph-region"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


async def subscribed(region: Server) -> Connection:
    settings = region.settings(SUBSCRIBER)
    return await connect(settings.nats_url, user=SUBSCRIBER, password=str(settings.nats_password))


async def test_a_region_reads_the_past_and_hears_what_comes_and_can_do_nothing_else(
    platform: Bus, main: Server, region: Server
) -> None:
    first, head = sealed("", 1)
    await platform.publish([first])
    near = await Bus.connect(region.settings(OPERATOR), "near")
    follow_by_script(region)
    assert await follow(near) == dict.fromkeys(EVENTS, False)  # they are there, and stay as they are
    # Not even the region's operator may put a signal into the platform, or touch its streams.
    await near.client.publish("signal.0.FORGED", first.data)
    await near.client.publish("$JS.main.API.STREAM.PURGE.SIGNAL", b"")
    await near.settled()
    async with await subscribed(region) as client:
        told = client.signals(after=0)
        assert (await anext(told)).event.id == f"{1:016x}"
        second, _ = sealed(head, 2)
        await platform.publish([second])
        assert (await anext(told)).event.id == f"{2:016x}"
    state = (await platform.js.stream_info("SIGNAL")).state
    assert (state.messages, state.first_seq) == (2, 1)
    main.kill()
    async with await subscribed(region) as client:
        told = client.signals(after=0)
        assert [(await anext(told)).event.id for _ in range(2)] == [f"{n:016x}" for n in (1, 2)]
    await near.close()


async def test_the_platform_itself_is_no_region(platform: Bus) -> None:
    with pytest.raises(ConfigError, match="domain is 'main', expected one of the region's own"):
        await follow(platform)
