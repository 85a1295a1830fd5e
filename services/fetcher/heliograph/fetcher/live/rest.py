"""GET requests to a provider of bars: at a rate, with a limit of time, tried again where that can help."""

import asyncio
from collections.abc import Callable
from http import HTTPStatus

import httpx
import structlog

from heliograph.common import metrics
from heliograph.common.clock import Clock
from heliograph.common.errors import ConfigError, UnavailableError
from heliograph.common.http_retry import AwayError, HttpRetry, Sent, away_at_most, passing
from heliograph.common.retry_after import retry_after
from heliograph.common.spend.breaker import Breaker
from heliograph.fetcher.live.rate import Rate

TIMEOUT_S = 8.0
BUDGET_S = 0.3
"""A request that takes longer is counted."""
LONGEST_WAIT_S = 60.0
"""A provider that asks for a longer pause is left alone by the caller's own."""
MOST_BYTES = 64 << 20
_WORTH_IT = away_at_most(LONGEST_WAIT_S)

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Rest:
    """One provider's REST interface.

    Args:
        name: of the provider, in metrics and errors.
        root: the address before every path.
        key: sent as a bearer token: never part of an address, which others log. Empty for none.
        setting: the key's, named where it is refused.
        check: raises an `AwayError` for an answer that is a failure in spite of its status.
    """

    def __init__(
        self,
        name: str,
        root: str,
        key: str,
        setting: str,
        rate: Rate,
        clock: Clock,
        check: Callable[[bytes], None] | None = None,
    ) -> None:
        self._name = name
        self._root = root.rstrip("/")
        self._setting = setting
        self._rate = rate
        self._clock = clock
        self._check = check
        self._breaker = Breaker()
        self._retry = HttpRetry(name)
        self._client = httpx.AsyncClient(
            headers={"Accept": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})},
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
            UnavailableError: no answer after three tries or as many as the budget of retries allows, or the
                provider is left alone after its failures.
        """
        return await self._retry(lambda sent: self._once(path, query, sent), _WORTH_IT)

    async def _once(self, path: str, query: str, sent: Sent) -> bytes | None:
        await self._rate.turn()
        if not self._breaker.enter(self._clock.monotonic()):
            raise UnavailableError(f"{self._name}: left alone for a minute after its failures")
        sent()
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
        if (result := passing(status)) is not None:
            wait = retry_after(answer.headers, self._clock.now_ns())
            raise AwayError(f"{where}: status {status}", result, wait)
        if not answer.is_success:
            return None
        if len(answer.content) > MOST_BYTES:
            raise AwayError(f"{where}: {len(answer.content)} bytes, expected at most {MOST_BYTES}", "server")
        if self._check is not None:
            self._check(answer.content)
        return answer.content
