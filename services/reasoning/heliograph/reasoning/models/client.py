"""One HTTP call to a provider: a prompt out, a reply or the reason of its failure back."""

import itertools
from typing import Protocol

import httpx

from heliograph.common.clock import Clock
from heliograph.reasoning.models import wire
from heliograph.reasoning.models.conform import conforming
from heliograph.reasoning.models.failure import CallFailedError, http_failure
from heliograph.reasoning.models.port import Prompt
from heliograph.reasoning.models.provider import Provider

CONNECT_S = 4.0
CONNECTIONS = 2_000
"""At once, of a process; fifty runs of the panel with two tickers each make a thousand calls."""
KEPT = 200
"""Connections kept open for the next call."""
POOLS = 20
MAX_BODY = 1 << 20
"""Bytes of a reply at most; a model's reply is a few thousand."""
_OK = 200


class Client(Protocol):
    """Calls a provider once."""

    async def call(self, provider: Provider, prompt: Prompt, key: str, timeout_s: float) -> wire.Reply:
        """The reply, which satisfies the prompt's schema.

        Raises:
            CallFailedError: there is none.
        """
        ...


class HttpClient:
    """Calls providers over HTTP; connections are kept and shared by all calls.

    Several pools in turn: each looks through all of its connections at every call and every end of one.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        limits = httpx.Limits(max_connections=CONNECTIONS // POOLS, max_keepalive_connections=KEPT // POOLS)
        context = httpx.create_ssl_context()
        self._pools = [
            httpx.AsyncClient(limits=limits, follow_redirects=False, verify=context) for _ in range(POOLS)
        ]
        self._turn = itertools.cycle(self._pools)

    async def close(self) -> None:
        """Close the connections."""
        for pool in self._pools:
            await pool.aclose()

    async def call(self, provider: Provider, prompt: Prompt, key: str, timeout_s: float) -> wire.Reply:
        """The reply, which satisfies the prompt's schema.

        Raises:
            CallFailedError: there is none.
        """
        asked = wire.request(provider, prompt, key)
        timeout = httpx.Timeout(timeout_s, connect=min(CONNECT_S, timeout_s))
        try:
            async with next(self._turn).stream(
                "POST", asked.url, content=asked.body, headers=asked.headers, timeout=timeout
            ) as response:
                body = await _read(response)
        except httpx.ConnectTimeout:
            raise CallFailedError("connection", "no connection in time", cost=0, timed_out=True) from None
        except httpx.TimeoutException:
            raise CallFailedError("timeout", "no reply in time", timed_out=True) from None
        except (httpx.ConnectError, httpx.UnsupportedProtocol) as error:
            raise CallFailedError("connection", f"no connection: {type(error).__name__}", cost=0) from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise CallFailedError("connection", f"cut: {type(error).__name__}") from None
        if response.status_code != _OK:
            headers = {name.lower(): value for name, value in response.headers.items()}
            raise http_failure(response.status_code, headers, body, self._clock.now_ns())
        return satisfying(provider, prompt, wire.reply(provider, body))


async def _read(response: httpx.Response) -> bytes:
    """The body, unless it is longer than any reply of a model."""
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > MAX_BODY:
            raise CallFailedError("invalid", f"a reply of more than {MAX_BODY} bytes")
    return bytes(body)


def satisfying(provider: Provider, prompt: Prompt, reply: wire.Reply) -> wire.Reply:
    """The reply with the bare JSON that was asked for.

    Raises:
        CallFailedError: it does not satisfy the schema.
    """
    if prompt.schema is None:
        return reply
    bare = conforming(reply.text, prompt.schema)
    if bare is None:
        cost = provider.cost(reply.input_tokens, reply.cached_tokens, reply.output_tokens)
        raise CallFailedError("invalid", "the reply does not satisfy the schema", cost=cost or None)
    return wire.Reply(
        text=bare,
        model=reply.model,
        input_tokens=reply.input_tokens,
        cached_tokens=reply.cached_tokens,
        output_tokens=reply.output_tokens,
    )
