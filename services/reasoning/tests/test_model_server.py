"""The model server itself: each switch does what it says."""

import asyncio
import json
import random
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from heliograph.common.errors import InputError
from heliograph.reasoning.model_server.faults import FAULTS, Faults, parse_latency
from heliograph.reasoning.model_server.server import ModelServer

SCHEMA = {
    "type": "object",
    "properties": {
        "side": {"enum": ["up", "down"]},
        "conviction": {"type": "number", "minimum": 0, "maximum": 1},
        "why": {"type": "array", "items": {"type": "string"}, "minItems": 2},
    },
    "required": ["side", "conviction", "why"],
}
BODY = {
    "model": "m",
    "messages": [{"role": "user", "content": "Say."}],
    "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}},
}


@pytest.fixture
async def http(server: ModelServer) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=server.url, timeout=5) as client:
        yield client


async def switch(http: httpx.AsyncClient, provider: str, **faults: Any) -> None:
    (await http.put(f"/faults/{provider}", json=faults)).raise_for_status()


async def test_a_reply_satisfies_the_schema_and_tells_its_usage(http: httpx.AsyncClient) -> None:
    first = (await http.post("/glm/chat/completions", json=BODY)).json()
    said = json.loads(first["choices"][0]["message"]["content"])
    assert said["side"] in {"up", "down"}
    assert 0 <= said["conviction"] <= 1
    assert len(said["why"]) == 2
    assert first["usage"]["total_tokens"] > 0
    again = (await http.post("/glm/chat/completions", json=BODY)).json()
    assert again == first


@pytest.mark.parametrize(
    ("fault", "statuses"),
    [
        ("rate_limited", {429}),
        ("unauthorized", {401}),
        ("no_balance", {402}),
        ("server_error", {500, 502, 503, 529}),
        ("empty", {200}),
        ("invalid_json", {200}),
        ("wrong_schema", {200}),
        ("injection", {200}),
    ],
)
async def test_each_switch(http: httpx.AsyncClient, fault: str, statuses: set[int]) -> None:
    await switch(http, "glm", retry_after=7, **{fault: 1.0})
    for _ in range(5):
        reply = await http.post("/glm/chat/completions", json=BODY)
        assert reply.status_code in statuses
    assert reply.headers.get("retry-after") == ("7" if fault == "rate_limited" else None)
    other = await http.post("/qwen/chat/completions", json=BODY)
    sound = json.loads(other.json()["choices"][0]["message"]["content"])
    if fault in {"empty", "invalid_json"}:
        with pytest.raises(json.JSONDecodeError):
            reply.json()
    if fault in {"wrong_schema", "injection"}:
        said = json.loads(reply.json()["choices"][0]["message"]["content"])
        assert (set(said) != set(sound)) is (fault == "wrong_schema")
        assert ("Ignore all previous instructions" in str(said)) is (fault == "injection")


async def test_a_cut_reply_ends_in_its_middle(http: httpx.AsyncClient) -> None:
    await switch(http, "glm", cut=1.0)
    with pytest.raises(httpx.RemoteProtocolError):
        await http.post("/glm/chat/completions", json=BODY)


async def test_who_leaves_a_hanging_call_is_counted(server: ModelServer, eventually: Any) -> None:
    server.faults["glm"] = Faults(hang=1.0)
    async with httpx.AsyncClient(base_url=server.url, timeout=0.2) as client:
        with pytest.raises(httpx.ReadTimeout):
            await client.post("/glm/chat/completions", json=BODY)

    async def left() -> bool:
        return server.counts() == {"left": 1} and server.running == 0

    await eventually(left)


async def test_a_refused_key_and_what_was_called(http: httpx.AsyncClient) -> None:
    await switch(http, "glm", refused_keys=["old"])
    statuses = [
        (
            await http.post("/glm/chat/completions", json=BODY, headers={"authorization": f"Bearer {key}"})
        ).status_code
        for key in ("old", "new")
    ]
    assert statuses == [401, 200]
    told = (await http.get("/calls")).json()["providers"]["glm"]
    assert told["ends"] == {"unauthorized": 1, "ok": 1}
    assert told["input_tokens"] > 0


async def test_calls_run_at_once(server: ModelServer) -> None:
    server.default = Faults(latency="0.2")
    async with httpx.AsyncClient(base_url=server.url, timeout=5) as client:
        await asyncio.gather(*(client.post("/glm/chat/completions", json=BODY) for _ in range(20)))
    assert max(call.running for call in server.calls) == 20


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hang": 1.5}, "hang: 1.5"),
        ({"hang": 0.6, "cut": 0.6}, "together"),
        ({"latency": "uniform:3:2"}, "latency"),
        ({"latency": "soon"}, "latency"),
        ({"retry_after": -1}, "retry_after"),
    ],
)
def test_a_wrong_switch_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Faults(**changes)


async def test_a_wrong_switch_over_http_is_refused(http: httpx.AsyncClient) -> None:
    reply = await http.put("/faults", json={"hnag": 1})
    assert (reply.status_code, "hnag" in reply.json()["error"]) == (400, True)


def test_shares_and_latencies_are_drawn_as_told() -> None:
    chance = random.Random(1)  # noqa: S311 - drawn again the same
    shares: dict[str, Any] = dict.fromkeys(FAULTS, 0.05)
    faults = Faults(**shares, latency="lognormal:2:0.3")
    drawn = [faults.draw(chance) for _ in range(20_000)]
    for name in FAULTS:
        assert 0.04 < drawn.count(name) / len(drawn) < 0.06
    waits = sorted(faults.wait(chance) for _ in range(2001))
    assert 1.9 < waits[1000] < 2.1
    assert all(2 <= Faults(latency="uniform:2:3").wait(chance) <= 3 for _ in range(100))
    assert parse_latency("0.5") == ("fixed", 0.5, 0.0)


def test_the_command_prints_its_address_and_ends_on_request() -> None:
    command = [
        sys.executable,
        "-m",
        "heliograph.stack",
        "model-server",
        "--port",
        "0",
        "--latency",
        "0",
        "--json",
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        address = json.loads(process.stdout.readline())["base_url"]
        reply = httpx.post(f"{address}/chat/completions", json=BODY, timeout=5)
        assert reply.status_code == 200
    finally:
        process.terminate()
        assert process.wait(10) == 0
    wrong = subprocess.run([*command, "--hang", "2"], capture_output=True, text=True, check=False)
    assert (wrong.returncode, "hang: 2.0" in wrong.stderr) == (2, True)
