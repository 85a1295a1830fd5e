"""The swing source: pocket and entries by hand, mirrored prices, and the real sample."""

import math
from collections.abc import Callable

import msgspec
import numpy as np
import pytest
import talib
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view

from heliograph.common import outcomes
from heliograph.common.events import BarBatch, Signal
from heliograph.consensus.engine import Engine, Rules
from heliograph.consensus.engine.layout import ABSTAIN, SWING
from heliograph.consensus.engine.picture import SwingPicture
from heliograph.consensus.engine.swing import ENTRIES, confidence_of, entry_of, pocket
from heliograph.consensus.engine.trends import label_of

RULES = Rules()
COLUMNS = ("open", "high", "low", "close", "volume")
TOLERANCE = 1e-9
Walk = Callable[..., list[BarBatch]]


def test_the_pocket_is_measured_from_the_right_end() -> None:
    """From 100 up to 200, a pullback of 61.8 to 65 % ends between 135 and 138.2, not at 161.8 to 165."""
    assert pocket(1, 200.0, 100.0) == pytest.approx((138.2, 135.0))
    assert pocket(-1, 200.0, 100.0) == pytest.approx((161.8, 165.0))


@pytest.mark.parametrize(
    ("slope", "above", "rsi", "label"),
    [
        (0.011, 1, 60, 1), (0.01, 1, 60, 0), (0.011, -1, 60, 0), (0.011, 1, 59.9, 0), (0.0201, 1, 60, 2),
        (0.02, 1, 60, 1), (-0.011, -1, 40, -1), (-0.011, -1, 40.1, 0), (-0.011, 1, 40, 0),
        (-0.0201, -1, 40, -2), (0.03, 1, 50, 0), (0.0, 1, 90, 0),
    ],
)  # fmt: skip
def test_labels(slope: float, above: int, rsi: float, label: int) -> None:
    ema = 1000.0 - above
    assert label_of(1000.0, ema, ema - slope * 1000.0, rsi, RULES) == label


# Up from 100 to 200, the pocket 135 … 138.2, ATR 10; the bar is 134 … 141, the one before 138 … 150.
UP = (1, 200.0, 100.0)
BAR = (141.0, 134.0)
BEFORE = (150.0, 138.0)


@pytest.mark.parametrize(
    ("label", "extremes", "close", "rsi", "expected"),
    [
        # In the pocket: stop 0.2 ATR under the lower of bar and pocket, target the 1.272 extension.
        (1, UP, 137.0, 65, ("pocket", 1, 137.0, 132.0, 227.2)),
        (2, UP, 135.0, 65, ("pocket", 1, 135.0, 132.0, 227.2)),
        (1, UP, 138.2, 65, ("pocket", 1, 138.2, 132.0, 227.2)),
        # Outside of it, or after a down-swing: above the bar before, stop 1.2 ATR, target at least 2 ATR.
        (1, UP, 138.3, 65, ("continuation", 1, 150.0, 138.0, 227.2)),
        (1, UP, 134.9, 65, ("continuation", 1, 150.0, 138.0, 227.2)),
        (1, UP, 160.0, 65, ("continuation", 1, 160.0, 148.0, 227.2)),
        (1, UP, 220.0, 65, ("continuation", 1, 220.0, 208.0, 240.0)),
        (1, (-1, 200.0, 100.0), 137.0, 65, ("continuation", 1, 150.0, 138.0, 227.2)),
        (1, (0, 200.0, 100.0), 137.0, 65, ("continuation", 1, 150.0, 138.0, 227.2)),
        # Sideways: an RSI under 35 is long, stop 1 ATR under the bar, target 1.5 ATR; over 65 mirrored.
        (0, (0, 0.0, 0.0), 137.0, 34.9, ("reversal", 1, 137.0, 124.0, 152.0)),
        (0, (0, 0.0, 0.0), 137.0, 35, ("none", 0, 0.0, 0.0, 0.0)),
        (0, (0, 0.0, 0.0), 137.0, 65, ("none", 0, 0.0, 0.0, 0.0)),
        (0, (0, 0.0, 0.0), 137.0, 65.1, ("reversal", -1, 137.0, 151.0, 122.0)),
        # Down: the pocket of a down-swing lies at 161.8 … 165, its extension at 72.8.
        (-1, (-1, 200.0, 100.0), 163.0, 35, ("pocket", -1, 163.0, 167.0, 72.8)),
        (-1, (1, 200.0, 100.0), 163.0, 35, ("continuation", -1, 138.0, 150.0, 72.8)),
        (-2, (-1, 200.0, 100.0), 137.0, 35, ("continuation", -1, 137.0, 149.0, 72.8)),
    ],
)
def test_entries(
    label: int,
    extremes: tuple[int, float, float],
    close: float,
    rsi: float,
    expected: tuple[str, int, float, float, float],
) -> None:
    kind, *found = entry_of(label, extremes, close, BAR, BEFORE, 10.0, rsi, RULES)
    assert ENTRIES[kind] == expected[0]
    assert found == pytest.approx(expected[1:])


