"""The replay plan, the intervals it rests on, and the dead letters beside it."""

import itertools
import json
import math
from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.common.errors import InputError
from heliograph.common.events import BarBatch, DeadLetter, encode
from heliograph.common.intervals import interval_ns
from heliograph.common.shards import shard_of
from heliograph.fetcher.cadence import NAMES, count_gaps, infer_intervals
from heliograph.fetcher.load import Replay, prepare
from heliograph.fetcher.plan import MAX_ROWS
from heliograph.fetcher.provider import NO_TIME, Rows
from heliograph.fetcher.quarantine import ROWS_PER_LETTER

HOUR = 3600 * 10**9
DAY = 24 * HOUR
T0 = 16_000 * DAY
MakeRows = Callable[..., Rows]
MakeBars = Callable[..., list[Any]]


def all_batches(replay: Replay, shards: int) -> dict[int, list[BarBatch]]:
    return {
        shard: [replay.plan.bars(shard, n, "replay", 0) for n in range(replay.plan.batches(shard))]
        for shard in range(shards)
    }


def flat(batches: dict[int, list[BarBatch]]) -> list[tuple[Any, ...]]:
    return [
        (s, b.ts, *values)
        for found in batches.values()
        for b in found
        for s, *values in zip(b.symbols, b.open, b.high, b.low, b.close, b.volume, strict=True)
    ]


@pytest.mark.parametrize("shards", [1, 4, 16])
def test_every_good_bar_is_in_one_batch_of_its_shard(
    make_rows: MakeRows, make_bars: MakeBars, shards: int
) -> None:
    rows = [
        r
        for n, s in enumerate(["AAPL", "BRK.B", "BTC/USD", "A B"])
        for r in make_bars(s, 30 + n, start=T0 + n * DAY)
    ]
    batches = all_batches(prepare([make_rows(rows)], shards), shards)
    assert Counter(flat(batches)) == Counter(rows)
    for shard, found in batches.items():
        assert {shard_of(s, shards) for b in found for s in b.symbols} <= {shard}
        assert [b.symbols for b in found] == [sorted(set(b.symbols)) for b in found]


def test_batches_are_in_the_order_of_their_close(make_rows: MakeRows, make_bars: MakeBars) -> None:
    rows = make_bars("DAILY", 5) + make_bars("HOURLY", 100, step=HOUR)
    found = all_batches(prepare([make_rows(rows)], 1), 1)[0]
    closes = [b.ts + interval_ns(b.interval) for b in found]
    assert closes == sorted(closes)
    assert {b.interval: b.symbols for b in found} == {"1d": ["DAILY"], "1h": ["HOURLY"]}
    together = [b.interval for b in found if b.ts + interval_ns(b.interval) == T0 + DAY]
    assert together == ["1h", "1d"]


def test_the_plan_is_a_function_of_the_bars(make_rows: MakeRows, make_bars: MakeBars) -> None:
    def plan(shards: int = 4, **changes: Any) -> Replay:
        return prepare([make_rows(make_bars("A", 20) + make_bars("B", 20, **changes))], shards)

    assert plan().plan.fingerprint == plan().plan.fingerprint
    assert flat(all_batches(plan(), 4)) == flat(all_batches(plan(), 4))
    fingerprints = [plan(), plan(2), plan(price=100.01), plan(start=T0 + DAY)]
    assert len({r.plan.fingerprint for r in fingerprints}) == 4


def test_ids_tell_batches_apart_and_nothing_else(make_rows: MakeRows, make_bars: MakeBars) -> None:
    replay = prepare([make_rows([r for s in "ABCDEFGH" for r in make_bars(s, 50)])], 4)
    found = [b for batches in all_batches(replay, 4).values() for b in batches]
    assert len({b.id for b in found}) == len(found)
    later = [replay.plan.bars(0, n, "replay", 99) for n in range(replay.plan.batches(0))]
    assert [b.id for b in later] == [b.id for b in all_batches(replay, 4)[0]]
    assert replay.plan.bars(0, 0, "other", 0).id != later[0].id


