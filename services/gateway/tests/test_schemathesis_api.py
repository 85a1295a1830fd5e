"""Requests made up from the OpenAPI document: none meets a 5xx or an answer that is not in the document."""

import asyncio
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings

from heliograph.common.bus import Bus

from .owners_of_results import respond

BUSY, TRIES = 503, 3
EXAMPLES = 3
"""Good and bad ones each of an operation; one of an operation that takes nothing."""


@pytest.mark.timeout(300)
async def test_no_request_breaks_the_gateway(
    client: httpx.AsyncClient, bus: Bus, owners: Any, make_signal: Any
) -> None:
    owners.add(make_signal())
    await respond(bus, [])
    document = (await client.get("/schema/openapi.json")).json()
    schema = schemathesis.openapi.from_dict(document)
    tried = await asyncio.to_thread(explore, schema, str(client.base_url))
    paths = {path for path in document["paths"] if path.startswith("/api")}
    assert set(tried) == paths | {"/healthz"}
    assert sum(tried.values()) >= 2 * EXAMPLES * 10


def explore(schema: Any, url: str) -> dict[str, int]:
    """Requests of every operation, good ones and bad ones; how many there were of each path."""
    tried: dict[str, int] = {}
    for result in schema.get_all_operations():
        operation = result.ok()
        takes = bool(
            operation.definition.raw.get("parameters") or operation.definition.raw.get("requestBody")
        )
        modes = [schemathesis.GenerationMode.POSITIVE]
        if takes:
            modes.append(schemathesis.GenerationMode.NEGATIVE)
        for mode in modes:
            cases = operation.as_strategy(generation_mode=mode)

            @given(case=cases)
            @settings(
                max_examples=EXAMPLES if takes else 1,
                database=None,
                deadline=None,
                phases=[Phase.generate],
                derandomize=True,
                suppress_health_check=list(HealthCheck),
            )
            def ask(case: Any) -> None:
                answer = case.call(base_url=url, timeout=60)
                for _ in range(TRIES):
                    if answer.status_code == BUSY:  # this process is the owner too, and may be slow
                        answer = case.call(base_url=url, timeout=60)
                tried[case.operation.path] = tried.get(case.operation.path, 0) + 1
                documented = case.operation.definition.raw["responses"]
                assert answer.status_code < 500, (case.as_curl_command(), answer.text)
                assert str(answer.status_code) in documented or answer.status_code == 405, (
                    case.as_curl_command(),
                    answer.status_code,
                    answer.text,
                )

            ask()
    return tried
