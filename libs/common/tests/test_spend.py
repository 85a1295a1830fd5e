"""Budgets and windows of calls over replicas, on a real Redis: never exceeded, whatever is killed."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from redis.asyncio import Redis

from heliograph.common import metrics
from heliograph.common.clock import SYSTEM_CLOCK
from heliograph.common.errors import ConfigError, InvariantError
from heliograph.common.spend import shared, spend
from heliograph.common.spend.books import Books
from heliograph.common.spend.meter import Denied, Grant, Meter
from heliograph.common.spend.spend import Spend

CENT = 10_000_000
MILL = 1_000_000
"""A tenth of a cent, in nanodollars: what the calls of these tests hold."""
DAY_S = 86_400
Make = Callable[..., Spend]
Eventually = Callable[..., Awaitable[Any]]
chance = random.Random(7)  # noqa: S311 - the same costs each time


class ShiftedClock:
    """The machine's clock, put forward by some seconds."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def now_ns(self) -> int:
        return time.time_ns() + int(self.ahead * 1e9)

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead


def meter(**changes: Any) -> Meter:
    fields: dict[str, Any] = {"name": "glm", "daily_budget": 100 * CENT, "largest": MILL, "calls": 1_000_000}
    return Meter(**(fields | changes))


@pytest.fixture
async def replicas(redis_server: Any) -> AsyncIterator[Make]:
    """Make replicas; all of them are closed after the test."""
    made: list[tuple[Spend, Redis | None]] = []

    def make(members: int | None = 3, *, with_redis: bool = True, clock: Any = SYSTEM_CLOCK) -> Spend:
        client = shared.connect(redis_server.url if with_redis else "")

        async def live() -> int | None:
            return members

        made.append((Spend(client, clock, live), client))
        return made[-1][0]

    yield make
    for one, client in made:
        await one.close()
        if client:
            await client.aclose()


