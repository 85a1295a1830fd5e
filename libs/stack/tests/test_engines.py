"""The laws of an engine, on each of them: real, on loopback, closed to strangers, safe against kill -9."""

import os
import signal
import stat
from collections.abc import AsyncIterator

import psutil
import psycopg
import pytest
from redis.asyncio import Redis

from heliograph.common.bus import Bus
from heliograph.common.config import Settings
from heliograph.common.permissions import OPERATOR, USERS
from heliograph.stack.engines import Engine, EngineRefusedError, NatsEngine, PostgresEngine, RedisEngine
from heliograph.stack.engines.postgres import READER, TRACKER
from heliograph.stack.state import Credentials, NatsUser, State
from heliograph.stack.supervisor import Supervisor

from .conftest import Eventually

WRITTEN = "kept"


@pytest.fixture
async def supervisor(engine: Engine, state: State) -> AsyncIterator[Supervisor]:
    """The engine, running."""
    keeper = Supervisor(state)
    keeper.add_engine(engine)
    try:
        await keeper.start()
        yield keeper
    finally:
        await keeper.stop()


def tree(supervisor: Supervisor) -> list[psutil.Process]:
    """The engine's process and its children."""
    top = psutil.Process(supervisor.running()[0].pid)
    return [top, *top.children(recursive=True)]


def listening(process: psutil.Process) -> set[str]:
    """The addresses on which a process listens; none when it has just ended, as workers of Postgres do."""
    try:
        found = process.net_connections(kind="inet")
    except psutil.NoSuchProcess:
        return set()
    return {connection.laddr.ip for connection in found if connection.status == psutil.CONN_LISTEN}


def arguments(process: psutil.Process) -> list[str]:
    """The command line of a process; empty when it has just ended."""
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []


async def write(engine: Engine) -> None:
    """Store something durable."""
    url = engine.environment
    if isinstance(engine, PostgresEngine):
        async with await psycopg.AsyncConnection.connect(url["POSTGRES_OWNER_URL"]) as connection:
            await connection.execute("CREATE EXTENSION vector")
            await connection.execute(
                "CREATE TABLE note AS SELECT %s AS text, '[1,2,3]'::vector(3) AS place", [WRITTEN]
            )
    elif isinstance(engine, RedisEngine):
        client = Redis.from_url(url["REDIS_URL"], decode_responses=True)
        await client.set("note", WRITTEN)
        await client.aclose()
    else:
        bus = await connect(url)
        await bus.js.add_stream(name="NOTE", subjects=["note"])
        await bus.js.publish("note", WRITTEN.encode())
        await bus.close()


async def read(engine: Engine) -> str:
    """What was stored."""
    url = engine.environment
    if isinstance(engine, PostgresEngine):
        async with await psycopg.AsyncConnection.connect(url["POSTGRES_OWNER_URL"]) as connection:
            row = await (
                await connection.execute("SELECT text FROM note ORDER BY place <-> '[1,2,4]'")
            ).fetchone()
            return str(row[0]) if row else ""
    if isinstance(engine, RedisEngine):
        client = Redis.from_url(url["REDIS_URL"], decode_responses=True)
        value = await client.get("note")
        await client.aclose()
        return str(value)
    bus = await connect(url)
    message = await bus.js.get_last_msg("NOTE", "note")
    await bus.close()
    return (message.data or b"").decode()


async def connect(url: dict[str, str]) -> Bus:
    settings = Settings(
        nats_url=url["NATS_URL"], nats_user=url["NATS_USER"], nats_password=url["NATS_PASSWORD"]
    )
    return await Bus.connect(settings, "test")


async def test_it_answers_with_its_version(supervisor: Supervisor, engine: Engine) -> None:
    version = await engine.probe()
    assert version == supervisor.children[0].version
    assert int(version.split(".")[0]) >= 2


async def test_it_listens_on_loopback_only(supervisor: Supervisor, engine: Engine) -> None:
    found = [listening(process) for process in tree(supervisor)]
    assert set().union(*found) == {"127.0.0.1"}


async def test_a_wrong_password_is_refused_at_once(
    supervisor: Supervisor, engine: Engine, state: State
) -> None:
    assert supervisor.running()
    wrong = Credentials(
        postgres_user="heliograph",
        postgres_password="wrong",
        redis_password="wrong",
    )
    port = int(engine.address.rsplit(":", 1)[1].split("/")[0])
    stranger: Engine = PostgresEngine(state, wrong, port)
    if isinstance(engine, NatsEngine):
        stranger = NatsEngine(state, NatsUser(user=OPERATOR, password="wrong"), port, port)
    elif isinstance(engine, RedisEngine):
        stranger = RedisEngine(state, wrong, port)
    with pytest.raises(EngineRefusedError, match="refuses"):
        await stranger.probe()


async def test_what_was_stored_survives_kill_9(
    supervisor: Supervisor, engine: Engine, eventually: Eventually
) -> None:
    await write(engine)
    victim = supervisor.running()[0]

    os.kill(victim.pid, signal.SIGKILL)

    async def back() -> bool:
        running = supervisor.running()
        if not running or running[0].pid == victim.pid:
            return False
        try:
            await engine.probe()
        except OSError:
            return False
        return True

    await eventually(back)
    assert await read(engine) == WRITTEN
    assert supervisor.children[0].restarts >= 1


async def test_what_was_stored_survives_a_stop_and_no_process_stays(
    supervisor: Supervisor, engine: Engine, state: State
) -> None:
    await write(engine)
    processes = tree(supervisor)

    await supervisor.stop()

    _, alive = psutil.wait_procs(processes, timeout=30)
    assert not alive
    again = Supervisor(state)
    again.add_engine(engine)
    try:
        await again.start()
        assert await read(engine) == WRITTEN
    finally:
        await again.stop()


@pytest.mark.parametrize("engine", ["postgres"], indirect=True)
async def test_the_roles_beside_the_owner_can_log_in_and_make_nothing(
    supervisor: Supervisor, engine: PostgresEngine, state: State
) -> None:
    owner = str(engine.owner_url)
    credentials = state.credentials()
    for role, password in ((TRACKER, credentials.tracker_password), (READER, credentials.reader_password)):
        url = owner.replace(
            f"{credentials.postgres_user}:{credentials.postgres_password}@", f"{role}:{password}@"
        )
        async with await psycopg.AsyncConnection.connect(url) as connection:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                await connection.execute("CREATE TABLE mine (x int)")


async def test_secrets_are_for_the_owner_only(supervisor: Supervisor, state: State) -> None:
    credentials = state.credentials()
    passwords = [credentials.postgres_password, credentials.redis_password]
    passwords += [credentials.tracker_password, credentials.reader_password]
    passwords += [state.nats_user(user).password for user in USERS]

    files = [path for path in state.folder.rglob("*") if path.is_file()]
    telling = [f for f in files if any(password.encode() in f.read_bytes() for password in passwords)]

    assert state.folder / "credentials.json" in telling
    assert {stat.S_IMODE(path.stat().st_mode) for path in telling} == {0o600}
    assert not any(
        p in argument for p in passwords for process in tree(supervisor) for argument in arguments(process)
    )
