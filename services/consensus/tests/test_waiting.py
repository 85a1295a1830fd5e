"""Votes from outside: when they count, what is asked, when decisions fall, and what makes no difference."""

from collections.abc import Callable, Sequence

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.common import outcomes
from heliograph.common.errors import InputError
from heliograph.common.events import BarBatch, Enrich, Event, Signal, Tick, VoteBatch
from heliograph.common.ids import derive_id
from heliograph.common.intervals import interval_ns
from heliograph.consensus.engine import Engine, Hours, Rules
from heliograph.consensus.engine.consensus import bound_of, tally, verdict_of
from heliograph.consensus.engine.judge import tally_others
from heliograph.consensus.engine.layout import ABSTAIN, HEARD, PENDING, SEAT, VIEWS
from heliograph.consensus.engine.sources import DEAR, DearSource, is_crypto
from heliograph.consensus.engine.state import blank

Walk = Callable[..., list[BarBatch]]
SYMBOLS = ["AAPL", "MSFT", "BTC/USD"]
HOUR = interval_ns("1h")
SECOND = 10**9
START = 1_700_000_000 * SECOND
NEWS = DearSource(key="sentiment", tier=2, weight=0.2, fresh_s=5400, silence_s=1e8)
STUDY = DearSource(key="research", tier=3, weight=0.15, fresh_s=1800, silence_s=1e8)
law = settings(max_examples=25, deadline=None)


def votes_of(source: str, ts: int, *votes: tuple[str, int, float]) -> VoteBatch:
    symbols = [symbol for symbol, _, _ in votes]
    return VoteBatch(
        id=derive_id(source, ts, *symbols),
        ts=ts,
        source=source,
        symbols=symbols,
        direction=[direction for _, direction, _ in votes],
        confidence=[confidence for _, _, confidence in votes],
        observed=[ts] * len(votes),
    )


def hello(ts: int) -> list[Event]:
    """A sign of life of both sources."""
    return [votes_of("sentiment", ts), votes_of("research", ts)]


def tick_at(ts: int) -> Tick:
    return Tick(id=derive_id("tick", ts), ts=ts)


def feed(engine: Engine, events: Sequence[Event], first: int = 1) -> tuple[list[Signal], list[Enrich]]:
    """What comes of a stream."""
    signals: list[Signal] = []
    requests: list[Enrich] = []
    for seq, event in enumerate(events, first):
        if isinstance(event, BarBatch):
            signals += engine.apply(event, seq)
        elif isinstance(event, VoteBatch):
            engine.apply_votes(event, seq)
        elif isinstance(event, Tick):
            signals += engine.apply_tick(event, seq)
        requests += engine.requests
    return signals, requests


def made(rules: Rules | None = None) -> Engine:
    return Engine(rules=rules, others=[NEWS, STUDY])


def stream_of(walk: Walk, seed: int, bars: int = 140) -> list[list[Event]]:
    """A random stream in stretches: a bar or a tick, and the votes that come after it."""
    random = np.random.default_rng(seed)
    stretches: list[list[Event]] = [hello(START)]
    for batch in walk(seed, SYMBOLS, bars, volatility=0.02):
        close = batch.ts + HOUR
        stretches.append([batch])
        times = sorted(random.integers(0, 60, int(random.integers(0, 4))).tolist())
        for second in [None, *times]:
            if second is not None:
                stretches.append([tick_at(close + second * SECOND)])
            for _ in range(int(random.integers(0, 4))):
                chosen = [name for name in SYMBOLS if random.random() < 0.6]
                stretches[-1].append(
                    votes_of(
                        str(random.choice(["sentiment", "research"])),
                        close + int(random.integers(-3600, 60)) * SECOND,
                        *(
                            (name, int(random.choice([-1, 0, 1, 1, ABSTAIN])), float(random.uniform(0.4, 1)))
                            for name in chosen
                        ),
                    )
                )
    return stretches


