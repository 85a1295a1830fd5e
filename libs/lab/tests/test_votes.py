"""Recorded votes in a backtest: read as archived, taken at their times, the same whatever the chunks."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from heliograph.common.errors import InputError
from heliograph.lab.backtest import Job, Result, run
from heliograph.lab.strategy import Strategy, live_strategy
from heliograph.lab.votes import read_votes

from .conftest import START, MakeFolder

DAY = 86_400 * 10**9
SYMBOLS = ("AAPL", "MSFT", "NVDA")
BARS = 300
SECOND = 10**9

MakeVotes = Callable[..., Path]


@pytest.fixture
def recorded(tmp_path: Path) -> MakeVotes:
    """A folder of votes: `recorded(rows)`, dictionaries; times as the archive has them, in time zones."""

    def make(rows: list[dict[str, Any]], name: str = "votes") -> Path:
        zone = pa.timestamp("ns", "UTC")
        table = pa.Table.from_pylist(rows)
        for column in ("ts", "observed"):
            place = table.column_names.index(column)
            table = table.set_column(place, column, table[column].cast(zone))
        folder = tmp_path / name / "day=1"
        folder.mkdir(parents=True)
        parquet.write_table(table, folder / "votes.parquet")
        return tmp_path / name

    return make


def votes_of(source: str, late: int = SECOND) -> list[dict[str, Any]]:
    """A word on most symbols after each bar, for ten days on one side and then for ten on the other."""
    found = []
    for n in range(BARS):
        close = START + (n + 1) * DAY
        for place, symbol in enumerate(SYMBOLS):
            if (n + place) % 4:
                side = 1 if n % 20 < 10 else -1
                found.append(
                    {"ts": close + late, "source": source, "symbol": symbol, "direction": side,
                     "confidence": 0.9, "observed": close, "id": "x"}
                )  # fmt: skip
    return found


@pytest.fixture
def strategy() -> Strategy:
    live = live_strategy()
    return msgspec.structs.replace(live, sources=(*live.sources, "models"))


def facts(result: Result) -> tuple[object, ...]:
    return result.ids, result.trades.tobytes()


def test_votes_count_from_their_time_on(walks: MakeFolder, recorded: MakeVotes, strategy: Strategy) -> None:
    folder = walks(dict.fromkeys(SYMBOLS, BARS))
    silent = run(Job(folder=folder, strategy=strategy))
    job = Job(folder=folder, strategy=strategy, votes=recorded(votes_of("models")))
    found = run(job)
    assert found.ids != silent.ids
    said = found.trades["direction"][:, -1]
    assert set(said.tolist()) >= {-1, 1}
    for trade, direction in zip(found.trades, said, strict=True):
        n = int((trade["bar_ts"] - START) // DAY)
        if direction != 2:
            # The vote of that very bar, or the one before where its own did not come.
            assert direction in {1 if k % 20 < 10 else -1 for k in (n, n - 1)}
    assert facts(run(job, chunk=1)) == facts(found)
    assert facts(run(msgspec.structs.replace(job, shards=3), chunk=2)) == facts(found)


def test_votes_after_the_deadline_do_not_count_for_the_bar(
    walks: MakeFolder, recorded: MakeVotes, strategy: Strategy
) -> None:
    folder = walks(dict.fromkeys(SYMBOLS, BARS))
    in_time = run(Job(folder=folder, strategy=strategy, votes=recorded(votes_of("models", 29 * SECOND), "a")))
    late = run(Job(folder=folder, strategy=strategy, votes=recorded(votes_of("models", 31 * SECOND), "b")))
    assert np.count_nonzero(in_time.trades["direction"][:, -1] != 2) > 10
    # What is observed at the close before is older than the ten minutes for which such a vote counts.
    assert (late.trades["direction"][:, -1] == 2).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"direction": 5}, "row 0: direction: 5, expected"),
        ({"confidence": 1.5}, "row 0: confidence: 1.5, expected 0 to 1"),
        ({"confidence": float("nan")}, "row 0: confidence: nan"),
        ({"observed": START + 900 * DAY}, "row 0: observed: .* nobody sees the future"),
        ({"symbol": None}, "symbol: null"),
    ],
)
def test_wrong_votes_are_named(recorded: MakeVotes, change: dict[str, Any], message: str) -> None:
    rows = votes_of("models")
    with pytest.raises(InputError, match=message):
        read_votes(recorded([rows[0] | change, *rows[1:]]))


def test_wrong_folders_and_sources_are_named(
    tmp_path: Path, walks: MakeFolder, recorded: MakeVotes, strategy: Strategy
) -> None:
    with pytest.raises(InputError, match="votes: no Parquet file in"):
        read_votes(tmp_path / "none")
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "a.parquet").write_text("no")
    with pytest.raises(InputError, match=r"a\.parquet' cannot be read"):
        read_votes(tmp_path / "text")
    folder = walks({"AAPL": 60})
    with pytest.raises(InputError, match="votes: of sentiment, expected some of a configured source"):
        run(Job(folder=folder, strategy=strategy, votes=recorded(votes_of("sentiment"))))