def split(rows: Rows, **at: float) -> Rows:
    """Rows with splits at the row numbers `r<number>`."""
    return msgspec.structs.replace(rows, splits={int(name[1:]): ratio for name, ratio in at.items()})


def test_a_split_travels_with_its_bar_alone(make_rows: MakeRows, make_bars: MakeBars) -> None:
    rows = make_rows([*make_bars("A", 10), *make_bars("B", 10)])
    plain = prepare([make_rows([*make_bars("A", 10), *make_bars("B", 10)])], 1)
    replay = prepare([split(rows, r4=4.0, r15=0.5)], 1)
    found = all_batches(replay, 1)[0]
    assert [b.splits for b in found if b.splits] == [{"A": 4.0}, {"B": 0.5}]
    assert [b.ts for b in found if b.splits] == [rows.ts[4], rows.ts[15]]
    assert replay.plan.fingerprint != plain.plan.fingerprint
    assert all(b.splits is msgspec.UNSET for b in all_batches(plain, 1)[0])


def test_a_split_at_a_bar_that_is_refused_comes_with_the_next(
    make_rows: MakeRows, make_bars: MakeBars
) -> None:
    rows = make_bars("A", 10)
    rows[4] = (*rows[4][:2], -1.0, *rows[4][3:])
    rows[9] = (*rows[9][:2], -1.0, *rows[9][3:])
    other = make_rows(make_bars("B", 10), "b.parquet")
    replay = prepare([other, split(make_rows(rows), r4=2.0, r5=3.0, r9=7.0)], 1)
    found = [b for b in all_batches(replay, 1)[0] if b.splits]
    assert [(b.ts, b.splits) for b in found] == [(rows[5][1], {"A": 6.0})]


def test_a_batch_of_very_many_symbols_fits_a_message(make_rows: MakeRows, make_bars: MakeBars) -> None:
    first = make_rows(make_bars("x", 1))
    count = 11_000
    rows = Rows(
        origin="a",
        symbols=[f"{'S' * 58}{n:06d}" for n in range(count)],
        code=np.arange(count, dtype=np.int32),
        ts=np.repeat(first.ts, count),
        splits={},
        **{n: np.repeat(getattr(first, n) / 3, count) for n in ("open", "high", "low", "close", "volume")},
    )
    found = all_batches(prepare([rows], 1), 1)[0]
    assert [len(b.symbols) for b in found] == [MAX_ROWS, MAX_ROWS, count - 2 * MAX_ROWS]
    assert max(len(encode(b)) for b in found) < 1 << 20
    assert len({b.id for b in found}) == 3


def test_bars_before_counts_bars(make_rows: MakeRows, make_bars: MakeBars) -> None:
    rows = make_bars("A", 4) + make_bars("B", 2)
    plan = prepare([make_rows(rows)], 1).plan
    assert [plan.bars_before(0, n) for n in range(plan.batches(0) + 1)] == [0, 2, 4, 5, 6]


def test_when_all_is_refused_the_plan_is_empty(make_rows: MakeRows, make_bars: MakeBars) -> None:
    replay = prepare([make_rows([(*r[:2], -1.0, *r[3:]) for r in make_bars("A", 3)])], 4)
    assert [replay.plan.batches(shard) for shard in range(4)] == [0] * 4
    assert sum(r.counts().get("not_positive", 0) for r in replay.refused) == 3


