"""Every outcome over all sample data, computed a second time from the written rules, in plain words.

`by_hand` reads one symbol's bars one after the other and knows nothing of the tracker: no arrays, no batches,
no shared function. The tracker's engine must say the same of every signal: of those that the consensus gives,
and of ten thousand laid over the data with narrow and wide levels and short and long lives.
"""

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq
import pytest

from heliograph.common.events import BarBatch, Outcome, Signal
from heliograph.common.ids import derive_id
from heliograph.consensus.engine import Engine
from heliograph.tracker.closing import Costs
from heliograph.tracker.engine import OpenSignals

HOUR, DAY = 3_600 * 10**9, 86_400 * 10**9
FILES = {"sp500_daily": ("1d", DAY), "btcusd_hourly": ("1h", HOUR)}
SHAPES = [  # stop and target in percent of entry, life in days
    (3.0, 5.0, 30),
    (1.0, 1.0, 2),
    (8.0, 12.0, 30),
    (0.4, 6.0, 5),
]
EVERY = 101
"""A laid signal of each shape and side on every 101st bar of a symbol."""


class Bar(NamedTuple):
    symbol: str
    ts: int
    length: int
    interval: str
    open: float
    high: float
    low: float
    close: float


class Ended(NamedTuple):
    result: str
    exit: float
    bars: int
    bar_ts: int
    pnl: float
    net: float
    r: float
    best: float
    worst: float


def sane(bar: Bar) -> bool:
    """What the quality gate lets pass of this data: the high is the highest, the low the lowest."""
    return bar.high >= max(bar.open, bar.close, bar.low) and bar.low <= min(bar.open, bar.close)


@pytest.fixture(scope="module")
def bars(sample: Path) -> list[Bar]:
    """All bars of the sample in the order of their close, as they are published."""
    found = []
    for name, (interval, length) in FILES.items():
        table = pq.read_table(sample / f"{name}.parquet")
        times = [1000 * us for us in table["ts"].cast("int64").to_pylist()]
        columns = [table[column].to_pylist() for column in ("open", "high", "low", "close")]
        found += [
            Bar(symbol, ts, length, interval, *prices)
            for symbol, ts, *prices in zip(table["symbol"].to_pylist(), times, *columns, strict=True)
        ]
    return sorted(filter(sane, found), key=lambda b: (b.ts + b.length, b.interval, b.symbol))


def batches(bars: list[Bar]) -> Iterator[tuple[int, BarBatch]]:
    """The bars as INPUT holds them for one shard, with their sequences."""
    for seq, ((_, interval, ts), rows) in enumerate(
        groupby(bars, key=lambda b: (b.ts + b.length, b.interval, b.ts)), 1
    ):
        group = list(rows)
        yield (
            seq,
            BarBatch(
                id=derive_id("bars", interval, ts),
                ts=ts,
                interval=interval,
                symbols=[b.symbol for b in group],
                open=[b.open for b in group],
                high=[b.high for b in group],
                low=[b.low for b in group],
                close=[b.close for b in group],
                volume=[1e6] * len(group),
                source="sample",
            ),
        )


def by_hand(signal: Signal, later: list[Bar]) -> Ended | None:
    """The outcome by the rules; `later` are the symbol's bars after the one that gave the signal.

    BUY: won when the high reaches the target, lost when the low reaches the stop; both in one bar is a loss;
    a bar that opens beyond a level ends it at its open; at the expiry it ends at that bar's close. SELL is
    the mirror image.
    """
    buying = signal.action == "BUY"
    best = worst = 0.0

    def percent(price: float) -> float:
        change = (price - signal.entry) / signal.entry * 100
        return change if buying else -change

    for count, bar in enumerate(later, 1):
        closes = bar.ts + bar.length
        stopped = bar.low <= signal.stop if buying else bar.high >= signal.stop
        reached = bar.high >= signal.target if buying else bar.low <= signal.target
        seen: tuple[float, ...]
        if bar.ts >= signal.expires:  # nothing was traded at the expiry: the first bar after it is the end
            result, price = "expired", bar.close
            seen = (bar.open, bar.close)
        elif (bar.open >= signal.target) if buying else (bar.open <= signal.target):
            result, price = "win", bar.open
            seen = (bar.open,)
        elif stopped:
            beyond = bar.open <= signal.stop if buying else bar.open >= signal.stop
            result, price = "loss", bar.open if beyond else signal.stop
            seen = (bar.open, price)
        elif reached:
            result, price = "win", signal.target
            seen = (bar.open, price)
        elif closes >= signal.expires:
            result, price = "expired", bar.close
            seen = (bar.high, bar.low)
        else:
            best = max(best, percent(bar.high), percent(bar.low))
            worst = min(worst, percent(bar.high), percent(bar.low))
            continue
        pnl = percent(price)
        risk = abs(signal.entry - signal.stop) / signal.entry * 100
        return Ended(
            result,
            price,
            count,
            bar.ts,
            pnl,
            pnl - 0.05 - 0.02 - 0.1,
            pnl / risk,
            max(best, *map(percent, seen)),
            min(worst, *map(percent, seen)),
        )
    return None