async def granted(one: Spend, what: Meter, hold: int = MILL, wait_s: float = 0.0) -> Grant:
    found = await one.reserve(what, hold=hold, estimate=hold // 2, wait_s=wait_s)
    assert isinstance(found, Grant), found
    return found


async def denied(one: Spend, what: Meter, hold: int = MILL, wait_s: float = 0.0) -> Denied:
    found = await one.reserve(what, hold=hold, estimate=hold // 2, wait_s=wait_s)
    assert isinstance(found, Denied), found
    return found


async def call(one: Spend, what: Meter, costs: list[int], wait_s: float = 0.0) -> Denied | None:
    """A call that costs anything up to what it holds."""
    found = await one.reserve(what, hold=MILL, estimate=MILL // 2, wait_s=wait_s)
    if isinstance(found, Denied):
        return found
    await asyncio.sleep(chance.uniform(0, 0.01))
    cost = chance.randint(1, MILL)
    costs.append(cost)
    await one.settle(found, cost)
    return None


async def test_a_storm_over_three_replicas_exceeds_no_budget_and_no_window(replicas: Make) -> None:
    """Ten thousand calls at once, half of a provider with little money, half of one with few calls."""
    three = [replicas() for _ in range(3)]
    poor = meter(daily_budget=50 * CENT)
    narrow = meter(name="deepseek", calls=200, window_s=600.0)
    spent: list[int] = []
    called: list[int] = []
    storm = [call(three[n % 3], *((poor, spent) if n % 2 else (narrow, called))) for n in range(10_000)]
    refused = [d for d in await asyncio.gather(*storm) if d]
    assert sum(spent) <= poor.daily_budget
    assert len(spent) >= 500
    assert (len(called), sum(d.reason == "rate" for d in refused)) == (200, 4_800)
    assert all(0 < d.wait_s <= 600 for d in refused if d.reason == "rate")
    assert {d.reason for d in refused} == {"budget", "rate"}
    while await call(three[0], poor, spent) is None:
        assert sum(spent) <= poor.daily_budget
    # What is left is less than one more call might cost: all of the rest could be used.
    assert poor.daily_budget - sum(spent) < MILL
    assert three[0].spent(poor) == sum(spent)
    assert metrics.SPEND_TODAY.labels("glm")._value.get() == sum(spent) / 1e9
    assert metrics.SPEND_BUDGET.labels("glm")._value.get() == 0.5
    assert not any(one.alone for one in three)


async def test_who_waits_gets_the_next_room_and_no_earlier(replicas: Make, redis_server: Any) -> None:
    three = [replicas() for _ in range(3)]
    what = meter(calls=5, window_s=0.3)
    client = Redis.from_url(redis_server.url)
    times: list[int] = []

    async def one_call(n: int) -> None:
        grant = await granted(three[n % 3], what, wait_s=10)
        score = await client.zscore(shared.keys("glm", grant.day)[-1], grant.id)
        # One that has left the window before this look is not seen; the others must lie apart all the same.
        if score is not None:
            times.append(int(score))

    await asyncio.gather(*(one_call(n) for n in range(20)))
    await client.aclose()
    ordered = sorted(times)
    assert len(ordered) > 5
    # By the clock of Redis any five calls and the one after them lie at least a window apart.
    assert all(later - first >= 300_000 for first, later in zip(ordered, ordered[5:], strict=False))
    assert ordered[-1] - ordered[0] < 9_000_000


async def test_out_of_budget_takes_no_room_in_the_window(replicas: Make) -> None:
    one = replicas()
    what = meter(daily_budget=MILL, calls=2)
    grant = await granted(one, what)
    assert (await denied(one, what)).reason == "budget"
    await one.settle(grant, 0)
    await granted(one, what)
    assert metrics.SPEND_DENIED.labels("glm", "budget")._value.get() > 0


async def test_a_reservation_whose_answer_was_lost_is_one_reservation(redis_server: Any) -> None:
    client = shared.connect(redis_server.url)
    assert client
    store, books = shared.SharedSpend(client, "m"), Books(meter(calls=1))
    books.open_day("2026-03-02", 0.0)
    books.generation = await store.merge(books, "2026-03-02", 0.0)
    grant = Grant(id="m:1", meter=books.meter, day="2026-03-02", hold=MILL, estimate=1)
    told = [await store.reserve(books, grant) for _ in range(2)]
    assert [(t.what, t.value) for t in told] == [("granted", MILL)] * 2
    await client.aclose()


async def test_a_second_settlement_changes_nothing(replicas: Make) -> None:
    one = replicas()
    what = meter(daily_budget=3 * MILL)
    grant = await granted(one, what)
    await one.settle(grant, MILL // 4)
    await one.settle(grant, MILL)
    other = await granted(one, what)
    assert one.spent(what) == MILL // 4 + MILL
    await one.settle(other, 0)


async def test_a_crash_between_reserve_and_settle_is_repaired(
    replicas: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared, "HOLD_S", 0.2)
    crashed, other = replicas(), replicas()
    what = meter(daily_budget=2 * MILL)
    late = await granted(crashed, what)
    await granted(crashed, what)
    assert (await denied(other, what)).reason == "budget"
    before = metrics.SPEND_LOST.labels("glm")._value.get()
    await asyncio.sleep(0.25)
    # Both count their estimate, half of what they held; the other half is free again.
    grant = await granted(other, what)
    assert other.spent(what) == 2 * (MILL // 2) + MILL
    assert metrics.SPEND_LOST.labels("glm")._value.get() == before + 2
    await other.settle(grant, 0)
    # One of them was only slow: now its bill is known, and replaces the estimate.
    await crashed.settle(late, MILL)
    assert (await denied(other, what)).reason == "budget"
    await granted(other, what, hold=MILL // 2)
    assert other.spent(what) == MILL + MILL // 2 + MILL // 2


async def test_a_process_that_comes_again_under_its_name_does_not_forget(replicas: Make) -> None:
    what = meter(daily_budget=2 * MILL)
    for _ in range(2):
        one = replicas()
        await one.settle(await granted(one, what), MILL)
    assert (await denied(replicas(), what, hold=1)).reason == "budget"


async def test_each_day_has_its_budget_and_the_old_ones_go(
    replicas: Make, redis_server: Any, monkeypatch: pytest.MonkeyPatch, eventually: Eventually
) -> None:
    monkeypatch.setattr(spend, "WATCH_S", 0.05)
    clock = ShiftedClock()
    one = replicas(clock=clock)
    what = meter(daily_budget=MILL)
    for day in range(4):
        clock.ahead = day * DAY_S
        await one.settle(await granted(one, what), MILL)
        assert (await denied(one, what, hold=1)).reason == "budget"
        await asyncio.sleep(0.2)
    client = Redis.from_url(redis_server.url)

    async def only_two_days() -> bool:
        kept = {str(key).split(":")[-2] for key in await client.keys("*:totals")}
        return len(kept) == 2

    await eventually(only_two_days)
    await client.aclose()


async def test_redis_gone_leaves_each_replica_its_share(
    replicas: Make, redis_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spend, "RETRY_S", 30.0)
    three = [replicas() for _ in range(3)]
    what = meter(daily_budget=52 * MILL, calls=9, window_s=0.3)
    for one in three:
        await one.settle(await granted(one, what), MILL)
    redis_server.kill()
    first = await asyncio.gather(*(denied(one, what) for one in three))
    assert {d.reason for d in first} == {"rate"}
    assert all(one.alone for one in three)
    assert metrics.SPEND_ALONE._value.get() == 1
    # Three of nine calls in a window, and of the money a third of what was surely left: under 49 calls.
    spent: list[list[tuple[float, Grant]]] = [[], [], []]

    async def use_up(one: Spend, mine: list[tuple[float, Grant]]) -> None:
        while isinstance(found := await one.reserve(what, hold=MILL, estimate=MILL, wait_s=1.0), Grant):
            mine.append((time.monotonic(), found))
            await one.settle(found, MILL)
        assert "share" in found.detail

    await asyncio.gather(*(use_up(one, mine) for one, mine in zip(three, spent, strict=True)))
    for mine in spent:
        assert 7 <= len(mine) <= 49 // 3
        times = [at for at, _ in mine]
        assert all(later - first >= 0.3 for first, later in zip(times, times[3:], strict=False))
    assert 3 + sum(map(len, spent)) <= 52


async def test_a_replica_that_never_met_its_redis_spends_nothing(replicas: Make, redis_server: Any) -> None:
    redis_server.kill()
    one = replicas(members=1)
    assert "share" in (await denied(one, meter(window_s=0.1), wait_s=0.5)).detail


async def test_without_any_redis_the_share_is_of_the_whole(replicas: Make) -> None:
    one = replicas(members=4, with_redis=False)
    what = meter(daily_budget=8 * MILL, calls=9)
    grants = [await granted(one, what) for _ in range(2)]
    assert (await denied(one, what)).reason == "budget"
    for grant in grants:
        await one.settle(grant, 0)
    assert (await denied(one, what)).reason == "rate"


async def test_a_storm_without_any_redis_keeps_to_the_share(replicas: Make) -> None:
    one = replicas(members=2, with_redis=False)
    what = meter(daily_budget=100 * MILL)
    costs: list[int] = []
    await asyncio.gather(*(call(one, what, costs) for _ in range(5_000)))
    while await call(one, what, costs) is None:
        pass
    assert 49 * MILL < sum(costs) <= 50 * MILL


async def test_a_budget_holds_while_redis_dies_and_comes_back_empty(
    replicas: Make, redis_server: Any, monkeypatch: pytest.MonkeyPatch, eventually: Eventually
) -> None:
    monkeypatch.setattr(spend, "RETRY_S", 0.05)
    monkeypatch.setattr(spend, "WATCH_S", 0.1)
    three = [replicas() for _ in range(3)]
    what = meter(daily_budget=4000 * MILL, calls=600, window_s=0.2)
    costs: list[int] = []
    stop = asyncio.Event()

    async def hammer(one: Spend) -> None:
        while not stop.is_set():
            if await call(one, what, costs) is not None:
                await asyncio.sleep(0.002)

    async with asyncio.TaskGroup() as group:
        for one in three * 8:
            group.create_task(hammer(one))
        for _ in range(2):
            await asyncio.sleep(0.4)
            redis_server.kill()
            await asyncio.sleep(0.4)
            redis_server.start()
        async with asyncio.timeout(20):
            while any(one.alone for one in three) or max(one.spent(what) for one in three) < sum(costs) // 2:
                await asyncio.sleep(0.02)
        stop.set()
    assert sum(costs) <= what.daily_budget
    assert len(costs) > 100

    async def nothing_forgotten_nor_counted_twice() -> bool:
        return all(one.spent(what) == sum(costs) for one in three)

    # Every store since has learned what was spent before it.
    await eventually(nothing_forgotten_nor_counted_twice)


async def test_what_was_spent_alone_is_told_when_redis_is_back(
    replicas: Make, redis_server: Any, monkeypatch: pytest.MonkeyPatch, eventually: Eventually
) -> None:
    monkeypatch.setattr(spend, "RETRY_S", 0.05)
    monkeypatch.setattr(spend, "WATCH_S", 0.05)
    one, two = replicas(members=2), replicas(members=2)
    what = meter(daily_budget=100 * MILL, calls=10, window_s=0.2)
    for each in (one, two):
        await each.settle(await granted(each, what), MILL)
    open_call = await granted(one, what)
    redis_server.kill()
    grant = await granted(one, what, wait_s=2.0)
    assert grant.alone
    await one.settle(grant, MILL // 2)
    await one.settle(open_call, MILL // 4)
    redis_server.start()

    async def shared_again() -> bool:
        if isinstance(last := await two.reserve(what, hold=1, estimate=1), Grant):
            await two.settle(last, 0)
        if isinstance(mine := await one.reserve(what, hold=1, estimate=1), Grant):
            await one.settle(mine, 0)
        return not one.alone and not two.alone

    await eventually(shared_again)

    async def nothing_forgotten_nor_counted_twice() -> bool:
        return two.spent(what) == 2 * MILL + MILL // 2 + MILL // 4

    await eventually(nothing_forgotten_nor_counted_twice)


async def test_a_hold_over_the_largest_is_a_fault_of_ours(replicas: Make) -> None:
    with pytest.raises(InvariantError, match="hold"):
        await replicas().reserve(meter(), hold=MILL + 1, estimate=1)


def test_a_wrong_url_is_named() -> None:
    with pytest.raises(ConfigError, match="redis_url"):
        shared.connect("ftp://nowhere")
