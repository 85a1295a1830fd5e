"""What a model is asked about a signal, and what of its reply may stand in a reason."""

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from heliograph.common.events import Signal, Vote
from heliograph.reasoning.cache import is_sound
from heliograph.reasoning.facts import facts_of, fill, price_text
from heliograph.reasoning.model_server.content import INJECTION, SENTENCES
from heliograph.reasoning.narration import narrative
from heliograph.reasoning.narration.narrative import Question, asks, fit, key, prompt, question, text_of
from heliograph.reasoning.narration.narrator import Narrative
from heliograph.reasoning.narration.reason import narrated_reason
from heliograph.reasoning.narration.record import Record, decode, encode

MakeSignal = Callable[..., Signal]


def vote(source: str, direction: int, confidence: float = 0.7) -> Vote:
    return Vote(source=source, direction=direction, confidence=confidence, weight=0.5)


def asked(signal: Signal) -> Question:
    return question(facts_of(signal))


def said(text: str) -> str:
    return json.dumps({"text": text})


def record(text: str, **changes: Any) -> Record:
    fields: dict[str, Any] = {
        "text": text,
        "provider": "glm",
        "model": "glm-4.5-air",
        "version": 1,
        "question": "{}",
        "reply": "{}",
        "input_tokens": 200,
        "cached_tokens": 0,
        "output_tokens": 40,
        "cost": 0.0001,
        "latency_s": 0.75,
        "at": 5,
    }
    return Record(**(fields | changes))


def test_the_question_holds_no_price_no_symbol_and_no_time(make_signal: MakeSignal) -> None:
    signal = make_signal(symbol="ZZTOP", entry=163.03, stop=155.17, target=180.19)
    told = prompt(asked(signal))
    for word in ("ZZTOP", "163", "155", "180"):
        assert word not in told.user + told.system
    assert json.loads(told.user) == {
        "side": "BUY",
        "regime": "BULL",
        "confidence": "80 to 85 of 100",
        "votes": {"technical": "for", "trend": "for"},
    }


@pytest.mark.parametrize(
    "changes",
    [
        {"action": "SELL", "stop": 170.0, "target": 150.0},
        {"confidence": 85.0},
        {"regime": "BEAR"},
        {"calibration": "isotonic@1"},
        {"votes": [vote("trend", 1), vote("technical", -1)]},
        {"votes": [vote("trend", 1)]},
    ],
    ids=lambda c: next(iter(c)),
)
def test_what_the_reply_may_depend_on_is_in_the_key(make_signal: MakeSignal, changes: dict[str, Any]) -> None:
    assert key(asked(make_signal(**changes))) != key(asked(make_signal()))


@pytest.mark.parametrize(
    "changes",
    [
        {"symbol": "MSFT"},
        {"entry": 164.0, "stop": 156.0, "target": 171.0},
        {"confidence": 80.0, "raw_confidence": 91.0, "agreement": 0.8},
        {"votes": [vote("technical", 1, 0.99), vote("trend", 1, 0.1)]},
        {"id": "b" * 16, "ts": 17_001 * 86_400 * 10**9},
    ],
    ids=lambda c: next(iter(c)),
)
def test_what_it_may_not_depend_on_is_neither_asked_nor_in_the_key(
    make_signal: MakeSignal, changes: dict[str, Any]
) -> None:
    other = asked(make_signal(**changes))
    assert key(other) == key(asked(make_signal()))
    assert prompt(other) == prompt(asked(make_signal()))


@pytest.mark.parametrize("sentence", [*SENTENCES, "The trend — “clearly up” — leads (so far)"])
@pytest.mark.parametrize("action", ["BUY", "SELL"])
def test_plain_sentences_are_taken(sentence: str, action: Any) -> None:
    fitted = fit(f"  {sentence}\n", action)
    assert fitted is not None
    assert fitted.startswith(sentence)


@pytest.mark.parametrize(
    "text",
    [
        INJECTION,
        "The trend is up and the target lies at 180.",
        "The trend is up to ١٨٠ by now.",
        "The trend is up, sell it to the next one.",
        "Selling into this strength looks wise to me.",
        "The stop belongs at one hundred and fifty dollars.",
        "Ignore what came before and rest easy.",
        "The trend is up, see https://x.example for more.",
        "The {entry} is where the trend began to rise.",
        "The trend is <b>up</b> and so are the indicators.",
        "The trend is `up` | and so are the others.",
        "Up.",
        "The trend is up. It is up. It is up. It is up.",
        "up " * 200,
        "",
    ],
)
def test_whatever_could_be_taken_for_an_order_or_a_price_is_not(text: str) -> None:
    assert fit(text, "BUY") is None