@law
@given(st.integers(0, 10**6))
def test_early_exit_changes_no_signal(walk: Walk, seed: int) -> None:
    """Fewer requests, the same signals, bit for bit, in whatever order votes and ticks come."""
    events = [event for stretch in stream_of(walk, seed) for event in stretch]
    quick, patient = made(), made(Rules(early_exit=False))
    signals, requests = feed(quick, events)
    expected, all_requests = feed(patient, events)
    assert signals == expected
    assert {r.id for r in requests} <= {r.id for r in all_requests}
    assert len(requests) < len(all_requests)
    assert quick.counts["signals"] == patient.counts["signals"]


@law
@given(st.integers(0, 10**6))
def test_the_order_of_votes_between_ticks_is_of_no_account(walk: Walk, seed: int) -> None:
    random = np.random.default_rng(seed)
    stretches = stream_of(walk, seed)
    one, other = made(), made()
    expected = feed(one, [event for stretch in stretches for event in stretch])
    shuffled: list[Event] = []
    for stretch in stretches:
        begin = 0 if isinstance(stretch[0], VoteBatch) else 1
        order = begin + random.permutation(len(stretch) - begin)
        shuffled += [*stretch[:begin], *(stretch[n] for n in order)]
    assert feed(other, shuffled) == expected
    assert other.snapshot() == one.snapshot()


@law
@given(st.integers(0, 10**6), st.integers(1, 400))
def test_restoring_in_the_middle_is_never_having_stopped(walk: Walk, seed: int, cut: int) -> None:
    events = [event for stretch in stream_of(walk, seed) for event in stretch]
    whole, first, second = made(), made(), made()
    expected = feed(whole, events)
    signals, requests = feed(first, events[:cut])
    second.restore(first.snapshot())
    assert second.snapshot() == first.snapshot()
    rest = feed(second, events[cut:], cut + 1)
    assert (signals + rest[0], requests + rest[1]) == expected
    assert second.snapshot() == whole.snapshot()


@law
@given(st.integers(0, 10**6))
def test_signals_are_held_as_the_tracker_holds_them(walk: Walk, seed: int) -> None:
    """Bars of later batches decide, by sequence; none overlap; every request is made once."""
    events = [event for stretch in stream_of(walk, seed, bars=200) for event in stretch]
    engine = made(Rules(gate=60))
    held: dict[tuple[str, str], Signal] = {}
    requests: list[Enrich] = []
    for seq, event in enumerate(events, 1):
        if isinstance(event, BarBatch):
            for n, symbol in enumerate(event.symbols):
                bar = (event.open[n], event.high[n], event.low[n], event.close[n])
                for action, side in (("BUY", 1), ("SELL", -1)):
                    signal = held.get((symbol, action))
                    if signal is None:
                        continue
                    result, _ = outcomes.close_by_bar(
                        side, signal.stop, signal.target, signal.expires, event.ts, event.ts + HOUR, *bar
                    )
                    if result != outcomes.OPEN:
                        del held[symbol, action]
        signals, asked = feed(engine, [event], seq)
        requests += asked
        for signal in signals:
            assert (signal.symbol, signal.action) not in held
            assert signal.input_seq == seq
            held[signal.symbol, signal.action] = signal
        assert engine.open_signals == len(held)
    assert engine.counts["signals"] > 0
    assert len({r.id for r in requests}) == len(requests)


def answers(symbol: str, source: str, bar_ts: int) -> tuple[int, float]:
    """What a source would say, if it is asked about a bar."""
    drawn = int(derive_id("answer", symbol, source, bar_ts), 16)
    return (-1, 0, 1, 1, ABSTAIN)[drawn % 5], 0.5 + (drawn >> 8) % 51 / 100


