"""Replicated tables on a ClickHouse server by configuration: the same statements, each with what makes it so.

The engine keeps what replicas share in ZooKeeper or ClickHouse Keeper. That, the macros `{shard}` and
`{replica}`, and the cluster are the server's own configuration; the embedded engine has none of it.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from heliograph.common.errors import ConfigError, InvariantError

REPLICA = "{replica}"
SETTINGS: dict[str, Any] = {
    # An acknowledgement must mean that the rows survive the loss of a replica.
    "insert_quorum": "auto",
    "insert_quorum_timeout": 20_000,
}
"""Of each session with a server whose tables are replicated (times in milliseconds)."""
NO_DEDUPLICATION = "replicated_deduplication_window = 0"
"""Rows are known by their keys. A block that is dropped because it came before would leave the views without
its rows after a crash between the two, and a day that was deleted could not be restored."""

_PATH = re.compile(r"(?:/(?:[\w.\-]|\{\w+\})+)+")
_CLUSTER = re.compile(r"[\w.\-]+")
_MACRO = re.compile(r"\{(\w+)\}")
_OWN = frozenset({"database", "table"})
"""Macros that the engine fills in by itself."""
_CREATE = re.compile(r"^(CREATE (?:TABLE|MATERIALIZED VIEW) IF NOT EXISTS \w+)", re.MULTILINE)
_ALTER = re.compile(r"^(ALTER TABLE \w+)", re.MULTILINE)
_ENGINE = re.compile(r"^ENGINE = (\w*MergeTree)(?:\((.*)\))?$", re.MULTILINE)
_REFUSED: Mapping[int, str] = {
    139: "the server's configuration lacks what replication needs",
    225: "expected a server with ZooKeeper or ClickHouse Keeper",
    253: "expected no replica there: two servers have the same macros, or one has lost its data",
    392: "expected a server that takes ON CLUSTER (distributed_ddl)",
    701: "expected a cluster of the server",
}
"""Error codes of the making of tables that blame the configuration."""
_MADE = """
SELECT name, engine FROM system.tables
WHERE database = currentDatabase() AND engine LIKE '%MergeTree' AND name IN {tables:Array(String)}
ORDER BY name
"""
_PATHS = "SELECT table, zookeeper_path FROM system.replicas WHERE database = currentDatabase() ORDER BY table"
_SHARDS = "SELECT uniqExact(shard_num) FROM system.clusters WHERE cluster = {cluster:String}"
_MOVE = "to move, see docs/archive.md (Replicated tables)"


class Replication(msgspec.Struct, frozen=True, kw_only=True):
    """How tables are replicated.

    Attributes:
        path: of a table in the keeper; with `{table}`, and macros of the server such as `{shard}`.
        cluster: on whose every server the tables are made; empty for the one that is asked.

    Raises:
        ConfigError: a path or a name that cannot be one.
    """

    path: str
    cluster: str = ""

    def __post_init__(self) -> None:
        if not _PATH.fullmatch(self.path) or "{table}" not in self.path or REPLICA in self.path:
            raise ConfigError(
                f"clickhouse_keeper_path: {self.path!r}, expected a path with {{table}} in it and without "
                "{replica}, such as /clickhouse/tables/{shard}/{database}/{table}"
            )
        if self.cluster and not _CLUSTER.fullmatch(self.cluster):
            raise ConfigError(f"clickhouse_cluster: {self.cluster!r}, expected letters, digits, _, - and .")

    @property
    def on_cluster(self) -> str:
        """What stands behind the name of a table in a statement that is for all replicas."""
        return f" ON CLUSTER '{self.cluster}'" if self.cluster else ""

    def apply(self, statement: str) -> str:
        """A statement of `schema` with its table replicated and, where a cluster is named, for all of it.

        Raises:
            InvariantError: it is none of the kinds of statement that there are.
        """
        create = bool(_CREATE.search(statement))
        named, count = (_CREATE if create else _ALTER).subn(rf"\g<1>{self.on_cluster}", statement)
        if count != 1:
            raise InvariantError(f"replication: expected one CREATE or ALTER in {statement!r}")
        whole, engines = _ENGINE.subn(self._engine, named)
        if engines != named.count("ENGINE = "):
            raise InvariantError(f"replication: expected a MergeTree engine in {statement!r}")
        if not engines:
            return whole
        joint = "," if "\nSETTINGS " in whole else "\nSETTINGS"
        return f"{whole.rstrip()}{joint} {NO_DEDUPLICATION}\n"

    def check(self, query: Callable[..., Any]) -> None:
        """See whether the server has the macros and the cluster.

        Args:
            query: of the client: statement and parameters to a result with `result_rows`.

        Raises:
            ConfigError: it has not.
        """
        macros = dict(query("SELECT macro, substitution FROM system.macros").result_rows)
        wanted = {*_MACRO.findall(self.path), *_MACRO.findall(REPLICA)} - _OWN
        if missing := sorted(wanted - set(macros)):
            raise ConfigError(
                f"clickhouse_keeper_path: {self.path!r}, expected macros of the server, which lacks "
                f"{', '.join(missing)} (it has {', '.join(sorted(macros)) or 'none'})"
            )
        if not self.cluster:
            return
        [(shards,)] = query(_SHARDS, parameters={"cluster": self.cluster}).result_rows
        if shards != 1:
            raise ConfigError(
                f"clickhouse_cluster: {self.cluster!r}, expected a cluster of the server with one shard, "
                f"it has {shards or 'no such cluster'}"
            )

    def refusal(self, error: Exception) -> ConfigError | None:
        """What is wrong with the configuration when tables could not be made; none when it is not that."""
        why = _REFUSED.get(getattr(error, "code", None) or 0)
        if why is None:
            return None
        return ConfigError(
            f"clickhouse_keeper_path: {self.path!r}, clickhouse_cluster: {self.cluster!r}, {why}: {error}"
        )

    def _engine(self, found: re.Match[str]) -> str:
        own = f", {found[2]}" if found[2] else ""
        return f"ENGINE = Replicated{found[1]}('{self.path}', '{REPLICA}'{own})"

    def place(self, database: str, table: str, macros: Mapping[str, str]) -> str:
        """The path of a table, its macros filled in."""
        known = {**macros, "database": database, "table": table}
        return _MACRO.sub(lambda macro: known.get(macro[1], macro[0]), self.path)


def check_tables(query: Callable[..., Any], tables: list[str], replication: Replication | None) -> None:
    """See whether the tables that are there are such as configured: `IF NOT EXISTS` would leave them.

    Args:
        query: of the client: statement and parameters to a result with `result_rows`.
        tables: the names of ours.
        replication: what is configured; none for tables of one server.

    Raises:
        ConfigError: they are replicated and should not be, or should be and are not, or are elsewhere.
    """
    found = query(_MADE, parameters={"tables": tables}).result_rows
    plain = [name for name, engine in found if not engine.startswith("Replicated")]
    replicated = [name for name, engine in found if engine.startswith("Replicated")]
    if replication is None:
        if replicated:
            raise ConfigError(
                f"clickhouse_keeper_path: '', expected the path of the tables that are there, which are "
                f"replicated ({_some(replicated)}); {_MOVE}"
            )
        return
    if plain:
        raise ConfigError(
            f"clickhouse_keeper_path: {replication.path!r}, expected none, since the tables that are there "
            f"are not replicated ({_some(plain)}); {_MOVE}"
        )
    if not replicated:
        return
    [(database,)] = query("SELECT currentDatabase()").result_rows
    macros = dict(query("SELECT macro, substitution FROM system.macros").result_rows)
    for name, path in query(_PATHS).result_rows:
        if name in tables and path != (wanted := replication.place(database, name, macros)):
            raise ConfigError(
                f"clickhouse_keeper_path: {replication.path!r} gives {wanted!r}, expected {path!r}, where "
                f"the table {name} is; {_MOVE}"
            )


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")  # noqa: PLR2004 - enough to know them by
