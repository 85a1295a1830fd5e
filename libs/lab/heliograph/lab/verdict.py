"""What a backtest comes to in words. That nothing is worth trading is a result like any other."""

from collections.abc import Mapping

from heliograph.lab.chance import Interval
from heliograph.lab.performance import Performance
from heliograph.lab.record import Record

FEW = 30
"""Ended signals under which nothing is claimed."""


def verdict(record: Record, portfolio: Performance, intervals: Mapping[str, Interval]) -> tuple[bool, str]:
    """Whether the signals are worth trading by this record, and a sentence that says so and why.

    They are where the mean result of a signal after costs is above zero at the low end of its 95 % interval
    and the portfolio gained.
    """
    ended = record.signals - record.open
    if not record.signals:
        return False, "Nothing worth trading: the strategy gave no signal in this period."
    if record.mean_net is None:
        return False, f"Nothing can be said: none of {record.signals:,} signals has ended."
    found = f"{ended:,} ended signals gave {record.mean_net:+.3f} % each on the mean after costs"
    spread = intervals.get("mean_net")
    if ended < FEW or spread is None:
        return False, f"Nothing can be said: {found}, too few and too near to each other for an interval."
    between = f"(95 %: {spread.low:+.3f} to {spread.high:+.3f})"
    if spread.high < 0:
        return False, f"Nothing worth trading: {found} {between}, a loss that chance does not explain."
    if spread.low <= 0:
        return False, f"Nothing worth trading is shown: {found} {between}, which chance alone could give."
    if portfolio.total_return <= 0:
        return False, f"Nothing worth trading is shown: {found} {between}, but the portfolio did not gain."
    return True, f"Worth a closer look: {found} {between}. What comes next need not be like it."
