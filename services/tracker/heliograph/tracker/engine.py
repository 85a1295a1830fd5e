"""The open signals of a shard, as arrays, moved on by each batch of bars. No I/O, no clock, no randomness."""

from collections.abc import Iterable, Mapping
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from heliograph.common.errors import InvariantError
from heliograph.common.events import BarBatch, Outcome, Signal
from heliograph.common.intervals import interval_ns
from heliograph.common.outcomes import EXPIRED, OPEN, close_by_bar
from heliograph.common.standing import Position, Sums
from heliograph.tracker.closing import PERCENT, Closing, Costs, outcome_of

STATE = np.dtype(
    [
        ("side", np.int64),
        ("entry", np.float64),
        ("stop", np.float64),
        ("target", np.float64),
        ("opened", np.int64),
        ("expires", np.int64),
        ("input_seq", np.int64),
        ("split", np.float64),
        ("best", np.float64),
        ("worst", np.float64),
        ("bars", np.int64),
        ("last", np.float64),
        ("last_ts", np.int64),
    ]
)
"""One open signal: what decides its end, and what was seen on the way (excursions in percent of entry).

Its prices are in the shares of now: `split` of them stand for one of the signal's. A bar that starts before
`opened` is not one of its bars.
"""
LEVELS = ("entry", "stop", "target")
FIRST_CAPACITY = 64


_close_by_bar = numba.njit(cache=True)(close_by_bar)


# With its types stated it is compiled (or taken from the disk) at import, not while the first bars wait.
@numba.njit(
    numba.int64(
        numba.from_dtype(STATE)[::1],
        numba.int64[::1],
        numba.float64[:, ::1],
        numba.int64,
        numba.int64,
        numba.int64,
        numba.int64[::1],
        numba.float64[::1],
    ),
    cache=True,
)
def _advance(
    state: Any,
    slots: Any,
    prices: Any,
    seq: int,
    bar_ts: int,
    bar_close_ts: int,
    codes: Any,
    exits: Any,
) -> int:
    """Move each open signal on by its bar (a row of `prices`: open, high, low, close); how many ended."""
    ended = 0
    for k in range(slots.size):
        s = slots[k]
        side = state[s].side
        codes[k] = OPEN
        if side == 0 or seq <= state[s].input_seq or bar_ts < state[s].opened:
            continue
        open_, high, low, close = prices[0, k], prices[1, k], prices[2, k], prices[3, k]
        code, exit_ = _close_by_bar(
            side,
            state[s].stop,
            state[s].target,
            state[s].expires,
            bar_ts,
            bar_close_ts,
            open_,
            high,
            low,
            close,
        )
        state[s].bars += 1
        state[s].last, state[s].last_ts = close, bar_close_ts
        # Of the bar that ends a signal only the open and the exit are certain; any other was held throughout.
        whole = code == OPEN or (code == EXPIRED and bar_ts < state[s].expires)
        top, bottom = (high, low) if whole else (max(open_, exit_), min(open_, exit_))
        gain, loss = (top, bottom) if side > 0 else (bottom, top)
        entry = state[s].entry
        state[s].best = max(state[s].best, side * (gain - entry) / entry * PERCENT)
        state[s].worst = min(state[s].worst, side * (loss - entry) / entry * PERCENT)
        if code != OPEN:
            codes[k] = code
            exits[k] = exit_
            state[s].side = 0
            ended += 1
    return ended


