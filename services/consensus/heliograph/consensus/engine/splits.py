"""A split in the data: what is held of a symbol, counted in its new shares."""

from collections.abc import Mapping
from typing import Final

from heliograph.consensus.engine.state import State

PRICES: Final = (
    "close",
    "close_sum_20",
    "close_sum_50",
    "close_sum_200",
    "ema_12",
    "ema_26",
    "macd_signal",
    "average_gain",
    "average_loss",
    "atr_14",
    "emas_20",
    "entry",
    "stop",
    "target",
    "frame_close",
    "frame_emas",
    "frame_gain",
    "frame_loss",
    "closes",
    "reaches",
    "highest",
    "lowest",
)
"""What is counted in quote currency a share; `volumes` are in shares, all else is in neither."""
VOLUMES: Final = ("volume_sum_20", "volumes")


def split(state: State, splits: Mapping[str, float], ts: int, interval_ns: int) -> None:
    """Adjust symbols to splits that hold from bars starting at `ts` on (new shares for each old one).

    Signals under way go on at levels in new shares, as the tracker has them. A symbol without bars, with bars
    of another length, or whose newest bar is not from before the split has nothing to adjust.
    """
    for symbol, ratio in splits.items():
        row = state.row_of(symbol)
        if row is None:
            continue
        record = state.symbols[row]
        if not record["bars"] or record["interval_ns"] != interval_ns or record["last_ts"] >= ts:
            continue
        for name in PRICES:
            record[name] /= ratio
        for name in VOLUMES:
            record[name] *= ratio
