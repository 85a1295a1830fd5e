"""Replicated tables: the statements, and a server that cannot have them ends the start.

No package carries a server that can be a replica, so rows are never replicated here. What a real ZooKeeper
makes of the statements is in `tests/chaos/test_archiver_replicated.py`.
"""

import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import clickhouse_connect
import pytest

from heliograph.archiver import replication
from heliograph.archiver.archive import days
from heliograph.archiver.clickhouse import ClickHouse
from heliograph.archiver.replication import Replication
from heliograph.archiver.schema import BARS, TABLES, VIEWS
from heliograph.archiver.settings import ArchiverSettings
from heliograph.common.errors import ConfigError, InvariantError

PATH = "/clickhouse/tables/{shard}/{database}/{table}"
ALONE = Replication(path=PATH)
CLUSTER = Replication(path=PATH, cluster="one")
ENGINE = f"ReplicatedReplacingMergeTree('{PATH}', '{{replica}}')"
STATEMENTS = [(of.name, statement) for group in (TABLES, VIEWS) for of in group for statement in of.ddl]


@pytest.fixture
def url(clickhouse_server: Any) -> str:
    """A database of the test's own, which is not there yet."""
    return f"{clickhouse_server.url}/test_{secrets.token_hex(6)}"


async def opened(url: str, replicated: Replication | None) -> ClickHouse:
    """A database that can be opened."""
    db = ClickHouse(url, replicated=replicated)
    await db.open()
    return db


async def refusal(url: str, replicated: Replication | None) -> str:
    """Why a start was refused."""
    db = ClickHouse(url, replicated=replicated)
    with pytest.raises(ConfigError) as refused:
        await db.open()
    await db.close()
    return str(refused.value)


def connected(server: Any, **settings: Any) -> Any:
    """A client with settings of its session."""
    address = urlsplit(server.url)
    account: dict[str, Any] = {"username": address.username, "password": unquote(address.password)}
    return clickhouse_connect.get_client(
        host=address.hostname, port=address.port, **account, settings=settings
    )


@pytest.fixture
def parse(clickhouse_server: Any) -> Callable[[str], str]:
    """How the engine writes a statement down that it has understood."""
    address = urlsplit(clickhouse_server.url)
    client = clickhouse_connect.get_client(
        host=address.hostname,
        port=address.port,
        username=address.username,
        password=unquote(address.password),
    )

    def parsed(sql: str) -> str:
        found = client.query("SELECT formatQuerySingleLine({sql:String})", parameters={"sql": sql})
        return str(found.result_rows[0][0])

    return parsed


@pytest.mark.parametrize(("name", "statement"), STATEMENTS)
def test_each_statement_is_replicated_and_the_engine_understands_it(
    parse: Callable[[str], str], name: str, statement: str
) -> None:
    plain, alone, cluster = map(parse, (statement, ALONE.apply(statement), CLUSTER.apply(statement)))
    window = "replicated_deduplication_window = 0"
    if "ENGINE" in plain:
        before, engine, after = plain.partition("ENGINE = ReplacingMergeTree")
        assert engine
        joint = ", " if " SETTINGS " in after else " SETTINGS "
        assert alone == f"{before}ENGINE = {ENGINE}{after}{joint}{window}"
    else:
        assert alone == plain
    kinds = ("CREATE TABLE IF NOT EXISTS", "CREATE MATERIALIZED VIEW IF NOT EXISTS", "ALTER TABLE")
    [kind] = [kind for kind in kinds if alone.startswith(kind)]
    made = f"{name}_view" if "VIEW" in kind else name
    assert alone.startswith(f"{kind} {made} ")
    assert cluster == alone.replace(f"{kind} {made} ", f"{kind} {made} ON CLUSTER one ", 1)


def test_every_table_is_replicated_once() -> None:
    engines = [name for name, statement in STATEMENTS if ENGINE in ALONE.apply(statement)]
    assert engines == [of.name for group in (TABLES, VIEWS) for of in group]


def test_an_engine_of_another_family_or_an_unknown_statement_is_refused() -> None:
    with pytest.raises(InvariantError, match="expected a MergeTree engine"):
        ALONE.apply("CREATE TABLE IF NOT EXISTS t\n(a Int8)\nENGINE = Memory\n")
    with pytest.raises(InvariantError, match="expected one CREATE or ALTER"):
        CLUSTER.apply("DROP TABLE t")


def test_arguments_of_an_engine_stay() -> None:
    made = ALONE.apply("CREATE TABLE IF NOT EXISTS t\n(a Int8)\nENGINE = SummingMergeTree(a)\nORDER BY a\n")
    assert f"ENGINE = ReplicatedSummingMergeTree('{PATH}', '{{replica}}', a)" in made


