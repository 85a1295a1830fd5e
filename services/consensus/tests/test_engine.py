"""The laws of the engine: deterministic, blind to batches and shards, deaf to bad rows."""

import hashlib
import math
from collections.abc import Callable, Iterable
from itertools import pairwise

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.common import outcomes
from heliograph.common.errors import InputError
from heliograph.common.events import BarBatch, Signal, identity_sha256
from heliograph.common.ids import derive_id
from heliograph.common.intervals import interval_ns
from heliograph.common.shards import shard_of
from heliograph.consensus.engine import Engine, Rules, Weights
from heliograph.consensus.engine.kernel import step
from heliograph.consensus.engine.layout import DECISION

Walk = Callable[..., list[BarBatch]]
SYMBOLS = ["AAPL", "BRK.B", "BTC/USD", "A B", "MSFT"]
BARS = 320
COLUMNS = ("open", "high", "low", "close", "volume")

law = settings(max_examples=15, deadline=None)
seeds = st.integers(0, 10**6)


def select(batch: BarBatch, positions: Iterable[int], **changes: object) -> BarBatch:
    """Some rows of a batch."""
    kept = list(positions)
    columns = {name: [getattr(batch, name)[n] for n in kept] for name in ("symbols", *COLUMNS)}
    return msgspec.structs.replace(batch, **{**columns, **changes})


def run(batches: Iterable[BarBatch], engine: Engine | None = None, first: int = 1) -> list[Signal]:
    chosen = engine or Engine()
    return [signal for seq, batch in enumerate(batches, first) for signal in chosen.apply(batch, seq)]


def facts(signals: Iterable[Signal]) -> list[Signal]:
    """Signals without what tells of batches and shards, in the order of their ids."""
    bare = [msgspec.structs.replace(signal, cause="", input_seq=0, prev_sha256="") for signal in signals]
    return sorted(bare, key=lambda signal: signal.id)


@law
@given(seeds, st.integers(1, 5))
def test_signals_do_not_depend_on_batches_or_shards(walk: Walk, seed: int, shards: int) -> None:
    random = np.random.default_rng(seed)
    batches = walk(seed, SYMBOLS, BARS)
    expected = facts(run(batches))
    assert expected
    engines = [Engine() for _ in range(shards)]
    found: list[Signal] = []
    seq = 0
    for batch in batches:
        order = random.permutation(len(SYMBOLS)).tolist()
        for shard, engine in enumerate(engines):
            rows = [n for n in order if shard_of(batch.symbols[n], shards) == shard]
            cut = int(random.integers(0, len(rows) + 1))
            for part in (rows[:cut], rows[cut:]):
                seq += 1
                found += engine.apply(select(batch, part, id=f"{seq:016x}"), seq)
    assert facts(found) == expected


@law
@given(seeds, st.lists(st.integers(1, BARS - 1), max_size=4))
def test_restoring_is_never_having_stopped(walk: Walk, seed: int, stops: list[int]) -> None:
    batches = walk(seed, SYMBOLS, BARS)
    whole = Engine()
    expected = run(batches, whole)
    edges = [0, *sorted(stops), BARS]
    found: list[Signal] = []
    engine = Engine()
    for start, end in pairwise(edges):
        found += run(batches[start:end], engine, start + 1)
        data = engine.snapshot()
        engine = Engine()
        engine.restore(data)
        assert engine.snapshot() == data
        assert engine.counts == whole.counts or end < BARS
    assert found == expected
    assert engine.snapshot() == whole.snapshot()


BAD_VALUES = (math.nan, math.inf, -math.inf, 0.0, -1.0, 1e13, 1e300)


@law
@given(seeds)
def test_bad_rows_change_no_signal(walk: Walk, seed: int) -> None:
    """A bad, late or foreign row between good ones: counted, and every signal as without it."""
    random = np.random.default_rng(seed)
    batches = walk(seed, SYMBOLS[:2], BARS)
    expected = facts(run(batches))
    engine = Engine()
    found: list[Signal] = []
    refused = 0
    for seq, batch in enumerate(batches, 1):
        if seq > 1 and random.random() < 0.3:
            wrong = broken(batch, batches[seq - 2], random)
            assert engine.apply(wrong, seq) == []
            refused += len(wrong.symbols)
        found += engine.apply(batch, seq)
    assert facts(found) == expected
    counts = engine.counts
    assert counts["stale"] + counts["other_interval"] + counts["bad_bar"] == refused
    assert counts["bars"] == 2 * BARS


def broken(batch: BarBatch, before: BarBatch, random: np.random.Generator) -> BarBatch:
    kind = random.choice(["value", "high", "low", "again", "late", "interval"])
    if kind == "again":
        return before
    if kind == "late":
        return msgspec.structs.replace(batch, ts=before.ts - 1)
    if kind == "interval":
        return msgspec.structs.replace(batch, interval="4h")
    one = select(batch, [0])
    if kind == "high":
        return msgspec.structs.replace(one, high=[min(one.open[0], one.close[0]) * 0.99])
    if kind == "low":
        return msgspec.structs.replace(one, low=[max(one.open[0], one.close[0]) * 1.01])
    field = COLUMNS[random.integers(4)]
    return msgspec.structs.replace(one, **{field: [BAD_VALUES[random.integers(len(BAD_VALUES))]]})


