"""What becomes of live bars between their arrival and their publication."""

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.common.bus import Stored
from heliograph.common.errors import ConfigError
from heliograph.common.events import BarBatch, encode
from heliograph.fetcher.live.intake import Intake
from heliograph.fetcher.live.market import Market, always_open
from heliograph.fetcher.live.standing import LIVE, header, held
from heliograph.fetcher.provider import NO_TIME, Rows

MINUTE = 60 * 10**9
T0 = 1_699_977_600 * 10**9
NOW = T0 + 1000 * MINUTE
Bar = tuple[str, int]


def rows(bars: list[Bar], **wrong: float) -> Rows:
    """Good bars, a symbol and the number of its minute each; `wrong` replaces a column."""
    symbols = sorted({s for s, _ in bars})
    count = len(bars)
    columns: dict[str, float] = {
        "open": 10.0,
        "high": 12.0,
        "low": 9.0,
        "close": 11.0,
        "volume": 5.0,
        **wrong,
    }
    return Rows(
        origin="test",
        symbols=symbols,
        code=np.array([symbols.index(s) for s, _ in bars], dtype=np.int32),
        ts=np.array([T0 + n * MINUTE for _, n in bars], dtype=np.int64),
        **{name: np.full(count, value) for name, value in columns.items()},  # type: ignore[arg-type]
    )


def intake(newest: dict[str, int] | None = None) -> Intake:
    return Intake(0, 1, ("A", "B", "C"), "1m", {s: T0 + n * MINUTE for s, n in (newest or {}).items()})