@law
@given(st.integers(0, 10**6))
def test_asking_only_when_it_may_matter_loses_no_signal(walk: Walk, seed: int) -> None:
    """A source that answers what it is asked, against one that always says what it knows."""
    quick = Engine(others=[msgspec.structs.replace(NEWS, fresh_s=60), STUDY])
    always = Engine(rules=Rules(early_exit=False), others=[msgspec.structs.replace(NEWS, fresh_s=60), STUDY])
    found: list[list[Signal]] = []
    asked: list[int] = []
    for engine, on_request in ((quick, True), (always, False)):
        signals: list[Signal] = []
        count = 0
        feed(engine, hello(START))
        for batch in walk(seed, SYMBOLS, 160, volatility=0.02):
            close = batch.ts + HOUR
            signals += engine.apply(batch, 1)
            wanted = [(r.symbol, r.tier) for r in engine.requests]
            for second in (1, 2, 3):
                if not on_request:
                    wanted = [(symbol, tier) for symbol in SYMBOLS for tier in (2, 3)]
                for symbol, tier in wanted:
                    source = "sentiment" if tier == 2 else "research"
                    vote = answers(symbol, source, batch.ts)
                    engine.apply_votes(votes_of(source, close + second * SECOND, (symbol, *vote)), 1)
                    count += 1
                signals += engine.apply_tick(tick_at(close + second * SECOND), 1)
                wanted = [(r.symbol, r.tier) for r in engine.requests]
        found.append(signals)
        asked.append(count)
    assert [(s.id, s.raw_confidence, s.entry) for s in found[0]] == [
        (s.id, s.raw_confidence, s.entry) for s in found[1]
    ]
    assert asked[0] < asked[1] / 3


part = st.floats(0, 1)


@given(
    st.lists(st.tuples(st.sampled_from([-1, 0, 1]), part, st.floats(0.01, 1)), min_size=1, max_size=4),
    st.lists(
        st.tuples(st.sampled_from([-1, 0, 1, ABSTAIN]), part, st.floats(0.01, 1)), min_size=1, max_size=4
    ),
    st.sampled_from([0.85, 0.9, 1.0, 1.05]),
)
def test_the_bound_is_one_and_is_reached(
    heard: list[tuple[int, float, float]], later: list[tuple[int, float, float]], multiplier: float
) -> None:
    """Whatever the sources say that are not yet heard; and agreement at full strength comes up to it."""
    rules = Rules(quorum=0)

    def raw_of(votes: list[tuple[int, float, float]]) -> float:
        spoken = [vote for vote in votes if vote[0] != ABSTAIN]
        voted = sum(weight for _, _, weight in spoken)
        balance = sum(direction * confidence * weight for direction, confidence, weight in spoken)
        return verdict_of((voted, voted, balance, 0.0, 0.0), multiplier, rules)[2]

    voted = sum(weight for _, _, weight in heard)
    balance = sum(direction * confidence * weight for direction, confidence, weight in heard)
    unheard = sum(weight for _, _, weight in later)
    bound = bound_of(balance, voted, unheard, multiplier, rules)
    assert raw_of(heard + later) <= bound + 1e-9
    side = 1 if balance >= 0 else -1
    assert raw_of(heard + [(side, 1.0, weight) for _, _, weight in later]) == pytest.approx(bound)
    # A source that stays away never lifts the figure over what is possible with it.
    assert raw_of(heard) <= bound + 1e-9


ballot = st.tuples(st.sampled_from([-1, 0, 1, ABSTAIN]), st.floats(0.5, 0.95))


def signed_raw(kernel: list[tuple[int, float]], others: list[tuple[int, float]], rules: Rules) -> float:
    """Raw with the side as its sign, of three votes of the kernel and two from outside; all are heard."""
    symbol = blank(1).view(np.recarray)[0]
    symbol.bars = 200
    symbol.direction[:], symbol.confidence[:] = zip(*kernel, strict=True)
    table = Engine(others=[NEWS, STUDY]).table.view(np.recarray)[0]
    seats = np.array([(2, HOUR, 1.0), (3, HOUR, 1.0)], SEAT).view(np.recarray)
    heard = np.zeros((1, 2), HEARD).view(np.recarray)
    heard.direction[0], heard.confidence[0] = zip(*others, strict=True)
    state = np.array([(0, 0, 3, 1, 0)], PENDING).view(np.recarray)[0]
    view = VIEWS.index("TRENDING")
    sums, unheard, _, _ = tally_others(tally(symbol, view, table), heard, 0, state, seats, view, table, 0)
    assert unheard == 0
    _, side, raw, _, _ = verdict_of(sums, 1.0, rules)
    return side * raw


