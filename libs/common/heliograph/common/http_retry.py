"""Questions to a provider by HTTP, asked again where that can help: the one rule of every service."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Literal, NoReturn, TypeVar

import tenacity

from heliograph.common import metrics
from heliograph.common.errors import InvariantError, UnavailableError
from heliograph.common.retry_budget import RetryBudget

TRIES = 3
PAUSE: Callable[[tenacity.RetryCallState], float] = tenacity.wait_random_exponential(multiplier=0.25)
"""Unless the provider asks for one: at random up to 0.25 s before a second try, 0.5 s before a third."""

Answer = TypeVar("Answer")
Sent = Callable[[], None]
"""To be called as a request goes out: only then the question earns its part of a retry."""


class AwayError(UnavailableError):
    """No answer, or one that says to come again.

    Attributes:
        result: whose limit or fault it is.
        retry_after: seconds that the provider asks to wait, where it says so.
    """

    def __init__(
        self, text: str, result: Literal["rate", "server", "connection"], retry_after: float | None = None
    ) -> None:
        super().__init__(text)
        self.result = result
        self.retry_after = retry_after


class RetryBudgetSpentError(UnavailableError):
    """A question has failed and is not asked again, since too many others were. Tells the failure, too."""


def passing(status: int) -> Literal["rate", "server"] | None:
    """What an answer fails by that may be another one later; None for every other status."""
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return "rate"
    late = status == HTTPStatus.REQUEST_TIMEOUT
    return "server" if late or status >= HTTPStatus.INTERNAL_SERVER_ERROR else None


def away_at_most(seconds: float) -> Callable[[BaseException], bool]:
    """Tells whether a provider is away that does not ask for a longer pause."""
    return lambda error: isinstance(error, AwayError) and (error.retry_after or 0.0) <= seconds


class HttpRetry:
    """Asks one provider, `TRIES` times at most and within its budget of retries.

    Args:
        provider: its name, in metrics and errors.
        budget: of this provider in this process; one of its own by default.
    """

    def __init__(self, provider: str, budget: RetryBudget | None = None) -> None:
        self._provider = provider
        self._budget = budget or RetryBudget()

    async def __call__(
        self, once: Callable[[Sent], Awaitable[Answer]], worth: Callable[[BaseException], bool]
    ) -> Answer:
        """What `once` returns; it is called again after each failure that is worth it.

        Waits as long as the failure's `retry_after` says, seconds, else by `PAUSE`.

        Raises:
            RetryBudgetSpentError: it has failed, and the provider may not be sent another retry now.
        """
        earned = False

        def sent() -> None:
            nonlocal earned
            if not earned:
                earned = True
                self._budget.called()

        async def attempt() -> Answer:
            return await once(sent)

        retrying = tenacity.AsyncRetrying(
            stop=self._ends,
            wait=_pause,
            retry=tenacity.retry_if_exception(worth),
            retry_error_callback=self._give_up,
        )
        return await retrying(attempt)

    def _ends(self, state: tenacity.RetryCallState) -> bool:
        if state.attempt_number >= TRIES:
            return True
        allowed = self._budget.take()
        metrics.PROVIDER_RETRIES.labels(self._provider, "yes" if allowed else "no").inc()
        return not allowed

    def _give_up(self, state: tenacity.RetryCallState) -> NoReturn:
        error = _failure(state)
        if state.attempt_number >= TRIES:
            raise error
        spent = f"not asked again, since the retry budget of {self._provider} is spent"
        raise RetryBudgetSpentError(f"{error}; {spent}") from error


def _failure(state: tenacity.RetryCallState) -> BaseException:
    error = state.outcome.exception() if state.outcome else None
    if error is None:
        raise InvariantError("a retry without a failure")
    return error


def _pause(state: tenacity.RetryCallState) -> float:
    asked: float | None = getattr(_failure(state), "retry_after", None)
    return PAUSE(state) if asked is None else asked
