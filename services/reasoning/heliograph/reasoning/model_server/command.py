"""`heliograph model-server`: a model server that fails on demand, for tests and demonstrations."""

import asyncio
import json as json_module
import signal
import sys

from heliograph.common.errors import InputError
from heliograph.reasoning.model_server.faults import Faults

MAX_PORT = 65_535


def model_server(
    *,
    port: int = 8199,
    latency: str = "0.5",
    rate_limited: float = 0.0,
    retry_after: float = 1.0,
    unauthorized: float = 0.0,
    no_balance: float = 0.0,
    server_error: float = 0.0,
    hang: float = 0.0,
    cut: float = 0.0,
    empty: float = 0.0,
    invalid_json: float = 0.0,
    wrong_schema: float = 0.0,
    injection: float = 0.0,
    seed: int = 0,
    json: bool = False,
) -> int:
    """Serve a language model that answers, and fails, as it is told.

    Every fault is the share of calls (0 to 1) that meets it. While it runs, `PUT /faults` with the same names
    in a JSON object switches them, and `GET /calls` tells what was called.

    Args:
        port: Port on loopback, 0 for any.
        latency: Seconds before an answer: `0.5`, `uniform:2:3`, or `lognormal:0.8:0.5` (median, sigma).
        rate_limited: 429 with Retry-After.
        retry_after: Seconds in Retry-After.
        unauthorized: 401.
        no_balance: 402.
        server_error: 500, 502, 503 or 529.
        hang: No answer at all.
        cut: The connection ends in the middle of the reply.
        empty: 200 without a body.
        invalid_json: A body that is no JSON.
        wrong_schema: JSON of another form than was asked for.
        injection: Text with orders, prices and instructions.
        seed: The same seed gives the same faults.
        json: Print the address as JSON.
    """
    faults = Faults(
        latency=latency,
        rate_limited=rate_limited,
        retry_after=retry_after,
        unauthorized=unauthorized,
        no_balance=no_balance,
        server_error=server_error,
        hang=hang,
        cut=cut,
        empty=empty,
        invalid_json=invalid_json,
        wrong_schema=wrong_schema,
        injection=injection,
    )
    if not 0 <= port <= MAX_PORT:
        raise InputError(f"port: {port}, expected 0 to {MAX_PORT}")
    asyncio.run(_serve(faults, port, seed, as_json=json))
    return 0


async def _serve(faults: Faults, port: int, seed: int, *, as_json: bool) -> None:
    # Only who serves needs the web server; `--help` should not wait for it.
    from heliograph.reasoning.model_server.server import ModelServer  # noqa: PLC0415

    server = ModelServer(faults, seed=seed)
    await server.start(port=port)
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    address = server.base_url("model")
    line = json_module.dumps({"url": server.url, "base_url": address}) if as_json else f"Base URL: {address}"
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
    await stopping.wait()
    await server.stop()