@settings(max_examples=60, deadline=None)
@given(
    st.lists(ballot, min_size=3, max_size=3),
    st.lists(ballot, min_size=2, max_size=2),
    st.integers(0, 4),
    st.sampled_from([-1, 1]),
    st.floats(0.5, 0.95),
    st.floats(0, 0.45),
)
def test_monotone_in_the_confidence_of_each_vote_of_all_sources(
    kernel: list[tuple[int, float]],
    others: list[tuple[int, float]],
    which: int,
    side: int,
    low: float,
    more: float,
) -> None:
    rules = Rules(quorum=0, raw_cap=100)

    def found(confidence: float) -> float:
        votes = [*kernel, *others]
        votes[which] = (side, confidence)
        return side * signed_raw(votes[:3], votes[3:], rules)

    assert found(min(0.95, low + more)) >= found(low) - 1e-6


def test_abstaining_outside_is_not_neutral() -> None:
    """TRENDING: .55 and .25 have voted, .15 and .05 outside abstain or dilute."""
    kernel = [(1, 0.9), (1, 0.9), (ABSTAIN, 0.0)]
    silent = signed_raw(kernel, [(ABSTAIN, 0.0), (ABSTAIN, 0.0)], Rules())
    neutral = signed_raw(kernel, [(0, 0.6), (0, 0.6)], Rules())
    assert silent == pytest.approx(90.0)
    assert neutral == pytest.approx(90.0 * 0.80 / 1.00)


def ready(engine: Engine, walk: Walk, bars: int = 60) -> list[BarBatch]:
    """Feed bars up to the one before the last; all of them."""
    batches = walk(1, SYMBOLS, bars)
    feed(engine, [*hello(batches[0].ts), *batches[:-1]])
    return batches


def with_votes(engine: Engine, trend: float, technical: float) -> None:
    """Put the votes of the kernel's sources in the place of those that the newest bars gave."""
    engine.state.symbols["direction"] = 1, 1, ABSTAIN
    engine.state.symbols["confidence"] = trend, technical, 0.0


def consider(engine: Engine, walk: Walk) -> int:
    """Bars taken, then a decision pending on all symbols with fixed votes; the close of the newest bar."""
    batches = ready(engine, walk)
    engine.apply(batches[-1], 99)
    others = engine._others
    assert others is not None
    others.pending["deadline"][: len(SYMBOLS)] = batches[-1].ts + HOUR + 30 * SECOND
    engine.state.symbols["expires"] = 0
    return batches[-1].ts + HOUR


def test_a_decision_falls_when_all_are_heard(walk: Walk) -> None:
    engine = made(Rules(swing_prices=False))
    close = consider(engine, walk)
    with_votes(engine, 0.9, 0.9)
    assert feed(engine, [tick_at(close + SECOND)])[0] == []
    assert engine.waiting == 3
    engine.apply_votes(votes_of("sentiment", close + SECOND, ("AAPL", 1, 0.8)), 101)
    engine.apply_votes(votes_of("research", close + SECOND, ("AAPL", ABSTAIN, 0.0)), 102)
    (signal,) = engine.apply_tick(tick_at(close + 2 * SECOND), 103)
    assert (signal.symbol, signal.action, signal.ts, signal.input_seq) == ("AAPL", "BUY", close, 103)
    assert signal.cause == tick_at(close + 2 * SECOND).id
    # UNKNOWN: trend .40, technical .25, sentiment .20; research abstains and is in neither sum.
    assert signal.raw_confidence == pytest.approx(100 * (0.4 * 0.9 + 0.25 * 0.9 + 0.2 * 0.8) / 0.85, abs=0.01)
    assert [(v.source, v.confidence, v.age_ns) for v in signal.votes] == [
        ("trend", 0.9, 0),
        ("technical", 0.9, 0),
        ("sentiment", 0.8, 0),
    ]
    assert engine.waiting == 2


