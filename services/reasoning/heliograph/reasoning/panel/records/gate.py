"""The way to one provider of data: shut for a while after failures, then open to single requests first."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from heliograph.common.clock import Clock
from heliograph.common.errors import InputError, UnavailableError
from heliograph.common.http_retry import AwayError
from heliograph.common.spend.breaker import Breaker


class LeftAloneError(UnavailableError):
    """A provider is not asked, since it has failed again and again."""


class Gate:
    """Lets requests to one provider through, as its failures allow."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._breaker = Breaker()
        self._moved = asyncio.Event()

    @asynccontextmanager
    async def passing(self, where: str) -> AsyncIterator[None]:
        """One request. While a single one tries whether the provider is back, the others wait for it.

        Raises:
            LeftAloneError: the provider has failed too often within the last minute.
        """
        while not self._breaker.enter(self._clock.monotonic()):
            if self._breaker.state(self._clock.monotonic()) == "open":
                raise LeftAloneError(f"{where}: left alone after its failures")
            await self._moved.wait()
        try:
            yield
        except InputError:
            self._breaker.succeeded()  # it has answered
            raise
        except AwayError:
            self._breaker.failed(self._clock.monotonic())
            raise
        except BaseException:
            self._breaker.left()
            raise
        else:
            self._breaker.succeeded()
        finally:
            self._moved.set()
            self._moved = asyncio.Event()
