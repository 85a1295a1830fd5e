"""The state folder: credentials, ports, logs, the engines' data, and what is running."""

import fcntl
import os
import secrets
from pathlib import Path
from typing import IO, TypeVar

import msgspec

from heliograph.common.errors import ConfigError
from heliograph.stack.errors import StackError

DEFAULT = Path(".heliograph")
CREDENTIALS = "credentials.json"
NATS_USERS = "nats-users"
T = TypeVar("T")


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """Made once for each state folder, never printed.

    `postgres_user` owns the tables; the tracker works under a role of its own, and a third one only reads.
    """

    postgres_user: str
    postgres_password: str
    redis_password: str
    tracker_password: str = ""
    reader_password: str = ""


class NatsUser(msgspec.Struct, frozen=True, kw_only=True):
    """A user of NATS and its password."""

    user: str
    password: str


class RunningProcess(msgspec.Struct, frozen=True, kw_only=True):
    """One process of a running stack. `created` tells it from a later one with the same pid."""

    name: str
    kind: str
    pid: int
    created: float


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """A running stack, for `status` and `signals tail`.

    Attributes:
        urls: address of each engine and of the gateway, without passwords.
        settings: data folder, speed, shards, replicas.
    """

    supervisor: RunningProcess
    started: str
    urls: dict[str, str]
    settings: dict[str, str | int]
    processes: list[RunningProcess]


class Kept(msgspec.Struct, kw_only=True):
    """What a second start must find as the first left it."""

    ports: dict[str, int] = {}
    shards: int | None = None


class State:
    """One state folder. `lock` first; the other methods need no lock to read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self.logs = self.folder / "logs"
        self._lock: IO[str] | None = None

    def create(self) -> None:
        """Make the folder.

        Raises:
            ConfigError: it cannot be made or written.
        """
        try:
            self.logs.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"state: {self.folder}, expected a folder that can be written: {error}"
            ) from error

    def lock(self) -> None:
        """Make this process the only one that runs a stack on the folder, until it ends.

        Raises:
            StackError: another one does.
        """
        self.create()
        file = (self.folder / "lock").open("a+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            pid = file.read().strip() or "?"
            file.close()
            raise StackError(
                f"a stack already runs on {self.folder} (process {pid}); see `heliograph status`"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        self._lock = file

    def unlock(self) -> None:
        """Let others use the folder."""
        if self._lock:
            self._lock.close()
            self._lock = None

    def log(self, name: str) -> Path:
        """Where a process writes what it has to say."""
        return self.logs / f"{name}.log"

    def credentials(self) -> Credentials:
        """The credentials; made at the first call."""
        found = self._read(CREDENTIALS, Credentials)
        if found is None:
            found = Credentials(
                postgres_user="heliograph",
                postgres_password=secrets.token_urlsafe(24),
                redis_password=secrets.token_urlsafe(24),
            )
        if not found.tracker_password:
            roles = {f"{role}_password": secrets.token_urlsafe(24) for role in ("tracker", "reader")}
            found = msgspec.structs.replace(found, **roles)
            self._write(CREDENTIALS, found)
        return found

    def nats_user(self, name: str) -> NatsUser:
        """A user of NATS; its password is made at the first call, each in a file of its own."""
        file = f"{NATS_USERS}/{name}.json"
        found = self._read(file, NatsUser)
        if found is None:
            (self.folder / NATS_USERS).mkdir(mode=0o700, exist_ok=True)
            found = NatsUser(user=name, password=secrets.token_urlsafe(24))
            self._write(file, found)
        return found

    def kept(self) -> Kept:
        """What the last start kept."""
        return self._read("kept.json", Kept) or Kept()

    def keep(self, kept: Kept) -> None:
        """Keep something for the next start."""
        self._write("kept.json", kept)

    def run(self) -> Run | None:
        """What runs or ran here; None when it ended in good order."""
        return self._read("run.json", Run)

    def set_run(self, run: Run | None) -> None:
        """Tell other commands what runs here."""
        if run is None:
            (self.folder / "run.json").unlink(missing_ok=True)
        else:
            self._write("run.json", run)

    def write_private(self, name: str, text: str) -> Path:
        """Write a file that only its owner can read; whole or not at all."""
        path = self.folder / name
        draft = path.with_name(path.name + ".draft")
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        return path

    def _write(self, name: str, value: msgspec.Struct) -> None:
        self.write_private(name, msgspec.json.format(msgspec.json.encode(value)).decode())

    def _read(self, name: str, kind: type[T]) -> T | None:
        path = self.folder / name
        try:
            return msgspec.json.decode(path.read_bytes(), type=kind)
        except FileNotFoundError:
            return None
        except (msgspec.DecodeError, OSError) as error:
            raise ConfigError(f"{path}: {error}; expected a file that heliograph wrote") from error
