"""GET requests to a provider of bars: at a rate, with a limit of time, tried again where that can help."""

import asyncio
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus

import httpx
import structlog
import tenacity

from heliograph.common import metrics
from heliograph.common.clock import NANOSECONDS, Clock
from heliograph.common.errors import ConfigError, UnavailableError
from heliograph.common.spend.breaker import Breaker
from heliograph.fetcher.live.rate import Rate

TIMEOUT_S = 8.0
BUDGET_S = 0.3
"""A request that takes longer is counted."""
TRIES = 3
LONGEST_WAIT_S = 60.0
"""A provider that asks for a longer pause is left alone by the caller's own."""
MOST_BYTES = 64 << 20
_PAUSE = tenacity.wait_random_exponential(multiplier=0.25, max=4.0)

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class AwayError(UnavailableError):
    """No answer, or one that says to come again; `retry_after` in seconds where it says when."""

    def __init__(self, text: str, result: str, retry_after: float | None = None) -> None:
        super().__init__(text)
        self.result = result
        self.retry_after = retry_after


class Rest:
    """One provider's REST interface.

    Args:
        name: of the provider, in metrics and errors.
        root: the address before every path.
        key: sent as a bearer token: never part of an address, which others log.
        setting: the key's, named where it is refused.
    """

    def __init__(self, name: str, root: str, key: str, setting: str, rate: Rate, clock: Clock) -> None:
        self._name = name
        self._root = root.rstrip("/")
        self._setting = setting
        self._rate = rate
        self._clock = clock
        self._breaker = Breaker()
        self._client = httpx.AsyncClient(
            headers={"Authorization": f"Bearer {key}", "Accept": "application/json"},
            timeout=TIMEOUT_S,
            follow_redirects=False,
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def get(self, path: str, query: str = "") -> bytes | None:
        """The body of an answer; None where there is no such thing, or the question is refused.

        Raises:
            ConfigError: the key is refused, or does not cover what is asked for.
            UnavailableError: no answer after three tries, or the provider is left alone after its failures.
        """
        retrying = tenacity.AsyncRetrying(
            stop=tenacity.stop_after_attempt(TRIES),
            wait=_pause,
            retry=tenacity.retry_if_exception(_worth_it),
            reraise=True,
        )
        return await retrying(self._once, path, query)

    async def _once(self, path: str, query: str) -> bytes | None:
        await self._rate.turn()
        if not self._breaker.enter(self._clock.monotonic()):
            raise UnavailableError(f"{self._name}: left alone for a minute after its failures")
        began = self._clock.monotonic()
        try:
            async with asyncio.timeout(TIMEOUT_S):
                answer = await self._client.get(f"{self._root}{path}", params=query or None)
            body = self._read(path, answer)
        except (httpx.HTTPError, TimeoutError) as error:
            self._failed("connection")
            raise AwayError(f"{self._name}: {path}: {type(error).__name__}", "connection") from None
        except AwayError as error:
            self._failed(error.result)
            raise
        except BaseException:
            self._breaker.left()
            raise
        self._breaker.succeeded()
        await self._measure(path, self._clock.monotonic() - began, answered=body is not None)
        return body

    def _failed(self, result: str) -> None:
        metrics.PROVIDER_REQUESTS.labels(self._name, result).inc()
        self._breaker.failed(self._clock.monotonic())

    async def _measure(self, path: str, seconds: float, *, answered: bool) -> None:
        metrics.PROVIDER_REQUESTS.labels(self._name, "ok" if answered else "refused").inc()
        metrics.PROVIDER_SECONDS.labels(self._name).observe(seconds)
        if seconds > BUDGET_S:
            metrics.PROVIDER_SLOW.labels(self._name).inc()
            await log.awarning("slow provider", provider=self._name, path=path, seconds=round(seconds, 3))

    def _read(self, path: str, answer: httpx.Response) -> bytes | None:
        status, where = answer.status_code, f"{self._name}: {path}"
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            metrics.KEYS_REFUSED.labels(self._name).inc()
            raise ConfigError(
                f"{self._setting}: {where}: status {status}: the key is refused, or its plan lacks this"
            )
        if status == HTTPStatus.TOO_MANY_REQUESTS or answer.is_server_error:
            now = datetime.fromtimestamp(self._clock.now_ns() / NANOSECONDS, UTC)
            result = "rate" if status == HTTPStatus.TOO_MANY_REQUESTS else "server"
            raise AwayError(f"{where}: status {status}", result, retry_after(answer.headers, now))
        if not answer.is_success:
            return None
        if len(answer.content) > MOST_BYTES:
            raise AwayError(f"{where}: {len(answer.content)} bytes, expected at most {MOST_BYTES}", "server")
        return answer.content


def retry_after(headers: httpx.Headers, now: datetime) -> float | None:
    """Seconds that the provider asks to wait, told as seconds or as a date; None where it does not say."""
    given = headers.get("retry-after", "")
    if given.isascii() and given.isdigit():
        return float(given)
    try:
        return max(0.0, (parsedate_to_datetime(given).astimezone(UTC) - now).total_seconds())
    except ValueError:
        return None


def _worth_it(error: BaseException) -> bool:
    return isinstance(error, AwayError) and (error.retry_after or 0.0) <= LONGEST_WAIT_S


def _pause(state: tenacity.RetryCallState) -> float:
    """As long as the provider asks for, else longer each time, with chance in it."""
    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after if isinstance(error, AwayError) else None
    return _PAUSE(state) if asked is None else asked