def test_the_bar_under_the_pocket_sets_the_stop() -> None:
    _, _, _, stop, _ = entry_of(1, UP, 137.0, (141.0, 120.0), BEFORE, 10.0, 65.0, RULES)
    assert stop == pytest.approx(118.0)


def test_no_entry_without_room() -> None:
    """A bar without any range and no ATR leaves no place for a stop."""
    assert entry_of(0, (0, 0.0, 0.0), 10.0, (10.0, 10.0), (10.0, 10.0), 0.0, 20.0, RULES)[0] == 0


@pytest.mark.parametrize(
    ("label", "reward", "alignment", "lead", "outcomes", "outcome_r", "confidence"),
    [
        (2, 1.0, 0, 0.0, 0, 0.0, 0.35 + 0.2),
        (-1, 1.0, 0, 0.0, 0, 0.0, 0.25 + 0.2),
        (0, 1.5, 0, 0.0, 0, 0.0, 0.15 + 0.3),
        (2, 9.0, 2, 0.01, 0, 0.0, 0.35 + 0.4 + 0.1 + 0.05),
        (2, 9.0, -2, -0.01, 0, 0.0, 0.35 + 0.4 - 0.1),
        # The prior of outcomes that averaged 1 R is 0.75; far losses and gains are clipped.
        (2, 1.0, 0, 0.0, 3, 3.0, 0.6 * 0.55 + 0.4 * 0.75),
        (2, 1.0, 0, 0.0, 1, -9.0, 0.6 * 0.55),
        (2, 1.0, 0, 0.0, 1, 9.0, 0.6 * 0.55 + 0.4),
    ],
)
def test_confidence(
    label: int,
    reward: float,
    alignment: int,
    lead: float,
    outcomes: int,
    outcome_r: float,
    confidence: float,
) -> None:
    found = confidence_of(label, reward, alignment, lead, outcomes, outcome_r, RULES)
    assert found == pytest.approx(confidence)


@given(
    st.integers(-2, 2),
    st.integers(-1, 1),
    st.lists(st.floats(50, 150), min_size=7, max_size=7),
    st.floats(0.01, 20),
    st.floats(0, 100),
)
def test_mirrored_prices_give_mirrored_entries(
    label: int, swing: int, prices: list[float], atr: float, rsi: float
) -> None:
    """A price p becomes 200 − p: highs become lows, up becomes down."""
    low, before_low, close, before_high, high = sorted(prices[:5])
    bottom, top = low - abs(prices[5] - 100), high + abs(prices[6] - 100)

    def mirror(price: float) -> float:
        return 200 - price

    kind, side, *levels = entry_of(
        label, (swing, top, bottom), close, (high, low), (before_high, before_low), atr, rsi, RULES
    )
    other, opposite, *reflected = entry_of(
        -label,
        (-swing, mirror(bottom), mirror(top)),
        mirror(close),
        (mirror(low), mirror(high)),
        (mirror(before_low), mirror(before_high)),
        atr,
        100 - rsi,
        RULES,
    )
    if math.isclose(rsi, 35, abs_tol=1e-9) or math.isclose(rsi, 65, abs_tol=1e-9):
        return
    near, far = pocket(1 if label >= 0 else -1, top, bottom)
    if min(abs(close - near), abs(close - far)) < TOLERANCE:
        return
    assert (other, opposite) == (kind, -side)
    if kind:
        assert [mirror(level) for level in reflected] == pytest.approx(levels, abs=1e-6)
        entry, stop, target = levels
        assert side * (entry - stop) > 0 < side * (target - entry)


