"""A model server that fails on demand, in the forms of OpenAI and of Anthropic.

`/<provider>/chat/completions` and `/<provider>/v1/messages` answer; `PUT /faults/<provider>` switches faults
of one provider (`PUT /faults` of all), `GET /calls` tells what was called.
"""

import asyncio
import contextlib
import logging
import random
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from heliograph.common.clock import SYSTEM_CLOCK
from heliograph.common.errors import InputError
from heliograph.common.probes import QuietServer, listen
from heliograph.reasoning.model_server import replies
from heliograph.reasoning.model_server.faults import Fault, Faults

SERVER_ERRORS = (500, 502, 503, 529)
HANG_S = 3600.0


class CutError(Exception):
    """Ends a connection in the middle of a reply."""


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One call that came: when (monotonic seconds), how it ended, and how many ran at its start."""

    provider: str
    at: float
    end: str
    running: int
    input_tokens: int = 0
    output_tokens: int = 0


class ModelServer:
    """The server in this process's event loop; `start` and `stop` it, or serve `app` otherwise."""

    def __init__(self, faults: Faults | None = None, *, seed: int = 0) -> None:
        self.default = faults or Faults()
        self.faults: dict[str, Faults] = {}
        self.calls: list[Call] = []
        self.running = 0
        self._chance = random.Random(seed)  # noqa: S311 - faults that can be had again
        self._server: QuietServer | None = None
        self._serving: asyncio.Task[None] | None = None
        self.url = ""
        self.app = Starlette(
            routes=[
                Route("/{provider}/chat/completions", self._chat, methods=["POST"]),
                Route("/{provider}/v1/messages", self._messages, methods=["POST"]),
                Route("/faults", self._switch, methods=["PUT"]),
                Route("/faults/{provider}", self._switch, methods=["PUT"]),
                Route("/calls", self._told, methods=["GET"]),
            ]
        )

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen; `url` is where.

        Raises:
            ConfigError: the port is taken.
        """
        sock = listen(host, port, "port")
        self.url = f"http://{host}:{sock.getsockname()[1]}"
        # A cut reply is an exception here, on purpose; uvicorn would write each one down.
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        options = uvicorn.Config(
            self.app,
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            timeout_graceful_shutdown=1,
        )
        self._server = QuietServer(options)
        self._serving = asyncio.create_task(self._server.serve(sockets=[sock]))
        while not self._server.started:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.005)

    async def stop(self) -> None:
        """Stop listening; calls under way are dropped."""
        if self._server and self._serving:
            self._server.should_exit = True
            self._server.force_exit = True
            await self._serving

    def base_url(self, provider: str) -> str:
        """The base address of a provider."""
        return f"{self.url}/{provider}"

    def counts(self, provider: str | None = None) -> dict[str, int]:
        """Calls by how they ended."""
        return dict(Counter(c.end for c in self.calls if provider in {None, c.provider}))

    async def _chat(self, request: Request) -> Response:
        body = msgspec.json.decode(await request.body())
        key = request.headers.get("authorization", "").removeprefix("Bearer ")
        return await self._answer(request, key, body, replies.completion)

    async def _messages(self, request: Request) -> Response:
        body = replies.as_chat(msgspec.json.decode(await request.body()))
        return await self._answer(request, request.headers.get("x-api-key", ""), body, replies.message)

    async def _answer(self, request: Request, key: str, body: dict[str, Any], form: replies.Form) -> Response:
        provider = request.path_params["provider"]
        faults = self.faults.get(provider, self.default)
        fault = "unauthorized" if key in faults.refused_keys else faults.draw(self._chance)
        self.running += 1
        at, running = SYSTEM_CLOCK.monotonic(), self.running
        end = "left"
        reply = replies.Reply("", 0, 0)
        try:
            wait = HANG_S if fault == "hang" else faults.wait(self._chance)
            if not await stays(request, wait):
                return Response(status_code=499)
            end = fault or "ok"
            reply = replies.reply(body, fault, faults.tokens)
            return self._response(fault, faults, form(body, reply), key)
        finally:
            self.running -= 1
            billed = reply if end in {"ok", "wrong_schema", "injection"} else replies.Reply("", 0, 0)
            self.calls.append(
                Call(
                    provider=provider,
                    at=at,
                    end=end,
                    running=running,
                    input_tokens=billed.input_tokens,
                    output_tokens=billed.output_tokens,
                )
            )

    def _response(self, fault: Fault | None, faults: Faults, whole: dict[str, Any], key: str) -> Response:
        if fault == "rate_limited":
            return replies.error(429, "rate_limit_exceeded", {"retry-after": f"{faults.retry_after:g}"})
        if fault == "unauthorized":
            return replies.error(401, "invalid_api_key", key=key)
        if fault == "no_balance":
            return replies.error(402, "insufficient_balance", key=key)
        if fault == "server_error":
            return replies.error(self._chance.choice(SERVER_ERRORS), "server_error", key=key)
        if fault == "empty":
            return Response(b"", media_type="application/json")
        data = msgspec.json.encode(whole)
        if fault == "invalid_json":
            return Response(b"<html>" + data[:40], media_type="application/json")
        if fault == "cut":
            return StreamingResponse(half(data), media_type="application/json")
        return Response(data, media_type="application/json")

    async def _switch(self, request: Request) -> Response:
        provider = request.path_params.get("provider")
        try:
            faults = msgspec.json.decode(await request.body(), type=Faults)
        except (msgspec.DecodeError, InputError) as error:
            return JSONResponse({"error": str(error)}, 400)
        if provider is None:
            self.default, self.faults = faults, {}
        else:
            self.faults[provider] = faults
        return JSONResponse(msgspec.to_builtins(faults))

    async def _told(self, _: Request) -> Response:
        providers = sorted({call.provider for call in self.calls})
        told = {
            name: {
                "ends": self.counts(name),
                "most_at_once": max(c.running for c in self.calls if c.provider == name),
                "input_tokens": sum(c.input_tokens for c in self.calls if c.provider == name),
                "output_tokens": sum(c.output_tokens for c in self.calls if c.provider == name),
            }
            for name in providers
        }
        return JSONResponse({"running": self.running, "providers": told})


async def stays(request: Request, seconds: float) -> bool:
    """Wait; whether the client is still there afterwards."""
    gone = asyncio.ensure_future(request.receive())
    try:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(gone, seconds)
            return False
        return True
    finally:
        gone.cancel()


async def half(data: bytes) -> AsyncIterator[bytes]:
    """The first half of a reply, then the end of the connection."""
    yield data[: len(data) // 2]
    await asyncio.sleep(0.01)
    raise CutError