def out(made: Intake, now: float = 100.0, settle_s: float = 0.0, most: int = 1000) -> list[list[Bar]]:
    """What is published, a list a batch."""
    batches = made.window(now, settle_s, most, "test", NOW)
    return [[(s, (b.ts - T0) // MINUTE) for s in b.symbols] for b in batches]


def test_bars_of_a_minute_settle_and_late_ones_make_another_batch() -> None:
    made = intake()
    made.take(rows([("B", 0)]), NOW, 10.0)
    assert out(made, 10.9, 1.0) == []
    assert made.following(1.0) == 11.0
    made.take(rows([("A", 0)]), NOW, 10.9)
    assert out(made, 11.0, 1.0) == [[("A", 0), ("B", 0)]]
    made.take(rows([("C", 0)]), NOW, 11.1)
    assert out(made, 12.1, 1.0) == [[("C", 0)]]
    assert made.following(1.0) is None


def test_an_older_minute_goes_along_with_a_settled_one() -> None:
    made = intake()
    made.take(rows([("A", 1)]), NOW, 10.0)
    made.take(rows([("A", 0)]), NOW, 10.9)
    assert out(made, 11.0, 1.0) == [[("A", 0)], [("A", 1)]]


def test_duplicates_late_bars_and_gaps_are_told_apart() -> None:
    made = intake({"A": 5, "B": 5})
    made.take(rows([("A", 5), ("A", 6), ("A", 6), ("B", 9)]), NOW, 0.0)
    assert out(made) == [[("A", 6)], [("B", 9)]]
    made.take(rows([("A", 6), ("B", 7)]), NOW, 0.0)
    assert out(made) == []
    assert (made.counts.duplicates, made.counts.gaps) == (3, 1)
    assert made.counts.refused == {"out_of_order": 1}
    [refused] = made.refused
    [(_, letter)] = refused.letters(0, 1, NOW)
    assert '"symbol":"B"' in letter.payload.decode()


@pytest.mark.parametrize(
    ("bar", "wrong", "reason"),
    [
        (("A", 0), {"open": float("nan")}, "not_finite"),
        (("A", 0), {"low": -1.0}, "not_positive"),
        (("A", 0), {"volume": float("nan")}, "bad_volume"),
        (("A", 0), {"high": 10.5}, "bad_range"),
        (("A", 1000), {}, "not_closed"),
        (("A", 10_000_000), {}, "not_closed"),
    ],
)
def test_a_bad_bar_is_refused_and_moves_nothing(bar: Bar, wrong: dict[str, float], reason: str) -> None:
    made = intake()
    made.take(rows([bar], **wrong), NOW, 0.0)
    made.take(rows([("B", 0)]), NOW, 0.0)
    assert made.counts.refused == {reason: 1}
    assert out(made) == [[("B", 0)]]
    assert "A" not in made.newest


@pytest.mark.parametrize(("ts", "reason"), [(T0 + 1, "not_closed"), (NO_TIME, "bad_time")])
def test_a_time_that_begins_no_minute_is_refused(ts: int, reason: str) -> None:
    made = intake()
    made.take(msgspec.structs.replace(rows([("A", 0)]), ts=np.array([ts])), NOW, 0.0)
    assert made.counts.refused == {reason: 1}


def test_symbols_of_others_are_passed_over() -> None:
    made = intake()
    made.take(rows([("Z", 0), ("A", 0)]), NOW, 0.0)
    assert out(made) == [[("A", 0)]]
    assert made.counts.refused == {}


@given(
    st.lists(
        st.tuples(st.sampled_from(["stream", "fill", "break", "release", "out"]), st.integers(0, 30)),
        max_size=60,
    )
)
def test_whatever_comes_in_whatever_order_is_published_once_and_in_order(steps: list[Any]) -> None:
    made = intake()
    found: list[Bar] = []
    for number, (step, minute) in enumerate(steps):
        bars = [(s, minute) for s in ("A", "B")]
        if step == "stream":
            made.take(rows(bars), NOW, float(number))
        elif step == "fill":
            made.fill(rows(bars), NOW)
        elif step == "break":
            made.hold(("A", "B"))
        elif step == "release":
            made.release(("A", "B"), float(number))
        else:
            found += [bar for batch in out(made, float(number), 2.0, most=3) for bar in batch]
    for symbol in ("A", "B"):
        minutes = [n for s, n in found if s == symbol]
        assert minutes == sorted(set(minutes))


def test_what_comes_while_the_past_is_filled_in_follows_it() -> None:
    made = intake({"A": 1})
    made.hold(("A",))
    made.take(rows([("A", 4), ("B", 4)]), NOW, 0.0)
    assert out(made) == [[("B", 4)]]
    made.fill(rows([("A", 0), ("A", 1), ("A", 2), ("A", 3), ("A", 4), ("B", 3)]), NOW)
    made.take(rows([("A", 4)]), NOW, 0.0)
    assert made.held == {"A"}
    assert (made.ready, made.waiting) == (0, 3)
    made.release(("A",), 0.0)
    assert out(made) == [[("A", 2)], [("A", 3)], [("A", 4)]]
    assert made.counts.duplicates == 1


def stored(batch: BarBatch, headers: dict[str, str]) -> Stored:
    return Stored(subject="input.bars.0", data=encode(batch), headers=headers, seq=7, time_ns=0)


def test_the_newest_message_tells_what_a_shard_holds() -> None:
    made = intake({"C": 2, "Ä,{": 1})
    made.take(rows([("A", 5), ("B", 5)]), NOW, 0.0)
    [batch] = made.window(1.0, 0.0, 9, "test", NOW)
    told = header("1m", T0 + 6 * MINUTE, made.newest, batch)
    assert told.isascii()
    assert "A" not in msgspec.json.decode(told)["others"]
    found = held(stored(batch, {LIVE: told}), "1m")
    assert found.newest == made.newest
    assert (found.close_ns, found.last_seq) == (T0 + 6 * MINUTE, 7)
    with pytest.raises(ConfigError, match="provider: its bars are of 5m"):
        held(stored(batch, {LIVE: told}), "5m")
    with pytest.raises(ConfigError, match="provider: live bars cannot follow a replay"):
        held(stored(batch, {}), "1m")
    assert held(None, "1m").newest == {}


def test_a_bar_is_stale_after_two_intervals_of_an_open_market() -> None:
    market = Market()
    opened = 1_699_972_200 * 10**9  # 2023-11-14 14:30 UTC
    night = opened - 3600 * 10**9
    for symbol, newest, now, expected in [
        ("AAPL", T0, T0 + 3 * MINUTE, False),
        ("AAPL", T0, T0 + 3 * MINUTE + 1, True),
        ("AAPL", None, T0, True),
        ("AAPL", None, night, False),
        ("AAPL", night - MINUTE, opened + 2 * MINUTE, False),
        ("AAPL", night - MINUTE, opened + 2 * MINUTE + 1, True),
        ("AAPL", None, 1_700_755_200 * 10**9, False),  # Thanksgiving, 16:00 UTC
        ("BTC/USD", night - 4 * MINUTE, night, True),
    ]:
        assert market.is_stale(symbol, newest, MINUTE, now) is expected, (symbol, newest, now)
    assert [s for s in ("AAPL", "BRK.B", "X:BTCUSD", "ETH-USDT", "BTCUSD", "USD") if always_open(s)] == [
        "X:BTCUSD",
        "ETH-USDT",
        "BTCUSD",
    ]
