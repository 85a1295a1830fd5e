"""Figures worked out by hand."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from heliograph.common.outcomes import EXPIRED, LOSS, WIN
from heliograph.lab.bars import DAY_NS, Bars
from heliograph.lab.chance import monte_carlo, portfolio_intervals, record_intervals
from heliograph.lab.ledger import Ledger, merge, post
from heliograph.lab.performance import equity_of, performance
from heliograph.lab.period import BEGINNING
from heliograph.lab.record import by_regime, by_source, record
from heliograph.lab.trades import SILENT, Trades, layout
from heliograph.tracker.closing import Costs

from .conftest import START

FREE = Costs(slippage=0, spread=0, commission=0)


def trade(**fields: object) -> Trades:
    """One signal on the first bar of the first symbol, with these fields."""
    made = np.zeros(1, layout(2))
    made["side"], made["entry"], made["exit_row"], made["ts"] = 1, 100.0, -1, START + DAY_NS
    made["direction"] = SILENT
    for name, value in fields.items():
        made[name] = value
    return made


def test_the_figures_of_four_days() -> None:
    # Returns +10 %, −10 %, 0 %, +20 %: mean 5 %; squares off the mean .0025 + .0225 + .0025 + .0225 = .05.
    equity = np.array([1.1, 0.99, 0.99, 1.188])
    found = performance(equity, years=1.0)
    assert found.total_return == pytest.approx(0.188)
    assert found.yearly_return == pytest.approx(0.188)
    assert found.sharpe == pytest.approx(0.05 / math.sqrt(0.05 / 3) * 2)
    assert found.sortino == pytest.approx(0.05 / math.sqrt(0.01 / 4) * 2)
    assert found.max_drawdown == pytest.approx(0.1)
    assert found.calmar == pytest.approx(1.88)
    # The 5 % quantile lies .15 of the way from −10 % to 0 %.
    assert found.var_95 == pytest.approx(0.085)
    assert found.cvar_95 == pytest.approx(0.1)


def test_a_fall_from_the_start_is_a_drawdown_and_half_a_year_compounds() -> None:
    found = performance(np.array([0.8, 0.9]), years=0.5)
    assert found.max_drawdown == pytest.approx(0.2)
    assert found.yearly_return == pytest.approx(0.9**2 - 1)


def test_what_has_no_meaning_is_none() -> None:
    still = performance(np.ones(5), years=1.0)
    assert (still.total_return, still.max_drawdown) == (0.0, 0.0)
    assert (still.sharpe, still.sortino, still.calmar) == (None, None, None)
    assert performance(np.array([0.5, -0.2]), years=1.0).yearly_return is None
    alone = performance(np.array([1.1]), years=0.1)
    assert (alone.var_95, alone.cvar_95) == (None, None)


def test_a_position_is_marked_daily_and_pays_half_its_costs_at_each_end(
    daily: Callable[..., Bars],
) -> None:
    bars = daily(A=[100, 103, 99, 120], B=[50, 50, 50, 50])
    won = trade(exit_row=2, exit=110.0, result=WIN, closed=START + 3 * DAY_NS)
    costs = Costs(slippage=0.5, spread=0.5, commission=1.0)
    ledger = post(won, bars, BEGINNING, costs)
    assert ledger.profit == pytest.approx([-0.01, 0.03, 0.07 - 0.01, 0.0])
    assert ledger.symbols == 2
    # Bought at the first closes, 2 % paid for each: A earns 3 %, −4 % and 21 % of 100.
    assert ledger.held == pytest.approx([-0.04, 0.03, -0.04, 0.21])
    assert equity_of(ledger.profit, 2)[-1] == pytest.approx(1 + 0.08 / 2)
    assert ledger.holding_ns == 2 * DAY_NS
    assert ledger.bars.tolist() == [2, 2, 2, 2]


def test_a_short_one_gains_as_the_price_falls_and_one_under_way_is_marked_to_the_end(
    daily: Callable[..., Bars],
) -> None:
    bars = daily(A=[100, 90, 95])
    ledger = post(trade(side=-1), bars, BEGINNING, FREE)
    assert ledger.profit == pytest.approx([0.0, 0.10, -0.05])
    assert ledger.holding_ns == 2 * DAY_NS


def test_a_period_begins_with_its_first_close(daily: Callable[..., Bars]) -> None:
    bars = daily(A=[100, 200, 300])
    ledger = post(trade()[:0], bars, START + DAY_NS, FREE)
    whole = merge([ledger])
    assert whole.held == pytest.approx([0.0, 0.5])
    assert whole.bars.tolist() == [1, 1]


def test_ledgers_of_different_days_add_up() -> None:
    def ledger(first: int, values: list[float]) -> Ledger:
        found = np.array(values)
        return Ledger(
            first=first,
            profit=found,
            held=-found,
            bars=np.ones(len(values), np.int64),
            symbols=1,
            holding_ns=1.0,
        )

    whole = merge([ledger(10, [1.0, 2.0]), ledger(8, [4.0, 8.0, 16.0])])
    assert (whole.first, whole.symbols, whole.holding_ns) == (8, 2, 2.0)
    assert whole.profit.tolist() == [4.0, 8.0, 17.0, 2.0]
    assert whole.held.tolist() == [-4.0, -8.0, -17.0, -2.0]
    assert whole.bars.tolist() == [1, 1, 2, 1]


def four() -> Trades:
    """Two wins of 5 %, a loss of 3 %, an expiry of −1 %, after costs; one under way."""
    direction = [[1, 1], [1, -1], [1, SILENT], [1, 0], [1, 1]]
    made = np.concatenate([trade(direction=row) for row in direction])
    made["result"] = [WIN, WIN, LOSS, EXPIRED, 0]
    made["pnl_net"] = [5.0, 5.0, -3.0, -1.0, 0.0]
    made["r_multiple"] = [2.0, 2.0, -1.0, -0.5, 0.0]
    made["regime"] = [2, 2, 2, 4, 4]
    return made


def test_how_signals_ended() -> None:
    found = record(four())
    assert (found.signals, found.wins, found.losses, found.expired, found.open) == (5, 2, 1, 1, 1)
    assert found.win_rate == pytest.approx(2 / 3)
    assert found.profit_factor == pytest.approx(10 / 4)
    assert found.mean_net == pytest.approx(1.5)
    assert found.mean_r == pytest.approx(2.5 / 4)
    assert record(four()[:0]).win_rate is None


def test_each_regime_and_source_has_its_own() -> None:
    regimes = by_regime(four())
    assert {name: r.signals for name, r in regimes.items()} == {"BULL": 3, "CHOP": 2}
    first, second = by_source(four(), ("trend", "technical"))
    assert (first.votes, first.agreed) == (5, 5)
    assert first.hit_rate == pytest.approx(2 / 3)
    assert (second.votes, second.agreed, second.opposed, second.neutral) == (4, 2, 1, 1)
    # It agreed with one win and opposed another; the loss it did not vote on.
    assert second.hit_rate == pytest.approx(1 / 2)


def test_intervals_hold_the_figure_and_say_nothing_of_too_little() -> None:
    random = np.random.default_rng(3)
    returns = random.normal(0.001, 0.01, 500)
    found = portfolio_intervals(returns, 2.0)
    sharpe = performance(np.cumprod(1.0 + returns, dtype=np.float64), 2.0).sharpe
    assert sharpe is not None
    assert found["sharpe"].low < sharpe < found["sharpe"].high
    assert portfolio_intervals(returns[:30], 0.1) == {}
    assert record_intervals(four()) == {}


def test_drawn_trades_end_where_their_mean_says() -> None:
    made = np.concatenate([four()] * 20)
    drawn = monte_carlo(made, symbols=10)
    assert drawn is not None
    assert drawn.draws == 1000
    # 80 ended trades of 1.5 % on a tenth of the capital each.
    assert drawn.total_return[1] == pytest.approx(80 * 0.015 / 10, rel=0.05)
    assert drawn.total_return[0] < drawn.total_return[1] < drawn.total_return[2]
    assert drawn.loss == 0.0
    assert monte_carlo(made[:0], 1) is None