def test_at_the_deadline_who_was_not_heard_has_abstained(walk: Walk) -> None:
    engine = made(Rules(swing_prices=False))
    close = consider(engine, walk)
    with_votes(engine, 0.9, 0.9)
    assert engine.apply_tick(tick_at(close + 30 * SECOND - 1), 100) == []
    signals = engine.apply_tick(tick_at(close + 30 * SECOND), 101)
    assert {signal.symbol for signal in signals} == set(SYMBOLS)
    assert {signal.raw_confidence for signal in signals} == {90.0}
    assert all(signal.sources == ["trend", "technical"] for signal in signals)
    assert engine.waiting == 0
    assert engine.apply_tick(tick_at(close + 60 * SECOND), 102) == []


def test_half_of_the_eligible_weight_must_have_voted(walk: Walk) -> None:
    """With heavy sources outside that say nothing, the two from bars are too few."""
    heavy = [msgspec.structs.replace(NEWS, weight=1.0), msgspec.structs.replace(STUDY, weight=1.0)]
    engine = Engine(
        rules=Rules(swing_prices=False),
        others=[msgspec.structs.replace(one, key=f"x-{one.key}") for one in heavy],
    )
    batches = walk(1, SYMBOLS, 60)
    feed(engine, [votes_of("x-sentiment", START), votes_of("x-research", START), *batches])
    others = engine._others
    assert others is not None
    close = batches[-1].ts + HOUR
    others.pending["deadline"][: len(SYMBOLS)] = close + 30 * SECOND
    with_votes(engine, 0.9, 0.9)
    before = engine.counts["quorum"]
    assert engine.apply_tick(tick_at(close + 30 * SECOND), 101) == []
    assert engine.counts["quorum"] == before + 3


def test_the_cheapest_tier_is_asked_first(walk: Walk) -> None:
    engine = made()
    close = consider(engine, walk)
    with_votes(engine, 0.9, 0.9)
    _, requests = feed(engine, [tick_at(close + SECOND)])
    assert {(r.symbol, r.tier, r.ts, r.deadline) for r in requests} == {
        (symbol, 2, close, close + 30 * SECOND) for symbol in SYMBOLS
    }
    assert all(75 <= r.bound <= 98 for r in requests)
    assert feed(engine, [tick_at(close + 2 * SECOND)])[1] == []
    _, requests = feed(engine, [votes_of("sentiment", close, ("AAPL", 1, 0.6)), tick_at(close + 3 * SECOND)])
    assert [(r.symbol, r.tier) for r in requests] == [("AAPL", 3)]


def test_where_nothing_can_help_nobody_is_asked(walk: Walk) -> None:
    engine = made()
    close = consider(engine, walk)
    with_votes(engine, 0.5, 0.5)
    # (.40·.5 + .25·.5 + .35)/1.00 = 67.5 at most.
    signals, requests = feed(engine, [tick_at(close + SECOND)])
    assert (signals, requests, engine.waiting) == ([], [], 0)


@pytest.mark.parametrize(
    ("rules", "waiting"),
    [
        (Rules(), 3),
        (Rules(partial_exit=50), 3),
        (Rules(partial_exit=76), 0),
        (Rules(continue_exit=76), 3),
    ],
)
def test_looser_exits_are_configuration(walk: Walk, rules: Rules, waiting: int) -> None:
    engine = made(rules)
    close = consider(engine, walk)
    with_votes(engine, 0.75, 0.75)
    feed(engine, [tick_at(close + SECOND)])
    assert engine.waiting == waiting
    feed(engine, [tick_at(close + 2 * SECOND)])
    assert engine.waiting == (0 if rules.continue_exit else waiting)


