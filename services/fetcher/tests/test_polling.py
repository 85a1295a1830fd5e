"""Polling against an exchange that is played: every closed bar comes, once, complete and in order."""

import asyncio
import random
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from prometheus_client import Counter

from heliograph.common import metrics
from heliograph.common.clock import NANOSECONDS
from heliograph.common.errors import ConfigError, UnavailableError
from heliograph.common.intervals import interval_ns
from heliograph.fetcher.live import poller as polling
from heliograph.fetcher.live.adaptive import Pace
from heliograph.fetcher.live.closing import Closing
from heliograph.fetcher.live.poller import Poller
from heliograph.fetcher.live.rounds import Rounds, Rules
from heliograph.fetcher.live.snapshot import Minute, rows_of
from heliograph.fetcher.provider import Rows

MINUTE = interval_ns("1m")
NOON = 1_700_000_040_000_000_000 // MINUTE * MINUTE
LATER = NOON + 100 * MINUTE
SETTLE_NS = 2 * NANOSECONDS
COMPLETE = 60.0
"""The volume of a complete minute: one a second."""
RULES = Rules(
    high=frozenset({"AAPL"}),
    medium=frozenset({"MSFT"}),
    busiest=0,
    pace=Pace(intervals=(5, 15, 60), off_hours=3, volatile=((5, 0.5), (2, 0.75)), calm=(0.5, 2)),
    correlation=0.7,
    call_symbols=2,
)


class HandClock:
    """A clock that stands still until it is told; minute −1 has just been settled."""

    def __init__(self) -> None:
        self.seconds = 3.0

    def now_ns(self) -> int:
        return NOON + round(self.seconds * NANOSECONDS)

    def monotonic(self) -> float:
        return self.seconds


class Exchange:
    """Shows the newest minute of symbols, forming ones too where it is that kind, late by some seconds."""

    name = "played"

    def __init__(
        self,
        clock: HandClock,
        traded: dict[str, set[int]],
        *,
        forming: bool = True,
        lag_s: float = 0.0,
        failing: float = 0.0,
    ) -> None:
        self.clock = clock
        self.traded = traded
        self.forming = forming
        self.lag_ns = round(lag_s * NANOSECONDS)
        self.failing_share = failing
        self.chance = random.Random(7)  # noqa: S311 - faults, always the same
        self.failures = 0
        self.looks: list[tuple[float, list[str]]] = []
        self.asked_of_history: list[tuple[str, int, int]] = []

    def _answers(self) -> None:
        """Fail by chance, but not twice in a row."""
        self.failures = self.failures + 1 if self.chance.random() < self.failing_share else 0
        if self.failures == 1:
            raise UnavailableError("status 500")
        self.failures = 0

    def _bar(self, number: int, now_ns: int) -> Minute:
        start = NOON + number * MINUTE
        volume = min(COMPLETE, (now_ns - start) / NANOSECONDS)
        return Minute(start, 100.0, 101.0, 99.0, 100.0, volume)

    async def look(self, symbols: Sequence[str]) -> dict[str, Minute]:
        self.looks.append((self.clock.seconds, list(symbols)))
        self._answers()
        now_ns = self.clock.now_ns() - self.lag_ns
        last = (now_ns - NOON) // MINUTE - (0 if self.forming else 1)
        shown = {s: max((n for n in self.traded.get(s, ()) if n <= last), default=None) for s in symbols}
        return {s: self._bar(n, now_ns) for s, n in shown.items() if n is not None}

    async def history(self, symbols: Sequence[str], since_ns: int, until_ns: int) -> AsyncGenerator[Rows]:
        for symbol in symbols:
            self.asked_of_history.append((symbol, since_ns, until_ns))
            self._answers()
            now_ns = self.clock.now_ns() - self.lag_ns
            for number in sorted(self.traded.get(symbol, ())):
                start = NOON + number * MINUTE
                if since_ns <= start < until_ns and start + MINUTE <= now_ns:
                    yield rows_of("history", [(symbol, self._bar(number, now_ns))])


