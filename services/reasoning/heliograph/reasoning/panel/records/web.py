"""Reading a provider's answers over HTTP: what is missing, what is an outage, and what is wrong."""

import asyncio
from collections.abc import Mapping

import httpx
import structlog

from heliograph.common import metrics
from heliograph.common.clock import SYSTEM_CLOCK, Clock
from heliograph.common.errors import InputError
from heliograph.common.http_retry import AwayError, HttpRetry, Sent, away_at_most, passing
from heliograph.common.retry_after import retry_after
from heliograph.common.spend.keys import Keys
from heliograph.reasoning.panel.records.gate import Gate
from heliograph.reasoning.panel.records.metered import Metered

TIMEOUT_S = 20.0
AT_ONCE = 4
"""The SEC allows ten requests a second."""
MOST_BYTES = 32 << 20
LONGEST_WAIT_S = 10.0
"""A provider that asks for a longer pause is not asked again: somebody waits for the run."""
_WORTH_IT = away_at_most(LONGEST_WAIT_S)
REFUSED = frozenset({httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN})

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Web:
    """GET requests to one provider, `AT_ONCE` at a time. `close` it at the end.

    Args:
        root: the address before every path.
        name: of the provider, as metrics and alerts call it.
        key: the name of the secret among `keys`, which goes into the header `header`: never into an address,
            which others log.
        metered: gives leave for each request to a provider that is paid.
        clock: of the provider's breaker.
    """

    def __init__(
        self,
        root: str,
        headers: Mapping[str, str] | None = None,
        *,
        name: str,
        keys: Keys | None = None,
        key: str = "",
        header: str = "",
        metered: Metered | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._client = httpx.AsyncClient(
            headers=dict(headers or {}), timeout=TIMEOUT_S, follow_redirects=False
        )
        self._root = root.rstrip("/")
        self._keys = keys
        self._key = key
        self._header = header
        self._name = name
        self._metered = metered
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._clock = clock
        self._gate = Gate(clock)
        self._retry = HttpRetry(name)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def has_key(self) -> bool:
        """Whether there is a key at all."""
        return self._keys is not None and await self._keys.known(self._key)

    async def get(self, path: str, **query: str) -> bytes | None:
        """The body; None where there is no such thing.

        Tried three times where that can help, after the pause that the provider asks for, within its budget
        of retries. After five failures in a row, or more than half of twenty, nobody asks it for a minute.

        Raises:
            InputError: the provider refuses the question, or the key.
            NoLeaveError: there is no money or no room for another request.
            UnavailableError: it does not answer, or asks for fewer requests.
        """
        return await self._retry(lambda sent: self._whole(path, query, sent), _WORTH_IT)

    async def _whole(self, path: str, query: dict[str, str], sent: Sent) -> bytes | None:
        async with self._gate.passing(self._root + path):
            return await self._answered(path, query, sent)

    async def _answered(self, path: str, query: dict[str, str], sent: Sent) -> bytes | None:
        while True:
            value = await self._keys.current(self._key) if self._keys and self._key else None
            if self._key and value is None:
                raise InputError(f"{self._root}: no {self._key}, or every value of it was refused")
            answer = await self._once(path, query, value, sent)
            if answer.status_code in REFUSED and self._keys is not None and value is not None:
                if self._keys.refused(self._key, value):
                    metrics.KEYS_REFUSED.labels(self._name).inc()
                    await log.aerror("key refused", key=self._key, status=answer.status_code)
                continue
            return self._read(path, answer)

    async def _once(self, path: str, query: dict[str, str], value: str | None, sent: Sent) -> httpx.Response:
        headers = {} if value is None else {self._header: value}

        async def asking() -> httpx.Response:
            sent()
            return await self._client.get(self._root + path, params=query or None, headers=headers)

        try:
            async with self._turn:
                if self._metered is None:
                    return await asking()
                async with self._metered.leave() as bill:
                    answer = await asking()
                    bill.answered(answer.status_code)
                    return answer
        except httpx.HTTPError as error:
            raise AwayError(f"{self._root}{path}: {type(error).__name__}", "connection") from None

    def _read(self, path: str, answer: httpx.Response) -> bytes | None:
        where = f"{self._root}{path}"
        if answer.status_code == httpx.codes.NOT_FOUND:
            return None
        if (result := passing(answer.status_code)) is not None:
            wait = retry_after(answer.headers, self._clock.now_ns())
            raise AwayError(f"{where}: status {answer.status_code}", result, wait)
        if not answer.is_success:
            raise InputError(f"{where}: status {answer.status_code}, expected 200")
        if len(answer.content) > MOST_BYTES:
            raise InputError(f"{where}: {len(answer.content)} bytes, expected at most {MOST_BYTES}")
        return answer.content
