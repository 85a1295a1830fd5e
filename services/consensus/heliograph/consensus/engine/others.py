"""The votes of the other sources of a shard, and the state of the decisions that wait for them."""

from collections.abc import Sequence

import numpy as np

from heliograph.common.clock import NANOSECONDS
from heliograph.common.errors import InputError, InvariantError
from heliograph.common.events import BarBatch, VoteBatch
from heliograph.consensus.engine.columns import Columns
from heliograph.consensus.engine.features import FEATURE_BARS, NO_SESSION, SESSION_CLOSE, SESSION_OPEN
from heliograph.consensus.engine.hours import Hours
from heliograph.consensus.engine.layout import (
    ABSTAIN,
    HEARD,
    MEMORY,
    PENDING,
    PROGRAM,
    SEAT,
    UNHEARD,
    Floats,
    Integers,
    Records,
)
from heliograph.consensus.engine.programs import ask_rows, programs_of
from heliograph.consensus.engine.recall import recall_rows
from heliograph.consensus.engine.rules import Rules
from heliograph.consensus.engine.sessions import time_of_day
from heliograph.consensus.engine.sources import (
    CheapSource,
    CompiledSource,
    DearSource,
    OtherSource,
    PatternSource,
    When,
    is_crypto,
)
from heliograph.consensus.engine.state import State
from heliograph.consensus.engine.votes import EXACT
from heliograph.consensus.engine.weights import KNOWN

NEVER = -(1 << 62)
DIRECTIONS = (-1, 0, 1, ABSTAIN)
PERCENT = 100.0
SESSIONS = {"open": SESSION_OPEN, "close": SESSION_CLOSE}
"""Parts of the US session that are a feature of a case; the others are none."""


