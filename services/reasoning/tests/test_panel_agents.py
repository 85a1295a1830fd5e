"""The agents without a model, against figures worked by hand."""

import math
from datetime import date, timedelta
from typing import Any

import msgspec
import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import pytest
import talib
from hypothesis import given
from hypothesis import strategies as st

from heliograph.common.errors import InputError
from heliograph.reasoning.panel.agents import (
    fundamentals,
    portfolio_manager,
    risk,
    sentiment,
    technicals,
    valuation,
)
from heliograph.reasoning.panel.agents.averages import adx, exponential
from heliograph.reasoning.panel.agents.portfolio_manager import conviction, decide, legal_actions
from heliograph.reasoning.panel.agents.risk import Limit
from heliograph.reasoning.panel.agents.technicals import Reading, combine
from heliograph.reasoning.panel.company import Company, InsiderTrade, LineItems, Metrics, News, Prices
from heliograph.reasoning.panel.opinion import Abstention, Opinion, View
from heliograph.reasoning.panel.portfolio import PanelRules, Portfolio, Position

DAY = date(2024, 3, 8)
FRAME: dict[str, Any] = {"ticker": "AAPL", "start": date(2023, 3, 8), "asof": DAY}


def ratios(**values: Any) -> Metrics:
    return Metrics(period="ttm", end=date(2023, 12, 30), filed=date(2024, 2, 2), **values)


def items(end: date, **values: Any) -> LineItems:
    return LineItems(period="ttm", end=end, filed=min(end + timedelta(days=35), DAY), **values)


def series(close: list[float], volume: list[float] | None = None) -> Prices:
    days = tuple(DAY - timedelta(days=len(close) - 1 - i) for i in range(len(close)))
    return Prices(
        days=days,
        high=tuple(c * 1.01 for c in close),
        low=tuple(c * 0.99 for c in close),
        close=tuple(close),
        volume=tuple(volume or [1e6] * len(close)),
    )


def walk(count: int, seed: int = 1, drift: float = 0.0, step: float = 0.01) -> list[float]:
    random = np.random.default_rng(seed)
    found: list[float] = (100 * np.exp(np.cumsum(random.normal(drift, step, count)))).tolist()
    return found


def opinion(agent: str, signal: Any, confidence: float) -> Opinion:
    return Opinion(agent=agent, ticker="AAPL", signal=signal, confidence=confidence, reasoning="")


# Fundamentals --------------------------------------------------------------------------------------------


def test_fundamentals_of_apple_in_march_2024() -> None:
    # The ratios as Financial Datasets gave them for 2023-12-30:
    # profitability: ROE 156 % > 15, net margin 26.2 % > 20, operating margin 30.7 % > 15: all three, bullish;
    # growth: revenue 0.6 %, earnings 4.0 %, book value 19.2 %: one above 10 %, neutral;
    # health: current 1.073, D/E 3.771, FCF/share 6.89 > 0.8 · 6.488 = 5.19: one, neutral;
    # price: P/E 29.7 > 25, P/B 40.4 > 3, P/S 7.8 > 5: three dear, bearish.
    apple = ratios(
        return_on_equity=1.56,
        net_margin=0.262,
        operating_margin=0.30706,
        revenue_growth=0.0063,
        earnings_growth=0.0404,
        book_value_growth=0.1924,
        current_ratio=1.073,
        debt_to_equity=3.771,
        free_cash_flow_per_share=6.89,
        earnings_per_share=6.4884,
        price_to_earnings=29.673,
        price_to_book=40.41,
        price_to_sales=7.763,
    )
    view = fundamentals.analyse(Company(**FRAME, metrics=(apple,)))
    assert isinstance(view, Opinion)
    assert view.facts["groups"] == {
        "profitability": "bullish",
        "growth": "neutral",
        "health": "neutral",
        "price": "bearish",
    }
    # One for, one against: neutral, at a share of 1 / 4.
    assert (view.signal, view.confidence) == ("neutral", 0.25)


