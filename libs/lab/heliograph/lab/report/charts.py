"""The charts of a report, as plotly figures."""

import html
from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from heliograph.common.outcomes import EXPIRED, LOSS, OPEN, WIN
from heliograph.lab.bars import Bars, Integers
from heliograph.lab.performance import drawdown_of
from heliograph.lab.reliability import Reliability
from heliograph.lab.summary import Curves
from heliograph.lab.trades import RESULTS, Trades
from heliograph.tracker.calibration.figures import Bin

INK, ACCENT, MUTED, GOOD, BAD = "#1d2733", "#c2410c", "#8a97a6", "#15803d", "#b91c1c"
COLOURS = {WIN: GOOD, LOSS: BAD, EXPIRED: MUTED, OPEN: INK}
NEWEST_BARS = 750
"""Bars of a price chart at most, the newest."""


def layout(title: str, left: str, **more: object) -> dict[str, object]:
    """What all charts have in common."""
    return {
        "title": {"text": html.escape(title), "x": 0, "font": {"size": 15}},
        "template": "plotly_white",
        "font": {"family": "system-ui, sans-serif", "size": 12, "color": INK},
        "height": 360,
        "margin": {"l": 60, "r": 20, "t": 46, "b": 40},
        "legend": {"orientation": "h", "y": 1.08, "x": 1, "xanchor": "right"},
        "yaxis": {"title": left},
        **more,
    }


def dates(days: Integers) -> list[str]:
    """ISO dates of days counted from 1970."""
    found: list[str] = days.astype("datetime64[D]").astype(str).tolist()
    return found


def moments(ts: Integers) -> list[str]:
    """ISO times of nanoseconds since 1970."""
    found: list[str] = ts.astype("datetime64[ns]").astype("datetime64[s]").astype(str).tolist()
    return found


def equity(curves: Curves) -> go.Figure:
    """What the strategy and buying and holding made of the capital."""
    day = dates(curves.day)
    lines = (("strategy", curves.strategy, ACCENT), ("buy and hold", curves.held, MUTED))
    figure = go.Figure(layout=layout("Return since the start", "percent"))
    for name, values, colour in lines:
        figure.add_scatter(
            x=day, y=(100 * (values - 1)).round(4), name=name, line={"color": colour, "width": 1.6}
        )
    return figure


def drawdown(curves: Curves) -> go.Figure:
    """How far each was under its peak."""
    day = dates(curves.day)
    figure = go.Figure(layout=layout("Drawdown", "percent under the peak", height=260))
    lines = (("strategy", curves.strategy, ACCENT), ("buy and hold", curves.held, MUTED))
    for name, values, colour in lines:
        fall = (-100 * drawdown_of(values)).round(4)
        figure.add_scatter(x=day, y=fall, name=name, line={"color": colour, "width": 1}, fill="tozeroy")
    return figure


def reliability(found: Reliability) -> go.Figure:
    """The share of wins against the confidence that was given; on the line both are the same."""
    figure = go.Figure(
        layout=layout(
            "Reliability: confidence and what came of it",
            "signals that won, percent",
            xaxis={"title": "confidence, percent", "range": [0, 100]},
            yaxis={"title": "signals that won, percent", "range": [0, 100]},
        )
    )
    figure.add_scatter(
        x=[0, 100], y=[0, 100], name="as it should be", mode="lines", line={"color": MUTED, "dash": "dot"}
    )
    parts = (("raw", found.every, INK), ("calibrated, out of time", found.calibrated, ACCENT))
    for name, figures, colour in parts:
        if figures is not None:
            points(figure, name, figures.bins, colour)
    return figure


def points(figure: go.Figure, name: str, bins: Sequence[Bin], colour: str) -> None:
    """One point a bin with signals, the larger the more there are."""
    some = [b for b in bins if b.count]
    most = max(b.count for b in some)
    figure.add_scatter(
        x=[b.forecast for b in some],
        y=[b.win_rate for b in some],
        name=name,
        mode="markers",
        text=[f"{b.count:,} signals" for b in some],
        marker={"color": colour, "size": [6 + 20 * (b.count / most) ** 0.5 for b in some], "opacity": 0.8},
    )


def prices(bars: Bars, symbol: int, trades: Trades) -> go.Figure:
    """A symbol's newest bars with the signals on them and how they ended.

    Args:
        bars: that `row` and `exit_row` of the trades refer to.
        symbol: its number in `bars`.
        trades: of this symbol.
    """
    end = int(bars.starts[symbol + 1])
    start = max(int(bars.starts[symbol]), end - NEWEST_BARS)
    x = moments(bars.ts[start:end])
    figure = go.Figure(
        layout=layout(bars.symbols[symbol], "price", xaxis={"rangeslider": {"visible": False}})
    )
    figure.add_candlestick(
        x=x,
        open=bars.open[start:end],
        high=bars.high[start:end],
        low=bars.low[start:end],
        close=bars.close[start:end],
        name="bars",
        increasing_line_color="#9fb3c8",
        decreasing_line_color="#5b6b7c",
        showlegend=False,
    )
    shown = trades[trades["row"] >= start]
    for code, name in RESULTS.items():
        some = shown[shown["result"] == code]
        if len(some):
            held(figure, start, x, some, name, COLOURS[code])
    return figure


def held(figure: go.Figure, start: int, x: list[str], some: Trades, name: str, colour: str) -> None:
    """Signals that ended alike: a line from entry to exit, a triangle where they began."""
    lines_x: list[str | None] = []
    lines_y: list[float | None] = []
    for trade in some:
        if trade["exit_row"] >= 0:
            lines_x += [x[trade["row"] - start], x[trade["exit_row"] - start], None]
            lines_y += [float(trade["entry"]), float(trade["exit"]), None]
    drawn = {"color": colour, "width": 1.5}
    figure.add_scatter(x=lines_x, y=lines_y, mode="lines", line=drawn, hoverinfo="skip", showlegend=False)
    sides = np.where(some["side"] > 0, "BUY", "SELL")
    figure.add_scatter(
        x=[x[row - start] for row in some["row"]],
        y=some["entry"],
        name=name,
        mode="markers",
        marker={
            "color": colour,
            "size": 10,
            "symbol": np.where(some["side"] > 0, "triangle-up", "triangle-down").tolist(),
        },
        text=[
            f"{side} at {entry:g}, raw {raw:.1f}, {net:+.2f} % after costs"
            for side, entry, raw, net in zip(sides, some["entry"], some["raw"], some["pnl_net"], strict=True)
        ],
    )
