"""The open signals: worked cases by hand, and random bars against an independent calculation."""

import random
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.common.errors import InputError, InvariantError
from heliograph.common.events import BarBatch, Outcome, Signal
from heliograph.common.ids import derive_id
from heliograph.tracker.closing import Closing, Costs, outcome_of
from heliograph.tracker.engine import OpenSignals

COSTS = Costs()
DAY_NS = 86_400 * 10**9
LATE = 2**62
HOUR_NS = 3_600 * 10**9
START = 1_500_000_000 // 86_400 * DAY_NS
Prices = tuple[float, float, float, float]
QUIET: Prices = (100.0, 102.0, 98.0, 101.0)

# BUY at 100, stop 95, target 110, after one quiet bar (best 2 %, worst −2 %): the second bar and its effect.
CASES: dict[str, tuple[Prices, str, float, float, float]] = {
    "target touched": ((101.0, 111.0, 100.0, 108.0), "win", 110.0, 10.0, -2.0),
    "target touched exactly": ((101.0, 110.0, 100.0, 108.0), "win", 110.0, 10.0, -2.0),
    "stop touched": ((101.0, 103.0, 94.0, 96.0), "loss", 95.0, 2.0, -5.0),
    "stop touched exactly": ((101.0, 103.0, 95.0, 96.0), "loss", 95.0, 2.0, -5.0),
    "both in one bar": ((101.0, 111.0, 94.0, 100.0), "loss", 95.0, 2.0, -5.0),
    "gap through the stop": ((90.0, 112.0, 89.0, 111.0), "loss", 90.0, 2.0, -10.0),
    "gap through the target": ((115.0, 116.0, 90.0, 91.0), "win", 115.0, 15.0, -2.0),
    "opens at the stop": ((95.0, 112.0, 95.0, 111.0), "loss", 95.0, 2.0, -5.0),
    "opens at the target": ((110.0, 110.0, 90.0, 91.0), "win", 110.0, 10.0, -2.0),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("action", ["BUY", "SELL"])
def test_worked_case(
    name: str, action: str, make_signal: Callable[..., Signal], make_bars: Callable[..., BarBatch]
) -> None:
    bar, result, exit_, best, worst = CASES[name]

    def seen(prices: Prices) -> Prices:
        """For SELL the whole world is mirrored at the entry: 100 + x becomes 100 − x."""
        open_, high, low, close = prices
        return prices if action == "BUY" else (200 - open_, 200 - low, 200 - high, 200 - close)

    signal = make_signal(action=action)
    signals = OpenSignals(COSTS, [signal])
    assert signals.apply(1, make_bars(0, {"A": seen(QUIET)})) == []
    assert signal.id in signals
    (outcome,) = signals.apply(2, make_bars(1, {"A": seen(bar)}))
    assert len(signals) == 0
    pnl = exit_ - 100
    assert outcome.result == result
    assert outcome.exit == (exit_ if action == "BUY" else 200 - exit_)
    assert outcome.pnl == pytest.approx(pnl)
    assert outcome.pnl_net == pytest.approx(pnl - 0.17)
    assert outcome.r_multiple == pytest.approx(pnl / 5)
    assert [outcome.best, outcome.worst] == pytest.approx([best, worst])
    assert (outcome.bars, outcome.input_seq) == (2, 2)
    assert outcome.id == derive_id("outcome", signal.id)
    assert (outcome.cause, outcome.signal, outcome.opened) == (signal.id, signal.id, signal.ts)
    assert outcome.ts - outcome.exit_bar_ts == DAY_NS


def test_expires_at_the_close_of_the_bar_that_reaches_it(
    make_signal: Callable[..., Signal], make_bars: Callable[..., BarBatch]
) -> None:
    signals = OpenSignals(COSTS, [make_signal()])
    for day in range(29):
        assert signals.apply(day + 1, make_bars(day, {"A": QUIET})) == []
    (outcome,) = signals.apply(30, make_bars(29, {"A": (101.0, 104.0, 99.0, 103.0)}))
    assert (outcome.result, outcome.exit, outcome.bars) == ("expired", 103.0, 30)
    assert outcome.ts == make_signal().expires
    assert [outcome.best, outcome.worst] == pytest.approx([4.0, -2.0])
    assert outcome.pnl == pytest.approx(3.0)


def test_the_last_bar_still_wins_or_loses(
    make_signal: Callable[..., Signal], make_bars: Callable[..., BarBatch]
) -> None:
    signals = OpenSignals(COSTS, [make_signal()])
    (outcome,) = signals.apply(1, make_bars(29, {"A": (101.0, 111.0, 99.0, 103.0)}))
    assert outcome.result == "win"


def test_expires_across_a_weekend_at_the_first_later_close(
    make_signal: Callable[..., Signal], make_bars: Callable[..., BarBatch]
) -> None:
    """No bar ends at the expiry: the next one starts after it, and its touched stop no longer counts."""
    signals = OpenSignals(COSTS, [make_signal()])
    assert signals.apply(1, make_bars(27, {"A": QUIET})) == []
    (outcome,) = signals.apply(2, make_bars(32, {"A": (96.0, 97.0, 90.0, 96.5)}))
    assert (outcome.result, outcome.exit) == ("expired", 96.5)
    assert outcome.worst == pytest.approx(-4.0)


def test_sees_only_later_batches_of_its_symbol(
    make_signal: Callable[..., Signal], make_bars: Callable[..., BarBatch]
) -> None:
    signal = make_signal(input_seq=7)
    signals = OpenSignals(COSTS, [signal])
    crash = (90.0, 91.0, 80.0, 85.0)
    assert signals.apply(6, make_bars(0, {"A": crash})) == []
    assert signals.apply(7, make_bars(1, {"A": crash})) == []
    assert signals.apply(8, make_bars(2, {"B": crash})) == []
    (outcome,) = signals.apply(9, make_bars(3, {"B": QUIET, "A": crash}))
    assert (outcome.bars, outcome.exit) == (1, 90.0)


def test_several_signals_of_one_symbol_end_each_on_its_own(
    make_signal: Callable[..., Signal], make_bars: Callable[..., BarBatch]
) -> None:
    buy, sell, far = make_signal(), make_signal(action="SELL"), make_signal(1, stop=50.0, target=200.0)
    signals = OpenSignals(COSTS, [buy, sell, far])
    ended = signals.apply(1, make_bars(2, {"A": (101.0, 111.0, 100.0, 111.0)}))
    assert [(o.signal, o.result) for o in ended] == [(buy.id, "win"), (sell.id, "loss")]
    assert far.id in signals
    assert signals.apply(2, make_bars(3, {"A": QUIET})) == []


def test_holds_thousands_and_reuses_their_places(
    make_signal: Callable[..., Signal], make_bars: Callable[..., BarBatch]
) -> None:
    signals = OpenSignals(COSTS)
    for turn in range(3):
        made = [make_signal(n, symbol=f"S{n}", input_seq=turn, expires=LATE) for n in range(1000)]
        for signal in made:
            signals.add(signal)
        bars = make_bars(1000, {s.symbol: (100.0, 120.0, 99.0, 100.0) for s in made})
        ended = signals.apply(turn + 1, bars)
        assert [o.signal for o in ended] == [s.id for s in made]
        assert len(signals) == 0


def test_bars_that_start_before_the_signal_are_not_its_own(
    make_signal: Callable[..., Signal], make_bars: Callable[..., BarBatch]
) -> None:
    """The day's bar comes after the signal of an hour of that day: its low was there before the signal."""
    signals = OpenSignals(COSTS, [make_signal(ts=START + 15 * HOUR_NS, interval="1h")])
    assert signals.apply(1, make_bars(0, {"A": (100.0, 102.0, 90.0, 100.0)})) == []
    (outcome,) = signals.apply(2, make_bars(15 / 24, {"A": (101.0, 103.0, 94.0, 96.0)}, interval="1h"))
    assert (outcome.result, outcome.bars) == ("loss", 1)


def test_a_bar_that_starts_as_the_signal_is_given_is_its_first(
    make_signal: Callable[..., Signal], make_bars: Callable[..., BarBatch]
) -> None:
    signals = OpenSignals(COSTS, [make_signal()])
    (outcome,) = signals.apply(1, make_bars(0, {"A": (101.0, 111.0, 100.0, 108.0)}))
    assert (outcome.result, outcome.bars) == ("win", 1)


def split_batch(batch: BarBatch, **splits: float) -> BarBatch:
    return msgspec.structs.replace(batch, v=2, splits=splits)


# BUY at 100, stop 95, target 110; a two-for-one split on the third day halves every price.
SPLIT_CASES: dict[str, tuple[Prices, str, float]] = {
    "the target is halved": ((50.5, 55.0, 50.0, 54.0), "win", 110.0),
    "the stop is halved": ((49.0, 50.0, 47.5, 49.0), "loss", 95.0),
    "a gap fills at the open, in old shares": ((46.25, 47.0, 45.0, 46.0), "loss", 92.5),
    "opens beyond the target": ((56.5, 57.0, 50.0, 56.0), "win", 113.0),
}


@pytest.mark.parametrize("name", SPLIT_CASES)
def test_a_split_during_the_trade_adjusts_the_levels(
    name: str, make_signal: Callable[..., Signal], make_bars: Callable[..., BarBatch]
) -> None:
    bar, result, exit_ = SPLIT_CASES[name]
    signals = OpenSignals(COSTS, [make_signal()])
    assert signals.apply(1, make_bars(0, {"A": QUIET})) == []
    # Without the adjustment every bar from here on would be far under the stop.
    assert signals.apply(2, split_batch(make_bars(1, {"A": (50.5, 51.0, 49.0, 50.5)}), A=2.0)) == []
    assert signals.apply(3, make_bars(2, {"A": (50.5, 51.0, 49.0, 50.0)})) == []
    (outcome,) = signals.apply(4, make_bars(3, {"A": bar}))
    assert (outcome.result, outcome.entry, outcome.exit, outcome.bars) == (result, 100.0, exit_, 4)
    assert outcome.pnl == pytest.approx(exit_ - 100)
    assert outcome.r_multiple == pytest.approx((exit_ - 100) / 5)
    assert outcome.best == pytest.approx(max(2.0, exit_ - 100, 2 * bar[0] - 100))
    assert outcome.worst == pytest.approx(min(-2.0, exit_ - 100))


def test_splits_add_up_and_a_level_is_given_back_exactly(
    make_signal: Callable[..., Signal], make_bars: Callable[..., BarBatch]
) -> None:
    """Three for one, then one for seven: 3/7 of a new share for each old one."""
    signals = OpenSignals(COSTS, [make_signal()])
    assert signals.apply(1, split_batch(make_bars(0, {"A": (33.0, 34.0, 33.0, 33.5)}), A=3.0)) == []
    seventh = split_batch(make_bars(1, {"A": (233.0, 234.0, 232.0, 233.0)}), A=1 / 7, B=2.0)
    assert signals.apply(2, seventh) == []
    (outcome,) = signals.apply(3, make_bars(2, {"A": (233.0, 300.0, 232.0, 290.0)}))
    assert (outcome.result, outcome.exit) == ("win", 110.0)


def test_a_split_before_the_signal_or_of_another_symbol_changes_nothing(
    make_signal: Callable[..., Signal], make_bars: Callable[..., BarBatch]
) -> None:
    signals = OpenSignals(COSTS, [make_signal(2, input_seq=5)])
    assert signals.apply(5, split_batch(make_bars(2, {"A": QUIET}), A=2.0)) == []
    assert signals.apply(6, split_batch(make_bars(1, {"A": QUIET}), A=2.0)) == []
    assert signals.apply(7, split_batch(make_bars(2, {"A": QUIET}), B=2.0)) == []
    assert signals.apply(8, make_bars(3, {"A": QUIET})) == []


def test_what_was_seen_elsewhere_is_not_seen_again(
    make_signal: Callable[..., Signal], make_bars: Callable[..., BarBatch]
) -> None:
    signals = OpenSignals(COSTS, [make_signal()])
    signals.seen_until(START + 2 * DAY_NS)
    assert signals.apply(1, make_bars(1, {"A": (90.0, 91.0, 80.0, 85.0)})) == []
    (outcome,) = signals.apply(2, make_bars(2, {"A": (90.0, 91.0, 80.0, 85.0)}))
    assert outcome.bars == 1


def test_a_signal_is_followed_once(make_signal: Callable[..., Signal]) -> None:
    signals = OpenSignals(COSTS, [make_signal()])
    with pytest.raises(InvariantError, match="followed already"):
        signals.add(make_signal())


def test_unknown_interval_is_named(
    make_signal: Callable[..., Signal], make_bars: Callable[..., BarBatch]
) -> None:
    signals = OpenSignals(COSTS, [make_signal()])
    with pytest.raises(InputError, match="interval: '7m'"):
        signals.apply(1, make_bars(0, {"A": QUIET}, interval="7m"))


def test_an_open_closing_is_no_outcome(make_signal: Callable[..., Signal]) -> None:
    closing = Closing(code=0, exit=1.0, best=0.0, worst=0.0, bars=1, bar_ts=0, bar_close_ts=1, input_seq=1)
    with pytest.raises(InvariantError, match="code 0"):
        outcome_of(make_signal(), closing, COSTS)


def independent(
    signal: Signal, batches: list[tuple[int, BarBatch]]
) -> tuple[str, float, int, float, float] | None:
    """The outcome by looking at whole bars in plain words: result, exit, bars, best, worst."""
    sign = 1 if signal.action == "BUY" else -1
    seen: list[float] = [0.0]
    bars = 0

    def percent(price: float) -> float:
        return sign * (price - signal.entry) / signal.entry * 100

    for seq, batch in batches:
        if seq <= signal.input_seq or batch.ts < signal.ts or signal.symbol not in batch.symbols:
            continue
        at = batch.symbols.index(signal.symbol)
        open_, high, low, close = batch.open[at], batch.high[at], batch.low[at], batch.close[at]
        bars += 1
        stopped = low <= signal.stop if sign > 0 else high >= signal.stop
        reached = high >= signal.target if sign > 0 else low <= signal.target
        jumped_stop = open_ <= signal.stop if sign > 0 else open_ >= signal.stop
        jumped_target = open_ >= signal.target if sign > 0 else open_ <= signal.target
        if batch.ts >= signal.expires:
            end, whole = ("expired", close), False
        elif stopped:
            end, whole = ("loss", open_ if jumped_stop else signal.stop), False
            if jumped_target:
                end = ("win", open_)
        elif reached:
            end, whole = ("win", open_ if jumped_target else signal.target), False
        else:
            seen += [percent(high), percent(low)]
            if batch.ts + DAY_NS < signal.expires:
                continue
            end, whole = ("expired", close), True
        if not whole:
            seen += [percent(open_), percent(end[1])]
        return end[0], end[1], bars, max(seen), min(seen)
    return None


prices = st.sampled_from([p / 2 for p in range(170, 231)])
wild = st.tuples(prices, prices, prices, prices).map(lambda p: (p[0], max(p), min(p), p[3]))
calm = st.tuples(*[st.sampled_from([99.0, 100.0, 101.0])] * 4).map(lambda p: (p[0], max(p), min(p), p[3]))
worlds = st.lists(
    st.dictionaries(st.sampled_from("ABC"), st.one_of(wild, calm, calm, calm), min_size=1),
    min_size=1,
    max_size=45,
)
chosen = st.lists(
    st.tuples(
        st.sampled_from("ABC"), st.sampled_from(["BUY", "SELL"]), st.integers(0, 20), st.integers(1, 40)
    ),
    min_size=1,
    max_size=12,
    unique=True,
)


@given(world=worlds, picks=chosen)
@settings(max_examples=150, deadline=None)
def test_equals_an_independent_calculation(
    world: list[dict[str, Prices]],
    picks: list[tuple[str, Any, int, int]],
    make_signal: Callable[..., Signal],
    make_bars: Callable[..., BarBatch],
) -> None:
    batches = [(n, make_bars(n - 1, bars)) for n, bars in enumerate(world, 1)]
    made = [
        make_signal(n, symbol=symbol, action=action, input_seq=seq, expires=make_signal().ts + days * DAY_NS)
        for n, (symbol, action, seq, days) in enumerate(picks)
    ]
    signals = OpenSignals(COSTS, made)
    ended = {o.signal: o for seq, batch in batches for o in signals.apply(seq, batch)}
    for signal in made:
        expected = independent(signal, batches)
        if expected is None:
            assert signal.id in signals
            assert signal.id not in ended
            continue
        outcome = ended[signal.id]
        assert (outcome.result, outcome.exit, outcome.bars) == expected[:3]
        assert [outcome.best, outcome.worst] == pytest.approx([expected[3], expected[4]])


@given(world=worlds, picks=chosen, order=st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_the_splitting_of_bars_into_batches_changes_no_outcome(
    world: list[dict[str, Prices]],
    picks: list[tuple[str, Any, int, int]],
    order: random.Random,
    make_signal: Callable[..., Signal],
    make_bars: Callable[..., BarBatch],
) -> None:
    made = [make_signal(n, symbol=symbol, action=action) for n, (symbol, action, *_) in enumerate(picks)]
    whole, split = OpenSignals(COSTS, made), OpenSignals(COSTS, made)
    together: list[Outcome] = []
    apart: list[Outcome] = []
    for day, bars in enumerate(world):
        together += whole.apply(100 * (day + 1), make_bars(day, bars))
        symbols = list(bars)
        order.shuffle(symbols)
        for n, symbol in enumerate(symbols):
            apart += split.apply(100 * (day + 1) + n, make_bars(day, {symbol: bars[symbol]}))
    same = [{o.signal: msgspec.structs.replace(o, input_seq=0) for o in found} for found in (together, apart)]
    assert same[0] == same[1]


@given(world=worlds, picks=chosen, at=st.integers(0, 45))
@settings(max_examples=60, deadline=None)
def test_catching_up_equals_following_in_order(
    world: list[dict[str, Prices]],
    picks: list[tuple[str, Any, int, int]],
    at: int,
    make_signal: Callable[..., Signal],
    make_bars: Callable[..., BarBatch],
) -> None:
    batches = [(n, make_bars(n - 1, bars)) for n, bars in enumerate(world, 1)]
    made = [
        make_signal(n, symbol=symbol, action=action, input_seq=seq)
        for n, (symbol, action, seq, _) in enumerate(picks)
    ]
    in_order = OpenSignals(COSTS, made)
    expected = [o for seq, batch in batches for o in in_order.apply(seq, batch)]
    late = OpenSignals(COSTS, made)
    found = [o for seq, batch in batches[:at] for o in late.apply(seq, batch)]
    following = OpenSignals(COSTS)
    following.absorb(late)
    found += [o for seq, batch in batches[at:] for o in following.apply(seq, batch)]
    assert found == expected
    assert len(late) == 0
    assert {s.id for s in made if s.id in following} == {s.id for s in made if s.id in in_order}