@pytest.mark.parametrize(
    ("group", "tests", "stance"),
    [
        ("health", [True, True, False], "bullish"),
        ("health", [False, False, False], "bearish"),
        ("health", [True, False, False], "neutral"),
        ("health", [True, True, None], "bullish"),
        ("health", [False, None, None], None),
        ("price", [True, True, True], "bearish"),
        ("price", [False, False, False], "bullish"),
        ("price", [False, True, False], "neutral"),
        ("price", [None, None, None], None),
    ],
)
def test_a_group_of_ratios(group: str, tests: list[bool | None], stance: str | None) -> None:
    assert fundamentals.judge(group, tests) == stance


def test_a_missing_group_is_outside_the_share() -> None:
    good = ratios(return_on_equity=0.2, net_margin=0.3, current_ratio=1.0, debt_to_equity=0.9)
    view = fundamentals.analyse(Company(**FRAME, metrics=(good,)))
    assert isinstance(view, Opinion)
    assert view.facts["groups"] == {"profitability": "bullish", "health": "bearish"}
    assert view.confidence == 0.5  # of two groups, not of four
    assert isinstance(fundamentals.analyse(Company(**FRAME)), Abstention)
    assert isinstance(fundamentals.analyse(Company(**FRAME, metrics=(ratios(),))), Abstention)


# Technicals ----------------------------------------------------------------------------------------------


def test_technicals_combine_by_weight_and_confidence() -> None:
    # trend .25·.4 = .10 up; mean reversion .20·.5 = .10 neutral; momentum .25·.6 = .15 down:
    # (.10 − .15) / (.10 + .10 + .15) = −.142857
    readings = {
        "trend": Reading(sign=1, confidence=0.4),
        "mean reversion": Reading(sign=0, confidence=0.5),
        "momentum": Reading(sign=-1, confidence=0.6),
    }
    assert combine(readings) == pytest.approx(-0.05 / 0.35)
    del readings["mean reversion"]  # without it, and not with it as neutral: −.05 / .25
    assert combine(readings) == pytest.approx(-0.2)
    assert combine({}) is None


def test_technicals_need_half_a_year() -> None:
    view = technicals.analyse(Company(**FRAME, prices=series(walk(125))))
    assert isinstance(view, Abstention)
    assert "125 daily bars" in view.reason
    assert isinstance(technicals.analyse(Company(**FRAME, prices=series(walk(126)))), Opinion)
    assert technicals.momentum(series(walk(126))) is None  # a return over 126 days needs 127 closes
    assert isinstance(technicals.analyse(Company(**FRAME)), Abstention)


def test_a_steady_climb_is_an_uptrend() -> None:
    prices = series([100 * 1.004**i for i in range(200)], [1e6] * 199 + [2e6])
    reading = technicals.trend(prices)
    assert reading is not None
    assert reading.sign == 1  # nothing but +DM: ADX 100
    assert reading.confidence == pytest.approx(1.0, abs=0.01)
    moved = technicals.momentum(prices)
    # .4·(1.004^21 − 1) + .3·(1.004^63 − 1) + .3·(1.004^126 − 1) = .03498 + .08578 + .19610 = .31686; ·5 > 1
    assert moved == Reading(sign=1, confidence=1.0)
    falling = technicals.trend(series([100 * 0.996**i for i in range(200)]))
    assert falling is not None
    assert falling.sign == -1


