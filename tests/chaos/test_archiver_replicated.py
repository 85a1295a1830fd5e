"""The archiver's tables made replicated, on two replicas that agree by a real ZooKeeper.

The replicas are embedded engines by HTTP, which make replicated tables and write them down in ZooKeeper, but
have no address at which another replica could fetch rows: the tables stay read-only and get no rows.
"""

from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import clickhouse_connect
import pytest
from conftest import ClickHouseServer
from tests.chaos.zookeeper import ZooKeeper, missing

from heliograph.archiver.clickhouse import ClickHouse
from heliograph.archiver.replication import Replication
from heliograph.archiver.schema import TABLES, VIEWS
from heliograph.common.errors import ConfigError

REPLICATED = Replication(path="/clickhouse/tables/{shard}/{database}/{table}")
DATABASE = "heliograph"
NAMES = sorted(of.name for group in (TABLES, VIEWS) for of in group)
Eventually = Callable[..., Awaitable[Any]]
Serve = Callable[[str, str], ClickHouseServer]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(bool(missing()), reason=f"not installed: {', '.join(missing())}"),
]


@pytest.fixture
async def zookeeper(tmp_path: Path, eventually: Eventually) -> Any:
    """A ZooKeeper that answers."""
    server = ZooKeeper(tmp_path / "zookeeper")
    server.start()

    async def ready() -> bool:
        return server.ready()

    await eventually(ready, timeout=60)
    yield server
    server.stop()


@pytest.fixture
def serve(tmp_path: Path, zookeeper: ZooKeeper) -> Iterator[Serve]:
    """Start a ClickHouse in a folder as a replica of a name."""
    started: list[ClickHouseServer] = []

    def make(folder: str, replica: str) -> ClickHouseServer:
        server = ClickHouseServer(tmp_path / folder, replica, str(zookeeper.port))
        server.start()
        started.append(server)
        return server

    yield make
    for server in started:
        server.kill()


def connected(server: ClickHouseServer) -> Any:
    """A client of a server's database."""
    where = urlsplit(server.url)
    account = {"username": where.username, "password": unquote(where.password or "")}
    options: dict[str, Any] = {"host": where.hostname, "port": where.port, **account}
    with_none = clickhouse_connect.get_client(**options)
    with_none.command(f"CREATE DATABASE IF NOT EXISTS {DATABASE}")
    with_none.close()
    return clickhouse_connect.get_client(**options, database=DATABASE)


def made(server: ClickHouseServer) -> Any:
    """A client of a server on which all tables and views were made; an ALTER needs more than a keeper."""
    client = connected(server)
    for group in (TABLES, VIEWS):
        for of in group:
            for statement in of.ddl:
                if "CREATE" in statement:
                    client.command(REPLICATED.apply(statement))
    return client


def replicas(client: Any) -> dict[str, tuple[str, str, int]]:
    """By table: its path, the replica's name, and how many replicas ZooKeeper knows."""
    found = client.query("SELECT table, zookeeper_path, replica_name, total_replicas FROM system.replicas")
    return {table: (path, name, int(total)) for table, path, name, total in found.result_rows}


async def refusal(server: ClickHouseServer, replicated: Replication | None) -> str:
    """Why a start on a server's database was refused."""
    db = ClickHouse(f"{server.url}/{DATABASE}", replicated=replicated)
    with pytest.raises(ConfigError) as refused:
        await db.open()
    await db.close()
    return str(refused.value)


async def test_two_replicas_agree_about_every_table_and_a_second_start_changes_nothing(serve: Serve) -> None:
    first, second = serve("one", "r1"), serve("two", "r2")
    one, two = made(first), made(second)
    paths = {name: f"/clickhouse/tables/01/{DATABASE}/{name}" for name in NAMES}
    assert replicas(one) == {name: (path, "r1", 2) for name, path in paths.items()}
    assert replicas(two) == {name: (path, "r2", 2) for name, path in paths.items()}
    assert replicas(made(first)) == replicas(one)
    first.kill()
    first.start()
    assert replicas(made(first)) == replicas(one)
    engines = one.query(
        "SELECT DISTINCT engine, engine_full LIKE '%replicated_deduplication_window = 0%' FROM system.tables "
        "WHERE database = currentDatabase() AND engine LIKE '%MergeTree'"
    )
    assert engines.result_rows == [("ReplicatedReplacingMergeTree", 1)]


async def test_replicated_tables_are_not_taken_for_others(serve: Serve) -> None:
    server = serve("one", "r1")
    made(server)
    said = await refusal(server, None)
    assert said.startswith("clickhouse_keeper_path: '', expected the path of the tables that are there")
    assert "(bars, outcome_days, outcomes and 6 more)" in said
    said = await refusal(server, Replication(path="/other/{table}"))
    assert "gives '/other/bars', expected '/clickhouse/tables/01/heliograph/bars'" in said


async def test_a_replica_that_lost_its_data_or_has_anothers_name_is_told(serve: Serve) -> None:
    made(serve("one", "r1"))
    said = await refusal(serve("two", "r1"), REPLICATED)
    assert "expected no replica there: two servers have the same macros, or one has lost its data" in said