@pytest.mark.parametrize(
    ("steps", "interval"),
    [
        ([60 * 10**9] * 5, "1m"),
        ([HOUR] * 6 + [18 * HOUR], "1h"),
        ([DAY, DAY, DAY, DAY, 3 * DAY] * 3, "1d"),
        ([DAY, DAY, 23 * HOUR, DAY, 25 * HOUR], "1d"),
        ([180 * 10**9, 60 * 10**9, 420 * 10**9, 60 * 10**9, 300 * 10**9], "1m"),
        ([7 * DAY] * 3, "1w"),
        ([30 * DAY, 31 * DAY, 31 * DAY], "1w"),
        ([3 * DAY], "1d"),
    ],
)
def test_the_most_common_step_is_the_interval(steps: list[int], interval: str) -> None:
    ts = T0 + np.cumsum([0, *steps])
    found = infer_intervals(["A"], np.zeros(len(ts), dtype=np.int32), ts)
    assert NAMES[found[0]] == interval


def test_a_single_bar_has_the_usual_interval(make_rows: MakeRows, make_bars: MakeBars) -> None:
    rows = make_bars("A", 9, step=HOUR) + make_bars("B", 9, step=HOUR) + make_bars("C", 9) + make_bars("D", 1)
    found = all_batches(prepare([make_rows(rows)], 1), 1)[0]
    assert {b.interval for b in found if "D" in b.symbols} == {"1h"}
    alone = all_batches(prepare([make_rows(make_bars("D", 1))], 1), 1)[0]
    assert [b.interval for b in alone] == ["1d"]


def test_bars_by_the_second_are_refused(make_rows: MakeRows, make_bars: MakeBars) -> None:
    with pytest.raises(InputError, match="'AAPL' are 10 s apart, expected at least 60 s"):
        prepare([make_rows(make_bars("AAPL", 5, step=10 * 10**9))], 4)


def test_two_intervals_of_a_symbol_are_refused(make_rows: MakeRows, make_bars: MakeBars) -> None:
    daily = make_rows(make_bars("AAPL", 30), "daily.parquet")
    hourly = make_rows(make_bars("AAPL", 30, step=HOUR, start=T0 + 50 * DAY), "hourly.parquet")
    with pytest.raises(InputError, match=r"'AAPL': bars of 1d in daily.parquet and of 1h in hourly.parquet"):
        prepare([daily, hourly], 4)


def test_one_symbol_may_come_in_several_files(make_rows: MakeRows, make_bars: MakeBars) -> None:
    parts = [make_rows(make_bars("AAPL", 30, start=T0 + n * 25 * DAY), f"{n}.parquet") for n in range(3)]
    replay = prepare(parts, 1)
    assert replay.plan.batches(0) == 80
    assert replay.refused[0].counts() == {"duplicate": 10}


@pytest.mark.parametrize(
    ("steps", "interval", "gaps"),
    [
        ([HOUR, HOUR, 2 * HOUR, HOUR], "1h", 1),
        ([HOUR, 18 * HOUR, HOUR, 66 * HOUR], "1h", 0),
        ([HOUR, 5 * DAY], "1h", 1),
        ([DAY, 3 * DAY, 4 * DAY, DAY], "1d", 0),
        ([DAY, 7 * DAY, DAY], "1d", 1),
        ([7 * DAY, 14 * DAY], "1w", 1),
    ],
)
def test_gaps_are_what_no_closed_market_explains(steps: list[int], interval: str, gaps: int) -> None:
    ts = T0 + np.cumsum([0, *steps])
    code = np.zeros(len(ts), dtype=np.int32)
    assert count_gaps(code, ts, np.array([NAMES.index(interval)], dtype=np.uint8)) == gaps


def test_a_gap_is_never_between_two_symbols() -> None:
    ts = np.array([T0, T0 + HOUR, T0 + 900 * DAY, T0 + 900 * DAY + HOUR])
    hours = np.full(2, NAMES.index("1h"), dtype=np.uint8)
    assert count_gaps(np.array([0, 0, 1, 1], dtype=np.int32), ts, hours) == 0


def letters(replay: Replay) -> list[DeadLetter]:
    return [letter for r in replay.refused for _, letter in r.letters(0, len(r.parts), received=5)]