@pytest.mark.parametrize("bars", [55, 60, 126, 700])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_averages_against_talib(bars: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    close = np.array(walk(bars, seed=seed))
    high, low = close * (1 + random.random(bars) * 0.02), close * (1 - random.random(bars) * 0.02)
    for length in (8, 21, 55):
        expected = talib.EMA(close, length)[-1]
        assert exponential(close.tolist(), length) == pytest.approx(expected, rel=1e-12)
    found = adx(high.tolist(), low.tolist(), close.tolist(), 14)
    assert found == pytest.approx(talib.ADX(high, low, close, 14)[-1], rel=1e-9)
    assert exponential([1.0] * 7, 8) is None
    assert adx([1.0] * 27, [1.0] * 27, [1.0] * 27, 14) is None
    assert adx([1.0] * 28, [1.0] * 28, [1.0] * 28, 14) == 0  # nothing moves


def test_momentum_by_hand_and_only_on_volume() -> None:
    close = [100.0] * 106 + [103.0] * 21
    # 21 days ago 100 (the close before the step), as 63 and 126: .4·.03 + .3·.03 + .3·.03 = .03, below .05
    assert technicals.momentum(series(close, [1.0] * 126 + [9.0])) == Reading(sign=0, confidence=0.5)
    close = [100.0] * 106 + [108.0] * 21
    up = technicals.momentum(series(close, [1.0] * 126 + [9.0]))
    assert up is not None
    assert up.sign == 1  # .08 · 5
    assert up.confidence == pytest.approx(0.4)
    assert technicals.momentum(series(close, [1.0] * 127)) == Reading(sign=0, confidence=0.5)


def test_mean_reversion_by_hand() -> None:
    # 49 closes that alternate 99 and 101, then 90: far below mean and band.
    close = [99.0 if i % 2 else 101.0 for i in range(49)] + [90.0]
    z = (90 - np.mean(close)) / np.std(close, ddof=1)
    assert z < -2
    reading = technicals.mean_reversion(series(close))
    assert reading is not None
    assert reading.sign == 1
    assert reading.confidence == pytest.approx(min(abs(z) / 4, 1))
    above = technicals.mean_reversion(series([*close[:49], 110.0]))
    assert above is not None
    assert above.sign == -1
    assert technicals.mean_reversion(series([*close[:49], 100.0])) == Reading(sign=0, confidence=0.5)
    assert technicals.mean_reversion(series([100.0] * 60)) is None  # nothing varies


def test_volatility_against_pandas() -> None:
    close = walk(150, seed=3) + walk(40, seed=4, step=0.002)
    close[150:] = [c * close[149] / 100 for c in close[150:]]
    vol = pd.Series(close).pct_change().rolling(21).std() * math.sqrt(252)
    mean, deviation = vol.rolling(63).mean().iloc[-1], vol.rolling(63).std().iloc[-1]
    z = (vol.iloc[-1] - mean) / deviation
    assert vol.iloc[-1] / mean < 0.8
    assert z < -1
    reading = technicals.volatility(series(close))
    assert reading is not None
    assert reading.sign == 1
    assert reading.confidence == pytest.approx(min(abs(z) / 3, 1))
    assert technicals.volatility(series(walk(83))) is None
    assert technicals.volatility(series(walk(84))) is not None


def test_the_hurst_exponent_tells_walks_from_returners() -> None:
    random = np.random.default_rng(5)
    straight = technicals.hurst(np.array(walk(2000, seed=6)))
    assert straight == pytest.approx(0.5, abs=0.08)
    noise = technicals.hurst(100 + random.normal(0, 1, 2000))  # turns back at once
    assert noise == pytest.approx(0.0, abs=0.08)
    assert technicals.hurst(np.full(100, 7.0)) is None


def test_skew_against_pandas() -> None:
    values = np.random.default_rng(8).exponential(size=63)
    assert technicals.skew(values) == pytest.approx(pd.Series(values).skew())
    assert technicals.skew(np.ones(5)) is None


def test_returners_with_a_skew_are_a_statistical_signal() -> None:
    random = np.random.default_rng(11)
    close = (100 + random.normal(0, 0.2, 200)).tolist()
    for place in (150, 170, 190):  # up at once, down in steps
        close[place : place + 3] = [106.0, 104.0, 102.0]
    reading = technicals.statistical(series(close))
    returns = pd.Series(close).pct_change().iloc[-63:]
    exponent = technicals.hurst(np.array(close))
    assert exponent is not None
    assert exponent < 0.4
    assert returns.skew() > 1
    assert reading is not None
    assert reading.sign == 1
    assert reading.confidence == pytest.approx(min((0.5 - exponent) * 2, 1.0))


@given(
    signs=st.lists(st.sampled_from([-1, 0, 1]), min_size=5, max_size=5),
    sure=st.lists(st.floats(0.01, 1), min_size=5, max_size=5),
    absent=st.integers(0, 4),
)
def test_an_abstaining_part_is_outside_mean_and_denominator(
    signs: list[int], sure: list[float], absent: int
) -> None:
    names = list(technicals.PARTS)
    readings = {n: Reading(sign=s, confidence=c) for n, s, c in zip(names, signs, sure, strict=True)}
    left = {name: r for name, r in readings.items() if name != names[absent]}
    score = combine(left)
    assert score is not None
    assert -1 <= score <= 1
    if all(r.sign == 1 for r in left.values()):
        assert score == pytest.approx(1)
    diluted = combine({**left, names[absent]: Reading(sign=0, confidence=sure[absent])})
    assert diluted is not None
    assert abs(diluted) <= abs(score) + 1e-12
    if score:
        assert abs(diluted) < abs(score)


# Sentiment -----------------------------------------------------------------------------------------------


def trade(shares: float) -> InsiderTrade:
    return InsiderTrade(filed=DAY, name="A", shares=shares, price=1.0)


def news(tone: Any) -> News:
    return News(published=DAY, title="x", tone=tone)


def test_a_thousand_insider_rows_do_not_drown_a_hundred_news() -> None:
    company = Company(
        **FRAME,
        trades=(trade(-5),) * 1000,
        news=tuple(map(news, ["positive"] * 60 + ["negative"] * 10 + ["neutral"] * 30 + [None] * 900)),
    )
    view = sentiment.analyse(company)
    assert isinstance(view, Opinion)
    # For: .3·0 + .7·.60 = .42; against: .3·1 + .7·.10 = .37
    assert view.signal == "bullish"
    assert view.confidence == pytest.approx(0.42)


def test_one_kind_alone_counts_whole() -> None:
    view = sentiment.analyse(Company(**FRAME, trades=(trade(5), trade(-5), trade(-1), trade(-2))))
    assert isinstance(view, Opinion)
    assert (view.signal, view.confidence) == ("bearish", 0.75)  # .3·.75 / .3
    even = sentiment.analyse(Company(**FRAME, news=(news("positive"), news("negative"))))
    assert isinstance(even, Opinion)
    assert even.signal == "neutral"


def test_news_without_a_tone_are_no_news() -> None:
    assert isinstance(sentiment.analyse(Company(**FRAME, news=(news(None),) * 5)), Abstention)


# Valuation -----------------------------------------------------------------------------------------------


def test_the_cash_flow_value_by_hand() -> None:
    # 100 grows by 5 %: 105, 110.25, 115.7625, 121.550625, 127.62815625. At 10 %:
    # 95.4545 + 91.1157 + 86.9741 + 83.0207 + 79.2471 = 435.8121
    # after it 127.62815625 · 1.03 / .07 = 1877.95715625, today 1166.0640
    assert valuation.cash_flow_value(100, 0.05) == pytest.approx(435.8121 + 1166.0640, abs=0.001)


def test_owner_earnings_by_hand() -> None:
    now = items(
        date(2023, 12, 30),
        net_income=100.0,
        depreciation_and_amortization=20.0,
        capital_expenditure=30.0,
        current_assets=80.0,
        cash=10.0,
        current_liabilities=50.0,
    )
    before = items(date(2022, 12, 31), current_assets=70.0, cash=10.0, current_liabilities=45.0)
    # Working capital (80 − 10) − 50 = 20, before (70 − 10) − 45 = 15: 5 are tied; 100 + 20 − 30 − 5 = 85
    assert valuation.owner_earnings((now, before)) == 85
    assert valuation.owner_earnings((now,)) is None
    # 85 a year for 5 years at 15 %: 85 · 3.352155 = 284.9332; after it 85 / .15 = 566.6667, now 281.7335
    assert valuation.owner_earnings_value(85, 0.0) == pytest.approx(0.75 * (284.9332 + 281.7335), abs=0.001)


def test_the_multiple_by_hand() -> None:
    # EV 1000 = cap 900 + net debt 100; EV/EBITDA 10: EBITDA 100. Median of 10, 8, 14: 10 → EV 1000 → 900
    newest = ratios(market_cap=900.0, enterprise_value=1000.0, ev_to_ebitda=10.0)
    old = [ratios(ev_to_ebitda=m) for m in (8.0, 14.0)]
    assert valuation.multiple_value((newest, *old)) == 900
    # A ninth is not looked at; one below 0 says nothing.
    more = [ratios(ev_to_ebitda=m) for m in (12.0, 12.0, 12.0, 12.0, -3.0, 12.0, 12.0, 1.0)]
    assert valuation.multiple_value((newest, *more)) == 1100  # 12 · 100 − 100
    assert valuation.multiple_value((ratios(market_cap=900.0),)) is None


def test_residual_income_by_hand() -> None:
    # Book 1000, income 130: residual 30, growing 3 %: with the terminal value 30.9 / .07 = 441.4286
    year = items(date(2023, 12, 30), net_income=130.0, equity=1000.0)
    assert valuation.residual_income_value(year, 0.03) == pytest.approx(1000 + 30.9 / 0.07)
    assert valuation.residual_income_value(year, None) == pytest.approx(1000 + 30.9 / 0.07)
    assert valuation.residual_income_value(items(DAY, net_income=100.0, equity=1000.0), 0.03) is None


def test_valuation_counts_only_the_methods_with_a_value() -> None:
    # Cash flow 100 at the default growth: 1601.88; the market pays 2000: a gap of −19.9 %.
    # No owner earnings (depreciation missing), no multiple, no residual income: the gap is that one method's.
    year = items(date(2023, 12, 30), operating_cash_flow=130.0, capital_expenditure=30.0)
    company = Company(**FRAME, metrics=(ratios(market_cap=2000.0),), items=(year,))
    view = valuation.analyse(company)
    assert isinstance(view, Opinion)
    assert view.signal == "bearish"
    assert view.facts["gap"] == pytest.approx(1601.876 / 2000 - 1, abs=1e-5)
    assert view.confidence == pytest.approx(0.19906 / 0.30, abs=1e-3)
    losing = msgspec.structs.replace(
        company, items=(items(DAY, operating_cash_flow=-5.0, capital_expenditure=1.0),)
    )
    assert isinstance(valuation.analyse(losing), Abstention)
    assert isinstance(valuation.analyse(msgspec.structs.replace(company, metrics=(ratios(),))), Abstention)


def test_valuation_of_apple_in_march_2024() -> None:
    # Fiscal 2023 by its 10-K: FCF 99,584; income 96,995; depreciation 11,519; capex 10,959; working capital
    # (143,566 − 29,965) − 145,308 = −31,707, before (135,405 − 23,646) − 153,982 = −42,223: 10,516 tied.
    this = items(
        date(2023, 9, 30),
        operating_cash_flow=110_543.0,
        capital_expenditure=10_959.0,
        net_income=96_995.0,
        depreciation_and_amortization=11_519.0,
        current_assets=143_566.0,
        cash=29_965.0,
        current_liabilities=145_308.0,
        equity=62_146.0,
    )
    last = items(date(2022, 9, 24), current_assets=135_405.0, cash=23_646.0, current_liabilities=153_982.0)
    newest = ratios(
        market_cap=2_994_371.0,
        enterprise_value=3_075_494.0,
        ev_to_ebitda=23.678,
        earnings_growth=0.0404,
        book_value_growth=0.1924,
    )
    found = valuation.appraise(Company(**FRAME, metrics=(newest,), items=(this, last)))
    assert valuation.owner_earnings((this, last)) == 96_995 + 11_519 - 10_959 - 10_516
    # Growing annuity at g = 4.04 %: FCF · Σ (1.0404/1.1)^t, t = 1..5, = 99,584 · 4.243257; after it
    # 99,584 · 1.0404^5 · 1.03/.07 / 1.1^5 = 99,584 · 1.219012 · 14.714286 · .620921 = 99,584 · 11.137286.
    assert found["discounted cash flow"] == pytest.approx(99_584 * (4.243257 + 11.137286), rel=1e-4)
    # Owner earnings 87,039: Σ (1.0404/1.15)^t = 3.73960; after it (1.0404/1.15)^5 · 1.03/.12 = 5.20198.
    assert found["owner earnings"] == pytest.approx(0.75 * 87_039 * (3.73960 + 5.20198), rel=1e-5)
    assert found["EV/EBITDA"] == pytest.approx(2_994_371)  # one multiple: what is paid
    # Residual 96,995 − 6,214.6 = 90,780.4 at 19.24 %: Σ 1.084^t = 6.4171, after it 1.1924^5 (2.41054) · …
    ratio = 1.1924 / 1.1
    worth = sum(ratio**t for t in range(1, 6)) + ratio**5 * 1.03 / 0.07
    assert found["residual income"] == pytest.approx(62_146 + 90_780.4 * worth)


# Risk ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("volatility", "share"),
    [
        (0.10, 0.25),
        (0.15, 0.20),  # .20 · (1 − 0)
        (0.20, 0.195),  # .20 · (1 − .05 · .5)
        (0.30, 0.15),  # .20 · .75
        (0.40, 0.14),  # .20 · (.75 − .10 · .5)
        (0.50, 0.13),
        (0.51, 0.10),
    ],
)
def test_the_share_falls_with_volatility(volatility: float, share: float) -> None:
    assert risk.share_by_volatility(volatility) == pytest.approx(share)


