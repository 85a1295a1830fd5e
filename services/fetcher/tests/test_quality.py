"""The quality gate against a slow oracle that reads rows one by one."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.fetcher.provider import NO_TIME, Rows
from heliograph.fetcher.quality import EXPECTED, Refusal, judge, jumped
from heliograph.fetcher.table import merge

DAY = 86_400 * 10**9
T0 = 16_000 * DAY
GOOD = ("AAPL", T0, 10.0, 12.0, 9.0, 11.0, 100.0)
Row = tuple[str, int, float, float, float, float, float]


def to_rows(rows: Sequence[Row], origin: str) -> Rows:
    symbols = list(dict.fromkeys(r[0] for r in rows))
    names = ("open", "high", "low", "close", "volume")
    return Rows(
        origin=origin,
        symbols=symbols,
        code=np.array([symbols.index(r[0]) for r in rows], dtype=np.int32),
        ts=np.array([r[1] for r in rows], dtype=np.int64),
        splits={},
        **{n: np.array([r[i + 2] for r in rows], dtype=np.float64) for i, n in enumerate(names)},
    )


def verdicts(*files: Sequence[Row]) -> list[Refusal]:
    parts = [to_rows(rows, f"{n}.parquet") for n, rows in enumerate(files)]
    return [Refusal(v) for v in judge(merge(parts)).tolist()]


def slow_values(row: Row) -> Refusal:
    """What one row breaks, told by plain comparisons."""
    symbol, ts, open_, high, low, close, volume = row
    prices = (open_, high, low, close)
    if not symbol or not symbol.isprintable() or not symbol.strip() or len(symbol.encode()) > 64:
        return Refusal.BAD_SYMBOL
    if ts == NO_TIME or not -25_567 * DAY <= ts < 106_650 * DAY:
        return Refusal.BAD_TIME
    if any(math.isnan(p) or math.isinf(p) for p in prices):
        return Refusal.NOT_FINITE
    if min(prices) <= 0:
        return Refusal.NOT_POSITIVE
    if math.isnan(volume) or math.isinf(volume) or volume < 0:
        return Refusal.BAD_VOLUME
    if high != max(prices) or low != min(prices):
        return Refusal.BAD_RANGE
    return Refusal.NONE


def slow_judge(*files: Sequence[Row]) -> list[Refusal]:
    """The whole gate, row after row, and then bar after bar of each symbol."""
    found = slow_order(*files)
    told: dict[tuple[str, int], list[int]] = {}
    every = [(row, number) for number, rows in enumerate(files) for row in rows]
    for place, ((symbol, ts, *_), _) in enumerate(every):
        if found[place] in {Refusal.NONE, Refusal.DUPLICATE}:
            told.setdefault((symbol, ts), []).append(place)
    last: dict[str, float] = {}
    for (symbol, _), places in sorted(told.items()):
        stays = next(place for place in places if found[place] is Refusal.NONE)
        known = last.get(symbol)
        close = {place: every[place][0][5] for place in places}
        if known is not None and abs(close[stays] - known) > 0.05 * known:
            stays = -1
            for place in places:
                others = [close[p] for p in places if every[p][1] != every[place][1]]
                far = [abs(close[place] - price) > 0.05 * price for price in (known, *others)]
                if others and all(far):
                    found[place] = Refusal.JUMP
                else:
                    found[place] = Refusal.DUPLICATE if stays >= 0 else Refusal.NONE
                    stays = place if stays < 0 else stays
        if stays >= 0:
            last[symbol] = close[stays]
    return found


def slow_order(*files: Sequence[Row]) -> list[Refusal]:
    """Values, duplicates and order."""
    accepted: set[tuple[str, int]] = set()
    found = []
    for rows in files:
        youngest: dict[str, int] = {}
        for row in rows:
            verdict = slow_values(row)
            symbol, ts = row[:2]
            if verdict is Refusal.NONE:
                if (symbol, ts) in accepted:
                    verdict = Refusal.DUPLICATE
                elif ts < youngest.get(symbol, ts):
                    verdict = Refusal.OUT_OF_ORDER
                else:
                    accepted.add((symbol, ts))
                youngest[symbol] = max(ts, youngest.get(symbol, ts))
            found.append(verdict)
    return found


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ({}, Refusal.NONE),
        ({6: 0.0}, Refusal.NONE),
        ({3: 11.0, 4: 10.0}, Refusal.NONE),
        ({0: "BRK.B"}, Refusal.NONE),
        ({0: "BTC/USD"}, Refusal.NONE),
        ({0: "A B"}, Refusal.NONE),
        ({0: ""}, Refusal.BAD_SYMBOL),
        ({0: "  "}, Refusal.BAD_SYMBOL),
        ({0: "A\tB"}, Refusal.BAD_SYMBOL),
        ({0: "X" * 65}, Refusal.BAD_SYMBOL),
        ({1: NO_TIME}, Refusal.BAD_TIME),
        ({1: 106_650 * DAY}, Refusal.BAD_TIME),
        ({1: -25_568 * DAY}, Refusal.BAD_TIME),
        ({1: 106_650 * DAY - 1}, Refusal.NONE),
        ({1: -25_567 * DAY}, Refusal.NONE),
        ({2: math.nan}, Refusal.NOT_FINITE),
        ({3: math.inf}, Refusal.NOT_FINITE),
        ({4: -math.inf}, Refusal.NOT_FINITE),
        ({5: math.nan}, Refusal.NOT_FINITE),
        ({4: 0.0}, Refusal.NOT_POSITIVE),
        ({2: -10.0, 4: -11.0}, Refusal.NOT_POSITIVE),
        ({6: -1.0}, Refusal.BAD_VOLUME),
        ({6: math.nan}, Refusal.BAD_VOLUME),
        ({6: math.inf}, Refusal.BAD_VOLUME),
        ({3: 10.5}, Refusal.BAD_RANGE),
        ({4: 10.5}, Refusal.BAD_RANGE),
        ({3: 8.0}, Refusal.BAD_RANGE),
    ],
)
def test_each_value_is_judged(change: dict[int, Any], refusal: Refusal) -> None:
    row: Any = tuple(change.get(i, value) for i, value in enumerate(GOOD))
    assert verdicts([row]) == [refusal]
    assert slow_judge([row]) == [refusal]


def at(day: int, symbol: str = "AAPL") -> Row:
    return (symbol, T0 + day * DAY, *GOOD[2:])


def test_the_first_of_two_stays_and_the_late_one_goes() -> None:
    rows = [at(1), at(2), at(2), at(4), at(3), at(4), at(5)]
    expected = ["NONE", "NONE", "DUPLICATE", "NONE", "OUT_OF_ORDER", "DUPLICATE", "NONE"]
    assert [v.name for v in verdicts(rows)] == expected


def test_a_bad_row_never_makes_a_good_one_a_duplicate_or_late() -> None:
    bad = (*at(3)[:2], -1.0, *GOOD[3:])
    assert verdicts([bad, at(2), at(3)])[1:] == [Refusal.NONE, Refusal.NONE]


def test_files_may_overlap_in_time_but_a_bar_comes_once() -> None:
    later, earlier = [at(5), at(6)], [at(4), at(5)]
    assert verdicts(later, earlier) == [Refusal.NONE, Refusal.NONE, Refusal.NONE, Refusal.DUPLICATE]


def priced(day: int, close: float) -> Row:
    return ("AAPL", T0 + day * DAY, close, close, close, close, 100.0)


def names(*files: Sequence[Row]) -> list[str]:
    return [verdict.name for verdict in verdicts(*files)]


def test_a_close_that_jumps_and_that_another_file_contradicts_gives_way() -> None:
    one = [priced(1, 100.0), priced(2, 110.0), priced(3, 110.5), priced(4, 101.0)]
    assert names(one) == ["NONE"] * 4  # nobody contradicts
    other = [priced(2, 100.5), priced(3, 101.0)]
    # The second of the two bad ones is near the first, which is gone.
    assert names(one, other) == ["NONE", "JUMP", "JUMP", "NONE", "NONE", "NONE"]
    assert names(one, [priced(2, 109.0)]) == ["NONE"] * 4 + ["DUPLICATE"]  # it is confirmed
    assert names([priced(1, 100.0), priced(2, 104.0)], [priced(2, 120.0)]) == ["NONE", "NONE", "DUPLICATE"]


def test_where_all_jump_apart_none_is_believed() -> None:
    one = [priced(1, 100.0), priced(2, 120.0), priced(3, 101.0)]
    assert names(one, [priced(2, 80.0)]) == ["NONE", "JUMP", "NONE", "JUMP"]
    assert names([*one, priced(4, 150.0)], [priced(2, 80.0), priced(4, 102.0)])[3:] == [
        "JUMP",
        "JUMP",
        "NONE",
    ]


def test_the_same_file_is_no_other_voice() -> None:
    assert names([priced(1, 100.0), priced(2, 120.0), priced(2, 100.0)]) == ["NONE", "NONE", "DUPLICATE"]


def test_a_bar_that_was_late_in_one_file_may_come_in_another() -> None:
    assert verdicts([at(5), at(4)], [at(4)]) == [Refusal.NONE, Refusal.OUT_OF_ORDER, Refusal.NONE]


def test_symbols_have_an_order_each() -> None:
    assert verdicts([at(5, "A"), at(1, "B"), at(6, "A"), at(2, "B")]) == [Refusal.NONE] * 4


def test_nothing_is_judged_as_nothing() -> None:
    assert judge(merge([])).tolist() == []


def test_every_refusal_says_what_was_expected() -> None:
    assert set(EXPECTED) == set(Refusal) - {Refusal.NONE}


prices = st.one_of(st.sampled_from([9.0, 10.0, 11.0, 12.0]), st.sampled_from([math.nan, math.inf, 0.0, -1.0]))
rows = st.tuples(
    st.sampled_from(["A", "B", "C D", "", "x" * 65]),
    st.one_of(st.integers(0, 6).map(lambda d: T0 + d * DAY), st.just(NO_TIME)),
    st.sampled_from([10.0, 10.0, 10.0, 11.0, math.nan]),
    prices,
    st.sampled_from([9.0, 9.0, 9.0, 10.0, 0.0]),
    st.sampled_from([10.0, 11.0]),
    st.sampled_from([0.0, 5.0, 5.0, 5.0, -1.0, math.nan]),
)
good_rows = st.builds(at, st.integers(0, 6), st.sampled_from(["A", "B"]))


@settings(max_examples=150, deadline=None)
@given(st.lists(st.lists(st.one_of(rows, good_rows, good_rows), max_size=25), min_size=1, max_size=3))
def test_the_gate_is_the_slow_oracle(files: list[list[Row]]) -> None:
    assert verdicts(*files) == slow_judge(*files)


@pytest.mark.parametrize(
    ("price", "last_good", "others", "believed"),
    [
        (106.0, 100.0, [100.0, 100.5], False),
        (94.0, 100.0, [100.0], False),
        (104.9, 100.0, [50.0], True),
        (106.0, 100.0, [104.0], True),
        (106.0, 100.0, [100.0, 106.0], True),
        (1000.0, 100.0, [], True),
    ],
)
def test_a_jump_is_believed_when_anybody_confirms_it(
    price: float, last_good: float, others: list[float], *, believed: bool
) -> None:
    assert jumped(price, last_good, others) is not believed


@settings(deadline=None)
@given(st.floats(0.01, 1e6), st.floats(0.01, 1e6), st.lists(st.floats(0.01, 1e6), min_size=1, max_size=4))
def test_one_more_voice_can_only_make_a_price_more_credible(
    price: float, last_good: float, others: list[float]
) -> None:
    if not jumped(price, last_good, others[:1]):
        assert not jumped(price, last_good, others)
    assert not jumped(price, last_good, [*others, price])
