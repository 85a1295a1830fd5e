from datetime import UTC, datetime

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.archiver.archive.days import DAY_NS, Day, date_of, groups, split
from heliograph.archiver.schema import BARS, TIME

counts = st.lists(st.integers(1, 100), max_size=30)


@given(counts, st.integers(1, 150))
def test_groups_hold_every_day_once_in_order_within_the_limit(rows: list[int], limit: int) -> None:
    days = [Day(date=f"d{n}", rows=count, fingerprint="") for n, count in enumerate(rows)]
    found = list(groups(days, limit))
    assert [day for group in found for day in group] == days
    assert all(len(group) == 1 or sum(d.rows for d in group) <= limit for group in found)
    assert all(group for group in found)


@given(st.lists(st.integers(-3 * DAY_NS, 3 * DAY_NS), max_size=50))
def test_split_gives_each_day_its_rows(times: list[int]) -> None:
    times.sort()
    columns = {f.name: pa.nulls(len(times), f.type) for f in BARS.columns} | {"ts": pa.array(times, TIME)}
    found = list(split(BARS, pa.table(columns, schema=BARS.columns)))
    assert [t for _, rows in found for t in rows["ts"].cast("int64").to_pylist()] == times
    assert len({date for date, _ in found}) == len(found)
    for date, rows in found:
        assert {date_of(t) for t in rows["ts"].cast("int64").to_pylist()} == {date}


@pytest.mark.parametrize(
    ("ts", "date"),
    [(0, "1970-01-01"), (-1, "1969-12-31"), (DAY_NS - 1, "1970-01-01"), (18_262 * DAY_NS, "2020-01-01")],
)
def test_a_day_is_of_utc(ts: int, date: str) -> None:
    assert date_of(ts) == date
    assert datetime.fromisoformat(date).replace(tzinfo=UTC).timestamp() * 1e9 <= ts