@pytest.mark.parametrize(
    ("correlation", "factor"),
    [(0.9, 0.7), (0.8, 0.7), (0.6, 0.85), (0.4, 1.0), (0.2, 1.05), (0.1, 1.1), (-0.5, 1.1)],
)
def test_the_factor_falls_with_correlation(correlation: float, factor: float) -> None:
    assert risk.factor_by_correlation(correlation) == factor


def test_a_limit_by_hand() -> None:
    # Closes that go +1 %, −1 % in turn: about 1 % a day, 16 % a year: .20 · (1 − .5 · (v − .15)).
    close = [100.0]
    for i in range(60):
        close.append(close[-1] * (1.01 if i % 2 else 0.99))
    volatility = float(np.std([0.01 if i % 2 else -0.01 for i in range(60)], ddof=1)) * math.sqrt(252)
    found = risk.limits({"AAPL": series(close)}, Portfolio(cash=100_000))["AAPL"]
    assert found.volatility == pytest.approx(volatility)
    assert found.room == pytest.approx(100_000 * 0.20 * (1 - (volatility - 0.15) * 0.5))
    assert found.correlation is None
    assert "correlation not known: × 1" in found.steps


def test_exposure_and_cash_bound_the_limit_and_are_recorded() -> None:
    close = walk(61, seed=2, step=0.001)
    held = int(30_000 / close[-1])
    portfolio = Portfolio(cash=5_000, positions={"B": Position(long=held)})
    prices = {"A": series(walk(61, seed=9, step=0.001)), "B": series(close)}
    found = risk.limits(prices, portfolio)
    assert found["A"].room == 5_000
    assert any("clamped to the cash" in step for step in found["A"].steps)
    assert found["B"].room == 0  # 25 % · 1.1 of 35,000 is less than the 30,000 held
    assert any("exposure is above" in step for step in found["B"].steps)


