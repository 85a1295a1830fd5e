"""The gateway as a service: its start, its status, its end."""

import asyncio
import socket

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from heliograph.common.bus import Bus
from heliograph.common.clock import SYSTEM_CLOCK
from heliograph.common.config import Settings, load
from heliograph.common.errors import ConfigError, InvariantError
from heliograph.common.service import Context
from heliograph.gateway.service import GatewayService
from heliograph.gateway.settings import GatewaySettings


def context(bus: Bus, settings: Settings) -> Context:
    return Context(name="gateway", member="test", settings=settings, bus=bus, clock=SYSTEM_CLOCK)


async def test_it_listens_on_loopback_and_tells_where(gateway: GatewayService) -> None:
    status = await gateway.status()
    assert status["url"].startswith("http://127.0.0.1:")
    assert not status["url"].endswith(":0")
    assert await gateway.problems() == {}


async def test_it_is_not_ready_before_its_start() -> None:
    service = GatewayService()
    assert await service.problems() == {"http": "not started"}
    await service.stop()


async def test_a_taken_port_is_named(bus: Bus, gateway_settings: GatewaySettings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        settings = gateway_settings.model_copy(update={"gateway_port": port})
        with pytest.raises(ConfigError, match=f"gateway_port: {port}"):
            await GatewayService().start(context(bus, settings))


async def test_settings_of_another_service_are_refused(bus: Bus, nats_settings: Settings) -> None:
    with pytest.raises(ConfigError, match="expected GatewaySettings"):
        await GatewayService().start(context(bus, nats_settings))


@pytest.mark.parametrize(
    ("name", "value"),
    [("GATEWAY_PORT", "65536"), ("GATEWAY_PORT", "http"), ("GATEWAY_HOST", ""), ("LIVE_FRAMES_PER_S", "0")],
)
def test_a_bad_setting_names_its_key(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"HELIOGRAPH_{name}", value)
    with pytest.raises(ConfigError, match=name.lower()):
        load(GatewaySettings)


def test_it_takes_no_shards() -> None:
    with pytest.raises(InvariantError):
        GatewayService().processor(0)


async def test_at_its_end_clients_are_told_and_the_port_is_free(
    bus: Bus, gateway_settings: GatewaySettings
) -> None:
    service = GatewayService()
    await service.start(context(bus, gateway_settings))
    async with connect(f"{service.url.replace('http', 'ws')}/live") as client:
        await asyncio.wait_for(service.stop(), 30)
        with pytest.raises(ConnectionClosed) as closed:
            await asyncio.wait_for(client.recv(), 30)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code in {1001, 1012}
    async with httpx.AsyncClient() as late:
        with pytest.raises(httpx.ConnectError):
            await late.get(f"{service.url}/healthz")
