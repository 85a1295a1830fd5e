"""A backtest is the live path: the same signals, whatever the chunks, workers and shards."""

import ast
import tracemalloc
from pathlib import Path

import msgspec
import numpy as np
import pytest

from heliograph.common.errors import InputError
from heliograph.consensus.engine import Weights
from heliograph.consensus.engine.columns import Columns
from heliograph.consensus.engine.sources import DEAR, CheapSource
from heliograph.lab.backtest import Job, Result, run
from heliograph.lab.folder import Folder
from heliograph.lab.lookahead import alone
from heliograph.lab.period import period_of
from heliograph.lab.strategy import live_strategy

from .conftest import ROOT, MakeFolder, write

CROWD = {f"S{n:02d}": 260 + n for n in range(12)}


def golden() -> str:
    """`SAMPLE_SIGNALS` of the test that runs the whole stack."""
    tree = ast.parse((ROOT / "tests" / "integration" / "test_once.py").read_text())
    found = [
        node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        and getattr(node.targets[0], "id", "") == "SAMPLE_SIGNALS"
        and isinstance(node.value, ast.Constant)
    ]
    return str(found[0])


def job(folder: Path, **changes: object) -> Job:
    return msgspec.structs.replace(Job(folder=folder, strategy=live_strategy()), **changes)


def facts(result: Result) -> tuple[object, ...]:
    return (
        result.symbols,
        result.bars,
        result.refused,
        result.ids,
        result.trades.tobytes(),
        result.ledger.bars.tolist(),
    )


@pytest.fixture(scope="module")
def whole(sample: Path) -> Result:
    return run(job(sample))


def test_it_gives_the_signals_of_the_stack_on_the_sample(whole: Result) -> None:
    assert whole.signals_sha256 == golden()
    assert len(whole.ids) == len(set(whole.ids)) == len(whole.trades) > 100
    assert whole.bars + sum(whole.refused.values()) == 142_772


def test_by_columns_or_batch_by_batch_the_sample_is_the_same(whole: Result, sample: Path) -> None:
    assert facts(run(job(sample, live=True))) == facts(whole)


def test_every_signal_of_the_sample_is_won_lost_expired_or_still_young(whole: Result) -> None:
    trades = whole.trades
    still = trades["result"] == 0
    assert ((trades["exit_row"] >= 0) == ~still).all()
    last_session = 1_517_961_600 * 10**9
    assert (trades["expires"][still] > last_session).all()


def test_nothing_depends_on_chunks_workers_or_shards(walks: MakeFolder) -> None:
    folder = walks(CROWD)
    expected = run(job(folder))
    assert len(expected.ids) > 50
    for other in (
        run(job(folder), chunk=1),
        run(job(folder), chunk=5, workers=2),
        run(job(folder, shards=3), chunk=7),
    ):
        assert facts(other) == facts(expected)
        assert np.allclose(other.ledger.profit, expected.ledger.profit, rtol=0, atol=1e-12)


def test_a_period_counts_its_own_signals_and_is_warm_from_the_start(walks: MakeFolder) -> None:
    folder = walks({"AAPL": 600})
    every = run(job(folder)).trades["bar_ts"]
    period = period_of("2020-10-01", "2021-05-01")
    some = run(job(folder, period=period))
    expected = every[(every >= period.start) & (every < period.end)]
    assert some.trades["bar_ts"].tolist() == expected.tolist()
    assert len(expected) > 5
    assert some.bars == 486, "no bar after the period is read"


def test_a_period_without_bars_is_refused(walks: MakeFolder) -> None:
    folder = walks({"AAPL": 60})
    with pytest.raises(InputError, match="from: no bar at or after it"):
        run(job(folder, period=period_of("2031-01-01", None)))
    with pytest.raises(InputError, match=r"no good bar in .* before the end"):
        run(job(folder, period=period_of(None, "2011-01-01")))


def test_one_bar_and_too_few_are_named_and_give_no_signal(walks: MakeFolder) -> None:
    result = run(job(walks({"ONE": 1, "FEW": 30})))
    assert not result.ids
    assert [(p.symbol, p.kind, p.detail.split(",")[0]) for p in result.problems] == [
        ("FEW", "too few bars", "30 bars"),
        ("ONE", "too few bars", "1 bar"),
    ]


