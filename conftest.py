"""Fixtures for every test: the real NATS, a real Redis, ClickHouse by HTTP, and waiting without sleeping."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

import hypothesis
import pytest
import structlog

from heliograph.common.bus import Bus
from heliograph.common.config import Settings

# On a machine with other work to do an example may take a hundred times as long as another.
hypothesis.settings.register_profile(
    "patient", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("patient")

T = TypeVar("T")
OPEN_WITHIN_S = 60


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def wait_until_taken(port: int) -> None:
    """Wait until something takes connections on a port."""
    deadline = time.monotonic() + OPEN_WITHIN_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 0.2).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


class NatsServer:
    """A real nats-server with JetStream on loopback that a test may kill and start again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"nats://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        binary = Path(sys.executable).with_name("nats-server")
        command = [str(binary), "-js", "-a", "127.0.0.1", "-p", str(self.port), "-sd", str(self.folder)]
        self.process = subprocess.Popen([*command, "-l", str(self.folder / "log")])
        wait_until_taken(self.port)

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End it by a signal and wait for the end."""
        if self.process:
            os.kill(self.process.pid, number)
            self.process.wait(10)
            self.process = None


class RedisServer:
    """A real redis-server on loopback that a test may kill and start again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"redis://127.0.0.1:{self._port}/0"

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        binary = str(Path(sys.executable).with_name("redis-server"))
        options = ["--port", str(self._port), "--bind", "127.0.0.1", "--dir", str(self._folder), "--save", ""]
        self._process = subprocess.Popen([binary, *options], stdout=subprocess.DEVNULL)
        wait_until_taken(self._port)

    def kill(self) -> None:
        """End it at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None


class ClickHouseServer:
    """ClickHouse's HTTP interface on loopback that a test may kill and start again; see its module."""

    USER, PASSWORD = "tester", "p@ss/word"

    def __init__(self, folder: Path, *replica: str) -> None:
        """In a folder; as a replica of this name, with the port of a ZooKeeper."""
        self._folder = folder
        self._replica = replica
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where clients connect; a path behind it names a database."""
        return f"http://{self.USER}:{quote(self.PASSWORD, safe='')}@127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        script = Path(__file__).parent / "tests" / "clickhouse_http.py"
        account = str(self._port), self.USER, self.PASSWORD, *self._replica
        self._process = subprocess.Popen([sys.executable, str(script), str(self._folder), *account])
        wait_until_taken(self._port)

    def kill(self) -> None:
        """End it at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """Leave no test's logging to the next: a command that runs in the test's process sets it up."""
    yield
    structlog.reset_defaults()


@pytest.fixture
def nats_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    """A real NATS server with an empty store."""
    folder = tmp_path_factory.mktemp("nats")
    server = NatsServer(folder)
    server.start()
    yield server
    server.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def nats_settings(nats_server: NatsServer) -> Settings:
    """Settings for the real NATS server with four shards and quick heartbeats."""
    return Settings(nats_url=nats_server.url, shards=4, heartbeat_s=0.1, member_ttl_s=1.0)


@pytest.fixture
async def bus(nats_settings: Settings) -> AsyncIterator[Bus]:
    """A bus with its streams on the real NATS server."""
    connected = await Bus.connect(nats_settings, "test")
    await connected.ensure_streams()
    yield connected
    await connected.close()


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    """A real Redis with an empty store."""
    server = RedisServer(tmp_path)
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="session")
def clickhouse_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouseServer]:
    """A ClickHouse by HTTP, one for all tests: each takes a database of its own."""
    server = ClickHouseServer(tmp_path_factory.mktemp("clickhouse"))
    server.start()
    yield server
    server.kill()


@pytest.fixture
def eventually() -> Callable[[Callable[[], Awaitable[T]]], Awaitable[T]]:
    """Wait until an async check returns something true, at most 15 seconds."""

    async def wait(check: Callable[[], Awaitable[T]], timeout: float = 15.0) -> T:
        async with asyncio.timeout(timeout):
            while not (result := await check()):
                await asyncio.sleep(0.02)
        return result

    return wait
