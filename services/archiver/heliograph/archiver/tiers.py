"""Rows that move to a cheaper volume of a ClickHouse server once their day is old enough.

Volumes are the server's own configuration; the embedded engine has none, so nothing moves there.
"""

import re
from typing import Any

import msgspec

from heliograph.archiver.schema import EVENT_TABLES, Table
from heliograph.common.errors import ConfigError

_NAME = re.compile(r"\w+")
_TTL = re.compile(r" TTL (.*?) SETTINGS ")
_NOT_SO = frozenset({36, 450, 478})
"""Error codes that blame the configuration: a policy that does not fit, no such volume, no such policy."""
_MADE = """
SELECT create_table_query, storage_policy FROM system.tables
WHERE database = currentDatabase() AND name = {table:String}
"""


class Tier(msgspec.Struct, frozen=True, kw_only=True):
    """Where the rows of the event tables go when they are old.

    Attributes:
        policy: the server's storage policy; one that has the volume `default` fits tables that are there.
        volume: the volume of the policy that takes them.
        days: after their event time.
    """

    policy: str
    volume: str
    days: int

    def __post_init__(self) -> None:
        for field, value in (
            ("policy", self.policy),
            ("volume", self.volume),
        ):
            if not _NAME.fullmatch(value):
                raise ConfigError(f"clickhouse_cold_{field}: {value!r}, expected letters, digits and _")

    def ttl(self, table: Table) -> str:
        """The move of a table's rows, as the engine writes it down."""
        return f"toDateTime({table.time}) + toIntervalDay({self.days}) TO VOLUME '{self.volume}'"


def arrange(client: Any, tier: Tier | None, on_cluster: str = "") -> None:
    """Bring the moves of all event tables to what is configured; without a tier they have none.

    Args:
        client: connected; the tables are there.
        tier: where rows go.
        on_cluster: stands behind a table's name where all replicas are meant.

    Raises:
        ConfigError: the server has no such policy or volume, or the policy does not fit the tables.
    """
    for table in EVENT_TABLES:
        [(made, policy)] = client.query(_MADE, parameters={"table": table.name}).result_rows
        found = _TTL.search(made)
        now, wanted = found[1] if found else "", tier.ttl(table) if tier else ""
        try:
            if tier and policy != tier.policy:
                client.command(
                    f"ALTER TABLE {table.name}{on_cluster} MODIFY SETTING storage_policy = '{tier.policy}'"
                )
            if wanted and now != wanted:
                client.command(f"ALTER TABLE {table.name}{on_cluster} MODIFY TTL {wanted}")
            elif now and not wanted:
                client.command(f"ALTER TABLE {table.name}{on_cluster} REMOVE TTL")
        except Exception as error:
            if getattr(error, "code", None) in _NOT_SO:
                raise ConfigError(f"clickhouse_cold_policy, clickhouse_cold_volume: {error}") from error
            raise