def laid(symbol: str, number: int, bar: Bar, seq: int) -> Iterator[Signal]:
    """Signals of every shape and side at the close of a bar."""
    for stop, target, life in SHAPES:
        for action, side in (("BUY", 1), ("SELL", -1)):
            ts = bar.ts + bar.length
            yield Signal(
                id=derive_id("laid", symbol, number, str(stop), action),
                ts=ts,
                symbol=symbol,
                action="BUY" if action == "BUY" else "SELL",
                entry=bar.close,
                stop=bar.close * (1 - side * stop / 100),
                target=bar.close * (1 + side * target / 100),
                confidence=80.0,
                raw_confidence=80.0,
                regime="BULL",
                view="TRENDING",
                votes=[],
                sources=[],
                agreement=1.0,
                expected_r=1.0,
                strategy="laid@1",
                interval=bar.interval,
                bar_ts=bar.ts,
                expires=ts + life * DAY,
                input_seq=seq,
                sha256="",
                prev_sha256="",
            )


def compare(bars: list[Bar], signals: list[Signal]) -> dict[str, int]:
    """The engine beside the calculation by hand, signal by signal; how many ended in which way."""
    by_symbol: dict[str, list[Bar]] = {}
    for bar in bars:
        by_symbol.setdefault(bar.symbol, []).append(bar)
    starting: dict[int, list[Signal]] = {}
    for signal in signals:
        starting.setdefault(signal.input_seq, []).append(signal)
    following = OpenSignals(Costs())
    outcomes: dict[str, Outcome] = {}
    for seq, batch in batches(bars):
        outcomes |= {o.signal: o for o in following.apply(seq, batch)}
        for signal in starting.get(seq, ()):
            following.add(signal)
    counts = {"win": 0, "loss": 0, "expired": 0, "open": 0}
    places = {(bar.symbol, bar.ts): n for own in by_symbol.values() for n, bar in enumerate(own)}
    for signal in signals:
        own = by_symbol[signal.symbol]
        expected = by_hand(signal, own[places[signal.symbol, signal.bar_ts] + 1 :])
        outcome = outcomes.get(signal.id)
        if expected is None:
            assert outcome is None
            assert signal.id in following
            counts["open"] += 1
            continue
        assert outcome is not None, signal
        assert (outcome.result, outcome.exit, outcome.bars, outcome.exit_bar_ts) == expected[:4], signal
        figures = (outcome.pnl, outcome.pnl_net, outcome.r_multiple, outcome.best, outcome.worst)
        assert figures == pytest.approx(expected[4:], rel=1e-9, abs=1e-9), signal
        counts[expected.result] += 1
    return counts


def test_the_signals_of_the_consensus_end_as_by_hand(bars: list[Bar]) -> None:
    engine = Engine()
    signals = [signal for seq, batch in batches(bars) for signal in engine.apply(batch, seq)]
    counts = compare(bars, signals)
    assert sum(counts.values()) == len(signals) > 1000
    assert counts["win"] > 100
    assert counts["loss"] > 100


def test_signals_laid_over_all_bars_end_as_by_hand(bars: list[Bar]) -> None:
    numbers: dict[str, int] = {}
    signals: list[Signal] = []
    for seq, batch in batches(bars):
        length = FILES["sp500_daily" if batch.interval == "1d" else "btcusd_hourly"][1]
        for row, symbol in enumerate(batch.symbols):
            number = numbers[symbol] = numbers.get(symbol, 0) + 1
            if number % EVERY == 0:
                prices = (batch.open[row], batch.high[row], batch.low[row], batch.close[row])
                bar = Bar(symbol, batch.ts, length, batch.interval, *prices)
                signals += laid(symbol, number, bar, seq)
    counts = compare(bars, signals)
    assert sum(counts.values()) == len(signals) > 10_000
    assert min(counts.values()) > 10