@pytest.mark.parametrize("field", COLUMNS)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -1.0, 1e19])
def test_a_bad_value_is_a_bad_bar(walk: Walk, field: str, value: float) -> None:
    engine = Engine()
    engine.apply(msgspec.structs.replace(walk(1, ["A"], 1)[0], **{field: [value]}), 1)
    assert engine.counts["bad_bar"] == 1
    assert engine.counts["bars"] == 0


def test_a_symbol_twice_in_a_batch_counts_once(walk: Walk) -> None:
    engine = Engine()
    engine.apply(select(walk(1, ["A"], 1)[0], [0, 0]), 1)
    assert engine.counts["bars"] == 1
    assert engine.counts["stale"] == 1


@pytest.mark.parametrize(
    "change", [{"interval": "1 hour"}, {"symbols": ["GOOD", ""]}, {"symbols": ["X", "\n"]}]
)
def test_an_impossible_batch_is_refused_and_changes_nothing(walk: Walk, change: dict[str, object]) -> None:
    batches = walk(1, ["A", "B"], 40)
    engine = Engine()
    run(batches[:-1], engine)
    before = engine.snapshot()
    with pytest.raises(InputError):
        engine.apply(msgspec.structs.replace(batches[-1], **change), 99)
    assert engine.snapshot() == before


@law
@given(seeds, st.sampled_from([0.005, 0.02]))
def test_at_most_one_signal_is_open_a_symbol_and_side(walk: Walk, seed: int, volatility: float) -> None:
    """Followed by the shared rule from the published prices alone, no two overlap; no place stays shut."""
    batches = walk(seed, SYMBOLS[:2], BARS, interval="1d", volatility=volatility)
    engine = Engine(rules=Rules(expiry_days=10))
    under_way: dict[tuple[str, str], Signal] = {}
    for seq, batch in enumerate(batches, 1):
        close_ts = batch.ts + interval_ns(batch.interval)
        for n, symbol in enumerate(batch.symbols):
            bar = (batch.open[n], batch.high[n], batch.low[n], batch.close[n])
            for action, side in (("BUY", 1), ("SELL", -1)):
                held = under_way.get((symbol, action))
                if held is not None:
                    result, _ = outcomes.close_by_bar(
                        side, held.stop, held.target, held.expires, batch.ts, close_ts, *bar
                    )
                    if result != outcomes.OPEN:
                        del under_way[symbol, action]
        made = engine.apply(batch, seq)
        assert len({signal.symbol for signal in made}) == len(made)
        for signal in made:
            assert (signal.symbol, signal.action) not in under_way
            assert signal.expires == signal.ts + 10 * 86_400 * 10**9
            under_way[signal.symbol, signal.action] = signal
        assert engine.open_signals == len(under_way)
    counts = engine.counts
    assert counts["signals"] > 0
    judged = ("signals", "warming", "quorum", "neutral", "confidence", "open", "price")
    assert sum(counts[name] for name in judged) == counts["bars"]


@law
@given(seeds)
def test_every_signal_is_whole(walk: Walk, seed: int) -> None:
    previous = ""
    for signal in run(walk(seed, SYMBOLS, BARS)):
        assert signal.id == derive_id(
            "signal", signal.symbol, signal.action, "default@2", "1h", signal.bar_ts
        )
        assert signal.prev_sha256 == previous
        previous = signal.sha256
        assert signal.sha256 == identity_sha256(
            id=signal.id,
            symbol=signal.symbol,
            action=signal.action,
            entry=signal.entry,
            target=signal.target,
            stop=signal.stop,
            confidence=signal.confidence,
            strategy=signal.strategy,
            ts=signal.ts,
        )
        side = 1 if signal.action == "BUY" else -1
        assert 75 <= signal.raw_confidence == signal.confidence <= 98
        assert signal.calibration == "none"
        assert signal.sources == [vote.source for vote in signal.votes]
        assert sum(vote.weight for vote in signal.votes) == pytest.approx(1, abs=1e-5)
        balance = sum(vote.weight * vote.direction * vote.confidence for vote in signal.votes)
        multiplier = {"BULL": 1.05, "BEAR": 0.95, "CHOP": 0.9, "CRISIS": 0.85, "UNKNOWN": 1.0}[signal.regime]
        assert min(98, 100 * side * balance * multiplier) == pytest.approx(signal.raw_confidence, abs=0.01)
        agreeing = sum(vote.weight for vote in signal.votes if vote.direction == side)
        assert signal.agreement == pytest.approx(agreeing, abs=1e-5)
        win = signal.confidence / 100
        reward = abs(signal.target - signal.entry) / abs(signal.entry - signal.stop)
        assert signal.expected_r == pytest.approx(win * reward - (1 - win), abs=1e-5)
        assert signal.ts == signal.bar_ts + interval_ns("1h")


