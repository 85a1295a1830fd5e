"""The cache of explanations: bounded, timed, shared by Redis, and never in the way."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from redis.asyncio import Redis

from heliograph.common.errors import ConfigError
from heliograph.common.events import Signal
from heliograph.reasoning.cache import PREFIX, RETRY_S, ExplanationCache, connect, is_sound
from heliograph.reasoning.engine import Explainer, cache_key
from heliograph.reasoning.facts import facts_of

MakeSignal = Callable[..., Signal]


class ToldClock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def now_ns(self) -> int:
        return int(self.seconds * 1e9)

    def monotonic(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> ToldClock:
    return ToldClock()


@pytest.fixture
def text(make_signal: MakeSignal) -> str:
    return Explainer().text(facts_of(make_signal()))


@pytest.fixture
async def client(redis_server: Any) -> AsyncIterator[Redis]:
    """A client of the test's own."""
    opened = Redis.from_url(redis_server.url)
    yield opened
    await opened.aclose()


async def test_the_least_used_text_goes_first(clock: ToldClock) -> None:
    cache = ExplanationCache(clock, None, size=2, ttl_s=60)
    await cache.put({"a": "A"})
    await cache.put({"b": "B"})
    assert await cache.get(["a"]) == {"a": "A"}
    await cache.put({"c": "C"})
    assert await cache.get(["a", "b", "c"]) == {"a": "A", "c": "C"}
    assert cache.status() == {"hits_memory": 3, "hits_redis": 0, "misses": 1, "size": 2}
    assert cache.store == "memory"


async def test_a_text_lives_its_time(clock: ToldClock) -> None:
    cache = ExplanationCache(clock, None, size=10, ttl_s=60)
    await cache.put({"a": "A"})
    clock.seconds += 59.9
    assert await cache.get(["a"]) == {"a": "A"}
    clock.seconds += 0.1
    assert await cache.get(["a"]) == {}


async def test_another_replica_finds_it_in_redis(
    clock: ToldClock, redis_server: Any, client: Redis, text: str
) -> None:
    one = ExplanationCache(clock, connect(redis_server.url), size=10, ttl_s=3600)
    two = ExplanationCache(clock, connect(redis_server.url), size=10, ttl_s=3600)
    await one.put({"a": text})
    assert await two.get(["a", "b"]) == {"a": text}
    assert two.status() == {"hits_memory": 0, "hits_redis": 1, "misses": 1, "size": 1}
    assert (one.store, two.store) == ("ok", "ok")
    assert 3590 < await client.ttl(PREFIX + "a") <= 3600
    await one.close()
    await two.close()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text.replace("{entry}", "163.03"),
        lambda text: text + " It was at 162 before.",
        lambda text: text.encode()[:40] + b"\xff",
        lambda _: "",
    ],
    ids=["a price in a placeholder's place", "another price", "cut short", "empty"],
)
async def test_a_text_with_a_price_of_its_own_is_not_taken_from_redis(
    clock: ToldClock, redis_server: Any, client: Redis, text: str, spoil: Callable[[str], str | bytes]
) -> None:
    await client.set(PREFIX + "a", spoil(text))
    cache = ExplanationCache(clock, connect(redis_server.url), size=10, ttl_s=60)
    assert await cache.get(["a"]) == {}
    await cache.close()


async def test_an_absent_redis_is_left_alone_for_a_while(
    clock: ToldClock, redis_server: Any, text: str
) -> None:
    cache = ExplanationCache(clock, connect(redis_server.url), size=10, ttl_s=60)
    await cache.ping()
    assert cache.store == "ok"
    redis_server.kill()
    await cache.put({"a": text})
    assert cache.store == "memory"
    assert await cache.get(["a", "b"]) == {"a": text}
    redis_server.start()
    await cache.ping()
    assert cache.store == "memory"
    clock.seconds += RETRY_S
    await cache.ping()
    assert cache.store == "ok"
    await cache.put({"c": text})
    other = ExplanationCache(clock, connect(redis_server.url), size=10, ttl_s=60)
    assert await other.get(["c"]) == {"c": text}
    await cache.close()
    await other.close()


def test_no_url_is_no_redis_and_a_wrong_one_is_named() -> None:
    assert connect("") is None
    with pytest.raises(ConfigError, match="redis_url"):
        connect("ftp://nowhere")


def test_every_text_of_the_template_is_sound(make_signal: MakeSignal, text: str) -> None:
    assert is_sound(text)
    assert cache_key(facts_of(make_signal())).startswith("template@1:")
