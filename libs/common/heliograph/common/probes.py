"""The HTTP probes of a process: /livez, /readyz and /metrics."""

import contextlib
import socket
from collections.abc import Awaitable, Callable, Iterator

import uvicorn
from prometheus_client import make_asgi_app
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route

from heliograph.common.errors import ConfigError

Check = Callable[[], Awaitable[dict[str, str]]]


class QuietServer(uvicorn.Server):
    """A server that leaves the process's signals to the shell."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


def listen(host: str, port: int, key: str) -> socket.socket:
    """A listening socket; port 0 takes a free one.

    Raises:
        ConfigError: the port is taken; the message names the setting `key`.
    """
    try:
        return socket.create_server((host, port), backlog=256)
    except OSError as error:
        raise ConfigError(f"{key}: {port}, expected a free port on {host}: {error}") from error


def probe_app(live: Check, ready: Check) -> Starlette:
    """Each probe answers 200 when its check finds nothing wrong, else 503 with what is wrong."""

    async def answer(check: Check) -> JSONResponse:
        problems = await check()
        return JSONResponse(
            {"status": "fail" if problems else "pass", "problems": problems}, 503 if problems else 200
        )

    async def livez(_: Request) -> JSONResponse:
        return await answer(live)

    async def readyz(_: Request) -> JSONResponse:
        return await answer(ready)

    return Starlette(
        routes=[Route("/livez", livez), Route("/readyz", readyz), Mount("/metrics", make_asgi_app())]
    )


def probe_server(app: Starlette) -> QuietServer:
    """A server for the probes; run it with `serve(sockets=[...])`."""
    return QuietServer(uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", ws="none"))
