"""Figures and progress on the terminal."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from heliograph.lab.chance import Interval
from heliograph.lab.record import Record
from heliograph.lab.reliability import Reliability
from heliograph.lab.summary import Summary

WIDTH = 120
"""Columns that the tables need."""
RECORD = ("signals", "count", "won", "lost", "expired", "open", "win rate", "profit factor", "mean", "mean R")


@contextmanager
def progress(title: str, unit: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on stderr, on a terminal only; gives what to call with the number done and the total."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn(unit))
    with Progress(
        *columns, TimeRemainingColumn(), console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def wide() -> Console:
    """Stdout, wide enough for the tables also where it is no terminal."""
    console = Console()
    return console if console.width >= WIDTH else Console(width=WIDTH)


def print_json(value: object) -> None:
    """One JSON object on stdout."""
    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")


def percent(value: float | None, digits: int = 2) -> str:
    """A fraction as percent."""
    return "–" if value is None else f"{100 * value:.{digits}f} %"


def number(value: float | None, digits: int = 2) -> str:
    """A number."""
    return "–" if value is None else f"{value:,.{digits}f}"


def spread(interval: Interval | None, show: Callable[[float], str]) -> str:
    """An interval, or nothing."""
    return "" if interval is None else f"{show(interval.low)} to {show(interval.high)}"


def print_summary(summary: Summary) -> None:
    """A backtest's figures for a person."""
    console = wide()
    console.print(f"[bold]{summary.verdict}[/]\n", highlight=False)
    console.print(
        f"{summary.strategy} on {summary.symbols:,} symbols, {summary.bars:,} bars, {summary.first_day} to "
        f"{summary.last_day}; {sum(summary.refused.values()):,} bars refused, {summary.gaps:,} gaps\n",
        highlight=False,
    )
    console.print(portfolio_table(summary))
    console.print()
    console.print(record_table(summary))
    console.print(f"\n{confidence(summary.reliability)}", highlight=False)
    for problem in summary.problems:
        console.print(
            f"[yellow]{problem.symbol}[/] {problem.day} {problem.kind}: {problem.detail}", highlight=False
        )
    console.print(f"signals_sha256 {summary.signals_sha256}", highlight=False)


def confidence(found: Reliability) -> str:
    """What the confidence was worth, in a sentence."""
    if found.raw is None or found.brier_gain is None or found.ece_gain is None:
        return "Confidence: too few ended signals for a calibration."
    gains = ", ".join(
        f"{name} {percent(gain.value, 1)} ({spread(gain.interval, lambda v: percent(v, 1)) or 'no interval'})"
        for name, gain in (("Brier score", found.brier_gain), ("calibration error", found.ece_gain))
    )
    goal = (
        "the goal of 10 % each is met" if found.goal_met else "the goal of 10 % each is not shown to be met"
    )
    return (
        f"Confidence, calibrated by the past alone, on {found.signals:,} signals: lower by {gains}; {goal}."
    )


FRACTIONS = {
    "total return": "total_return",
    "yearly return": "yearly_return",
    "maximum drawdown": "max_drawdown",
    "VaR 95 % (a day)": "var_95",
    "CVaR 95 % (a day)": "cvar_95",
}
RATIOS = {"Sharpe": "sharpe", "Sortino": "sortino", "Calmar": "calmar"}


def portfolio_table(summary: Summary) -> Table:
    """The portfolio beside buying and holding."""
    table = Table(box=None, padding=(0, 2))
    for title in ("portfolio", "strategy", "95 %", "buy and hold"):
        table.add_column(title, justify="left" if title == "portfolio" else "right")
    for names, show in ((FRACTIONS, percent), (RATIOS, number)):
        for title, name in names.items():
            table.add_row(
                title,
                show(getattr(summary.portfolio, name)),
                spread(summary.intervals.get(name), show),
                show(getattr(summary.buy_and_hold, name)),
            )
    table.add_row("exposure", percent(summary.exposure, 1), "", "")
    if summary.monte_carlo is not None:
        low, middle, high = map(percent, summary.monte_carlo.total_return)
        table.add_row("Monte Carlo (5 to 95 %)", middle, f"{low} to {high}", "")
    return table


def record_table(summary: Summary) -> Table:
    """The signals, whole and by side, regime and source."""
    table = Table(box=None, padding=(0, 2))
    for title in RECORD:
        table.add_column(title, justify="left" if title == "signals" else "right", no_wrap=True)
    rows: dict[str, Record] = {"all": summary.record, **summary.sides, **summary.regimes}
    rows |= {f"{source.source} agreed": source.when_agreed for source in summary.sources}
    for title, found in rows.items():
        table.add_row(
            title,
            f"{found.signals:,}",
            f"{found.wins:,}",
            f"{found.losses:,}",
            f"{found.expired:,}",
            f"{found.open:,}",
            percent(found.win_rate, 1),
            number(found.profit_factor),
            "–" if found.mean_net is None else f"{found.mean_net:+.3f} %",
            number(found.mean_r, 3),
        )
    return table
