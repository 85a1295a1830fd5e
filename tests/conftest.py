"""Whole stacks on the real engines, started by the command that a user types."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from tests.engines import by_engines
from tests.running import ROOT, Running, Summary

ONCE = ("--once", "--speed", "max", "--json", "--keep")


@pytest.fixture(scope="session")
def sample() -> Path:
    """The sample data that ships with the project."""
    return ROOT / "data" / "sample"


def part(sample: Path, folder: Path, days: datetime, hours: datetime) -> Path:
    """The sample's stocks and its hours, each up to a time."""
    for name, end in (("sp500_daily", days), ("btcusd_hourly", hours)):
        table = pq.read_table(sample / f"{name}.parquet")
        until = pc.less(table["ts"], pa.scalar(end, table["ts"].type))
        pq.write_table(table.filter(until), folder / f"{name}.parquet")
    return folder


@pytest.fixture(scope="session")
def year(tmp_path_factory: pytest.TempPathFactory, sample: Path) -> Path:
    """A little over a year of the sample's stocks and six weeks of its hours."""
    folder = tmp_path_factory.mktemp("year")
    return part(sample, folder, datetime(2014, 4, 1, tzinfo=UTC), datetime(2017, 8, 15, tzinfo=UTC))


@pytest.fixture(scope="session")
def two_years(tmp_path_factory: pytest.TempPathFactory, sample: Path) -> Path:
    """Two years of the sample's stocks and three months of its hours: enough to be disturbed in for long."""
    folder = tmp_path_factory.mktemp("two-years")
    return part(sample, folder, datetime(2015, 2, 15, tzinfo=UTC), datetime(2017, 10, 1, tzinfo=UTC))


@pytest.fixture
def once(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """Start `heliograph up --once --speed max --json` with more arguments; all are stopped at the end."""
    started: list[Running] = []

    def start(*args: str, **environment: str) -> Running:
        started.append(Running(tmp_path / f"run{len(started)}", *ONCE, *args, **environment))
        return started[-1]

    yield start
    for running in started:
        running.stop()


@pytest.fixture(scope="session")
def expected(year: Path) -> Summary:
    """What a stack must make of the year."""
    return by_engines(year)