def test_refused_bars_are_kept_whole(make_rows: MakeRows, make_bars: MakeBars) -> None:
    good = make_bars("BRK.B", 3)
    nan = ("BRK.B", T0 + 9 * DAY, math.nan, 2.0, 1.0, math.inf, 5.0)
    no_time = ("BRK.B", NO_TIME, 1.0, 2.0, 1.0, 1.5, -5.0)
    replay = prepare([make_rows(good, "a.parquet"), make_rows([good[0], nan, no_time], "b.parquet")], 4)
    found = {letter.reason.split(":")[0]: letter for letter in letters(replay)}
    assert set(found) == {"duplicate", "not_finite", "bad_time"}
    assert json.loads(found["not_finite"].payload) == [
        {
            "file": "b.parquet",
            "row": 1,
            "symbol": "BRK.B",
            "ts": T0 + 9 * DAY,
            "open": "nan",
            "high": 2.0,
            "low": 1.0,
            "close": "inf",
            "volume": 5.0,
        }
    ]
    assert json.loads(found["bad_time"].payload)[0]["ts"] is None
    letter = found["not_finite"]
    assert (letter.quarantine, letter.rows, letter.service, letter.ts) == (True, 1, "fetcher", T0 + 9 * DAY)
    for part in ("row 1 of b.parquet", "expected finite", "open 'nan'", "'BRK.B'"):
        assert part in letter.reason


def test_letters_are_bounded_and_the_same_again(make_rows: MakeRows, make_bars: MakeBars) -> None:
    def replay() -> Replay:
        bad = [(*r[:6], -1.0) for s in "AB" for r in make_bars(s, ROWS_PER_LETTER + 1)]
        return prepare([make_rows(bad)], 1)

    found = letters(replay())
    assert [letter.rows for letter in found] == [ROWS_PER_LETTER, ROWS_PER_LETTER, 2]
    assert len({letter.id for letter in found}) == 3
    assert [encode(letter) for letter in found] == [encode(letter) for letter in letters(replay())]
    assert replay().refused[0].counts() == {"bad_volume": 2 * ROWS_PER_LETTER + 2}


row = st.tuples(
    st.sampled_from(["AAPL", "BRK.B", "BTC/USD", "A B", ""]),
    st.integers(0, 12).map(lambda n: T0 + n * DAY),
    *[st.sampled_from([10.0, 10.0, 10.0, 11.0, -1.0, math.nan])] * 4,
    st.sampled_from([1.0, 1.0, math.inf]),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.lists(row, min_size=1, max_size=30), min_size=1, max_size=3), st.integers(1, 5))
def test_no_bar_is_lost_or_made_up(files: list[list[Any]], shards: int) -> None:
    parts = []
    for number, rows in enumerate(files):
        symbols = sorted({r[0] for r in rows})
        columns = np.array([r[2:] for r in rows], dtype=np.float64)
        parts.append(
            Rows(
                origin=f"{number}",
                symbols=symbols,
                code=np.array([symbols.index(r[0]) for r in rows], dtype=np.int32),
                ts=np.array([r[1] for r in rows], dtype=np.int64),
                splits={},
                **{n: columns[:, i] for i, n in enumerate(("open", "high", "low", "close", "volume"))},
            )
        )
    replay = prepare(parts, shards)
    published = flat(all_batches(replay, shards))
    kept = [
        (b["symbol"], b["ts"], *(float(b[n]) for n in ("open", "high", "low", "close", "volume")))
        for letter in letters(replay)
        for b in json.loads(letter.payload)
    ]
    everything = Counter(map(repr, itertools.chain(*files)))
    assert Counter(map(repr, published)) + Counter(map(repr, kept)) == everything
    assert len({(symbol, ts) for symbol, ts, *_ in published}) == len(published)
    assert sum(sum(r.counts().values()) for r in replay.refused) == len(kept)
