"""The pattern search on the real record: cases and outcomes come, a query finds what had ended by then."""

from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest

from heliograph.common.bus import Bus
from heliograph.common.clock import SYSTEM_CLOCK
from heliograph.common.errors import InputError
from heliograph.common.events import Signal
from heliograph.common.outcomes import LOSS, WIN
from heliograph.common.patterns import PatternCase
from heliograph.common.service import Context
from heliograph.tracker import leases, record
from heliograph.tracker.closing import Closing, Costs, outcome_of
from heliograph.tracker.database import Database
from heliograph.tracker.pattern import store
from heliograph.tracker.pattern.patterns import Patterns
from heliograph.tracker.rows import outcome_row
from heliograph.tracker.service import TrackerService
from heliograph.tracker.settings import TrackerSettings
from heliograph.tracker.writer import Writer

DAY = 86_400 * 10**9
START = 1_500_000_000 // 86_400 * DAY
MakeSignal = Callable[..., Signal]
Eventually = Callable[..., Awaitable[Any]]
End = Callable[[list[Signal]], Awaitable[None]]


@pytest.fixture
def signals(make_signal: MakeSignal) -> list[Signal]:
    return [make_signal(number) for number in range(260)]


@pytest.fixture
def end(database: Database, writer: Writer) -> End:
    """Record outcomes of signals, a day after each; every third of them won."""

    async def make(ending: list[Signal]) -> None:
        lease = await leases.take(database, 4, 1, "one")
        rows = []
        for signal in ending:
            won = (signal.ts - START) // DAY % 3 == 0
            closing = Closing(
                code=WIN if won else LOSS,
                exit=110.0 if won else 95.0,
                best=1.0,
                worst=-1.0,
                bars=4,
                bar_ts=signal.ts,
                bar_close_ts=signal.ts + DAY,
                input_seq=1,
            )
            rows.append(outcome_row(lease, record.stored_outcome(outcome_of(signal, closing, Costs()), "")))
        await writer.write(lease, rows)

    return make


def cases(signals: list[Signal]) -> list[PatternCase]:
    """Each signal's case: two kinds, by turns, that are unlike each other."""
    random = np.random.default_rng(1)
    return [
        PatternCase(
            signal=signal.id,
            symbol=signal.symbol,
            ts=signal.ts,
            features=[*(random.normal(1 if n % 2 else -1, 0.1, 15).tolist()), 1.0],
        )
        for n, signal in enumerate(signals)
    ]


async def keep(database: Database, some: list[PatternCase]) -> int:
    async with database.connection() as connection:
        return await store.keep(connection, some)


async def test_cases_are_kept_once_and_vectorised_by_the_scaler_of_their_time(
    database: Database, signals: list[Signal]
) -> None:
    every = cases(signals)
    assert await keep(database, every[:99]) == 99
    assert await database.fetch("SELECT count(*) FROM pattern_scalers") == [(0,)]
    # The hundredth makes the scaler, and vectors of all.
    assert await keep(database, every[:100]) == 1
    assert await keep(database, every[:100]) == 0
    assert await keep(database, every[100:199]) == 99
    scalers = "SELECT (scaler::json ->> 'cases')::int, until FROM pattern_scalers ORDER BY number"
    assert await database.fetch(scalers) == [(100, START + 99 * DAY)]
    await keep(database, every[199:200])
    assert await database.fetch(scalers) == [(100, START + 99 * DAY), (200, START + 199 * DAY)]
    counts = "SELECT count(*) FROM pattern_vectors GROUP BY scaler ORDER BY 1"
    assert await database.fetch(counts) == [(199,), (200,)]
    # The vectors are of length 1, and pgvector finds a case's own kind next to it.
    lengths = await database.fetch(
        "SELECT min(vector_norm(vector)), max(vector_norm(vector)) FROM pattern_vectors"
    )
    assert lengths[0] == pytest.approx((1.0, 1.0), abs=1e-5)
    nearest = await database.fetch(
        """SELECT v.signal FROM pattern_vectors v JOIN pattern_vectors q USING (scaler)
        WHERE q.signal = %s AND scaler = (SELECT version FROM pattern_scalers ORDER BY number DESC LIMIT 1)
        ORDER BY v.vector <=> q.vector LIMIT 100""",
        (signals[7].id,),
    )
    assert {signal for (signal,) in nearest} == {signal.id for n, signal in enumerate(signals[:200]) if n % 2}


async def test_outcomes_feed_the_search_as_they_come_and_a_new_scaler_loads_it_anew(
    database: Database, signals: list[Signal], end: End
) -> None:
    every = cases(signals)
    one = Patterns(database, check_s=1, compressed=False)
    await one.look()
    await end(signals[:40])
    await keep(database, every[:120])
    await one.look()
    assert one.cases == 40
    await end(signals[40:90])
    await one.look()
    await one.look()
    assert one.cases == 90
    await end(signals[200:])  # outcomes before their cases
    await keep(database, every[120:])
    await one.look()
    assert one.cases == 90 + 60
    another = Patterns(database, check_s=1, compressed=True)
    await another.look()
    assert another.cases == one.cases


async def test_replicas_answer_alike_and_only_of_what_had_ended(
    database: Database,
    bus: Bus,
    signals: list[Signal],
    end: End,
    tracker_settings: TrackerSettings,
    eventually: Eventually,
) -> None:
    service = TrackerService()
    settings = tracker_settings.model_copy(update={"pattern_check_s": 0.1})
    await service.start(Context(name="tracker", member="one", settings=settings, bus=bus, clock=SYSTEM_CLOCK))
    every = cases(signals)
    features = every[5].features
    ask = {"symbol": "A", "ts": START + 150 * DAY, "features": features}
    assert (await bus.request("query.tracker.pattern", ask))["expectation"]["n"] == 0
    body = {"cases": [{f: getattr(c, f) for f in c.__struct_fields__} for c in every[:190]]}
    assert await bus.request("query.tracker.pattern_cases", body) == {"new": 190}
    await end(signals[:190])

    async def loaded() -> bool:
        return bool((await service.status())["pattern_cases"] == 190)

    await eventually(loaded)
    # The scaler has seen cases up to day 189: it may serve later queries alone.
    early = await bus.request("query.tracker.pattern", ask | {"ts": START + 189 * DAY})
    assert (early["expectation"]["n"], early["scaler"]) == (0, "")
    found = await bus.request("query.tracker.pattern", ask | {"ts": START + 189 * DAY + 1})
    ids = {signal.id: n for n, signal in enumerate(signals)}
    numbers = [ids[signal] for signal in found["signals"]]
    assert len(numbers) == found["expectation"]["n"] == 50
    assert all(n % 2 == 1 and n <= 188 for n in numbers)
    assert (found["scope"], found["same_regime"]) == ("symbol", True)
    wins = sum(n % 3 == 0 for n in numbers)
    expectation = found["expectation"]
    assert (expectation["targets"], expectation["stops"], expectation["times"]) == (wins, 50 - wins, 0)
    assert expectation["p_win"] == pytest.approx(wins / 50)
    assert expectation["avg_win_r"] == pytest.approx(2.0)
    assert expectation["avg_loss_r"] == pytest.approx(-1.0)
    assert expectation["expected_r"] == pytest.approx(wins / 50 * 2 - (1 - wins / 50))
    with pytest.raises(InputError, match="features"):
        await bus.request("query.tracker.pattern", ask | {"features": [1.0]})
    with pytest.raises(InputError, match=r"volatility_regime: 7\.0"):
        await bus.request("query.tracker.pattern", ask | {"features": [*features[:15], 7.0]})
    await service.stop()