def test_a_stale_vote_does_not_count(walk: Walk) -> None:
    engine = made()
    batches = ready(engine, walk)
    close = batches[-1].ts + HOUR
    engine.apply_votes(votes_of("research", close - 1801 * SECOND, ("AAPL", 1, 0.9)), 98)
    engine.apply_votes(votes_of("research", close - 1800 * SECOND, ("MSFT", 1, 0.9)), 98)
    engine.apply_votes(votes_of("sentiment", close, ("AAPL", 1, 0.9), ("MSFT", 1, 0.9)), 98)
    others = engine._others
    assert others is not None
    engine.apply(batches[-1], 99)
    engine.state.symbols["expires"] = 0
    others.pending["deadline"][:3] = close + 30 * SECOND
    with_votes(engine, 0.9, 0.9)
    signals, requests = feed(engine, [tick_at(close + SECOND)])
    assert [signal.symbol for signal in signals] == ["MSFT"]
    assert [v.age_ns for v in signals[0].votes if v.source == "research"] == [1800 * SECOND]
    assert ("AAPL", 3) in {(r.symbol, r.tier) for r in requests}


def test_a_source_that_was_never_heard_is_not_eligible(walk: Walk) -> None:
    """No source outside, no request, and the signals of the sources that there are."""
    batches = walk(1, SYMBOLS, 300, volatility=0.02)
    alone, configured = Engine(), made()
    expected, _ = feed(alone, batches)
    found, requests = feed(configured, batches)
    assert requests == []
    assert [s.id for s in found] == [s.id for s in expected]
    assert [s.raw_confidence for s in found] == [s.raw_confidence for s in expected]
    assert found


def test_a_silent_source_falls_out_and_comes_back(walk: Walk) -> None:
    short = [msgspec.structs.replace(one, silence_s=300) for one in (NEWS, STUDY)]
    engine = Engine(rules=Rules(early_exit=False), others=short)
    batches = walk(1, SYMBOLS, 120)
    feed(engine, hello(batches[0].ts))
    asked = [bool(feed(engine, [batch])[1]) for batch in batches]
    # Two bars of silence are allowed where a bar is longer than the limit.
    assert asked[1] is True
    assert not any(asked[2:])
    feed(engine, hello(batches[-1].ts))
    later = msgspec.structs.replace(batches[-1], ts=batches[-1].ts + HOUR)
    assert feed(engine, [later])[1]


def test_stocks_are_asked_about_in_market_hours_only(walk: Walk) -> None:
    batches = walk(1, ["AAPL", "BTC/USD"], 60)
    first, last = batches[-2], batches[-1]
    session = first.ts + 10 * SECOND
    hours = Hours(opens=np.array([session]), closes=np.array([first.ts + HOUR]))
    others = [msgspec.structs.replace(DEAR["sentiment"], silence_s=1e8)]
    engine = Engine(rules=Rules(early_exit=False), others=others, hours=hours)
    feed(engine, [votes_of("sentiment", START), *batches[:-2]])
    assert {r.symbol for r in feed(engine, [first])[1]} == {"AAPL", "BTC/USD"}
    assert {r.symbol for r in feed(engine, [last])[1]} == {"BTC/USD"}


def test_models_weigh_more_off_hours(walk: Walk) -> None:
    batches = walk(1, ["AAPL"], 60)
    models = msgspec.structs.replace(DEAR["models"], silence_s=1e8)
    for opens, weight in (([batches[-1].ts], 0.1), ([0], 0.2)):
        hours = Hours(opens=np.array(opens), closes=np.array(opens) + HOUR)
        engine = Engine(rules=Rules(gate=0), others=[models], hours=hours)
        before = batches[-2].ts + HOUR
        feed(engine, [votes_of("models", START), *batches[:-1], tick_at(before + 31 * SECOND)])
        engine.state.symbols["expires"] = 0
        close = batches[-1].ts + HOUR
        signals, _ = feed(
            engine, [votes_of("models", close, ("AAPL", 1, 0.95)), batches[-1], tick_at(close + SECOND)]
        )
        votes = {vote.source: vote.weight for vote in signals[0].votes}
        assert votes["models"] / votes["trend"] == pytest.approx(weight / 0.4, rel=1e-4)