def test_twins_get_less_room_than_strangers() -> None:
    a = series(walk(61, seed=2))
    twin = msgspec.structs.replace(a, close=tuple(2 * c for c in a.close))
    found = risk.limits({"A": a, "B": twin}, Portfolio())
    assert found["A"].correlation == pytest.approx(1)
    alone = risk.limits({"A": a}, Portfolio())["A"].room
    assert found["A"].room == pytest.approx(0.7 * alone)


def test_no_prices_no_room() -> None:
    found = risk.limits({"A": None, "B": series(walk(20))}, Portfolio())
    assert found["A"].room == found["B"].room == 0
    with pytest.raises(InputError, match="A is held"):
        risk.limits({"A": None}, Portfolio(positions={"A": Position(long=1)}))


@given(
    volatility=st.floats(0.0005, 0.1),
    cash=st.floats(0, 1e6),
    long=st.integers(0, 500),
    short=st.integers(0, 500),
)
def test_the_room_is_never_beyond_the_cash_nor_the_largest_share(
    volatility: float, cash: float, long: int, short: int
) -> None:
    portfolio = Portfolio(cash=cash, positions={"A": Position(long=long, short=short)})
    prices = series(walk(61, step=volatility))
    found = risk.limits({"A": prices}, portfolio)["A"]
    worth = portfolio.net_liquidation({"A": prices.close[-1]})
    assert 0 <= found.room <= cash
    assert found.room <= max(worth, 0) * 0.25 + 1e-6


