"""Old rows go to a server's cold volume by configuration, and old spans go for good on any engine."""

from pathlib import Path
from typing import Any

import pytest

from heliograph.archiver.clickhouse import ClickHouse
from heliograph.archiver.rows import SpanRecord, event_rows, span_rows
from heliograph.archiver.schema import EVENT_TABLES
from heliograph.archiver.settings import ArchiverSettings
from heliograph.archiver.tiers import Tier
from heliograph.common.errors import ConfigError

COLD = Tier(policy="tiered", volume="cold", days=90)


async def opened(url: str, tier: Tier | None) -> ClickHouse:
    """The database with this tier."""
    db = ClickHouse(url, tier)
    await db.open()
    return db


async def moves(db: ClickHouse) -> dict[str, str]:
    """By table, its TTL as the engine has written it down."""
    found = await db.rows(
        "SELECT name, extract(create_table_query, ' TTL (.*) SETTINGS ') FROM system.tables "
        "WHERE database = currentDatabase() AND name IN {names:Array(String)}",
        {"names": [table.name for table in EVENT_TABLES]},
    )
    return dict(found)


async def test_a_server_moves_old_rows_as_configured_and_no_longer_when_not(
    clickhouse_server: Any, events: Any
) -> None:
    url = f"{clickhouse_server.url}/tiers"
    tiered = await opened(url, COLD)
    assert await moves(tiered) == {
        table.name: "toDateTime(ts) + toIntervalDay(90) TO VOLUME 'cold'" for table in EVENT_TABLES
    }
    await tiered.insert("bars", event_rows("bars", [events.bars(0)]))
    assert await tiered.rows("SELECT count(), any(_disk_name) FROM bars") == [(2, "cold")]
    await tiered.close()
    without = await opened(url, None)
    assert set((await moves(without)).values()) == {""}
    await without.rows("DROP DATABASE tiers")
    await without.close()


@pytest.mark.parametrize(
    "tier", [Tier(policy="none", volume="cold", days=90), Tier(policy="tiered", volume="warm", days=90)]
)
async def test_a_policy_or_volume_that_the_server_lacks_ends_the_start(
    clickhouse_server: Any, tier: Tier
) -> None:
    db = ClickHouse(f"{clickhouse_server.url}/lacking", tier)
    with pytest.raises(ConfigError, match=r"clickhouse_cold_policy, clickhouse_cold_volume: .*(none|warm)"):
        await db.open()
    await db.close()


def test_the_embedded_engine_has_no_volumes(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="clickhouse_cold_policy: 'tiered', expected none"):
        ClickHouse(f"chdb://{tmp_path}/clickhouse", COLD)


def test_no_policy_moves_nothing_and_a_name_is_checked() -> None:
    assert ArchiverSettings().tier is None
    assert ArchiverSettings(clickhouse_cold_policy="tiered").tier == COLD
    with pytest.raises(ConfigError, match='clickhouse_cold_volume: "it\'s"'):
        _ = ArchiverSettings(clickhouse_cold_policy="tiered", clickhouse_cold_volume="it's").tier


async def test_spans_are_gone_after_thirty_days(db: ClickHouse, events: Any) -> None:
    await db.insert("spans", span_rows([SpanRecord(**events.span(number)) for number in (1, 2)]))
    await db.rows("SYSTEM STOP MERGES spans")  # one in the background may take them before they are counted
    await db.rows(
        "INSERT INTO spans "
        "SELECT * REPLACE ('old' AS trace_id, now() - INTERVAL 31 DAY AS inserted) FROM spans"
    )
    assert await db.rows("SELECT count() FROM spans") == [(4,)]
    await db.rows("SYSTEM START MERGES spans")
    await db.rows("OPTIMIZE TABLE spans FINAL")
    assert await db.rows("SELECT count(), countIf(trace_id = 'old') FROM spans") == [(2, 0)]