def test_the_compiled_kernel_is_the_interpreted_one(walk: Walk) -> None:
    """The same functions, run by Python itself: bit for bit the same state, decisions and counts."""
    engine, plain = Engine(), Engine()
    interpreted = step.py_func  # type: ignore[attr-defined]
    decisions = np.zeros(8, DECISION).view(np.recarray)
    for batch in walk(3, SYMBOLS, 260, volatility=0.02):
        made = len(engine.apply(batch, 1))
        rows = plain.state.rows_of(batch.symbols)
        bars = np.array([getattr(batch, name) for name in COLUMNS])
        found = interpreted(
            plain.state.symbols.view(np.recarray),
            rows,
            bars,
            batch.ts,
            interval_ns(batch.interval),
            Rules().record().view(np.recarray),
            plain.table.view(np.recarray),
            plain.programs.view(np.recarray),
            decisions,
            plain.state.counts,
        )
        assert found == made
    assert engine.state.symbols.tobytes() == plain.state.symbols.tobytes()
    assert engine.counts == plain.counts
    assert engine.counts["signals"] > 0


def test_the_future_does_not_reach_back(walk: Walk) -> None:
    batches = walk(5, SYMBOLS, BARS)
    other = walk(6, SYMBOLS, BARS)
    cut = 200
    changed = [
        *batches[:cut],
        *(msgspec.structs.replace(o, ts=b.ts) for b, o in zip(batches[cut:], other[cut:], strict=True)),
    ]
    until = batches[cut].ts
    first, second = ([s for s in run(bars) if s.bar_ts < until] for bars in (batches, changed))
    assert first == second
    assert first


@pytest.mark.parametrize("power", [-3, 1, 4])
def test_the_unit_of_the_price_does_not_matter_to_the_votes(walk: Walk, power: int) -> None:
    batches = walk(8, SYMBOLS, BARS)
    scaled = [
        msgspec.structs.replace(
            batch, **{name: [v * 2.0**power for v in getattr(batch, name)] for name in COLUMNS[:4]}
        )
        for batch in batches
    ]
    no_levels = Rules(stop=0.99, target=0.99, tick=1e-6, tick_under_one=1e-6)
    first, second = (run(bars, Engine(rules=no_levels)) for bars in (batches, scaled))
    assert [(s.id, s.votes, s.regime, s.view) for s in first] == [
        (s.id, s.votes, s.regime, s.view) for s in second
    ]
    assert first


def test_a_flat_market_says_nothing() -> None:
    engine = Engine()
    one, volume = [10.1], [1000.0]
    for n in range(400):
        bar = BarBatch(
            id="", ts=n * 60 * 10**9, interval="1m", symbols=["F"], open=one, high=one, low=one, close=one,
            volume=volume, source="test",
        )  # fmt: skip
        assert engine.apply(bar, n + 1) == []
    assert engine.counts["neutral"] == 400 - 34


def test_prices_too_low_for_the_tick_are_gated(walk: Walk) -> None:
    tiny = [
        msgspec.structs.replace(
            batch, **{name: [v * 1e-6 for v in getattr(batch, name)] for name in COLUMNS[:4]}
        )
        for batch in walk(2, SYMBOLS, BARS)
    ]
    engine = Engine()
    assert run(tiny, engine) == []
    assert engine.counts["price"] > 0
    assert engine.counts["signals"] == 0


def test_a_strategy_of_one_source(walk: Walk) -> None:
    engine = Engine(Weights(name="only-trend", version="3"), sources=["trend"])
    signals = run(walk(1, SYMBOLS, BARS), engine)
    assert signals
    assert {s.strategy for s in signals} == {"only-trend@3"}
    assert all(s.sources == ["trend"] and s.votes[0].weight == 1 for s in signals)


@pytest.mark.parametrize("symbols", [1, 2, 17, 2000])
def test_it_grows_with_its_symbols(walk: Walk, symbols: int) -> None:
    names = [f"S{n}" for n in range(symbols)]
    batches = walk(1, names, 60)
    together, apart = Engine(), Engine()
    expected = facts(run(batches, together))
    assert together.symbols == symbols
    half = symbols // 2
    found = run(
        [part for b in batches for part in (select(b, range(half)), select(b, range(half, symbols)))], apart
    )
    assert facts(found) == expected


def test_a_run_is_repeated_exactly(sample: list[BarBatch]) -> None:
    first, second = Engine(), Engine()
    assert run(sample[:3000], first) == run(sample[:3000], second)
    assert hashlib.sha256(first.snapshot()).digest() == hashlib.sha256(second.snapshot()).digest()
