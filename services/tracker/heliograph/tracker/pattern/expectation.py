"""What became of similar cases, as the expectation for a new one. Pure."""

import msgspec
import numpy as np
import numpy.typing as npt

TARGET, STOP, TIME = 0, 1, 2
"""How a case ended, by the names of the result: win, loss, expired."""
ENDS = {"win": TARGET, "loss": STOP, "expired": TIME}


class Expectation(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of n cases; R is profit in units of the initial risk. Without cases all but counts are None.

    Attributes:
        p_win: share of cases with a profit.
        avg_r: mean R; `avg_win_r` of those with a profit and `avg_loss_r` of the others, 0 without any.
        median_bars: median of bars held.
        profit_factor: sum of profits over sum of losses, None without losses.
        targets: how many ended at the target; `stops` at the stop, `times` by time.
        expected_r: p_win·avg_win_r + (1 − p_win)·avg_loss_r.
    """

    n: int = 0
    p_win: float | None = None
    avg_r: float | None = None
    avg_win_r: float | None = None
    avg_loss_r: float | None = None
    median_bars: float | None = None
    profit_factor: float | None = None
    targets: int = 0
    stops: int = 0
    times: int = 0
    expected_r: float | None = None


def expectation(
    r: npt.NDArray[np.float64], bars: npt.NDArray[np.int64], ends: npt.NDArray[np.int64]
) -> Expectation:
    """The expectation from the cases' R multiples, bars held and ends; shape (n,) each."""
    if not r.size:
        return Expectation()
    wins, losses = r[r > 0], r[r <= 0]
    p = wins.size / r.size
    win, loss = (float(some.mean()) if some.size else 0.0 for some in (wins, losses))
    lost = -float(losses.sum())
    targets, stops, times = np.bincount(ends, minlength=3).tolist()
    return Expectation(
        n=r.size,
        p_win=p,
        avg_r=float(r.mean()),
        avg_win_r=win,
        avg_loss_r=loss,
        median_bars=float(np.median(bars)),
        profit_factor=float(wins.sum()) / lost if lost > 0 else None,
        targets=targets,
        stops=stops,
        times=times,
        expected_r=p * win + (1.0 - p) * loss,
    )
