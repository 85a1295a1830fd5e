"""The template explanation: what it says, and that it says it of this signal and of no other."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from heliograph.common.errors import InvariantError
from heliograph.common.events import Signal, Vote
from heliograph.reasoning.cache import is_sound
from heliograph.reasoning.engine import MODEL, Explainer, cache_key, reason_of
from heliograph.reasoning.facts import NEEDED, facts_of, fill, lifetime_text, price_text

MakeSignal = Callable[..., Signal]
DAY_NS = 86_400 * 10**9
EXPLAINER = Explainer()


def vote(source: str, direction: int, confidence: float) -> Vote:
    return Vote(source=source, direction=direction, confidence=confidence, weight=0.5)


def explain(signal: Signal) -> str:
    return reason_of(signal, EXPLAINER.text(facts_of(signal)), cached=False, received=0).text


GOLDEN = json.loads(Path(__file__).with_name("golden.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: case["name"])
def test_golden_texts(make_signal: MakeSignal, case: dict[str, Any]) -> None:
    changes = dict(case["changes"])
    if "votes" in changes:
        changes["votes"] = msgspec.convert(changes["votes"], list[Vote])
    assert explain(make_signal(**changes)) == case["text"]


def test_the_reason_points_at_its_signal(make_signal: MakeSignal) -> None:
    made = make_signal(id="0123456789abcdef", ts=5)
    reason = reason_of(made, EXPLAINER.text(facts_of(made)), cached=True, received=9)
    assert (reason.signal, reason.cause, reason.ts, reason.symbol) == (made.id, made.id, 5, "AAPL")
    assert (reason.provider, reason.model, reason.cost, reason.cached) == ("template", MODEL, 0.0, True)
    assert reason.id == reason_of(made, EXPLAINER.text(facts_of(made)), cached=False, received=0).id
    assert reason.id != reason_of(make_signal(), EXPLAINER.text(facts_of(made)), cached=False, received=0).id


symbols = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=16)
prices = st.floats(1e-6, 1e7, allow_nan=False)


@st.composite
def signals(draw: st.DrawFn) -> dict[str, Any]:
    """Fields of any valid signal."""
    low, entry, high = sorted(draw(st.lists(prices, min_size=3, max_size=3, unique=True)))
    action = draw(st.sampled_from(["BUY", "SELL"]))
    names = st.sampled_from(["trend", "technical", "swing", "pattern", "deep-seek", "a.b{stop}", "…"])
    confidence = st.floats(0, 100).map(lambda x: round(x, 2))
    votes = st.builds(vote, names, st.sampled_from([-1, 0, 1]), st.floats(0, 1))
    return {
        "symbol": draw(st.one_of(symbols, st.sampled_from(["BRK.B", "BTC/USD", "A B", "{entry}", "1.5"]))),
        "action": action,
        "entry": entry,
        "stop": low if action == "BUY" else high,
        "target": high if action == "BUY" else low,
        "confidence": draw(confidence),
        "raw_confidence": draw(confidence),
        "regime": draw(st.sampled_from(["BULL", "BEAR", "CHOP", "CRISIS", "UNKNOWN"])),
        "votes": draw(st.lists(votes, max_size=6)),
        "agreement": draw(st.floats(0, 1)),
        "calibration": draw(st.sampled_from(["none", "isotonic@1"])),
        "expires": 17_000 * DAY_NS + draw(st.integers(0, 60 * DAY_NS)),
    }


@hypothesis_settings(max_examples=50, deadline=None)
@given(signals())
def test_any_signal_gets_two_or_three_sentences_with_its_own_prices(
    make_signal: MakeSignal, fields: dict[str, Any]
) -> None:
    signal = make_signal(**fields)
    template = EXPLAINER.text(facts_of(signal))
    sentences = re.split(r"(?<=\.) ", template)
    assert 2 <= len(sentences) <= 3
    assert all(s.endswith(".") and s[0].isupper() and len(s.split()) >= 5 for s in sentences)
    assert is_sound(template)
    text = explain(signal)
    assert text.startswith(f"{signal.action} {signal.symbol} at {price_text(signal.entry)}: ")
    rest = text.removeprefix(f"{signal.action} {signal.symbol} at ")
    for price in (signal.entry, signal.stop, signal.target):
        assert price_text(price) in rest
    assert not any(p in rest for p in NEEDED)


@hypothesis_settings(max_examples=40, deadline=None)
@given(signals(), signals())
def test_a_text_made_for_one_signal_speaks_of_another_with_its_own_prices(
    make_signal: MakeSignal, one: dict[str, Any], two: dict[str, Any]
) -> None:
    prices_of_two = {k: two[k] for k in ("action", "entry", "stop", "target", "expires")}
    first = make_signal(**one)
    second = make_signal(**(one | prices_of_two))
    if cache_key(facts_of(first)) == cache_key(facts_of(second)):
        assert fill(EXPLAINER.text(facts_of(first)), second) == explain(second)
    elif first.action == second.action:
        assert facts_of(first).reward != facts_of(second).reward


@pytest.mark.parametrize(
    "changes",
    [
        {"symbol": "MSFT"},
        {"action": "SELL", "stop": 170.0, "target": 150.0},
        {"confidence": 85.0},
        {"regime": "BEAR"},
        {"agreement": 0.8},
        {"calibration": "isotonic@1"},
        {"raw_confidence": 91.0},
        {"target": 170.0},
        {"votes": [vote("trend", 1, 0.95), vote("technical", 0, 0.7)]},
    ],
    ids=lambda c: next(iter(c)),
)
def test_what_the_text_rests_on_is_in_the_key(make_signal: MakeSignal, changes: dict[str, Any]) -> None:
    assert cache_key(facts_of(make_signal(**changes))) != cache_key(facts_of(make_signal()))


@pytest.mark.parametrize(
    "changes",
    [
        {"entry": 164.0, "stop": 156.0, "target": 182.0},
        {"confidence": 80.0, "raw_confidence": 84.9},
        {"id": "b" * 16, "input_seq": 77, "ts": 17_001 * DAY_NS, "expires": 17_031 * DAY_NS},
    ],
    ids=lambda c: next(iter(c)),
)
def test_what_only_fills_it_is_not(make_signal: MakeSignal, changes: dict[str, Any]) -> None:
    assert cache_key(facts_of(make_signal(**changes))) == cache_key(facts_of(make_signal()))


@pytest.mark.parametrize("missing", NEEDED)
def test_a_text_that_cannot_speak_of_the_signal_is_never_used(make_signal: MakeSignal, missing: str) -> None:
    text = EXPLAINER.text(facts_of(make_signal())).replace(missing, "163.03")
    assert not is_sound(text)
    with pytest.raises(InvariantError, match=re.escape(missing)):
        fill(text, make_signal())


@pytest.mark.parametrize(
    ("price", "text"),
    [
        (163.0, "163.00"),
        (163.5, "163.50"),
        (163.125, "163.125"),
        (1.5e-7, "0.00000015"),
        (1e16, "10000000000000000.00"),
        (0.1 + 0.2, "0.30000000000000004"),
    ],
)
def test_a_price_keeps_all_its_digits(price: float, text: str) -> None:
    assert price_text(price) == text
    assert float(text) == price


@pytest.mark.parametrize(
    ("length", "text"),
    [
        (30 * DAY_NS, "30 days"),
        (2 * DAY_NS, "2 days"),
        (DAY_NS, "24 hours"),
        (DAY_NS // 24, "1 hour"),
        (0, "0 hours"),
    ],
)
def test_a_lifetime_in_words(length: int, text: str) -> None:
    assert lifetime_text(length) == text