def test_statements_that_only_replicas_take_are_understood(parse: Callable[[str], str]) -> None:
    assert parse("SYSTEM SYNC REPLICA bars LIGHTWEIGHT") == "SYSTEM SYNC REPLICA bars LIGHTWEIGHT"
    made = parse("CREATE DATABASE IF NOT EXISTS `d` ON CLUSTER 'one'")
    assert made == "CREATE DATABASE IF NOT EXISTS d ON CLUSTER one"


@pytest.mark.parametrize(
    "path",
    ["", "clickhouse/{table}", "/clickhouse/tables", "/t/{table}/", "/t'/{table}", "/{table}/{replica}"],
)
def test_a_path_is_checked(path: str) -> None:
    with pytest.raises(ConfigError, match=r"clickhouse_keeper_path: .*expected a path with \{table\}"):
        Replication(path=path)


def test_settings_say_whether_tables_are_replicated() -> None:
    assert ArchiverSettings().replication is None
    assert ArchiverSettings(clickhouse_keeper_path=PATH).replication == ALONE
    assert ArchiverSettings(clickhouse_keeper_path=PATH, clickhouse_cluster="one").replication == CLUSTER
    with pytest.raises(ConfigError, match="clickhouse_cluster: 'one', expected none"):
        _ = ArchiverSettings(clickhouse_cluster="one").replication
    with pytest.raises(ConfigError, match="clickhouse_cluster: 'a b', expected letters"):
        _ = ArchiverSettings(clickhouse_keeper_path=PATH, clickhouse_cluster="a b").replication


def test_the_embedded_engine_has_no_replicas(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"clickhouse_keeper_path: .*expected none: the embedded engine"):
        ClickHouse(f"chdb://{tmp_path}/clickhouse", replicated=ALONE)


def test_a_server_takes_the_settings_of_sessions_with_replicas(clickhouse_server: Any) -> None:
    client = connected(clickhouse_server, **replication.SETTINGS)
    asked = (
        "SELECT name, value FROM system.settings WHERE name LIKE 'insert_quorum%' AND changed ORDER BY name"
    )
    assert client.query(asked).result_rows == [("insert_quorum", "auto"), ("insert_quorum_timeout", "20000")]


async def test_a_server_without_a_keeper_ends_the_start(url: str) -> None:
    said = await refusal(url, ALONE)
    assert said.startswith(f"clickhouse_keeper_path: '{PATH}'")
    assert "expected a server with ZooKeeper or ClickHouse Keeper" in said


async def test_a_server_that_takes_no_statements_for_a_cluster_ends_the_start(url: str) -> None:
    said = await refusal(url, CLUSTER)
    assert "clickhouse_cluster: 'one', expected a server that takes ON CLUSTER" in said


@pytest.mark.parametrize(
    ("replicated", "expected"),
    [
        (
            Replication(path="/t/{region}/{layer}/{table}"),
            "'/t/{region}/{layer}/{table}', expected macros of the server, which lacks layer, region",
        ),
        (
            Replication(path=PATH, cluster="nowhere"),
            "'nowhere', expected a cluster of the server with one shard, it has no such cluster",
        ),
        (
            Replication(path=PATH, cluster="sharded"),
            "'sharded', expected a cluster of the server with one shard, it has 2",
        ),
    ],
)
async def test_what_a_server_lacks_is_named(url: str, replicated: Replication, expected: str) -> None:
    said = await refusal(url, replicated)
    assert said.startswith("clickhouse_")
    assert expected in said


async def test_tables_that_are_not_replicated_are_not_taken_for_such(url: str) -> None:
    db = await opened(url, None)
    said = await refusal(url, ALONE)
    await db.rows(f"DROP DATABASE {url.rpartition('/')[2]}")
    await db.close()
    assert said == (
        f"clickhouse_keeper_path: '{PATH}', expected none, since the tables that are there are not "
        "replicated (bars, outcome_days, outcomes and 6 more); to move, see docs/archive.md "
        "(Replicated tables)"
    )


class Heard(ClickHouse):
    """Not connected; it keeps what it is asked and answers with ones."""

    def __init__(self, replicated: Replication | None) -> None:
        super().__init__("http://default@127.0.0.1/heliograph", replicated=replicated)
        self.asked: list[str] = []

    async def rows(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        self.asked.append(sql)
        return [(1, 1)] if parameters == {"date": "2020-01-01"} else [(1,)]


@pytest.mark.parametrize("replicated", [None, ALONE])
async def test_the_archive_looks_at_a_replica_that_has_what_the_others_had(
    replicated: Replication | None,
) -> None:
    db = Heard(replicated)
    await days.changed(db, BARS, 0)
    await days.settled(db, BARS, "2020-01-01", 60)
    wait = ["SYSTEM"] if replicated else []
    assert [sql.split()[0] for sql in db.asked] == [*wait, "SELECT", "SELECT", *wait, "SELECT"]
    assert {sql for sql in db.asked if "SYSTEM" in sql} <= {"SYSTEM SYNC REPLICA bars LIGHTWEIGHT"}
