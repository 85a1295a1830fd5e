"""What providers were used for: counted once over all replicas, whoever dies and whenever Redis is away."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from redis.asyncio import Redis

from heliograph.common.spend import shared
from heliograph.common.spend.usage import PREFIX, Usage, Use, days_of_month, summed

NOON = 1_772_452_800_000_000_000
DAY = "2026-03-02"


class StandingClock:
    """A clock that stands."""

    def __init__(self) -> None:
        self.ns = NOON

    def now_ns(self) -> int:
        return self.ns

    def monotonic(self) -> float:
        return self.ns / 1e9


@pytest.fixture
async def make(redis_server: Any) -> AsyncIterator[Callable[[], Usage]]:
    made: list[tuple[Usage, Redis | None]] = []

    def one() -> Usage:
        client = shared.connect(redis_server.url)
        made.append((Usage(client, StandingClock()), client))
        return made[-1][0]

    yield one
    for usage, client in made:
        await usage.close()
        if client is not None:
            await client.aclose()


async def test_replicas_are_summed_and_a_second_writing_changes_nothing(
    make: Callable[[], Usage], eventually: Callable[..., Awaitable[Any]]
) -> None:
    one, two = make(), make()
    for _ in range(3):
        one.add(Use(provider="glm", purpose="reason", asked=1, calls=2, cost=5))
    two.add(Use(provider="glm", purpose="reason", asked=1, cached=1))
    two.add(Use(provider="glm", purpose="panel", calls=1, failures=1))
    await one.close()
    one.add(Use(signals=4))
    await one.close()
    await one.close()

    async def both() -> bool:
        return len((await two.of([DAY]))[DAY]) == 3

    await eventually(both)
    expected = [
        Use(signals=4),
        Use(provider="glm", purpose="panel", calls=1, failures=1),
        Use(provider="glm", purpose="reason", asked=4, cached=1, calls=6, cost=15),
    ]
    assert (await two.of([DAY]))[DAY] == expected
    await two.close()
    # A process that comes later finds what those have left that are gone.
    assert await make().of([DAY, "2026-03-01"]) == {DAY: expected, "2026-03-01": []}


async def test_without_redis_each_counts_for_itself_and_tells_it_later(
    make: Callable[[], Usage], redis_server: Any
) -> None:
    one = make()
    redis_server.kill()
    one.add(Use(provider="glm", asked=1))
    assert (await one.of([DAY]))[DAY] == [Use(provider="glm", asked=1)]
    await one.close()
    redis_server.start()
    await one.close()
    assert (await make().of([DAY]))[DAY] == [Use(provider="glm", asked=1)]


async def test_what_is_no_table_is_passed_over(make: Callable[[], Usage], redis_server: Any) -> None:
    one = make()
    client = Redis.from_url(redis_server.url)
    await client.hset(PREFIX + DAY, "spoilt", b"{")
    await client.aclose()
    one.add(Use(asked=2))
    assert (await one.of([DAY]))[DAY] == [Use(asked=2)]


async def test_days_are_apart_and_old_ones_leave_the_memory() -> None:
    clock = StandingClock()
    usage = Usage(None, clock)
    for _ in range(4):
        usage.add(Use(asked=1))
        clock.ns += 86_400 * 10**9
    assert len(usage._days) == 2
    assert (await usage.of(["2026-03-05"]))["2026-03-05"] == [Use(asked=1)]


def test_the_days_of_a_month_end_with_today() -> None:
    assert days_of_month(DAY) == ["2026-03-01", DAY]
    assert summed([]) == []