def poller_of(asked: Exchange, symbols: Sequence[str], rules: Rules = RULES) -> Poller:
    """A poller whose pauses let all calls end, and then the time pass."""

    async def pause(seconds: float) -> None:
        while poller._calls or not poller._told.empty():
            await asyncio.sleep(0)
        asked.clock.seconds += seconds

    closing = Closing(symbols, asked.clock.now_ns(), SETTLE_NS)
    rounds = Rounds(symbols, rules)
    poller = Poller(asked, rounds, closing, lambda _: True, asked.clock, pause)
    return poller


async def run(asked: Exchange, symbols: Sequence[str], minutes: float) -> list[tuple[str, int, float]]:
    """(symbol, number of the minute, volume) of all that was told in some minutes."""
    found = []
    async with aclosing(poller_of(asked, symbols).batches()) as batches:
        async for rows in batches:
            for code, ts, volume in zip(rows.code, rows.ts, rows.volume, strict=True):
                found.append((rows.symbols[code], int(ts - NOON) // MINUTE, float(volume)))
            if asked.clock.seconds > minutes * 60:
                break
    return found


MINUTES = 14
SURE = MINUTES - 8
"""Minutes that must have come: a calm symbol is asked for every two, and not always with success."""


@settings(deadline=None, max_examples=10, derandomize=True)
@given(
    traded=st.lists(st.sets(st.integers(0, MINUTES)), min_size=3, max_size=3),
    forming=st.booleans(),
    lag_s=st.floats(0.0, 1.9),
    late_s=st.floats(0.0, 40.0),
    failing=st.sampled_from([0.0, 0.2]),
)
async def test_every_closed_bar_comes_once_complete_and_in_order(
    traded: list[set[int]], *, forming: bool, lag_s: float, late_s: float, failing: float
) -> None:
    """What shows forming minutes must have settled by `settle`; what shows closed ones may be later."""
    symbols = ["AAPL", "MSFT", "IBM"]
    clock = HandClock()
    asked = Exchange(
        clock,
        dict(zip(symbols, traded, strict=True)),
        forming=forming,
        lag_s=lag_s if forming else late_s,
        failing=failing,
    )
    found = await run(asked, symbols, MINUTES)
    assert all(volume == COMPLETE for _, _, volume in found)
    for symbol in symbols:
        numbers = [number for name, number, _ in found if name == symbol]
        assert numbers == sorted(set(numbers))
        assert {n for n in asked.traded[symbol] if n <= SURE} <= set(numbers)


async def test_minutes_that_are_shown_closed_need_no_history() -> None:
    asked = Exchange(HandClock(), {"AAPL": set(range(9))}, forming=False)
    found = await run(asked, ["AAPL"], 5.9)
    assert [number for _, number, _ in found] == [0, 1, 2, 3, 4]
    assert asked.asked_of_history == []


async def test_a_minute_that_was_seen_forming_alone_is_asked_of_history() -> None:
    asked = Exchange(HandClock(), {"AAPL": set(range(9))})
    found = await run(asked, ["AAPL"], 2.9)
    assert [number for _, number, _ in found] == [0, 1]
    assert asked.asked_of_history == [("AAPL", NOON + n * MINUTE, NOON + (n + 1) * MINUTE) for n in range(2)]


async def test_a_symbol_that_the_provider_does_not_know_holds_nobody_up() -> None:
    asked = Exchange(HandClock(), {"MSFT": {0, 1}})
    found = await run(asked, ["AAPL", "MSFT"], 4)
    assert [(name, number) for name, number, _ in found] == [("MSFT", 0), ("MSFT", 1)]


async def test_correlated_symbols_are_asked_for_in_one_call_after_an_hour() -> None:
    asked = Exchange(HandClock(), {})
    rounds = Rounds(["AAPL", "IBM", "XOM"], RULES)
    for number in range(60):
        price = 100.0 + (number * 7919) % 13 / 100
        bars = [("AAPL", price), ("XOM", 2 * price), ("IBM", 100.0)]
        minutes = [(s, Minute(NOON + number * MINUTE, p, p, p, p, 1.0)) for s, p in bars]
        rounds.take(rows_of("", minutes), LATER)
    closing = Closing(["AAPL", "IBM", "XOM"], NOON, SETTLE_NS)
    poller = Poller(asked, rounds, closing, lambda _: True, asked.clock)
    async with aclosing(poller.batches()) as batches:
        await anext(batches)
        await anext(batches)
    assert [symbols for _, symbols in asked.looks] == [["AAPL", "XOM"], ["IBM"]]


class Failing(Exchange):
    """Raises whatever it is given, of some symbols."""

    def __init__(self, error: Exception, symbols: Sequence[str]) -> None:
        super().__init__(HandClock(), {"AAPL": {0, 1, 2}, "MSFT": {0, 1, 2}}, forming=False)
        self.error = error
        self.failing = symbols

    async def look(self, symbols: Sequence[str]) -> dict[str, Minute]:
        if set(symbols) & set(self.failing):
            raise self.error
        return await super().look(symbols)


async def test_one_call_that_fails_fails_no_other_symbol(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polling, "FAILURES_IN_A_ROW", 100)
    asked = Failing(UnavailableError("status 500"), ["AAPL"])
    rules = replace(RULES, call_symbols=1)
    found = []
    async with aclosing(poller_of(asked, ["AAPL", "MSFT"], rules).batches()) as batches:
        async for rows in batches:
            found += [(s, int(t - NOON) // MINUTE) for s, t in zip(rows.symbols, rows.ts, strict=True)]
            if asked.clock.seconds > 190:
                break
    assert found == [("MSFT", 0), ("MSFT", 1), ("MSFT", 2)]


async def test_five_failures_in_a_row_are_an_outage() -> None:
    asked = Failing(UnavailableError("status 500"), ["AAPL"])
    with pytest.raises(UnavailableError, match=r"5 polls in a row failed: status 500"):
        await run(asked, ["AAPL"], 9)
    assert asked.clock.seconds == 23.0


async def test_a_refused_key_is_told_at_once() -> None:
    asked = Failing(ConfigError("massive_api_key: refused"), ["AAPL"])
    with pytest.raises(ConfigError, match="massive_api_key"):
        await run(asked, ["AAPL"], 9)
    assert asked.clock.seconds == 3.0


class Hanging(Exchange):
    """Answers no look until it is let."""

    def __init__(self) -> None:
        super().__init__(HandClock(), {})
        self.gate = asyncio.Event()
        self.inside = 0
        self.most = 0

    async def look(self, symbols: Sequence[str]) -> dict[str, Minute]:
        self.inside += 1
        self.most = max(self.most, self.inside)
        try:
            await self.gate.wait()
        finally:
            self.inside -= 1
        return await super().look(symbols)


async def test_five_calls_are_made_at_once_and_no_more() -> None:
    asked = Hanging()
    symbols = [f"S{number}" for number in range(24)]
    async with aclosing(poller_of(asked, symbols).batches()) as batches:
        first = asyncio.ensure_future(anext(batches))
        while asked.inside < 5:
            await asyncio.sleep(0)
        for _ in range(20):
            await asyncio.sleep(0)
        assert asked.inside == 5
        asked.gate.set()
        await first
        for _ in range(11):
            await anext(batches)
    assert asked.most == 5
    assert sorted(s for _, call in asked.looks for s in call) == sorted(symbols)


async def test_a_call_that_hangs_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polling, "CALL_S", 0.001)
    with pytest.raises(UnavailableError, match="no answer in time"):
        await run(Hanging(), ["AAPL"], 9)


def count(metric: Counter, *labels: str) -> float:
    return float(metric.labels(*labels)._value.get())


async def test_what_a_look_has_told_of_each_symbol_is_counted() -> None:
    class Counted(Exchange):
        name = "counted"

    await run(Counted(HandClock(), {"AAPL": {0}}, forming=False), ["AAPL", "MSFT"], 1.2)
    assert count(metrics.POLLED_SYMBOLS, "counted", "new") == 1
    assert count(metrics.POLLED_SYMBOLS, "counted", "missing") > 4
    assert count(metrics.POLLED_SYMBOLS, "counted", "same") > 0
