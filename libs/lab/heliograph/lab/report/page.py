"""The report of a backtest: one HTML file that needs no network."""

from importlib import resources
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
from jinja2 import Environment, StrictUndefined
from plotly.offline import get_plotlyjs

from heliograph.common.errors import InputError
from heliograph.lab.backtest import Job, Result
from heliograph.lab.bars import bars_of
from heliograph.lab.folder import Folder
from heliograph.lab.report import charts
from heliograph.lab.summary import Summary, curves

SYMBOLS = 6
"""Symbols that get a price chart: those with most signals."""


def write_report(path: Path, job: Job, result: Result, summary: Summary) -> None:
    """Write the report.

    Raises:
        InputError: it cannot be written there.
    """
    page = render(job, result, summary)
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise InputError(f"html: {str(path)!r} cannot be written ({error.strerror})") from error


def render(job: Job, result: Result, summary: Summary) -> str:
    """The report as one HTML document."""
    days = curves(result)
    figures = [charts.equity(days), charts.drawdown(days), charts.reliability(summary.reliability)]
    template = resources.files("heliograph.lab.report").joinpath("report.html.j2").read_text("utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined)
    environment.filters |= {"percent": percent, "number": number, "count": count}
    return environment.from_string(template).render(
        summary=summary,
        plotly=get_plotlyjs(),
        overview=[fragment(figure) for figure in figures],
        prices=[fragment(figure) for figure in price_charts(job, result)],
    )


def price_charts(job: Job, result: Result) -> list[go.Figure]:
    """The symbols with most signals, on their bars."""
    counts = np.bincount(result.trades["symbol"], minlength=len(result.symbols))
    chosen = [int(n) for n in np.argsort(-counts, kind="stable")[:SYMBOLS] if counts[n]]
    if not chosen:
        return []
    names = [result.symbols[n] for n in chosen]
    bars = bars_of(Folder(job.folder).replay(names, job.shards, job.period.end))
    figures = []
    for number in chosen:
        here = bars.symbols.index(result.symbols[number])
        trades = result.trades[result.trades["symbol"] == number].copy()
        first = bars.starts[here]
        rows = np.searchsorted(bars.ts[first : bars.starts[here + 1]], trades["bar_ts"]) + first
        trades["exit_row"] += np.where(trades["exit_row"] >= 0, rows - trades["row"], 0)
        trades["row"] = rows
        figures.append(charts.prices(bars, here, trades))
    return figures


def fragment(figure: go.Figure) -> str:
    """A figure as HTML that expects plotly.js on the page."""
    made: str = figure.to_html(full_html=False, include_plotlyjs=False, config={"displaylogo": False})
    return made


def percent(value: float | None, digits: int = 2) -> str:
    """A fraction as percent."""
    return "–" if value is None else f"{100 * value:.{digits}f} %"


def number(value: float | None, digits: int = 2) -> str:
    """A number."""
    return "–" if value is None else f"{value:,.{digits}f}"


def count(value: int) -> str:
    """A whole number."""
    return f"{value:,}"
