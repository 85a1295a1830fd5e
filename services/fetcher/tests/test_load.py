"""Loading from a provider that is away for a while, and health while it is."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from heliograph.common.clock import SYSTEM_CLOCK
from heliograph.common.errors import InputError, UnavailableError
from heliograph.fetcher.health import HealthBook
from heliograph.fetcher.load import load
from heliograph.fetcher.provider import Rows


class AwayProvider:
    """Fails a number of times in the middle of its rows, then gives them all."""

    name = "away"

    def __init__(self, parts: list[Rows], failures: int, health: HealthBook) -> None:
        self._parts = parts
        self._failures = failures
        self._health = health
        self.states: list[str] = []

    async def rows(self) -> AsyncIterator[Rows]:
        """Some rows, then a failure; or all of them."""
        self.states.append(self._health.state(self.name))
        yield self._parts[0]
        if self._failures:
            self._failures -= 1
            raise UnavailableError("away")
        for part in self._parts[1:]:
            yield part


class EmptyProvider(AwayProvider):
    """Has nothing, and says so."""

    async def rows(self) -> AsyncIterator[Rows]:
        """Nothing."""
        raise InputError("data: nothing")
        yield self._parts[0]


async def test_a_provider_that_is_away_is_asked_again(
    make_rows: Callable[..., Rows], make_bars: Callable[..., list[Any]]
) -> None:
    health = HealthBook(SYSTEM_CLOCK, None)
    parts = [make_rows(make_bars("A", 5), "1"), make_rows(make_bars("B", 5), "2")]
    provider = AwayProvider(parts, 6, health)
    replay = await load(provider, 1, health, pause_s=0.0)
    assert replay.plan.bars_before(0, replay.plan.batches(0)) == 10
    assert replay.refused[0].counts() == {}
    assert provider.states == ["healthy"] * 5 + ["unhealthy"] * 2
    assert health.state("away") == "healthy"


async def test_wrong_data_are_not_asked_for_again(make_rows: Callable[..., Rows]) -> None:
    health = HealthBook(SYSTEM_CLOCK, None)
    with pytest.raises(InputError, match="data: nothing"):
        await load(EmptyProvider([make_rows([])], 0, health), 1, health, pause_s=0.0)
