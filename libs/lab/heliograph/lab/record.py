"""How signals ended: counts, win rate, profit factor, by any grouping."""

from collections.abc import Sequence

import msgspec
import numpy as np

from heliograph.common.outcomes import EXPIRED, LOSS, OPEN, WIN
from heliograph.consensus.engine.layout import REGIMES
from heliograph.lab.trades import SILENT, Trades


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """How some signals ended; percent of entry, after costs.

    Attributes:
        signals: all; `wins`, `losses`, `expired` those that ended so, `open` those under way at the end.
        win_rate: wins / (wins + losses); expired ones stand by themselves.
        profit_factor: gains over losses of the ended ones, after costs; None without a loss.
        mean_net: mean of `pnl_net` of the ended ones; `mean_r` of their R multiples (before costs).
        mean_raw: mean raw confidence, 0–100.
        mean_bars: bars held on the mean.
    """

    signals: int
    wins: int
    losses: int
    expired: int
    open: int
    win_rate: float | None
    profit_factor: float | None
    mean_net: float | None
    mean_r: float | None
    mean_raw: float | None
    mean_bars: float | None


class SourceRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One source's part in the signals.

    Attributes:
        votes: signals that it voted on; `agreed` on the signal's side, `neutral`, `opposed`.
        hit_rate: over won and lost signals where it took a side: it agreed and won, or opposed and lost.
        mean_confidence: of its votes, 0–1; `mean_weight` of its share.
        when_agreed: how the signals ended on whose side it was; `otherwise` the rest that it voted on.
    """

    source: str
    votes: int
    agreed: int
    neutral: int
    opposed: int
    hit_rate: float | None
    mean_confidence: float | None
    mean_weight: float | None
    when_agreed: Record
    otherwise: Record


def record(trades: Trades) -> Record:
    """How these signals ended."""
    result = trades["result"]
    wins, losses = int(np.sum(result == WIN)), int(np.sum(result == LOSS))
    ended = trades[result != OPEN]
    net = ended["pnl_net"]
    lost = -float(net[net < 0].sum())
    return Record(
        signals=len(trades),
        wins=wins,
        losses=losses,
        expired=int(np.sum(result == EXPIRED)),
        open=int(np.sum(result == OPEN)),
        win_rate=wins / (wins + losses) if wins + losses else None,
        profit_factor=float(net[net > 0].sum()) / lost if lost > 0 else None,
        mean_net=mean(net),
        mean_r=mean(ended["r_multiple"]),
        mean_raw=mean(trades["raw"]),
        mean_bars=mean(ended["held"]),
    )


def mean(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> float | None:
    """The mean; None of nothing."""
    return float(values.mean()) if len(values) else None


def by_regime(trades: Trades) -> dict[str, Record]:
    """How the signals of each regime ended; those without signals are left out."""
    regime = trades["regime"]
    return {
        name: record(trades[regime == number])
        for number, name in enumerate(REGIMES)
        if (regime == number).any()
    }


def by_side(trades: Trades) -> dict[str, Record]:
    """How BUY and SELL signals ended."""
    return {name: record(trades[trades["side"] == side]) for name, side in (("BUY", 1), ("SELL", -1))}


def by_source(trades: Trades, sources: Sequence[str]) -> list[SourceRecord]:
    """Each source's part."""
    return [source_record(trades, column, name) for column, name in enumerate(sources)]


def source_record(trades: Trades, column: int, name: str) -> SourceRecord:
    """The part of the source in a column of the votes."""
    direction = trades["direction"][:, column]
    side = trades["side"]
    voted = direction != SILENT
    agreed, opposed = voted & (direction == side), voted & (direction == -side)
    won, lost = trades["result"] == WIN, trades["result"] == LOSS
    decided = int(np.sum((agreed | opposed) & (won | lost)))
    hits = int(np.sum((agreed & won) | (opposed & lost)))
    return SourceRecord(
        source=name,
        votes=int(voted.sum()),
        agreed=int(agreed.sum()),
        neutral=int(np.sum(voted & (direction == 0))),
        opposed=int(opposed.sum()),
        hit_rate=hits / decided if decided else None,
        mean_confidence=mean(trades["confidence"][:, column][voted]),
        mean_weight=mean(trades["weight"][:, column][voted]),
        when_agreed=record(trades[agreed]),
        otherwise=record(trades[voted & ~agreed]),
    )
