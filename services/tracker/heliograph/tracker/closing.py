"""The outcome event of a signal that has ended: its figures and their formulas."""

import msgspec

from heliograph.common.errors import InvariantError
from heliograph.common.events import Outcome, Result, Signal
from heliograph.common.ids import derive_id
from heliograph.common.outcomes import EXPIRED, LOSS, WIN

PERCENT = 100.0
RESULTS: dict[int, Result] = {WIN: "win", LOSS: "loss", EXPIRED: "expired"}


class Costs(msgspec.Struct, frozen=True, kw_only=True):
    """What a round trip (in and out together) costs, each in percent of the entry price."""

    slippage: float = 0.05
    spread: float = 0.02
    commission: float = 0.1

    @property
    def round_trip(self) -> float:
        """All of it, in percent of the entry price."""
        return self.slippage + self.spread + self.commission


class Closing(msgspec.Struct, frozen=True, kw_only=True):
    """How and where a signal ended.

    Attributes:
        code: WIN, LOSS or EXPIRED.
        exit: price; `best` and `worst` the highest gain and deepest loss on the way, percent of entry.
        bars: bars held, the last one included.
        bar_ts: start of the last bar, `bar_close_ts` its close.
        input_seq: sequence in INPUT of the batch that held it.
    """

    code: int
    exit: float
    best: float
    worst: float
    bars: int
    bar_ts: int
    bar_close_ts: int
    input_seq: int


def outcome_of(signal: Signal, closing: Closing, costs: Costs) -> Outcome:
    """The outcome of a signal: the same for the same inputs, its id included.

    With s = +1 for BUY and −1 for SELL:
    pnl = s·(exit − entry)/entry·100;  pnl_net = pnl − (slippage + spread + commission), once a round trip;
    r_multiple = s·(exit − entry)/|entry − stop|, before costs.

    Raises:
        InvariantError: the closing does not say that it ended.
    """
    if closing.code not in RESULTS:
        raise InvariantError(f"closing of {signal.id}: code {closing.code}, expected one of {list(RESULTS)}")
    side = 1.0 if signal.action == "BUY" else -1.0
    gain = side * (closing.exit - signal.entry)
    pnl = gain / signal.entry * PERCENT
    return Outcome(
        id=outcome_id(signal.id),
        cause=signal.id,
        ts=closing.bar_close_ts,
        signal=signal.id,
        symbol=signal.symbol,
        action=signal.action,
        result=RESULTS[closing.code],
        entry=signal.entry,
        exit=closing.exit,
        opened=signal.ts,
        exit_bar_ts=closing.bar_ts,
        pnl=pnl,
        pnl_net=pnl - costs.round_trip,
        r_multiple=gain / abs(signal.entry - signal.stop),
        bars=closing.bars,
        best=closing.best,
        worst=closing.worst,
        input_seq=closing.input_seq,
        strategy=signal.strategy,
    )


def outcome_id(signal: str) -> str:
    """The id of a signal's one outcome."""
    return derive_id("outcome", signal)