def bars_of(columns: np.ndarray, interval: str = "1w") -> list[BarBatch]:
    """A batch for each bar of one symbol; columns of shape (5, bars)."""
    return [
        BarBatch(
            id=f"{n:016x}", ts=n * 7 * 86_400 * 10**9, interval=interval, symbols=["A"], source="test",
            open=[open_], high=[high], low=[low], close=[close], volume=[volume],
        )
        for n, (open_, high, low, close, volume) in enumerate(columns.T.tolist())
    ]  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(60, 140), st.floats(-0.006, 0.006))
def test_a_mirrored_history_votes_the_other_way(seed: int, count: int, drift: float) -> None:
    """Mirrored at the newest close; weekly bars, since higher timeframes measure slopes by older closes."""
    random = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(random.normal(drift, 0.01, count)))
    open_ = close * (1 + random.normal(0, 0.003, count))
    high = np.maximum(open_, close) * 1.002
    low = np.minimum(open_, close) * 0.998
    one = np.array([open_, high, low, close, np.ones(count)])
    pivot = 2 * close[-1]
    if high.max() >= pivot:
        return
    other = np.array([pivot - open_, pivot - low, pivot - high, pivot - close, np.ones(count)])
    votes = []
    for columns in (one, other):
        engine = Engine(rules=Rules(swing_prior=0), sources=["swing"])
        for seq, batch in enumerate(bars_of(columns), 1):
            engine.apply(batch, seq)
        record = engine.state.symbols[0]
        votes.append((int(record["direction"][SWING]), float(record["confidence"][SWING]), engine.swing("A")))
    (direction, confidence, mine), (opposite, same, theirs) = votes
    assert mine is not None
    assert theirs is not None
    assert (mine.label, mine.side, mine.entry_kind) == (-theirs.label, -theirs.side, theirs.entry_kind)
    assert mine.reward == pytest.approx(theirs.reward, rel=1e-6)
    assert opposite == (ABSTAIN if direction == ABSTAIN else -direction)
    assert same == pytest.approx(confidence)


def histories(sample: list[BarBatch], names: tuple[str, ...]) -> dict[str, list[BarBatch]]:
    """The bars of some symbols of the sample, a batch each."""
    found: dict[str, list[BarBatch]] = {name: [] for name in names}
    for batch in sample:
        for name in names:
            if name in batch.symbols:
                row = batch.symbols.index(name)
                one = {column: [getattr(batch, column)[row]] for column in ("symbols", *COLUMNS)}
                found[name].append(msgspec.structs.replace(batch, **one))
    return found


