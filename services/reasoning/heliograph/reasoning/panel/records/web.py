"""Reading a provider's answers over HTTP: what is missing, what is an outage, and what is wrong."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial

import httpx
import structlog
import tenacity

from heliograph.common import metrics
from heliograph.common.clock import NANOSECONDS, SYSTEM_CLOCK, Clock
from heliograph.common.errors import InputError
from heliograph.common.spend.keys import Keys
from heliograph.reasoning.models.failure import retry_after
from heliograph.reasoning.panel.records.gate import AwayError, Gate
from heliograph.reasoning.panel.records.metered import Metered
from heliograph.reasoning.pauses import as_asked

TIMEOUT_S = 20.0
TRIES = 3
AT_ONCE = 4
"""The SEC allows ten requests a second."""
MOST_BYTES = 32 << 20
LONGEST_WAIT_S = 10.0
"""A provider that asks for a longer pause is not asked again: somebody waits for the run."""
_PAUSE = as_asked(tenacity.wait_random_exponential(multiplier=0.2, max=2.0))
REFUSED = frozenset({httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN})

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Web:
    """GET requests to one provider, `AT_ONCE` at a time. `close` it at the end.

    Args:
        root: the address before every path.
        key: the name of the secret among `keys`, which goes into the header `header`: never into an address,
            which others log.
        name: of the provider, as metrics and alerts call it.
        metered: gives leave for each request to a provider that is paid.
        clock: of the provider's breaker.
    """

    def __init__(
        self,
        root: str,
        headers: Mapping[str, str] | None = None,
        *,
        keys: Keys | None = None,
        key: str = "",
        header: str = "",
        name: str = "",
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

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def has_key(self) -> bool:
        """Whether there is a key at all."""
        return self._keys is not None and await self._keys.known(self._key)

    async def get(self, path: str, **query: str) -> bytes | None:
        """The body; None where there is no such thing.

        Tried three times where that can help, after the pause that the provider asks for. After five failures
        in a row, or more than half of twenty, nobody asks it for a minute.

        Raises:
            InputError: the provider refuses the question, or the key.
            NoLeaveError: there is no money or no room for another request.
            UnavailableError: it does not answer, or asks for fewer requests.
        """
        retrying = tenacity.AsyncRetrying(
            stop=tenacity.stop_after_attempt(TRIES),
            wait=_PAUSE,
            retry=tenacity.retry_if_exception(_worth_it),
            reraise=True,
        )
        return await retrying(self._whole, path, query)

    async def _whole(self, path: str, query: dict[str, str]) -> bytes | None:
        async with self._gate.passing(self._root + path):
            return await self._answered(path, query)

    async def _answered(self, path: str, query: dict[str, str]) -> bytes | None:
        while True:
            value = await self._keys.current(self._key) if self._keys and self._key else None
            if self._key and value is None:
                raise InputError(f"{self._root}: no {self._key}, or every value of it was refused")
            answer = await self._once(path, query, value)
            if answer.status_code in REFUSED and self._keys is not None and value is not None:
                if self._keys.refused(self._key, value):
                    metrics.KEYS_REFUSED.labels(self._name).inc()
                    await log.aerror("key refused", key=self._key, status=answer.status_code)
                continue
            return self._read(path, answer)

    async def _once(self, path: str, query: dict[str, str], value: str | None) -> httpx.Response:
        headers = {} if value is None else {self._header: value}
        asking = partial(self._client.get, self._root + path, params=query or None, headers=headers)
        try:
            async with self._turn:
                if self._metered is None:
                    return await asking()
                async with self._metered.leave() as bill:
                    answer = await asking()
                    bill.answered(answer.status_code)
                    return answer
        except httpx.HTTPError as error:
            raise AwayError(f"{self._root}{path}: {type(error).__name__}") from None

    def _read(self, path: str, answer: httpx.Response) -> bytes | None:
        where = f"{self._root}{path}"
        if answer.status_code == httpx.codes.NOT_FOUND:
            return None
        if answer.status_code == httpx.codes.TOO_MANY_REQUESTS or answer.is_server_error:
            headers = {name.lower(): value for name, value in answer.headers.items()}
            now = datetime.fromtimestamp(self._clock.now_ns() / NANOSECONDS, UTC)
            raise AwayError(f"{where}: status {answer.status_code}", retry_after(headers, "", now))
        if not answer.is_success:
            raise InputError(f"{where}: status {answer.status_code}, expected 200")
        if len(answer.content) > MOST_BYTES:
            raise InputError(f"{where}: {len(answer.content)} bytes, expected at most {MOST_BYTES}")
        return answer.content


def _worth_it(error: BaseException) -> bool:
    return isinstance(error, AwayError) and (error.retry_after or 0.0) <= LONGEST_WAIT_S
