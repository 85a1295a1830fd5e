"""The decision core of one shard: bars in, signals out; no clock, no I/O, nothing random."""

import struct
from collections.abc import Sequence

import numpy as np

from heliograph.common.clock import NANOSECONDS
from heliograph.common.events import BarBatch, Enrich, Signal, Tick, Vote, VoteBatch
from heliograph.common.intervals import interval_ns
from heliograph.common.patterns import PatternCase
from heliograph.consensus.engine import snapshot
from heliograph.consensus.engine.blocks import Blocks
from heliograph.consensus.engine.hours import Hours
from heliograph.consensus.engine.kernel import step
from heliograph.consensus.engine.layout import (
    ABSTAIN,
    COUNTS,
    DECISION,
    EVENT,
    MINIMUM_BARS,
    PROGRAM,
    SIGNALS,
    SOURCES,
    SWING,
    TABLE,
    Decision,
    Floats,
    Integers,
    Records,
)
from heliograph.consensus.engine.making import DIGITS, make_signal
from heliograph.consensus.engine.others import Others
from heliograph.consensus.engine.picture import SwingPicture, picture_of
from heliograph.consensus.engine.plugged import Plugged
from heliograph.consensus.engine.programs import ask_rows, programs_of
from heliograph.consensus.engine.rules import Rules
from heliograph.consensus.engine.sources import CompiledSource, OtherSource
from heliograph.consensus.engine.splits import split
from heliograph.consensus.engine.state import State
from heliograph.consensus.engine.waiting import absorb_and_judge, enrich_of, judge_rows
from heliograph.consensus.engine.weights import Weights, check_rollout

CASES_KEPT = 10_000
"""More would mean that nobody has taken any for long."""