def test_figures_are_those_of_ta_lib(sample: list[BarBatch]) -> None:
    for name, history in histories(sample, ("AAPL", "AMD", "BTCUSD")).items():
        batches = history[:700]
        engine = Engine()
        pictures: list[SwingPicture | None] = []
        for seq, batch in enumerate(batches, 1):
            engine.apply(batch, seq)
            pictures.append(engine.swing(name))
        assert pictures[:59] == [None] * 59
        high, low, close = (
            np.array([getattr(b, column)[0] for b in batches]) for column in ("high", "low", "close")
        )
        assert engine.counts["bars"] == len(close)
        ema = talib.EMA(close, 20)
        upper, _, lower = talib.BBANDS(close, 20, 2.0, 2.0)
        widths = (upper - lower) / close
        strength, atr = talib.RSI(close, 14), talib.ATR(high, low, close, 14)
        top, bottom = talib.MAX(high, 40), talib.MIN(low, 40)
        last_top = 39 - sliding_window_view(high, 40)[:, ::-1].argmax(axis=1)
        last_bottom = 39 - sliding_window_view(low, 40)[:, ::-1].argmin(axis=1)
        for n in range(59, len(close)):
            found = pictures[n]
            assert found is not None
            expected = {
                "ema": ema[n], "slope": (ema[n] - ema[n - 6]) / close[n], "rsi": strength[n], "atr": atr[n],
                "width": widths[n], "high": top[n], "low": bottom[n],
            }  # fmt: skip
            for field, value in expected.items():
                scale = 1.0 if field == "slope" else abs(value)
                assert abs(getattr(found, field) - value) <= TOLERANCE * scale, (name, n, field)
            assert found.swing == np.sign(last_top[n - 39] - last_bottom[n - 39])
            if n >= 20 + 59:
                low_edge, high_edge = np.percentile(widths[n - 59 : n + 1], [33, 66])
                expected_volatility = (
                    "low" if widths[n] <= low_edge else "high" if widths[n] >= high_edge else "middle"
                )
                assert found.volatility == expected_volatility
            if found.swing:
                assert found.levels[0.618] in (pytest.approx(found.pocket[0]), pytest.approx(found.pocket[1]))
                assert found.levels[1.0] == pytest.approx(found.low if found.swing > 0 else found.high)


def test_nothing_before_sixty_bars(sample: list[BarBatch]) -> None:
    """Alone, the source is not eligible before its 60th bar; then it votes now and then."""
    engine = Engine(sources=["swing"])
    batches = histories(sample, ("NVDA",))["NVDA"][:400]
    voted = []
    for seq, batch in enumerate(batches, 1):
        engine.apply(batch, seq)
        voted.append(int(engine.state.symbols["direction"][0][SWING]) != ABSTAIN)
        if seq == 59:
            assert engine.counts["warming"] == 59
    assert engine.counts["warming"] == 59
    assert not any(voted[:59])
    assert 20 < sum(voted) < 341


def test_signals_carry_the_prices_of_the_swing(sample: list[BarBatch]) -> None:
    engine = Engine(sources=["trend", "swing"])
    by_kind: dict[str, int] = {}
    others = 0
    for seq, batch in enumerate(sample[:900], 1):
        for signal in engine.apply(batch, seq):
            if "swing" not in signal.sources:
                others += 1
                assert signal.expires - signal.ts == 30 * 86_400 * 10**9
                continue
            found = engine.swing(signal.symbol)
            assert found is not None
            vote = next(vote for vote in signal.votes if vote.source == "swing")
            if vote.direction != (1 if signal.action == "BUY" else -1):
                continue
            levels = (round(found.entry, 2), round(found.stop, 2), round(found.target, 2))
            assert (signal.entry, signal.stop, signal.target) == pytest.approx(levels, abs=0.0100001)
            by_kind[found.entry_kind] = by_kind.get(found.entry_kind, 0) + 1
    assert by_kind["continuation"] > 10
    assert others > 10


def test_prices_of_the_swing_can_be_declined(walk: Walk) -> None:
    signals: list[Signal] = []
    engine = Engine(rules=Rules(swing_prices=False), sources=["trend", "swing"])
    for seq, batch in enumerate(walk(1, ["A", "B", "C"], 300, volatility=0.02), 1):
        signals += engine.apply(batch, seq)
    assert [s for s in signals if "swing" in s.sources]
    for signal in signals:
        side = 1 if signal.action == "BUY" else -1
        assert signal.stop == pytest.approx(signal.entry * (1 - side * 0.03), abs=0.006)
        assert signal.target == pytest.approx(signal.entry * (1 + side * 0.05), abs=0.006)