class OpenSignals:
    """Signals that have not ended, by symbol. Bars of symbols without one cost a look-up."""

    def __init__(self, costs: Costs, signals: Iterable[Signal] = ()) -> None:
        self._costs = costs
        self._state: npt.NDArray[Any] = np.zeros(FIRST_CAPACITY, STATE)
        self._free = list(range(FIRST_CAPACITY))
        self._signals: dict[int, Signal] = {}
        self._slots: dict[str, int] = {}
        self._by_symbol: dict[str, list[int]] = {}
        for signal in signals:
            self.add(signal)

    def __len__(self) -> int:
        return len(self._slots)

    def __contains__(self, signal_id: object) -> bool:
        return signal_id in self._slots

    def add(self, signal: Signal) -> None:
        """Follow a signal; it sees only batches later in INPUT than its own, and bars that start after it.

        Bars of another interval may come later and yet begin before the signal: they tell of prices that were
        there before it, and are left out.

        Raises:
            InvariantError: it is followed already.
        """
        slot = self._take_slot(signal)
        row = self._state[slot]
        row["side"] = 1 if signal.action == "BUY" else -1
        for name in (*LEVELS, "expires", "input_seq"):
            row[name] = getattr(signal, name)
        row["opened"] = signal.ts
        row["split"] = 1.0
        row["best"] = row["worst"] = 0.0
        row["bars"] = 0
        row["last"], row["last_ts"] = signal.entry, signal.ts

    def absorb(self, other: "OpenSignals") -> None:
        """Take over the signals of another with what they have seen; the other is empty afterwards.

        Raises:
            InvariantError: one of them is followed already.
        """
        for slot, signal in list(other._signals.items()):  # noqa: SLF001 - of the same class
            taken = self._take_slot(signal)
            self._state[taken] = other._state[slot]  # noqa: SLF001 - the same
            other._release(slot)  # noqa: SLF001 - the same

    def apply(self, seq: int, batch: BarBatch) -> list[Outcome]:
        """Show one batch of INPUT to the open signals; the outcomes of those that it ends, in its order.

        Args:
            seq: the batch's sequence in INPUT.
            batch: its bars.

        Raises:
            InputError: the batch's interval is unknown.
        """
        if not self._by_symbol:
            return []
        length = interval_ns(batch.interval)
        if batch.splits:
            self._split(seq, batch.ts, batch.splits)
        followed = self._by_symbol
        pairs = [
            (r, s) for r, symbol in enumerate(batch.symbols) if symbol in followed for s in followed[symbol]
        ]
        if not pairs:
            return []
        rows = [r for r, _ in pairs]
        columns = (batch.open, batch.high, batch.low, batch.close)
        prices = np.array([[column[r] for r in rows] for column in columns], np.float64)
        slots = np.array([s for _, s in pairs], np.int64)
        codes, exits = np.zeros(slots.size, np.int64), np.zeros(slots.size, np.float64)
        close_ts = batch.ts + length
        if not _advance(self._state, slots, prices, seq, batch.ts, close_ts, codes, exits):
            return []
        return [
            self._end(int(slots[k]), int(codes[k]), float(exits[k]), seq, batch.ts, close_ts)
            for k in np.flatnonzero(codes)
        ]

    def standing(self, symbol: str | None, limit: int) -> tuple[Sums, list[Position]]:
        """How the signals of a symbol, or all, stand: the sums over them, and the newest `limit`."""
        slots = list(self._signals if symbol is None else self._by_symbol.get(symbol, ()))
        if not slots:
            return Sums(), []
        pnl, multiple = _so_far(self._state[slots])
        sums = Sums(
            total=len(slots),
            ahead=int(np.count_nonzero(pnl > 0)),
            pnl=float(pnl.sum()),
            r_multiple=float(multiple.sum()),
        )
        newest = sorted(
            range(len(slots)), key=lambda n: (-self._signals[slots[n]].ts, self._signals[slots[n]].id)
        )[:limit]
        return sums, [
            _position(self._signals[slots[n]], self._state[slots[n]], float(pnl[n]), float(multiple[n]))
            for n in newest
        ]

    def seen_until(self, ts: int) -> None:
        """Bars that start before a time have been seen by all: they pass by should they come again."""
        for slot in self._signals:
            self._state[slot]["opened"] = max(self._state[slot]["opened"], ts)

    def _split(self, seq: int, ts: int, splits: Mapping[str, float]) -> None:
        """Count in new shares; from the signal's own prices, so that rounding does not pile up."""
        for symbol, ratio in splits.items():
            for slot in self._by_symbol.get(symbol, ()):
                row, signal = self._state[slot], self._signals[slot]
                if seq > row["input_seq"] and ts >= row["opened"]:
                    row["split"] *= ratio
                    row["last"] /= ratio
                    for name in LEVELS:
                        row[name] = getattr(signal, name) / row["split"]

    def _end(self, slot: int, code: int, exit_: float, seq: int, bar_ts: int, close_ts: int) -> Outcome:
        row, signal = self._state[slot], self._signals[slot]
        # A level is given back as the signal states it, any other price in the shares of the signal.
        levels = {float(row[name]): getattr(signal, name) for name in ("stop", "target")}
        closing = Closing(
            code=code,
            exit=levels.get(exit_, exit_ * float(row["split"])),
            best=float(row["best"]),
            worst=float(row["worst"]),
            bars=int(row["bars"]),
            bar_ts=bar_ts,
            bar_close_ts=close_ts,
            input_seq=seq,
        )
        return outcome_of(self._release(slot), closing, self._costs)

    def _take_slot(self, signal: Signal) -> int:
        if signal.id in self._slots:
            raise InvariantError(f"signal {signal.id} is followed already")
        if not self._free:
            size = self._state.size
            self._state = np.concatenate([self._state, np.zeros(size, STATE)])
            self._free = list(range(size, 2 * size))
        slot = self._free.pop()
        self._slots[signal.id] = slot
        self._signals[slot] = signal
        self._by_symbol.setdefault(signal.symbol, []).append(slot)
        return slot

    def _release(self, slot: int) -> Signal:
        signal = self._signals.pop(slot)
        del self._slots[signal.id]
        slots = self._by_symbol[signal.symbol]
        slots.remove(slot)
        if not slots:
            del self._by_symbol[signal.symbol]
        self._free.append(slot)
        return signal


def _so_far(rows: npt.NDArray[Any]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Gain of each signal until its last bar, before costs: percent of entry, and R multiple; shape (n,)."""
    gain = rows["side"] * (rows["last"] - rows["entry"])
    return gain / rows["entry"] * PERCENT, gain / np.abs(rows["entry"] - rows["stop"])


def _position(signal: Signal, row: Any, pnl: float, multiple: float) -> Position:
    return Position(
        signal=signal.id,
        symbol=signal.symbol,
        action=signal.action,
        entry=signal.entry,
        stop=signal.stop,
        target=signal.target,
        opened=signal.ts,
        expires=signal.expires,
        last=float(row["last"]) * float(row["split"]),
        ts=int(row["last_ts"]),
        pnl=pnl,
        r_multiple=multiple,
        best=float(row["best"]),
        worst=float(row["worst"]),
        bars=int(row["bars"]),
    )
