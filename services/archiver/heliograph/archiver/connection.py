"""A client of the database with all tables and views made, embedded or of a server."""

import contextlib
from collections.abc import Callable
from typing import Any

from heliograph.archiver import replication
from heliograph.archiver.address import Embedded, Server
from heliograph.archiver.replication import Replication
from heliograph.archiver.schema import GONE, TABLES, VIEWS, View
from heliograph.archiver.tiers import Tier, arrange

MEMORY_BYTES = 256 << 20
SPILL_BYTES = 96 << 20
CACHE_BYTES = 16 << 20
SETTINGS: dict[str, Any] = {
    # An acknowledgement must mean that the rows are in the table.
    "async_insert": 0,
    # A replay brings years at once: each month is a partition.
    "max_partitions_per_insert_block": 0,
    # Rows of the same key in one insert are left to the merge, or a repeated row would make every one dearer.
    "optimize_on_insert": 0,
    # A row never changes its month, so FINAL need not compare months.
    "do_not_merge_across_partitions_select_final": 1,
}
EMBEDDED_SETTINGS: dict[str, Any] = {
    "max_threads": 2,
    "max_insert_threads": 1,
    "max_memory_usage": MEMORY_BYTES,
    "max_bytes_before_external_sort": SPILL_BYTES,
    "max_bytes_before_external_group_by": SPILL_BYTES,
}
EMBEDDED_OPTIONS: dict[str, Any] = {
    "mark_cache_size": CACHE_BYTES,
    "primary_index_cache_size": CACHE_BYTES,
    "index_mark_cache_size": CACHE_BYTES,
}
NAMES = [*(table.name for table in TABLES), *(view.name for view in VIEWS)]
FILLED = "filled"
"""The comment of a view's table that has all that its source had when it was made."""


def connect(where: Embedded | Server, tier: Tier | None, replicated: Replication | None) -> Any:
    """Connect and bring the tables and views to what is configured; it loads the engine and takes seconds.

    Args:
        where: the engine.
        tier: where old rows go; none for the embedded engine.
        replicated: how tables are replicated; none for the embedded engine.

    Raises:
        ConfigError: a server cannot do what is configured, or has tables that are otherwise.
        Exception: of the client, when the engine cannot be reached.
    """
    # Imported here because it loads half a gigabyte of engine, which must not hold up the event loop.
    import clickhouse_connect  # noqa: PLC0415

    if isinstance(where, Embedded):
        client = clickhouse_connect.get_client(
            interface="chdb",
            path=str(where.folder),
            settings={**SETTINGS, **EMBEDDED_SETTINGS},
            chdb_options=EMBEDDED_OPTIONS,
        )
    else:
        client = _server(clickhouse_connect.get_client, where, replicated)
    try:
        if isinstance(where, Server):
            replication.check_tables(client.query, NAMES, replicated)
        _make_all(client, replicated)
        if isinstance(where, Server):
            arrange(client, tier, _on_cluster(replicated))
    except Exception:
        client.close()
        raise
    return client


def _make_all(client: Any, replicated: Replication | None) -> None:
    for table in TABLES:
        for statement in table.ddl:
            _make(client, replicated, statement)
    for name in GONE:
        client.command(f"DROP VIEW IF EXISTS {name}_view")
        client.command(f"DROP TABLE IF EXISTS {name}")
    for view in VIEWS:
        _make_view(client, replicated, view)


def _server(get_client: Callable[..., Any], where: Server, replicated: Replication | None) -> Any:
    """A client of a server's database, which is made if it has to be."""
    common = {**where.options, "autogenerate_session_id": False}
    with contextlib.closing(get_client(**common)) as maker:
        if replicated:
            replicated.check(maker.query)
        name = where.database.replace("`", "``")
        _run(maker, replicated, f"CREATE DATABASE IF NOT EXISTS `{name}`{_on_cluster(replicated)}")
    settings = {**SETTINGS, **(replication.SETTINGS if replicated else {})}
    return get_client(**common, database=where.database, settings=settings)


def _make_view(client: Any, replicated: Replication | None, view: View) -> None:
    """Make a view and fill it from what its source has, until that was done once to the end.

    Whoever dies in between leaves no mark, and the next one fills it again: its rows replace themselves.
    """
    for statement in view.ddl:
        _make(client, replicated, statement)
    [(mark,)] = client.query(
        "SELECT comment FROM system.tables WHERE database = currentDatabase() AND name = {name:String}",
        parameters={"name": view.name},
    ).result_rows
    if mark != FILLED:
        client.command(view.fill)
        client.command(f"ALTER TABLE {view.name}{_on_cluster(replicated)} MODIFY COMMENT '{FILLED}'")


def _make(client: Any, replicated: Replication | None, statement: str) -> None:
    _run(client, replicated, replicated.apply(statement) if replicated else statement)


def _run(client: Any, replicated: Replication | None, statement: str) -> None:
    """Run a statement whose failure may blame the configuration of replicas."""
    try:
        client.command(statement)
    except Exception as error:
        if replicated and (refusal := replicated.refusal(error)):
            raise refusal from error
        raise


def _on_cluster(replicated: Replication | None) -> str:
    return replicated.on_cluster if replicated else ""