# Portfolio manager ---------------------------------------------------------------------------------------

LIMIT = Limit(ticker="AAPL", room=20_000.0, price=150.0)


def test_conviction_by_hand() -> None:
    views: list[View] = [
        opinion("a", "bullish", 0.8),
        opinion("b", "bearish", 0.5),
        opinion("c", "neutral", 0.9),
        Abstention(agent="d", ticker="AAPL", reason="x"),
    ]
    assert conviction(views, PanelRules()) == pytest.approx((0.8 - 0.5 + 0) / 3)
    # Weights 2, 1, 1: (2·.8 − .5) / 4
    assert conviction(views, PanelRules(weights={"a": 2.0})) == pytest.approx(1.1 / 4)
    assert conviction(views[3:], PanelRules()) is None


def test_a_purchase_by_hand() -> None:
    views: list[View] = [opinion("a", "bullish", 0.8), opinion("b", "bearish", 0.2)]
    found = decide(views, LIMIT, Portfolio(), PanelRules())
    # Conviction .3; 20,000 / 150 = 133 shares at most; floor(.3 · 133) = 39
    assert (found.action, found.quantity, found.direction) == ("buy", 39, 1)
    assert found.legal == {"hold": 0, "buy": 133, "short": 133}
    assert found.agents == 2


