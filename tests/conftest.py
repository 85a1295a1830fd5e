"""Whole stacks on the real engines, started by the command that a user types."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from tests.running import ROOT, Running, Summary

ONCE = ("--once", "--speed", "max", "--json", "--keep")


@pytest.fixture(scope="session")
def sample() -> Path:
    """The sample data that ships with the project."""
    return ROOT / "data" / "sample"


@pytest.fixture(scope="session")
def two_years(tmp_path_factory: pytest.TempPathFactory, sample: Path) -> Path:
    """Two years of the sample's stocks and three months of its hours: enough to be disturbed in."""
    folder = tmp_path_factory.mktemp("two-years")
    for name, end in (
        ("sp500_daily", datetime(2015, 2, 15, tzinfo=UTC)),
        ("btcusd_hourly", datetime(2017, 10, 1, tzinfo=UTC)),
    ):
        table = pq.read_table(sample / f"{name}.parquet")
        until = pc.less(table["ts"], pa.scalar(end, table["ts"].type))
        pq.write_table(table.filter(until), folder / f"{name}.parquet")
    return folder


@pytest.fixture
def once(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """Start `heliograph up --once --speed max --json` with more arguments; all are stopped at the end."""
    started: list[Running] = []

    def start(*args: str) -> Running:
        started.append(Running(tmp_path / f"run{len(started)}", *ONCE, *args))
        return started[-1]

    yield start
    for running in started:
        running.stop()


def undisturbed(folder: Path, data: Path) -> Summary:
    """The summary of a run that nothing disturbs."""
    running = Running(folder, *ONCE, "--data", str(data))
    try:
        return running.summary()
    finally:
        running.stop()


@pytest.fixture(scope="session")
def baseline(tmp_path_factory: pytest.TempPathFactory, two_years: Path) -> Summary:
    """The summary of one undisturbed run over two years."""
    return undisturbed(tmp_path_factory.mktemp("baseline"), two_years)


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory, sample: Path) -> Summary:
    """The summary of one undisturbed run over the whole sample."""
    return undisturbed(tmp_path_factory.mktemp("whole"), sample)
