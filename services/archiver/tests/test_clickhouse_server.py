"""The laws of the store on a server by HTTP: the tests of the embedded engine, and what only a server has.

Behind the interface is the embedded engine (`tests/clickhouse_http.py` says what that shows and what not).
"""

from pathlib import Path
from typing import Any

import pytest

from heliograph.archiver import counting
from heliograph.archiver.clickhouse import ClickHouse
from heliograph.archiver.rows import event_rows
from heliograph.archiver.schema import TABLES, VIEWS
from heliograph.archiver.writer import GroupCommit
from heliograph.common.errors import ConfigError, UnavailableError

from .test_clickhouse import (
    test_a_table_of_an_earlier_version_gets_its_new_columns,
    test_poison_is_isolated_by_the_real_database,
    test_rows_are_in_the_table_when_the_insert_returns_even_for_years_of_months,
    test_the_same_events_twice_count_once_and_come_back_whole,
)
from .test_dashboard import (
    loaded,
    made,
    test_a_view_that_is_new_is_filled_from_what_was_there,
    test_performance_by_symbol,
    test_reliability_of_the_sources,
)
from .test_queries import test_a_symbol_of_odd_characters_is_found, test_counts_follow_what_changes_a_month
from .test_rebuild import archive, filled, test_a_reset_archives_all_first_and_ends_as_it_began

__all__ = [
    "archive",
    "filled",
    "loaded",
    "made",
    "test_a_reset_archives_all_first_and_ends_as_it_began",
    "test_a_symbol_of_odd_characters_is_found",
    "test_a_table_of_an_earlier_version_gets_its_new_columns",
    "test_a_view_that_is_new_is_filled_from_what_was_there",
    "test_counts_follow_what_changes_a_month",
    "test_performance_by_symbol",
    "test_poison_is_isolated_by_the_real_database",
    "test_reliability_of_the_sources",
    "test_rows_are_in_the_table_when_the_insert_returns_even_for_years_of_months",
    "test_the_same_events_twice_count_once_and_come_back_whole",
]


@pytest.fixture
def server_url(clickhouse_server: Any) -> str:
    """The server of this module's tests, those of other modules included."""
    return str(clickhouse_server.url)


async def definitions(db: ClickHouse) -> dict[str, str]:
    """How the engine itself writes each table and view down, without the name of the database."""
    found = await db.rows(
        "SELECT name, replaceAll(create_table_query, currentDatabase() || '.', '') FROM system.tables "
        "WHERE database = currentDatabase() AND name NOT LIKE '.inner%'"
    )
    return dict(found)


async def test_both_engines_have_the_same_tables_and_views(db: ClickHouse, tmp_path: Path) -> None:
    embedded = ClickHouse(f"chdb://{tmp_path}/embedded")
    await embedded.open()
    ours, theirs = await definitions(embedded), await definitions(db)
    await embedded.close()
    assert (embedded.embedded, db.embedded) == (True, False)
    assert set(theirs) == {t.name for t in TABLES} | {
        f"{v.name}{end}" for v in VIEWS for end in ("", "_view")
    }
    assert theirs == ours
    assert db.version == embedded.version


async def test_wrong_credentials_stop_the_start_and_are_not_shown(server_url: str) -> None:
    db = ClickHouse(f"{server_url.replace('tester:', 'tester:not-')}/never")
    with pytest.raises(ConfigError, match=r"clickhouse_url: .*Authentication failed") as refused:
        await db.open()
    assert "word" not in str(refused.value)
    await db.close()


async def test_a_server_killed_between_two_inserts_is_told_and_loses_nothing(
    clickhouse_server: Any, db: ClickHouse, events: Any
) -> None:
    writer = GroupCommit(db.insert, rows=1, seconds=0)
    await writer.write("bars", event_rows("bars", [events.bars(0)]))
    clickhouse_server.kill()
    with pytest.raises(UnavailableError, match="clickhouse"):
        await writer.write("bars", event_rows("bars", [events.bars(1)]))
    assert "clickhouse" in db.problem
    clickhouse_server.start()
    await writer.write("bars", event_rows("bars", [events.bars(1)]))
    assert db.problem == ""
    assert (await counting.counts(db))["bars"] == 4