@pytest.mark.parametrize(
    ("held", "signal", "action", "quantity"),
    [
        (Position(), "bearish", "short", 66),  # floor(.5 · 133)
        (Position(long=10), "bearish", "sell", 10),
        (Position(long=10), "bullish", "buy", 66),
        (Position(short=7), "bullish", "cover", 7),
        (Position(short=7), "bearish", "short", 66),
        (Position(), "neutral", "hold", 0),
    ],
)
def test_what_is_held_shapes_the_action(held: Position, signal: str, action: str, quantity: int) -> None:
    portfolio = Portfolio(positions={"AAPL": held})
    found = decide([opinion("a", signal, 0.5)], LIMIT, portfolio, PanelRules())
    assert (found.action, found.quantity) == (action, quantity)


def test_without_room_there_is_a_direction_but_no_action() -> None:
    found = decide([opinion("a", "bearish", 1.0)], Limit(ticker="AAPL", room=0.0), Portfolio(), PanelRules())
    assert (found.action, found.quantity, found.direction) == ("hold", 0, -1)
    assert "no room" in found.reason
    silent = decide([], LIMIT, Portfolio(), PanelRules())
    assert (silent.conviction, silent.action, silent.direction) == (None, "hold", 0)


def test_a_short_needs_its_margin() -> None:
    legal = legal_actions(Limit(ticker="AAPL", room=20_000.0, price=150.0), Portfolio(cash=3_000))
    assert legal == {"hold": 0, "buy": 20, "short": 40}  # 3,000 / 150; 3,000 / .5 / 150


@given(
    views=st.lists(
        st.one_of(
            st.builds(
                opinion,
                st.sampled_from("abcdefg"),
                st.sampled_from(["bullish", "bearish", "neutral"]),
                st.floats(0, 1),
            ),
            st.just(Abstention(agent="z", ticker="AAPL", reason="x")),
        ),
        max_size=17,
    ),
    held=st.builds(Position, long=st.integers(0, 50)) | st.builds(Position, short=st.integers(0, 50)),
    room=st.floats(0, 50_000),
    cash=st.floats(0, 100_000),
)
def test_abstentions_change_nothing_and_no_action_is_illegal(
    views: list[View], held: Position, room: float, cash: float
) -> None:
    limit = Limit(ticker="AAPL", room=min(room, cash), price=150.0)
    portfolio = Portfolio(cash=cash, positions={"AAPL": held})
    found = decide(views, limit, portfolio, PanelRules())
    spoken: list[View] = [v for v in views if isinstance(v, Opinion)]
    same = decide(spoken, limit, portfolio, PanelRules())
    assert (found.conviction, found.action, found.quantity) == (same.conviction, same.action, same.quantity)
    assert found.abstained == len(views) - len(spoken)
    assert found.quantity <= found.legal[found.action]
    assert len(found.reason) <= portfolio_manager.LONGEST
    if found.action == "buy":
        assert found.quantity * 150 <= cash
    if spoken:
        assert found.conviction is not None
        assert -1 <= found.conviction <= 1


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Position(long=-1),
        lambda: Portfolio(cash=math.nan),
        lambda: Portfolio(margin_requirement=0),
        lambda: PanelRules(weights={"a": -1.0}),
        lambda: PanelRules(act_beyond=2.0),
    ],
)
def test_a_portfolio_that_cannot_be_is_refused(wrong: Any) -> None:
    with pytest.raises(ValueError, match="expected"):
        wrong()