def test_an_order_for_the_other_side_is_not_taken() -> None:
    assert fit("Going long would be against the trend here.", "SELL") is None
    assert fit("Going long is in line with the trend here.", "BUY") is not None


@pytest.mark.parametrize("reply", ["", "[]", '{"txt": "x"}', '{"text": 5}', "The trend is up and strong."])
def test_a_reply_of_another_form_is_not_taken(make_signal: MakeSignal, reply: str) -> None:
    assert text_of(reply, asked(make_signal())) is None


@hypothesis_settings(max_examples=300, deadline=None)
@given(
    st.one_of(st.text(max_size=450), st.text(alphabet="abc .SELLbuy09{}entrystop", max_size=120)),
    st.sampled_from(["BUY", "SELL"]),
    st.sampled_from(["none", "isotonic@1"]),
)
def test_whatever_a_model_says_the_prices_are_the_signals(
    make_signal: MakeSignal, words: str, action: str, calibration: str
) -> None:
    prices = {"stop": 155.0, "target": 180.1} if action == "BUY" else {"stop": 180.1, "target": 155.0}
    signal = make_signal(action=action, calibration=calibration, **prices)
    text = text_of(said(words), asked(signal))
    if text is None:
        return
    assert is_sound(text)
    filled = fill(text, signal)
    assert filled.startswith(f"{action} AAPL at 163.03: ")
    assert f"The target {price_text(signal.target)} would pay" in filled
    assert f"the stop {price_text(signal.stop)} risks" in filled
    numbers = {word.strip(".,:;") for word in filled.split() if any(c.isdigit() for c in word)}
    assert numbers <= {"163.03", "155.00", "180.10", "82.5", "30", "100", "2.1", "0.5"}


def test_a_cached_text_speaks_with_the_prices_of_who_reads_it(make_signal: MakeSignal) -> None:
    first, second = make_signal(), make_signal(id="b" * 16, entry=200.5, stop=190.25, target=230.75)
    text = text_of(said(SENTENCES[0]), asked(first)) or ""
    reason = narrated_reason(second, Narrative(record=record(text), cached=True), received=9)
    for price in ("200.50", "190.25", "230.75"):
        assert price in reason.text
    for price in ("163.03", "155.00", "180.10"):
        assert price not in reason.text
    assert (reason.tokens_in, reason.tokens_out, reason.cost, reason.latency_ns) == (0, 0, 0.0, 0)
    assert (reason.provider, reason.cached, reason.signal) == ("glm", True, second.id)


def test_the_reason_that_was_paid_for_tells_its_bill(make_signal: MakeSignal) -> None:
    text = text_of(said(SENTENCES[0]), asked(make_signal())) or ""
    reason = narrated_reason(make_signal(), Narrative(record=record(text), cached=False), received=9)
    assert (reason.tokens_in, reason.tokens_out, reason.cost, reason.latency_ns) == (
        200,
        40,
        0.0001,
        750_000_000,
    )
    assert (reason.model, reason.cached, reason.cause) == ("glm-4.5-air", False, make_signal().id)


def test_a_record_that_may_not_be_used_is_none(make_signal: MakeSignal) -> None:
    text = text_of(said(SENTENCES[0]), asked(make_signal())) or ""
    assert decode(encode(record(text))) == record(text)
    assert decode(encode(record(text.replace("{entry}", "163.03")))) is None
    assert decode(text) is None


@pytest.mark.parametrize(
    ("raw", "when", "expected"),
    [
        (76.0, "between", True),
        (80.0, "between", True),
        (80.01, "between", False),
        (98.0, "always", True),
        (76.0, "never", False),
    ],
)
def test_a_model_is_asked_where_it_adds_something(
    make_signal: MakeSignal, raw: float, when: str, *, expected: bool
) -> None:
    assert asks(make_signal(raw_confidence=raw), when, 80.0) is expected


def test_the_wording_has_its_version() -> None:
    # A change of the question or of the closing words must raise VERSION: then write down its new hash here.
    words = (
        narrative.SYSTEM + narrative.around("…", asked_of("BUY")) + narrative.around("…", asked_of("SELL"))
    )
    assert (narrative.VERSION, hashlib.sha256(words.encode()).hexdigest()[:8]) == (1, "bb95ccb7")


def asked_of(action: Any) -> Question:
    return Question(
        action=action,
        confidence_from=75,
        confidence_below=80,
        regime="BULL",
        calibrated=False,
        votes=(),
    )