class Engine:
    """One shard's engine.

    Signals depend on the bars of their symbol alone: not on how bars come in batches, nor on how many shards
    there are; only `cause` and `input_seq` (of the batch) and `prev_sha256` (of the shard) tell of those.
    With a benchmark they depend on its bars too, with sources from outside on their votes and on ticks.

    Args:
        weights: of the sources, with the strategy's name and version.
        rules: the numbers of votes, gate and prices.
        sources: those of the kernel that have a vote.
        benchmark: symbol that the swing source takes strength over; none if empty.
        others: sources besides them: plug-ins, and sources whose votes come from outside.
        hours: of the stock market; needed where one of the others minds them.
        challenger: a second strategy with the same sources, given some symbols on some days.
        rollout: which share of them, 0–1.
        blocks: events around which no signal is given.

    Raises:
        InputError: the weights do not fit the sources, or an argument is wrong.
    """

    def __init__(
        self,
        weights: Weights | None = None,
        rules: Rules | None = None,
        sources: Sequence[str] = SOURCES,
        *,
        benchmark: str = "",
        others: Sequence[OtherSource] = (),
        hours: Hours | None = None,
        challenger: Weights | None = None,
        rollout: float = 0.0,
        blocks: Blocks | None = None,
    ) -> None:
        chosen = rules or Rules()
        arms = [weights or Weights(), *([challenger] if challenger is not None else [])]
        check_rollout(arms, rollout)
        self._strategies = [arm.strategy for arm in arms]
        compiled = [source for source in others if isinstance(source, CompiledSource)]
        alone = len(compiled) == len(others)
        self._others = None if alone else Others(others, chosen, hours)
        self.table = np.zeros(len(arms), TABLE)
        for row, arm in zip(self.table, arms, strict=True):
            found = arm.table(sources, {source.key: source.weight for source in others})
            row["weights"] = found[:, : len(SOURCES)]
            row["others"][:, : len(others)] = found[:, len(SOURCES) :]
        self.table["rollout"] = rollout
        heavy = (self.table["weights"] > 0).any(axis=(0, 1))
        self.table["voting"] = sum(1 << source for source in np.flatnonzero(heavy).tolist())
        self.rules = chosen.record()
        self._plugged = Plugged(compiled if alone else [], self.rules)
        self._blocks = blocks
        self._block_ns = int(chosen.event_minutes * 60 * NANOSECONDS)
        self.state = State()
        self._benchmark = benchmark
        self._place_benchmark()
        self._decisions = np.zeros(0, DECISION)
        self.seq = 0
        """INPUT sequence of the newest message taken."""
        self.head = ""
        """The sha256 of the newest signal."""
        self.requests: list[Enrich] = []
        """What the last message made it ask of sources outside."""
        self.cases: list[PatternCase] = []
        """Looks of signals that the pattern search has not been given yet; the newest `CASES_KEPT`."""

    @property
    def programs(self) -> Records:
        """Compiled plug-ins that vote inside the kernel, of PROGRAM; shape (sources,)."""
        return self._plugged.records

    @property
    def symbols(self) -> int:
        """How many symbols it has seen."""
        return len(self.state.names)

    @property
    def open_signals(self) -> int:
        """How many signals are under way."""
        return int(np.count_nonzero(self.state.symbols["expires"]))

    @property
    def waiting(self) -> int:
        """How many decisions wait for votes from outside."""
        return int(np.count_nonzero(self._others.pending["deadline"])) if self._others else 0

    @property
    def votes(self) -> tuple[int, int]:
        """Votes from outside that were taken since the shard began, and those that were left out."""
        return (self._others.votes, self._others.refused) if self._others else (0, 0)

    @property
    def counts(self) -> dict[str, int]:
        """What became of every row since the shard began, as in `COUNTS`."""
        return dict(zip(COUNTS, self.state.counts.tolist(), strict=True))

    def apply(self, batch: BarBatch, seq: int) -> list[Signal]:
        """Take a batch and give the signals that come of it, in the order of its rows.

        Decisions that were pending on its symbols fall first, and come first.

        Args:
            batch: bars; rows that are not newer than what is held, of another interval than the symbol's, or
                no possible bars, are left out and counted.
            seq: the batch's sequence in INPUT.

        Raises:
            InputError: the interval or a symbol is not a possible one; nothing has changed.
        """
        length = interval_ns(batch.interval)
        rows = self.state.rows_of(batch.symbols)
        bars = matrix(batch)
        self.seq = seq
        self.requests = []
        self._make_room(len(rows))
        if batch.splits:
            split(self.state, batch.splits, batch.ts, length)
        if self._others is not None:
            return self._apply_with_others(batch, length, rows, bars)
        state = self.state
        count = step(
            state.symbols,
            rows,
            bars,
            batch.ts,
            length,
            self.rules,
            self.table,
            self.programs,
            self._decisions,
            state.counts,
        )
        self._plugged.check(state, rows, batch.symbols)
        return self._signals(batch.id, rows, count)

    def apply_votes(self, batch: VoteBatch, seq: int) -> None:
        """Take votes from outside. Decisions fall at the next tick or bar, so their order does not matter.

        Votes on symbols without bars, of a source that is not configured, and impossible ones are left out
        and counted.

        Raises:
            InputError: there is no such source, or it is computed from bars; nothing has changed.
        """
        if self._others is None:
            Others.check_unconfigured(batch.source)
        else:
            self._others.grow(self.state)
            self._others.hear(batch, self.state)
        self.seq = seq
        self.requests = []

    def apply_tick(self, tick: Tick, seq: int) -> list[Signal]:
        """Let event time reach a tick: look at each pending decision, and let those fall that are due."""
        self.seq = seq
        self.requests = []
        if self._others is None:
            return []
        rows = np.flatnonzero(self._others.pending["deadline"] > 0)
        self._make_room(len(rows))
        return self._judge(tick.id, rows, np.ones(len(rows), np.int64), tick.ts)

    def _apply_with_others(self, batch: BarBatch, length: int, rows: Integers, bars: Floats) -> list[Signal]:
        """As `apply`, where other sources have a say."""
        if self._others is None:
            return []
        made: list[Signal] = []
        for chosen, now in absorb_and_judge(
            self.state, self._others, rows, bars, batch, length, self.rules, self.table
        ):
            made += self._judge(batch.id, rows, chosen, now)
        return made

    def _judge(self, cause: str, rows: Integers, chosen: Integers, now: int) -> list[Signal]:
        """Decide on the chosen rows, or ask."""
        if self._others is None:
            return []
        count, asked = judge_rows(
            self.state, self._others, rows, chosen, now, self.rules, self.table, self._decisions
        )
        keys = self._others.keys
        self.requests += [
            enrich_of(cause, self.state, keys, int(rows[one["position"]]), one) for one in asked
        ]
        return self._signals(cause, rows, count)

    def _make_room(self, rows: int) -> None:
        if len(self._decisions) <= rows:
            self._decisions = np.zeros(2 * rows + 1, DECISION)

    def _signals(self, cause: str, rows: Integers, count: int) -> list[Signal]:
        """The signals of the first `count` decisions, as the next ones of the shard's chain."""
        made = [Decision(*fields) for fields in self._decisions[:count].tolist()]
        if self._blocks is not None:
            made = [one for one in made if not self._blocked(int(rows[one.position]), one, self._blocks)]
        return [self._signal(cause, int(rows[one.position]), one) for one in made]

    def _blocked(self, row: int, made: Decision, blocks: Blocks) -> bool:
        """Whether an event forbids a signal; then what the kernel holds of it is let go again."""
        record = self.state.symbols[row]
        closed_at = int(record["last_ts"] + record["interval_ns"])
        if not blocks.near(self.state.names[row], closed_at, self._block_ns):
            return False
        column = column_of(made)
        for name in ("expires", "entry", "stop", "target"):
            record[name][column] = 0
        if self._others is not None:
            self._others.forget(row, column)
        self.state.counts[SIGNALS] -= 1
        self.state.counts[EVENT] += 1
        return True

    def _signal(self, cause: str, row: int, made: Decision) -> Signal:
        record = self.state.symbols[row]
        bar_ts, length = int(record["last_ts"]), int(record["interval_ns"])
        signal = make_signal(
            made,
            self._votes(row, made, bar_ts + length),
            cause=cause,
            symbol=self.state.names[row],
            bar_ts=bar_ts,
            interval_ns=length,
            strategy=self._strategies[made.arm],
            seq=self.seq,
            previous=self.head,
        )
        self.head = signal.sha256
        if self._others is not None and (look := self._others.look_of(row, column_of(made))):
            case = PatternCase(signal=signal.id, symbol=signal.symbol, ts=signal.ts, features=look)
            self.cases = [*self.cases[1 - CASES_KEPT :], case]
        return signal

    def _votes(self, row: int, made: Decision, ts: int) -> list[Vote]:
        """The votes that were weighed."""
        weights = self.table["weights"][made.arm, made.view].tolist()
        symbols = self.state.symbols
        cells = [symbols[name][row].tolist() for name in ("direction", "confidence", "voted_at")]
        found = [
            (source, weight, direction, confidence, time)
            for source, weight, direction, confidence, time in zip(SOURCES, weights, *cells, strict=True)
            if weight > 0 and direction != ABSTAIN
        ]
        shares = self.table["others"][made.arm, made.view]
        if self._others is not None:
            found += self._others.votes_of(row, shares, ts)
        else:
            found += self._plugged.votes_of(self.state, row, shares, ts)
        return [
            Vote(
                source=source,
                direction=direction,
                confidence=confidence,
                weight=round(weight / made.voted, DIGITS),
                age_ns=max(0, ts - time),
            )
            for source, weight, direction, confidence, time in found
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
        return snapshot.pack(self.state, self.seq, self.head, self._others, self.cases)

    def restore(self, data: bytes) -> None:
        """Go on from a snapshot as if never stopped.

        Of other sources than are configured now nothing is taken over, and no decision that was pending.

        Raises:
            InputError: the snapshot is damaged, or of another version; nothing has changed.
        """
        self.state, self.seq, self.head, self.cases = snapshot.unpack(data, self._others)
        self._place_benchmark()


def column_of(made: Decision) -> int:
    """Where a symbol's record has the signal of a decision."""
    return 2 * made.arm + (1 - made.side) // 2


def warm(others: Sequence[OtherSource] = (), hours: Hours | None = None) -> None:
    """Compile the kernel, or load it from disk, by its first bar; with others also the parts for them."""
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
    engine = Engine(others=others, hours=hours)
    engine.apply(bar, 0)
    ask_rows(engine.state.symbols, np.zeros(0, np.int64), programs_of(()), engine.rules, np.zeros(0, PROGRAM))


def matrix(batch: BarBatch) -> Floats:
    """Open, high, low, close and volume of a batch: shape (5, rows).

    Packed column by column, which takes a third of the time of an array of nested lists.
    """
    rows = len(batch.symbols)
    bars = np.empty((5, rows), np.float64)
    for row, column in zip(bars, (batch.open, batch.high, batch.low, batch.close, batch.volume), strict=True):
        struct.pack_into(f"{rows}d", row.data, 0, *column)
    return bars
