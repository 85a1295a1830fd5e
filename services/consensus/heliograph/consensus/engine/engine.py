"""The decision core of one shard: bars in, signals out; no clock, no I/O, nothing random."""

from collections.abc import Sequence

import numpy as np

from heliograph.common.events import Action, BarBatch, Signal, Vote, identity_sha256
from heliograph.common.ids import derive_id
from heliograph.common.intervals import interval_ns
from heliograph.consensus.engine import snapshot
from heliograph.consensus.engine.kernel import step
from heliograph.consensus.engine.layout import (
    ABSTAIN,
    COUNTS,
    DECISION,
    MINIMUM_BARS,
    REGIMES,
    SOURCES,
    SWING,
    TABLE,
    VIEWS,
    Decision,
)
from heliograph.consensus.engine.picture import SwingPicture, picture_of
from heliograph.consensus.engine.rules import Rules
from heliograph.consensus.engine.state import State
from heliograph.consensus.engine.weights import Weights

DIGITS = 6
"""Decimals of the shares that a signal tells beside its prices."""


class Engine:
    """One shard's engine.

    Signals depend on the bars of their symbol alone: not on how bars come in batches, nor on how many shards
    there are; only `cause` and `input_seq` (of the batch) and `prev_sha256` (of the shard) tell of those.

    Raises:
        InputError: the weights do not fit the sources.
    """

    def __init__(
        self,
        weights: Weights | None = None,
        rules: Rules | None = None,
        sources: Sequence[str] = SOURCES,
        *,
        benchmark: str = "",
    ) -> None:
        chosen = weights or Weights()
        self._strategy = chosen.strategy
        self.table = np.zeros(1, TABLE)
        self.table["weights"] = chosen.table(sources)
        self.rules = (rules or Rules()).record()
        self.state = State()
        self._benchmark = benchmark
        self._place_benchmark()
        self._decisions = np.zeros(0, DECISION)
        self.seq = 0
        """INPUT sequence of the newest batch taken."""
        self.head = ""
        """The sha256 of the newest signal."""

    @property
    def symbols(self) -> int:
        """How many symbols it has seen."""
        return len(self.state.names)

    @property
    def open_signals(self) -> int:
        """How many signals are under way."""
        return int(np.count_nonzero(self.state.symbols["expires"]))

    @property
    def counts(self) -> dict[str, int]:
        """What became of every row since the shard began, as in `COUNTS`."""
        return dict(zip(COUNTS, self.state.counts.tolist(), strict=True))

    def apply(self, batch: BarBatch, seq: int) -> list[Signal]:
        """Take a batch and give the signals that come of it, in the order of its rows.

        Args:
            batch: bars; rows that are not newer than what is held, of another interval than the symbol's, or
                no possible bars, are left out and counted.
            seq: the batch's sequence in INPUT.

        Raises:
            InputError: the interval or a symbol is not a possible one; nothing has changed.
        """
        length = interval_ns(batch.interval)
        state = self.state
        rows = state.rows_of(batch.symbols)
        bars = np.array((batch.open, batch.high, batch.low, batch.close, batch.volume), np.float64)
        if len(self._decisions) <= len(rows):
            self._decisions = np.zeros(2 * len(rows) + 1, DECISION)
        count = step(
            state.symbols,
            rows,
            bars,
            batch.ts,
            length,
            self.rules,
            self.table,
            self._decisions,
            state.counts,
        )
        self.seq = seq
        decisions = [Decision(*fields) for fields in self._decisions[:count].tolist()]
        return [self._signal(batch, int(rows[made.position]), made) for made in decisions]

    def _signal(self, batch: BarBatch, row: int, made: Decision) -> Signal:
        """The next signal of the shard's chain."""
        symbol = batch.symbols[made.position]
        action: Action = "BUY" if made.side > 0 else "SELL"
        ts = batch.ts + interval_ns(batch.interval)
        confidence = round(made.raw, 2)
        identity = derive_id("signal", symbol, action, self._strategy, batch.interval, batch.ts)
        votes = self._votes(row, made, ts)
        previous = self.head
        self.head = identity_sha256(
            id=identity,
            symbol=symbol,
            action=action,
            entry=made.entry,
            target=made.target,
            stop=made.stop,
            confidence=confidence,
            strategy=self._strategy,
            ts=ts,
        )
        win = confidence / 100.0
        reward = abs(made.target - made.entry) / abs(made.entry - made.stop)
        return Signal(
            id=identity,
            cause=batch.id,
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
            votes=votes,
            sources=[vote.source for vote in votes],
            agreement=round(made.agreement, DIGITS),
            expected_r=round(win * reward - (1.0 - win), DIGITS),
            strategy=self._strategy,
            interval=batch.interval,
            bar_ts=batch.ts,
            expires=made.expires,
            input_seq=self.seq,
            sha256=self.head,
            prev_sha256=previous,
        )

    def _votes(self, row: int, made: Decision, ts: int) -> list[Vote]:
        """The votes that were weighed."""
        weights = self.table["weights"][0, made.view].tolist()
        symbols = self.state.symbols
        cells = [symbols[name][row].tolist() for name in ("direction", "confidence", "voted_at")]
        return [
            Vote(
                source=source,
                direction=direction,
                confidence=confidence,
                weight=round(weight / made.voted, DIGITS),
                age_ns=ts - time,
            )
            for source, weight, direction, confidence, time in zip(SOURCES, weights, *cells, strict=True)
            if weight > 0 and direction != ABSTAIN
        ]

    def _place_benchmark(self) -> None:
        """Tell the kernel the benchmark's row; it has one from the beginning, so that its place stays."""
        self.table["benchmark"] = self.state.rows_of([self._benchmark])[0] if self._benchmark else -1

    def swing(self, symbol: str) -> SwingPicture | None:
        """What the swing source sees of a symbol's newest bar; None while it has too few bars."""
        row = self.state.row_of(symbol)
        if row is None or self.state.symbols["bars"][row] < MINIMUM_BARS[SWING]:
            return None
        records = self.state.symbols.view(np.recarray)
        benchmark = int(self.table["benchmark"][0])
        other = benchmark if benchmark >= 0 else row
        return picture_of(records[row], records[other], self.rules.view(np.recarray)[0])

    def snapshot(self) -> bytes:
        """Everything it knows; the same bytes for the same state."""
        return snapshot.pack(self.state, self.seq, self.head)

    def restore(self, data: bytes) -> None:
        """Go on from a snapshot as if never stopped.

        Raises:
            InputError: the snapshot is damaged, or of another version; nothing has changed.
        """
        self.state, self.seq, self.head = snapshot.unpack(data)
        self._place_benchmark()


def warm() -> None:
    """Compile the kernel, or load it from disk, by its first bar."""
    bar = BarBatch(
        id="",
        ts=0,
        interval="1d",
        symbols=["A"],
        open=[1],
        high=[1],
        low=[1],
        close=[1],
        volume=[1],
        source="",
    )
    Engine().apply(bar, 0)