def test_verdicts_are_never_asked_for(walk: Walk) -> None:
    """The panel counts where a verdict younger than a day is held, and only there."""
    batches = walk(1, ["AAPL", "MSFT"], 61)
    engine = Engine(rules=Rules(gate=0), others=[DEAR["analysts"]])
    feed(engine, batches[:-1])
    engine.state.symbols["expires"] = 0
    close = batches[-1].ts + HOUR
    signals, requests = feed(
        engine, [votes_of("analysts", close - 80_000 * SECOND, ("AAPL", 1, 0.8)), batches[-1]]
    )
    assert requests == []
    assert {s.symbol: "analysts" in s.sources for s in signals} == {"AAPL": True, "MSFT": False}


@pytest.mark.parametrize(
    ("batch", "kept"),
    [
        (votes_of("sentiment", 1, ("NOBODY", 1, 0.9)), 0),
        (votes_of("sentiment", 1, ("AAPL", 7, 0.9)), 0),
        (votes_of("sentiment", 1, ("AAPL", 1, 1.1)), 0),
        (votes_of("sentiment", 1, ("AAPL", 1, float("nan"))), 0),
        (votes_of("models", 1, ("AAPL", 1, 0.9)), 0),
        (votes_of("sentiment", 1, ("AAPL", 1, 0.9)), 1),
    ],
)
def test_impossible_votes_are_left_out_and_counted(walk: Walk, batch: VoteBatch, kept: int) -> None:
    engine = made()
    feed(engine, walk(1, ["AAPL"], 2))
    engine.apply_votes(batch, 3)
    assert engine.votes == (kept, 1 - kept)


@pytest.mark.parametrize("engine", [Engine(), made()])
def test_an_unknown_source_is_told(engine: Engine) -> None:
    with pytest.raises(InputError, match="source: 'horoscope', expected one of trend"):
        engine.apply_votes(votes_of("horoscope", 1, ("AAPL", 1, 0.9)), 1)
    assert engine.seq == 0


def test_without_other_sources_votes_and_ticks_do_nothing(walk: Walk) -> None:
    batches = walk(1, SYMBOLS, 200, volatility=0.02)
    plain, told = Engine(), Engine()
    expected, _ = feed(plain, batches)
    events = [
        event
        for batch in batches
        for event in (batch, votes_of("sentiment", batch.ts, ("AAPL", 1, 0.9)), tick_at(batch.ts + 2 * HOUR))
    ]
    found, requests = feed(told, events)
    assert requests == []
    assert [s.id for s in found] == [s.id for s in expected]


def test_hours_are_needed_by_sources_that_mind_them() -> None:
    with pytest.raises(InputError, match="hours: none, expected those of the stock market for sentiment"):
        Engine(others=[DEAR["sentiment"]])


@pytest.mark.parametrize(
    ("symbol", "crypto"),
    [
        ("BTC/USD", True), ("BTCUSD", True), ("ETH-USDT", True), ("SOLUSDC", True), ("AAPL", False),
        ("BRK.B", False), ("USD", False), ("FUSD", False), ("AUSD", False), ("GOOGL", False),
    ],
)  # fmt: skip
def test_pairs_of_currencies(symbol: str, *, crypto: bool) -> None:
    assert is_crypto(symbol) is crypto


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"tier": 0}, "tier: 0 of source ok"),
        ({"fresh_s": 0.0}, "fresh_s: 0.0 of source ok"),
        ({"silence_s": float("inf")}, "silence_s: inf of source ok"),
        ({"key": "swing"}, "key: 'swing'"),
    ],
)
def test_wrong_sources(fields: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        DearSource(**{"key": "ok", "tier": 2, "weight": 0.1, "fresh_s": 60, **fields})  # type: ignore[arg-type]
