"""Time of day in US/Eastern, against the system's database of time zones."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.common.intervals import interval_ns
from heliograph.consensus.engine.sessions import bars_a_day, eastern_minute, time_of_day

EASTERN = ZoneInfo("America/New_York")
MINUTE = 60 * 10**9


def ns(moment: datetime) -> int:
    return int(moment.timestamp()) * 10**9


@given(st.datetimes(datetime(1987, 1, 1), datetime(2037, 12, 31)))  # noqa: DTZ001 - hypothesis takes naive bounds
def test_minutes_are_those_of_the_zone(moment: datetime) -> None:
    local = moment.replace(tzinfo=UTC, microsecond=0)
    there = local.astimezone(EASTERN)
    assert eastern_minute(ns(local)) == there.hour * 60 + there.minute


@pytest.mark.parametrize("year", range(1987, 2038))
def test_every_change_to_the_hour(year: int) -> None:
    offsets = set()
    for month in (3, 4, 10, 11):
        for hour in range(24 * 30):
            moment = datetime(year, month, 1, tzinfo=UTC) + timedelta(hours=hour)
            offset = moment.astimezone(EASTERN).utcoffset() or timedelta()
            offsets.add(offset)
            assert eastern_minute(ns(moment)) == (moment + offset).hour * 60
    assert len(offsets) == 2


@pytest.mark.parametrize(
    ("local", "part"),
    [
        ((9, 29), "outside"), ((9, 30), "open"), ((10, 59), "open"), ((11, 0), "mid"), ((14, 59), "mid"),
        ((15, 0), "close"), ((15, 59), "close"), ((16, 0), "outside"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("day", [(2024, 1, 16), (2024, 7, 16)])
def test_parts_of_the_session(local: tuple[int, int], part: str, day: tuple[int, int, int]) -> None:
    moment = datetime(*day, *local, tzinfo=EASTERN)
    assert time_of_day(ns(moment), interval_ns("30m")) == part
    assert time_of_day(ns(moment), interval_ns("1d")) == "day"


@pytest.mark.parametrize(
    ("interval", "bars"), [("15m", 26), ("30m", 13), ("1h", 7), ("1d", 1), ("1w", 1), ("1m", 390)]
)
def test_bars_a_day(interval: str, bars: int) -> None:
    assert bars_a_day(interval_ns(interval)) == bars
