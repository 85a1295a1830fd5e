"""How many rows each table has, each row once, without counting again what has not changed.

Rows that came twice count once before they are merged, which means reading the key of every row. So the count
of a partition is kept beside the names of its parts: any insert, merge or deletion gives it other parts.
"""

from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

from heliograph.archiver.clickhouse import ClickHouse
from heliograph.archiver.schema import TABLES

_PARTS = """
SELECT table, partition_id, arraySort(groupArray(name)) FROM system.parts
WHERE active AND database = currentDatabase() AND table IN {tables:Array(String)}
GROUP BY table, partition_id
"""
_COUNT = """
SELECT _partition_id, count() FROM {table} FINAL
WHERE _partition_id IN {{partitions:Array(String)}} GROUP BY _partition_id
"""

Partitions = dict[str, tuple[tuple[str, ...], int]]
_known: WeakKeyDictionary[ClickHouse, dict[str, Partitions]] = WeakKeyDictionary()


async def counts(db: ClickHouse) -> dict[str, int]:
    """Rows of each table, each once.

    Raises:
        UnavailableError: ClickHouse is away.
    """
    names = [table.name for table in TABLES]
    parts: dict[str, dict[str, tuple[str, ...]]] = {name: {} for name in names}
    for table, partition, found in await db.rows(_PARTS, {"tables": names}):
        parts[table][partition] = tuple(found)
    known = _known.setdefault(db, {})
    for name in names:
        known[name] = await _counted(db, name, parts[name], known.get(name, {}))
    return {name: sum(count for _, count in known[name].values()) for name in names}


async def _counted(
    db: ClickHouse, table: str, parts: Mapping[str, tuple[str, ...]], known: Partitions
) -> Partitions:
    same = {partition: at for partition, at in known.items() if parts.get(partition) == at[0]}
    changed = sorted(set(parts) - set(same))
    if not changed:
        return same
    parameters: dict[str, Any] = {"partitions": changed}
    rows = dict(await db.rows(_COUNT.format(table=table), parameters))
    # What came after the parts were read gives other parts the next time.
    return same | {partition: (parts[partition], int(rows.get(partition, 0))) for partition in changed}
