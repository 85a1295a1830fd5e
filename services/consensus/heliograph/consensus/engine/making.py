"""Making a signal of a decision."""

from collections.abc import Sequence

from heliograph.common.events import Action, Signal, Vote, identity_sha256
from heliograph.common.ids import derive_id
from heliograph.common.intervals import INTERVALS_NS
from heliograph.consensus.engine.layout import REGIMES, VIEWS, Decision

DIGITS = 6
"""Decimals of the shares that a signal tells beside its prices."""
NAMES = {length: name for name, length in INTERVALS_NS.items()}


def make_signal(
    made: Decision,
    votes: Sequence[Vote],
    *,
    cause: str,
    symbol: str,
    bar_ts: int,
    interval_ns: int,
    strategy: str,
    seq: int,
    previous: str,
) -> Signal:
    """The signal of a decision on the bar that began at `bar_ts`, after the one with the hash `previous`."""
    action: Action = "BUY" if made.side > 0 else "SELL"
    interval = NAMES[interval_ns]
    ts = bar_ts + interval_ns
    confidence = round(made.raw, 2)
    identity = derive_id("signal", symbol, action, strategy, interval, bar_ts)
    win = confidence / 100.0
    reward = abs(made.target - made.entry) / abs(made.entry - made.stop)
    return Signal(
        id=identity,
        cause=cause,
        ts=ts,
        symbol=symbol,
        action=action,
        entry=made.entry,
        stop=made.stop,
        target=made.target,
        confidence=confidence,
        raw_confidence=confidence,
        regime=REGIMES[made.regime],
        view=VIEWS[made.view],
        votes=list(votes),
        sources=[vote.source for vote in votes],
        agreement=round(made.agreement, DIGITS),
        expected_r=round(win * reward - (1.0 - win), DIGITS),
        strategy=strategy,
        interval=interval,
        bar_ts=bar_ts,
        expires=made.expires,
        input_seq=seq,
        sha256=identity_sha256(
            id=identity,
            symbol=symbol,
            action=action,
            entry=made.entry,
            target=made.target,
            stop=made.stop,
            confidence=confidence,
            strategy=strategy,
            ts=ts,
        ),
        prev_sha256=previous,
    )