def test_swing_prices_last_two_days_on_short_bars(walk: Walk) -> None:
    engine = Engine(rules=Rules(gate=60), sources=["trend", "swing"])
    days = set()
    for seq, batch in enumerate(walk(4, ["A", "B", "C"], 400, volatility=0.01), 1):
        for signal in engine.apply(batch, seq):
            vote = next((vote for vote in signal.votes if vote.source == "swing"), None)
            by_swing = vote is not None and vote.direction == (1 if signal.action == "BUY" else -1)
            days.add(((signal.expires - signal.ts) / (86_400 * 10**9), by_swing))
    assert days == {(2.0, True), (30.0, False)}


def test_the_prior_is_that_of_the_signals_that_have_ended(walk: Walk) -> None:
    engine = Engine()
    batches = walk(9, ["A"], 400, interval="1d", volatility=0.02)
    held: list[Signal] = []
    total, ended = 0.0, 0
    for seq, batch in enumerate(batches, 1):
        bar = (batch.open[0], batch.high[0], batch.low[0], batch.close[0])
        for signal in list(held):
            side = 1 if signal.action == "BUY" else -1
            result, leaving = outcomes.close_by_bar(
                side, signal.stop, signal.target, signal.expires, batch.ts, batch.ts + 86_400 * 10**9, *bar
            )
            if result != outcomes.OPEN:
                held.remove(signal)
                ended += 1
                total += side * (leaving - signal.entry) / abs(signal.entry - signal.stop)
        held += engine.apply(batch, seq)
        assert engine.state.symbols["outcomes"][0] == ended
        assert engine.state.symbols["outcome_r"][0] == pytest.approx(total)
    assert ended > 5


def test_strength_over_a_benchmark_does_not_depend_on_who_comes_first(walk: Walk) -> None:
    """The benchmark's bar of the same time may come before, beside or after the symbol's own."""
    batches = walk(3, ["A", "SPY"], 200)
    figures = []
    for order in ([0, 1], [1, 0]):
        engine = Engine(benchmark="SPY")
        found = []
        for seq, batch in enumerate(batches, 1):
            for part in order:
                one = {column: [getattr(batch, column)[part]] for column in ("symbols", *COLUMNS)}
                engine.apply(msgspec.structs.replace(batch, **one), seq)
            picture = engine.swing("A")
            record = engine.state.symbols[engine.state.row_of("A")]
            found.append((picture.strength if picture else None, float(record["confidence"][SWING])))
        figures.append(found)
    confidences = [[confidence for _, confidence in found] for found in figures]
    assert confidences[0] == confidences[1]
    closes = np.array([batch.close for batch in batches])
    returns = closes[20:] / closes[:-20] - 1
    for n in (60, 100, 199):
        assert figures[0][n][0] == pytest.approx(returns[n - 21, 0] - returns[n - 21, 1])
    assert all(strength == 0 for strength, _ in strengths_without_benchmark(batches))


def strengths_without_benchmark(batches: list[BarBatch]) -> list[tuple[float, int]]:
    engine = Engine()
    found = []
    for seq, batch in enumerate(batches, 1):
        engine.apply(batch, seq)
        picture = engine.swing("A")
        if picture is not None:
            found.append((picture.strength, seq))
    return found


def test_a_restored_engine_knows_its_benchmark(walk: Walk) -> None:
    batches = walk(3, ["A", "SPY"], 300, volatility=0.02)
    whole, first, second = Engine(benchmark="SPY"), Engine(benchmark="SPY"), Engine(benchmark="SPY")
    expected = [s for seq, batch in enumerate(batches, 1) for s in whole.apply(batch, seq)]
    found = [s for seq, batch in enumerate(batches[:150], 1) for s in first.apply(batch, seq)]
    second.restore(first.snapshot())
    found += [s for seq, batch in enumerate(batches[150:], 151) for s in second.apply(batch, seq)]
    assert found == expected
    assert second.snapshot() == whole.snapshot()


def test_an_unknown_symbol_has_no_picture() -> None:
    assert Engine().swing("NONE") is None