class Others:
    """The other sources of a shard.

    Attributes:
        heard: the vote matrix, of HEARD, shape (capacity, sources), a row for each of the state's.
        pending: of PENDING, shape (capacity,).
        memory: of MEMORY, shape (capacity,); empty without a pattern source.
        last: event time of the newest batch of votes of each source, shape (sources,).
        votes: how many were taken; `refused` how many were of no symbol here, or no possible votes.
    """

    def __init__(self, sources: Sequence[OtherSource], rules: Rules, hours: Hours | None) -> None:
        self.sources = tuple(sources)
        self.keys = [source.key for source in self.sources]
        self._rules = rules.record()
        self._recalls = any(isinstance(source, PatternSource) for source in self.sources)
        self._programs = {
            place: programs_of([source])
            for place, source in enumerate(self.sources)
            if isinstance(source, CompiledSource)
        }
        self._floor, self._cap = rules.floor / PERCENT, rules.cap / PERCENT
        self._hours = hours
        self.seats = np.zeros(len(self.sources), SEAT)
        self.seats["off_hours"] = 1.0
        for place, source in enumerate(self.sources):
            if isinstance(source, DearSource):
                self.seats[place] = (
                    source.tier if source.asked else 0,
                    int(source.fresh_s * NANOSECONDS),
                    source.off_hours,
                )
        if hours is None and any(isinstance(s, DearSource) and s.needs_hours for s in self.sources):
            raise InputError(f"hours: none, expected those of the stock market for {', '.join(self.keys)}")
        self.clear()

    def clear(self) -> None:
        """Know nothing."""
        self.last: Integers = np.full(len(self.sources), NEVER, np.int64)
        self.votes = 0
        self.refused = 0
        self.heard = self._unheard(0)
        self.pending = np.zeros(0, PENDING)
        self.memory = np.zeros(0, MEMORY)
        self._crypto = np.zeros(0, np.bool_)

    def _unheard(self, rows: int) -> Records:
        found = np.zeros((rows, len(self.sources)), HEARD)
        found["direction"] = found["next_direction"] = UNHEARD
        return found

    def grow(self, state: State) -> None:
        """Have a row for each of the state's."""
        more = len(state.symbols) - len(self.pending)
        if more > 0:
            self.heard = np.concatenate((self.heard, self._unheard(more)))
            self.pending = np.concatenate((self.pending, np.zeros(more, PENDING)))
            if self._recalls:
                self.memory = np.concatenate((self.memory, np.zeros(more, MEMORY)))
        if len(state.names) > len(self._crypto):
            fresh = [is_crypto(name) for name in state.names[len(self._crypto) :]]
            self._crypto = np.concatenate((self._crypto, np.array(fresh, np.bool_)))

    def hear(self, batch: VoteBatch, state: State) -> None:
        """Take votes from outside; they count from the next evaluation on.

        Of several of one source for a symbol the latest observed counts, of those the greater direction, then
        the greater confidence: the order in which they came between two evaluations is of no account.

        Raises:
            InputError: the source is computed from bars, or unknown; nothing has changed.
        """
        if batch.source not in self.keys:
            if batch.source in KNOWN:
                self.refused += len(batch.symbols)
                return
            known = ", ".join(dict.fromkeys((*KNOWN, *self.keys)))
            raise InputError(f"source: {batch.source!r}, expected one of {known}")
        place = self.keys.index(batch.source)
        if not isinstance(self.sources[place], DearSource):
            raise InputError(f"source: {batch.source!r} is computed from bars here, expected no votes of it")
        self.last[place] = max(self.last[place], batch.ts)
        for symbol, direction, confidence, observed in zip(
            batch.symbols, batch.direction, batch.confidence, batch.observed, strict=True
        ):
            row = state.row_of(symbol)
            if row is None or direction not in DIRECTIONS or not 0.0 <= confidence <= 1.0:
                self.refused += 1
                continue
            self.votes += 1
            self._put(row, place, self._ballot(direction, confidence), observed)

    @staticmethod
    def check_unconfigured(source: str) -> None:
        """Refuse a source that nobody knows, where none is configured.

        Raises:
            InputError: there is no such source.
        """
        if source not in KNOWN:
            raise InputError(f"source: {source!r}, expected one of {', '.join(KNOWN)}")

    def votes_of(self, row: int, weights: Floats, ts: int) -> list[tuple[str, float, int, float, int]]:
        """What was weighed at a close: source, weight, direction, confidence, and when it was observed."""
        state = self.pending[row]
        found = []
        for place, key in enumerate(self.keys):
            cell, seat = self.heard[row, place], self.seats[place]
            weight = float(weights[place]) * (1.0 if state["open"] else float(seat["off_hours"]))
            heard = cell["direction"] not in (UNHEARD, ABSTAIN) and ts - cell["observed"] <= seat["fresh_ns"]
            if weight > 0 and heard and int(state["eligible"]) >> place & 1:
                vote = (int(cell["direction"]), float(cell["confidence"]), int(cell["observed"]))
                found.append((key, weight, *vote))
        return found

    def _ballot(self, direction: int, confidence: float) -> tuple[int, float]:
        """A vote by the rules for all sources: capped, an abstention under the floor."""
        if direction == ABSTAIN or confidence < self._floor - EXACT:
            return ABSTAIN, 0.0
        return direction, min(confidence, self._cap)

    def _put(self, row: int, place: int, ballot: tuple[int, float], observed: int) -> None:
        cell = self.heard[row, place]
        held = (cell["next_observed"], cell["next_direction"], cell["next_confidence"])
        if cell["next_direction"] == UNHEARD or (observed, *ballot) > held:
            cell["next_direction"], cell["next_confidence"] = ballot
            cell["next_observed"] = observed

    def convene(self, batch: BarBatch, length: int, rows: Integers, state: State, tables: Records) -> None:
        """After bars were taken: say which sources are eligible, and let those vote that are computed."""
        closed_at = batch.ts + length
        trading = self._hours is None or self._hours.open_between(batch.ts, closed_at)
        bars = state.symbols["bars"][rows]
        crypto = self._crypto[rows]
        eligible = np.zeros(len(rows), np.int64)
        for place, source in enumerate(self.sources):
            if isinstance(source, CheapSource):
                here = bars >= source.minimum_bars
                self._poll(place, source, batch, length, rows[here], state)
            elif isinstance(source, CompiledSource):
                here = bars >= source.minimum_bars
                self._run(place, source, batch.ts + length, rows[here], state)
            elif isinstance(source, PatternSource):
                here = bars >= FEATURE_BARS
                self._recall(place, batch.ts, length, rows[here], state, tables)
            else:
                silence = max(int(source.silence_s * NANOSECONDS), 2 * length)
                healthy = closed_at - int(self.last[place]) <= silence
                here = np.where(crypto, _now(source.crypto, trading), _now(source.stocks, trading)) & healthy
            eligible |= here.astype(np.int64) << place
        self.pending["eligible"][rows] = eligible
        self.pending["open"][rows] = trading

    def _poll(
        self, place: int, source: CheapSource, batch: BarBatch, length: int, rows: Integers, state: State
    ) -> None:
        """The votes of a plug-in on some symbols."""
        if not len(rows):
            return
        columns = Columns(
            ts=batch.ts,
            interval_ns=length,
            symbols=[state.names[row] for row in rows.tolist()],
            everything=state.symbols,
            rows=rows,
        )
        direction, confidence = source.vote(columns)
        check(source.key, columns.symbols, np.asarray(direction), np.asarray(confidence))
        low = confidence < self._floor - EXACT
        self._cast(
            place,
            rows,
            np.where(low, ABSTAIN, direction),
            np.where(low | (direction == ABSTAIN), 0.0, np.minimum(confidence, self._cap)),
            batch.ts + length,
        )

    def _run(self, place: int, source: CompiledSource, observed: int, rows: Integers, state: State) -> None:
        """The votes of a compiled plug-in on some symbols."""
        ballots = np.zeros(len(rows), PROGRAM)
        ask_rows(state.symbols, rows, self._programs[place], self._rules, ballots)
        directions, confidences = ballots["direction"], ballots["confidence"]
        if ballots["wrong"].any():
            check(source.key, [state.names[row] for row in rows.tolist()], directions, confidences)
        self._cast(place, rows, directions, confidences, observed)

    def _recall(
        self, place: int, bar_ts: int, length: int, rows: Integers, state: State, tables: Records
    ) -> None:
        """The votes of the pattern source on some symbols."""
        session = SESSIONS.get(time_of_day(bar_ts, length), NO_SESSION)
        directions, confidences = np.zeros(len(rows), np.int64), np.zeros(len(rows))
        recall_rows(state.symbols, self.memory, rows, session, self._rules, tables, directions, confidences)
        self._cast(place, rows, directions, confidences, bar_ts + length)

    def _cast(
        self, place: int, rows: Integers, direction: Integers, confidence: Floats, observed: int
    ) -> None:
        """Put the votes of a computed source into the matrix."""
        cells = self.heard[rows, place]
        cells["direction"] = direction
        cells["confidence"] = confidence
        cells["observed"] = observed
        self.heard[rows, place] = cells

    def forget(self, row: int, column: int) -> None:
        """A signal under way is none after all: its end will be no case."""
        if self._recalls:
            self.memory["begun"][row, column] = 0

    def look_of(self, row: int, column: int) -> list[float]:
        """The features of the bar that made a signal under way; none where they were not measured."""
        if not self._recalls or not self.memory["begun"][row, column]:
            return []
        found: list[float] = self.memory["looks"][row, column].tolist()
        return found


def _now(when: When, trading: bool) -> bool:  # noqa: FBT001 - one of two
    """Whether a source is there at a time."""
    return when == "always" or (when == "market hours" and trading)


def check(key: str, symbols: Sequence[str], direction: Integers, confidence: Floats) -> None:
    """Refuse votes that are none.

    Raises:
        InvariantError: a source does not do as it must.
    """
    shape = (len(symbols),)
    if direction.shape != shape or confidence.shape != shape:
        raise InvariantError(
            f"source {key}: shapes {direction.shape} and {confidence.shape}, expected {shape} of both"
        )
    wrong = ~(np.isin(direction, DIRECTIONS) & (confidence >= 0.0) & (confidence <= 1.0))
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise InvariantError(
            f"source {key}: {direction[row]} with {confidence[row]} for {symbols[row]}, "
            f"expected −1, 0, 1 or ABSTAIN ({ABSTAIN}) with 0 to 1"
        )
