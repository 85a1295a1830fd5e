"""Signals with their outcomes as one array of records."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heliograph.common.events import Outcome, Signal
from heliograph.common.ids import derive_id
from heliograph.common.outcomes import EXPIRED, LOSS, OPEN, WIN
from heliograph.consensus.engine.layout import REGIMES, VIEWS
from heliograph.lab.bars import Bars

Trades = NDArray[np.void]
Names = NDArray[np.str_]

RESULTS = {WIN: "win", LOSS: "loss", EXPIRED: "expired", OPEN: "open"}
CODES = {name: code for code, name in RESULTS.items()}
SILENT = 2
"""In place of a direction: the source had no part in the signal."""


def layout(sources: int) -> np.dtype[np.void]:
    """A signal and what became of it.

    Fields: `symbol` index; `row` of the bar that made it in the chunk's bars, `exit_row` of the one that
    ended it (−1 while open); `bar_ts`, `ts`, `expires`, `closed` nanoseconds (`closed` 0 while open); `side`
    +1 BUY, −1 SELL; prices in quote currency; `raw` 0–100; `agreement` 0–1; `regime`, `view` as numbers;
    `result` as in `heliograph.common.outcomes`; `pnl`, `pnl_net`, `best`, `worst` percent of entry;
    `r_multiple`; `held` bars; of each source its `direction` (−1, 0, +1, or SILENT), `confidence` 0–1,
    `weight` 0–1.
    """
    integers = ("symbol", "row", "exit_row", "bar_ts", "ts", "expires", "closed", "side", "regime", "view")
    floats = ("entry", "stop", "target", "raw", "agreement", "exit", "pnl", "pnl_net", "r_multiple")
    return np.dtype(
        [
            *((name, "<i8") for name in integers),
            *((name, "<f8") for name in floats),
            ("best", "<f8"),
            ("worst", "<f8"),
            ("result", "<i8"),
            ("held", "<i8"),
            ("direction", "<i8", (sources,)),
            ("confidence", "<f8", (sources,)),
            ("weight", "<f8", (sources,)),
        ]
    )


def trades_of(
    signals: Sequence[Signal], outcomes: dict[str, Outcome], bars: Bars, sources: Sequence[str]
) -> Trades:
    """Events as records, in their order.

    Args:
        signals: as `in_order` gives them; `outcomes` by the id of the signal, for those that have ended.
        bars: those that the signals came of.
        sources: the columns of the votes.
    """
    trades = np.zeros(len(signals), layout(len(sources)))
    trades["direction"] = SILENT
    number = {name: n for n, name in enumerate(bars.symbols)}
    for trade, signal in zip(trades, signals, strict=True):
        symbol = number[signal.symbol]
        trade["symbol"] = symbol
        trade["row"] = row_of(bars, symbol, signal.bar_ts)
        trade["exit_row"] = -1
        trade["side"] = 1 if signal.action == "BUY" else -1
        trade["raw"] = signal.raw_confidence
        trade["regime"] = REGIMES.index(signal.regime)
        trade["view"] = VIEWS.index(signal.view)
        for name in ("bar_ts", "ts", "expires", "entry", "stop", "target", "agreement"):
            trade[name] = getattr(signal, name)
        for vote in signal.votes:
            column = sources.index(vote.source)
            trade["direction"][column] = vote.direction
            trade["confidence"][column] = vote.confidence
            trade["weight"][column] = vote.weight
        if signal.id in outcomes:
            end(trade, outcomes[signal.id], bars)
    return trades


def in_order(signals: Sequence[Signal]) -> list[Signal]:
    """Signals by symbol and then by time, a SELL before a BUY."""
    return sorted(signals, key=lambda signal: (signal.symbol, signal.ts, signal.action != "SELL"))


def end(trade: Any, outcome: Outcome, bars: Bars) -> None:
    """Write an outcome into the record of its signal."""
    trade["exit_row"] = row_of(bars, int(trade["symbol"]), outcome.exit_bar_ts)
    trade["closed"] = outcome.ts
    trade["result"] = CODES[outcome.result]
    trade["held"] = outcome.bars
    for name in ("exit", "pnl", "pnl_net", "r_multiple", "best", "worst"):
        trade[name] = getattr(outcome, name)


def row_of(bars: Bars, symbol: int, ts: int) -> int:
    """The row of a symbol's bar that starts at `ts`."""
    first, end = bars.starts[symbol], bars.starts[symbol + 1]
    return int(first + np.searchsorted(bars.ts[first:end], ts))


def ids(trades: Trades, bars: Bars, strategies: Names) -> list[str]:
    """The id of each signal, as the engine derives it; `strategies` name that of each."""
    return [
        derive_id("signal", bars.symbols[s], "BUY" if side > 0 else "SELL", strategy, bars.intervals[s], ts)
        for s, side, strategy, ts in zip(
            trades["symbol"].tolist(),
            trades["side"].tolist(),
            strategies.tolist(),
            trades["bar_ts"].tolist(),
            strict=True,
        )
    ]


def shifted(trades: Trades, symbols: int, rows: int) -> Trades:
    """The same signals where so many symbols and rows come before theirs."""
    moved = trades.copy()
    moved["symbol"] += symbols
    moved["row"] += rows
    moved["exit_row"] += np.where(moved["exit_row"] >= 0, rows, 0)
    return moved
