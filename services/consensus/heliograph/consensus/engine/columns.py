"""What a plug-in sees: the bars of a batch and what is known of their symbols, by columns."""

from collections.abc import Sequence

import msgspec
import numpy as np

from heliograph.common.errors import InputError
from heliograph.consensus.engine.indicators import ROUNDING
from heliograph.consensus.engine.layout import (
    AVERAGES,
    CLOSES,
    EXTREMES,
    VOLUMES,
    Floats,
    Integers,
    Records,
)


class Columns(msgspec.Struct, frozen=True, kw_only=True):
    """The newest bars of n symbols, one a row; a source must not look at one row to judge another.

    Attributes:
        ts: start of the bars, UTC nanoseconds; `interval_ns` their length.
        symbols: names, n of them.
        everything: records of the layout SYMBOL of all symbols of the shard, not to be written to.
        rows: which of them these are, shape (n,).
    """

    ts: int
    interval_ns: int
    symbols: Sequence[str]
    everything: Records
    rows: Integers

    def held(self, field: str) -> Floats:
        """A field of SYMBOL for each row; shape (n, …), a copy."""
        found: Floats = self.everything[field][self.rows]
        return found

    @property
    def bars(self) -> Integers:
        """Bars of each symbol so far, the newest included; shape (n,)."""
        return self.held("bars").astype(np.int64)

    @property
    def close(self) -> Floats:
        """Of the newest bar, shape (n,)."""
        return self.held("close")

    @property
    def high(self) -> Floats:
        """Of the newest bar, shape (n,)."""
        return self.highs(1)[:, 0]

    @property
    def low(self) -> Floats:
        """Of the newest bar, shape (n,)."""
        return self.lows(1)[:, 0]

    @property
    def volume(self) -> Floats:
        """Of the newest bar, shape (n,)."""
        return self.volumes(1)[:, 0]

    def closes(self, count: int) -> Floats:
        """The newest closes, the oldest first: shape (n, count), NaN before the first bar.

        Raises:
            InputError: more are asked for than are held (201).
        """
        return self._newest(self.everything["closes"], CLOSES, count)

    def volumes(self, count: int) -> Floats:
        """As `closes`, of volumes; 21 are held."""
        return self._newest(self.everything["volumes"], VOLUMES, count)

    def highs(self, count: int) -> Floats:
        """As `closes`, of highs; 40 are held."""
        return self._newest(self.everything["reaches"][:, :, 0], EXTREMES, count)

    def lows(self, count: int) -> Floats:
        """As `closes`, of lows; 40 are held."""
        return self._newest(self.everything["reaches"][:, :, 1], EXTREMES, count)

    def sma(self, window: int) -> Floats:
        """Simple average of the newest closes, shape (n,); NaN with fewer bars."""
        return np.asarray(self.closes(window).mean(axis=1))

    @property
    def rsi_14(self) -> Floats:
        """Wilder's RSI, 0–100, 50 where nothing has moved; from the 15th bar on."""
        gain, loss = self.held("average_gain"), self.held("average_loss")
        still = gain + loss <= ROUNDING * self.close
        return np.where(still, 50.0, 100.0 * gain / np.where(still, 1.0, gain + loss))

    @property
    def atr_14(self) -> Floats:
        """Wilder's ATR in quote currency; from the 15th bar on."""
        return self.held("atr_14")

    @property
    def ema_20(self) -> Floats:
        """EMA20; from the 20th bar on."""
        return self._newest(self.everything["emas_20"], AVERAGES, 1)[:, 0]

    def _newest(self, rings: Floats, size: int, count: int) -> Floats:
        if not 1 <= count <= size:
            raise InputError(f"count: {count}, expected 1 to {size}, which are held")
        numbers = self.bars[:, None] - count + np.arange(count)
        found = rings[self.rows[:, None], numbers % size]
        return np.where(numbers >= 0, found, np.nan)