def test_gaps_splits_and_halts_are_told(tmp_path: Path) -> None:
    closes = 80.0 + np.arange(60) % 2 / 2
    closes[30:] *= 0.5
    columns = np.stack([closes, closes, closes, closes, np.full(60, 5.0)])
    columns[4, 40:47] = 0
    days = np.arange(60) + np.where(np.arange(60) > 50, 20, 0)
    write(tmp_path / "bad", "bars", ["X"] * 60, (days * 86_400 * 10**9).tolist(), columns)
    result = run(job(tmp_path / "bad"))
    assert result.gaps == 1
    assert [(p.kind, p.day) for p in result.problems] == [("split?", "1970-01-31"), ("halted?", "1970-02-10")]
    assert "a step of" in result.problems[0].detail
    assert result.problems[1].detail.startswith("7 bars in a row")


def test_rows_that_the_gate_refuses_are_counted(walks: MakeFolder) -> None:
    folder = walks({"AAPL": 60})
    write(
        folder,
        "bad",
        ["AAPL", ""],
        [10**18, 10**18],
        np.array([[1.0, 1.0]] * 2 + [[2.0, 1.0]] + [[1.0, 1.0]] * 2),
    )
    result = run(job(folder))
    assert result.refused == {"bad_range": 1, "bad_symbol": 1}
    assert result.symbols == ["AAPL"]


def test_memory_is_that_of_a_chunk(walks: MakeFolder) -> None:
    folder = Folder(walks({f"S{n:03d}": 2000 for n in range(40)}))

    def peak(symbols: int) -> int:
        tracemalloc.start()
        folder.replay(folder.symbols[:symbols], 16)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(1)
    assert peak(4) < peak(40) / 4


def test_a_benchmark_counts_in_its_shard_whatever_the_chunks(walks: MakeFolder) -> None:
    folder = walks(CROWD)
    without = alone(live_strategy(), "swing")
    strategy = msgspec.structs.replace(without, benchmark="S03")
    whole, each = (run(job(folder, strategy=strategy, shards=1), chunk=size) for size in (100, 1))
    assert facts(each) == facts(whole)
    other = run(job(folder, strategy=without, shards=1))
    assert other.trades["confidence"].tolist() != whole.trades["confidence"].tolist()


def follow(columns: Columns) -> tuple[np.ndarray, np.ndarray]:
    """Takes the side of the last step."""
    steps = np.diff(columns.closes(2), axis=1)[:, 0]
    return np.sign(steps).astype(np.int64), np.full(len(steps), 0.9)


FOLLOW = CheapSource(key="follow", minimum_bars=2, weight=0.3, vote=follow)


def test_a_plug_in_and_a_silent_source_are_run_as_live(
    walks: MakeFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(DEAR, "follow", FOLLOW)
    folder = walks({"AAPL": 300, "MSFT": 300})
    live = live_strategy()
    plain = run(job(folder))
    strategy = msgspec.structs.replace(live, sources=(*live.sources, "follow"))
    assert strategy.keys == (*live.sources, "follow")
    found = run(job(folder, strategy=strategy))
    assert found.ids != plain.ids
    assert (found.trades["direction"][:, -1] != 2).any()
    assert facts(run(job(folder, strategy=strategy), chunk=1)) == facts(found)
    silent = msgspec.structs.replace(live, sources=(*live.sources, "sentiment"))
    assert run(job(folder, strategy=silent)).signals_sha256 == plain.signals_sha256


def test_a_challenger_has_its_share_under_its_own_name(walks: MakeFolder) -> None:
    folder = walks(CROWD)
    live = live_strategy()
    second = Weights(name="second", version="1", views={"UNKNOWN": {"trend": 1.0}})
    half = run(job(folder, strategy=msgspec.structs.replace(live, challenger=second, rollout=0.5)))
    plain = run(job(folder))
    assert set(half.ids) & set(plain.ids)
    assert set(half.ids) - set(plain.ids)
    assert len(half.ids) == len(half.trades) == len(set(half.ids))
