"""Which of the minutes that a snapshot shows are closed, and which must be asked for by history. Pure.

A snapshot shows the newest minute of a symbol, as far as it has come. Seen before its end it is incomplete,
and the next look may already show its successor. So only two things are bars: what a question shows that was
**asked** after the minute's end and a little more, and what history tells of closed minutes.
"""

from collections.abc import Sequence
from typing import Literal

import msgspec

from heliograph.common.intervals import interval_ns

MINUTE_NS = interval_ns("1m")

Kind = Literal["new", "same", "forming", "behind", "missing"]


class Verdict(msgspec.Struct, frozen=True):
    """What a look at a symbol has told.

    Attributes:
        kind: `new`, a closed minute, the next one to give; `same`, what was given before; `forming`, a minute
            not yet closed; `behind`, a closed one with others before it that no look has shown; `missing`,
            none at all.
        gap: the closed minutes to ask history for, (since, until), starts of minutes; None without any.
    """

    kind: Kind
    gap: tuple[int, int] | None = None


def closed_until(asked_ns: int, settle_ns: int) -> int:
    """Minutes that begin before this are closed for who asks now."""
    return (asked_ns - settle_ns) // MINUTE_NS * MINUTE_NS


class Closing:
    """Up to where the minutes of each symbol are known: given, or told not to exist.

    That a minute does not exist is believed a minute later only, since an answer may lag behind the market.

    Args:
        symbols: of the stream.
        since_ns: minutes that were closed by then are not asked for here.
        settle_ns: how long after its end a minute is complete at the provider.
        before: of a stream that this one follows: its symbols go on where they were.
    """

    def __init__(
        self, symbols: Sequence[str], since_ns: int, settle_ns: int, before: "Closing | None" = None
    ) -> None:
        self._settle_ns = settle_ns
        known: dict[str, int] = {} if before is None else before.known
        start = closed_until(since_ns, settle_ns)
        self.known: dict[str, int] = {symbol: known.get(symbol, start) for symbol in symbols}
        """Symbol → minutes that begin before this are known."""
        self._gaps: dict[str, tuple[int, int]] = {}

    def looked(self, symbol: str, minute_ns: int | None, asked_ns: int) -> Verdict:
        """Judge the newest minute of a symbol; one that is `new` counts as given.

        The same gap is told once only, until `failed` or `filled`.

        Args:
            symbol: one of the stream's.
            minute_ns: start of the minute shown, None without any.
            asked_ns: when the question was sent.
        """
        if minute_ns is None:
            return Verdict("missing")
        known, closed = self.known[symbol], closed_until(asked_ns, self._settle_ns)
        if minute_ns >= closed:
            return Verdict("forming", self._gap(symbol, known, closed))
        if minute_ns > known:
            return Verdict("behind", self._gap(symbol, known, closed))
        # No minute after the newest exists yet, or the answer lags.
        self.known[symbol] = max(known, minute_ns + MINUTE_NS, closed - MINUTE_NS)
        return Verdict("new" if minute_ns == known else "same")

    def _gap(self, symbol: str, known: int, closed: int) -> tuple[int, int] | None:
        gap = (known, closed)
        if known >= closed or self._gaps.get(symbol) == gap:
            return None
        self._gaps[symbol] = gap
        return gap

    def filled(self, symbol: str, newest_ns: int | None, until_ns: int) -> None:
        """History has answered up to `until_ns`; `newest_ns` is the start of its newest bar, if any."""
        told = until_ns - MINUTE_NS
        if newest_ns is not None:
            told = max(told, min(newest_ns + MINUTE_NS, until_ns))
        self.known[symbol] = max(self.known[symbol], told)

    def failed(self, symbol: str) -> None:
        """History has not answered: the next look tells the gap again."""
        self._gaps.pop(symbol, None)

    def lost(self, symbol: str, minute_ns: int) -> None:
        """A minute that counted as given was not: it is not known any more."""
        self.known[symbol] = min(self.known[symbol], minute_ns)
