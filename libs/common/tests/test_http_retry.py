"""The one rule of trying again: for what can pass, as asked, three times, within the budget."""

import asyncio

import pytest
from prometheus_client import REGISTRY

from heliograph.common import http_retry
from heliograph.common.errors import InputError, UnavailableError
from heliograph.common.http_retry import (
    TRIES,
    AwayError,
    HttpRetry,
    RetryBudgetSpentError,
    Sent,
    away_at_most,
    passing,
)
from heliograph.common.retry_budget import RetryBudget

WORTH_IT = away_at_most(10.0)
AWAY = AwayError("x: status 503", "server")


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_retry, "PAUSE", lambda _: 0.0)


class Provider:
    """Fails in the ways given, one after another, then answers."""

    def __init__(self, *failures: BaseException) -> None:
        self.failures = list(failures)
        self.tries = 0

    async def once(self, sent: Sent) -> str:
        self.tries += 1
        sent()
        if self.failures:
            raise self.failures.pop(0)
        return "answer"


def counted(provider: str, allowed: str) -> float:
    labels = {"provider": provider, "allowed": allowed}
    return REGISTRY.get_sample_value("heliograph_provider_retries_total", labels) or 0.0


@pytest.mark.parametrize("failures", range(TRIES))
async def test_what_passes_is_answered(failures: int) -> None:
    provider, name = Provider(*[AWAY] * failures), f"passes-{failures}"
    assert await HttpRetry(name)(provider.once, WORTH_IT) == "answer"
    assert provider.tries == failures + 1
    assert (counted(name, "yes"), counted(name, "no")) == (failures, 0)


async def test_the_last_failure_is_told_as_it_is() -> None:
    provider = Provider(AWAY, AWAY, last := AwayError("x: status 500", "server"))
    with pytest.raises(AwayError) as told:
        await HttpRetry("x")(provider.once, WORTH_IT)
    assert told.value is last
    assert provider.tries == TRIES


@pytest.mark.parametrize(
    "failure",
    [
        InputError("400"),
        UnavailableError("left alone"),
        AwayError("429", "rate", 10.1),
        ValueError(),
        asyncio.CancelledError(),
    ],
)
async def test_what_cannot_pass_is_not_tried_again(failure: BaseException) -> None:
    provider = Provider(failure)
    with pytest.raises(type(failure)):
        await HttpRetry("x")(provider.once, WORTH_IT)
    assert provider.tries == 1


async def test_the_pause_is_the_one_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_retry, "PAUSE", lambda _: 3600.0)  # never slept
    provider = Provider(AwayError("429", "rate", 0.0), AwayError("429", "rate", 0.01))
    assert await HttpRetry("x")(provider.once, WORTH_IT) == "answer"


async def test_without_budget_the_first_failure_is_told_with_the_reason() -> None:
    budget = RetryBudget(floor=1, calls_a_retry=5)
    retry, name = HttpRetry("spent", budget), "spent"
    provider = Provider(AWAY, AWAY)
    with pytest.raises(RetryBudgetSpentError, match=r"status 503; not asked again.*budget of spent") as told:
        await retry(provider.once, WORTH_IT)
    assert provider.tries == 2
    assert told.value.__cause__ is AWAY
    assert (counted(name, "yes"), counted(name, "no")) == (1, 1)
    for _ in range(4):  # with the first one five calls: a retry is earned
        await retry(Provider().once, WORTH_IT)
    assert await retry(Provider(AWAY).once, WORTH_IT) == "answer"


async def test_only_questions_that_are_sent_earn_and_each_once() -> None:
    budget = RetryBudget(floor=0, calls_a_retry=1)
    retry = HttpRetry("x", budget)

    async def unsent(_: Sent) -> None:
        raise UnavailableError("left alone")

    async def twice(sent: Sent) -> None:
        sent()
        sent()

    for _ in range(3):
        with pytest.raises(UnavailableError):
            await retry(unsent, WORTH_IT)
    assert not budget.take()
    await retry(twice, WORTH_IT)
    assert [budget.take(), budget.take()] == [True, False]


@pytest.mark.parametrize(
    ("status", "result"),
    [(429, "rate"), (500, "server"), (503, "server"), (529, "server"), (408, "server")]
    + [(status, None) for status in (200, 304, 400, 401, 402, 403, 404, 422)],
)
def test_which_answers_can_pass(status: int, result: str | None) -> None:
    assert passing(status) == result
