"""`gateway`: fan-out to many WebSocket clients, the API under load, and the gateway's memory.

A gateway process of its own on a NATS server of its own. The clients are bare connections in this process, on
the same machine: what they take is in the figures. The owner answers with one page of ten signals, made once,
so that the API's figure is the gateway's and the bus's and no database's.
"""

import argparse
import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import msgspec
import psutil
from benchmarks.figures import Figure, quantile, show
from benchmarks.market import Market
from benchmarks.sockets import Listener, load

from heliograph.common.bus import Bus
from heliograph.common.config import Settings
from heliograph.common.events import BarBatch, Signal, encode
from heliograph.consensus.engine.engine import Engine
from heliograph.consensus.engine.rules import Rules

EVENTS = 50
WARM_MINUTES = 400
PAGE = 10
READY_S = 20.0
ALL_S = 20.0


def free_port() -> int:
    """A port that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def signals(count: int) -> list[Signal]:
    """Real signals: the decision core over the made-up market."""
    market, engine, decoder = Market(200, 1), Engine(rules=Rules()), msgspec.json.Decoder(BarBatch)
    found: list[Signal] = []
    for minute in range(WARM_MINUTES * 10):
        for _, message in market.minute(minute):
            found += engine.apply(decoder.decode(message.data), minute + 1)
        if len(found) >= count:
            return found[:count]
    raise RuntimeError(f"{len(found)} signals, expected {count}")


def nats_server(port: int, folder: str) -> subprocess.Popen[bytes]:
    """A NATS server with an empty store."""
    binary = Path(sys.executable).with_name("nats-server")
    options = ["-js", "-a", "127.0.0.1", "-p", str(port), "-sd", folder, "-l", f"{folder}/log"]
    return subprocess.Popen([str(binary), *options])


def gateway_process(environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """A gateway; what it logs is nobody's concern here."""
    command = [sys.executable, "-m", "heliograph.gateway"]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@contextlib.asynccontextmanager
async def running() -> AsyncIterator[tuple[Bus, psutil.Process, int]]:
    """A NATS server, a bus with an owner of signals on it, a gateway's process, and its port."""
    nats_port, port = free_port(), free_port()
    with tempfile.TemporaryDirectory() as folder:
        server = nats_server(nats_port, folder)
        url = f"nats://127.0.0.1:{nats_port}"
        environment = {
            **os.environ,
            "NATS_URL": url,
            "HELIOGRAPH_GATEWAY_PORT": str(port),
            "HELIOGRAPH_ALERTS": "false",
        }
        bus = await Bus.connect(Settings(nats_url=url), "benchmark")
        await bus.ensure_streams()
        gateway = gateway_process(environment)
        try:
            await answering(port)
            yield bus, psutil.Process(gateway.pid), port
        finally:
            gateway.terminate()
            gateway.wait(20)
            await bus.close()
            server.terminate()
            server.wait(20)


async def answering(port: int) -> None:
    """Wait until the gateway answers."""
    async with asyncio.timeout(READY_S), httpx.AsyncClient() as client:
        while True:
            with contextlib.suppress(httpx.HTTPError):
                if (await client.get(f"http://127.0.0.1:{port}/healthz")).is_success:
                    return
            await asyncio.sleep(0.05)


async def fan_out(bus: Bus, port: int, clients: int, found: list[Signal]) -> tuple[list[float], list[float]]:
    """Milliseconds from the publishing of an event to each client, and to the last one."""
    listeners = [await Listener.connect(port) for _ in range(clients)]
    await asyncio.sleep(1.0)
    each: list[float] = []
    last: list[float] = []
    try:
        for signal in found:
            for listener in listeners:
                listener.arrived.clear()
            began = time.perf_counter()
            await bus.client.publish(f"signal.0.{signal.symbol}", encode(signal))
            await bus.settled()
            try:
                async with asyncio.timeout(ALL_S):
                    for listener in listeners:
                        await listener.arrived.wait()
            except TimeoutError:
                missing = sum(not listener.arrived.is_set() for listener in listeners)
                raise RuntimeError(f"event {len(last)}: {missing} clients did not get it") from None
            took = [1e3 * (listener.at - began) for listener in listeners]
            each += took
            last.append(max(took))
            await asyncio.sleep(0.06)
    finally:
        for listener in listeners:
            listener.close()
    return each, last


async def measure(clients: int, connections: int, seconds: float) -> list[Figure]:
    """All figures."""
    found = signals(EVENTS)
    body = {"signals": [{**msgspec.to_builtins(s), "reason": None, "outcome": None} for s in found[:PAGE]]}
    answer = msgspec.json.encode(body)

    async def respond(_: bytes) -> bytes:
        return answer

    async with running() as (bus, gateway, port):
        await bus.respond("query.tracker.signals", respond, queue="tracker")
        await bus.settled()
        await load(port, f"/api/signals?limit={PAGE}", 1, 1.0)
        idle = gateway.memory_info().rss
        took, counted = await load(port, f"/api/signals?limit={PAGE}", connections, seconds)
        pair = asyncio.create_task(fan_out(bus, port, clients, found))
        while not pair.done():
            full = gateway.memory_info().rss
            await asyncio.sleep(0.5)
        each, last = await pair
    return [
        Figure(
            name=f"fan-out to {clients:,} clients, publish → client: p50 / p99",
            value=f"{quantile(each, 0.5):.1f} / {quantile(each, 0.99):.1f} ms",
            beside=f"to the last of them: p50 {quantile(last, 0.5):.1f}, p99 {quantile(last, 0.99):.1f} ms",
            goal="p99 ≤ 1 s, as a signal on the page",
        ),
        Figure(
            name=f"GET /api/signals of {PAGE}, {connections} connections: p50 / p99",
            value=f"{quantile(took, 0.5):.1f} / {quantile(took, 0.99):.1f} ms",
            beside=f"{counted / seconds:,.0f} requests/s",
            goal="p99 ≤ 100 ms",
        ),
        Figure(
            name="memory of the gateway after the load, and with all clients (RSS)",
            value=f"{idle / 1e6:.0f} MB, {full / 1e6:.0f} MB",
            beside=f"{(full - idle) / clients / 1e3:.0f} kB a client",
            goal="≤ 256 MB, its limit in a container",
        ),
    ]


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=1_000)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=10.0)
    options = parser.parse_args()
    figures = asyncio.run(measure(options.clients, options.connections, options.seconds))
    show(
        "gateway",
        figures,
        f"python -m benchmarks.gateway --clients {options.clients} --connections {options.connections} "
        f"--seconds {options.seconds:g}",
    )


if __name__ == "__main__":
    main()
