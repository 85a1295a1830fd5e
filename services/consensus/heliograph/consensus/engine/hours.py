"""The hours in which the stock market was open, as a table."""

import msgspec
import numpy as np

from heliograph.consensus.engine.layout import Integers


class Hours(msgspec.Struct, frozen=True, kw_only=True):
    """Sessions by their open and close, UTC nanoseconds, sorted; shape (sessions,)."""

    opens: Integers
    closes: Integers

    def open_between(self, begin: int, end: int) -> bool:
        """Whether some of the time from `begin` up to `end` lies in a session."""
        following = int(np.searchsorted(self.closes, begin, side="right"))
        return following < len(self.opens) and bool(self.opens[following] < end)
