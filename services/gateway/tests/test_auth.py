"""Who may ask: tokens, scopes, signatures, origins, calls a minute, and the sizes of what is sent."""

import asyncio
import base64
import json
import os
import re
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from heliograph.common.bus import Bus
from heliograph.common.clock import SYSTEM_CLOCK
from heliograph.common.errors import ConfigError, HeliographError, InputError
from heliograph.common.service import Context
from heliograph.gateway import signing
from heliograph.gateway.access import is_loopback
from heliograph.gateway.remembering import Nonces, RateLimit, Shared
from heliograph.gateway.service import GatewayService, door
from heliograph.gateway.settings import GatewaySettings
from heliograph.gateway.token_command import token
from heliograph.gateway.tokens import Tokens, digest, read

READ, RUN = "hg_read", "hg_run"
KEY = "ab" * 32
RATE = 40
FILE = f"""
[[token]]
name = "reader"
scopes = ["read"]
sha256 = "{digest(READ)}"

[[token]]
name = "runner"
scopes = ["read", "run"]
sha256 = "{digest(RUN)}"

[[token]]
name = "desk"
scopes = ["admin"]
hmac = "{KEY}"
"""


class Stepping:
    """A clock that goes on when it is told to."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def now_ns(self) -> int:
        """Wall time."""
        return round(self.seconds * 1e9)

    def monotonic(self) -> float:
        """The same in seconds."""
        return self.seconds


@pytest.fixture
def tokens_file(tmp_path: Path) -> Path:
    """A file with a token to read, one to run and one to sign."""
    path = tmp_path / "tokens.toml"
    path.write_text(FILE)
    return path


@pytest.fixture
async def closed(
    bus: Bus, gateway_settings: GatewaySettings, tokens_file: Path
) -> AsyncIterator[GatewayService]:
    """A gateway that asks for tokens."""
    settings = gateway_settings.model_copy(
        update={
            "gateway_auth": "on",
            "gateway_tokens_file": str(tokens_file),
            "gateway_rate_per_minute": RATE,
            "gateway_body_bytes": 2048,
        }
    )
    service = GatewayService()
    await service.start(
        Context(name="gateway", member="closed", settings=settings, bus=bus, clock=SYSTEM_CLOCK)
    )
    yield service
    await service.stop()


@pytest.fixture
async def caller(closed: GatewayService) -> AsyncIterator[httpx.AsyncClient]:
    """A client without a token."""
    async with httpx.AsyncClient(base_url=closed.url, timeout=10) as connected:
        yield connected


def bearer(shown: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {shown}"}


async def test_without_a_token_only_the_page_answers(caller: httpx.AsyncClient, owners: Any) -> None:
    for path in ("/", "/static/js/main.js", "/healthz", "/schema/openapi.json"):
        assert (await caller.get(path)).status_code == 200
    for headers in (
        {},
        bearer("hg_wrong"),
        {"Authorization": "Basic eDp5"},
        bearer(digest(READ)),
    ):
        answer = await caller.get("/api/signals", headers=headers)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert "authorization" in answer.json()["error"]
    assert owners.asked == []
    document = (await caller.get("/schema/openapi.json")).json()
    assert set(document["components"]["securitySchemes"]) == {"bearer", "signature"}
    assert document["security"] == [{"bearer": []}, {"signature": []}]


async def test_a_token_opens_what_its_scopes_say(caller: httpx.AsyncClient, owners: Any) -> None:
    answer = await caller.get("/api/signals", headers=bearer(READ))
    assert answer.status_code == 200
    assert (answer.headers["ratelimit-limit"], answer.headers["ratelimit-remaining"]) == (
        str(RATE),
        str(RATE - 1),
    )
    me = (await caller.get("/api/me", headers=bearer(READ))).json()
    assert me == {"auth": "token", "name": "reader", "scopes": ["read"]}
    refused = await caller.post("/api/run", headers=bearer(READ), json={"tickers": ["A"]})
    assert (refused.status_code, refused.json()["error"]) == (403, "scope: read, expected run")
    # The owner is away here: what counts is that the door is open.
    assert (await caller.post("/api/run", headers=bearer(RUN), json={"tickers": ["A"]})).status_code == 503
    foreign = {**bearer(RUN), "Origin": "http://evil.example"}
    assert (await caller.post("/api/run", headers=foreign, json={"tickers": ["A"]})).status_code == 403
    own = {**bearer(RUN), "Origin": str(caller.base_url).rstrip("/")}
    assert (await caller.post("/api/run", headers=own, json={"tickers": ["A"]})).status_code == 503


async def test_a_signed_request_is_taken_once(caller: httpx.AsyncClient) -> None:
    body = json.dumps({"tickers": ["A"]}).encode()
    now = int(time.time())

    def signed(**changes: Any) -> dict[str, str]:
        fields = {
            "key": KEY,
            "method": "POST",
            "target": "/api/run",
            "time": now,
            "nonce": os.urandom(8).hex(),
        }
        value = signing.header("desk", body=body, **{**fields, **changes})
        return {"Authorization": value, "Content-Type": "application/json"}

    first = signed()
    assert (await caller.post("/api/run", headers=first, content=body)).status_code == 503
    again = await caller.post("/api/run", headers=first, content=body)
    assert again.status_code == 401
    assert "has come before" in again.json()["error"]
    for headers, sent, expected in (
        (signed(time=now - 301), body, "expected within 300 s"),
        (signed(time=now + 320), body, "expected within 300 s"),
        (signed(), body + b" ", "signature"),
        (signed(key="cd" * 32), body, "signature"),
        (signed(method="GET"), body, "signature"),
        (signed(target="/api/run?x=1"), body, "signature"),
        ({"Authorization": "HMAC-SHA256 name=desk"}, body, "expected name="),
        ({"Authorization": signed()["Authorization"].replace("desk", "reader")}, body, "unknown name"),
    ):
        answer = await caller.post("/api/run", headers=headers, content=sent)
        assert answer.status_code == 401
        assert expected in answer.json()["error"]
    query = signing.header("desk", KEY, "GET", "/api/runs?limit=3", time=now, nonce="query-nonce", body=b"")
    assert (await caller.get("/api/runs?limit=3", headers={"Authorization": query})).status_code == 503


async def test_too_many_calls_wait_and_others_do_not(caller: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(*(caller.get("/api/me", headers=bearer(READ)) for _ in range(RATE + 20)))
    codes = [answer.status_code for answer in answers]
    # The window slides: on a slow machine a few more are let in when a minute begins.
    assert codes.count(200) >= RATE
    assert codes.count(200) + codes.count(429) == RATE + 20
    late = next(answer for answer in answers if answer.status_code == 429)
    assert 1 <= int(late.headers["retry-after"]) <= 60
    assert "too many requests" in late.json()["error"]
    assert (await caller.get("/api/me", headers=bearer(RUN))).status_code == 200
    guesses: list[int] = []
    while 429 not in guesses and len(guesses) < 3 * RATE:
        guesses.append((await caller.get("/api/me", headers=bearer(f"x{len(guesses)}"))).status_code)
    assert guesses[:RATE] == [401] * RATE
    assert guesses[-1] == 429
    assert (await caller.get("/api/me", headers=bearer(RUN))).status_code == 200


async def test_a_body_has_a_limit_and_a_form(client: httpx.AsyncClient, caller: httpx.AsyncClient) -> None:
    large = await caller.post("/api/run", headers=bearer(RUN), content=b"x" * 3000)
    assert large.status_code == 413
    for body, expected in (
        ({"tickers": []}, "tickers: expected array of length >= 1"),
        ({"tickers": ["A"] * 21}, "tickers: expected array of length <= 20"),
        ({"tickers": ["A"], "to": "soon"}, "to: "),
        ({"tickers": ["A"], "model": "x"}, "unknown field model"),
        ({"tickers": ["\u0000"]}, "symbol: "),
        ({"tickers": ["A"], "run": "a b"}, "run: "),
        ({"tickers": ["A"], "portfolio": {"cash": -1}}, "portfolio.cash: "),
        ({"tickers": ["A"], "portfolio": {"positions": {"\u0000": {}}}}, "symbol: "),
        ([], "expected object"),
    ):
        answer = await client.post("/api/run", json=body)
        assert answer.status_code == 400
        assert expected in answer.json()["error"]
    assert (await client.post("/api/run", content=b"{")).status_code == 400


async def test_this_machine_alone_means_no_token_and_no_strangers_name(client: httpx.AsyncClient) -> None:
    assert (await client.get("/api/me")).json() == {
        "auth": "off",
        "name": "",
        "scopes": ["read", "run", "admin"],
    }
    assert "ratelimit-limit" not in (await client.get("/api/me")).headers
    rebound = await client.get("/api/me", headers={"Host": "evil.example"})
    assert rebound.status_code == 403
    assert "expected an address of this machine" in rebound.json()["error"]
    assert (await client.get("/api/me", headers={"Host": "localhost:1"})).status_code == 200


async def test_the_socket_takes_a_token_by_header_or_subprotocol(closed: GatewayService) -> None:
    url = f"{closed.url.replace('http', 'ws')}/live"
    with pytest.raises(InvalidStatus) as refused:
        await connect(url)
    response = refused.value.response
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    assert "authorization" in json.loads(response.body or b"{}")["error"]
    async with connect(url, additional_headers=bearer(READ)):
        pass
    shown = base64.urlsafe_b64encode(READ.encode()).decode().rstrip("=")
    offered = [Subprotocol("heliograph.live"), Subprotocol(f"bearer.{shown}")]
    async with connect(url, subprotocols=offered) as client:
        assert client.subprotocol == "heliograph.live"
    for wrong in ("bearer.eA", "bearer.%%", "bearer.", "other"):
        with pytest.raises(InvalidStatus) as refused:
            await connect(url, subprotocols=[Subprotocol("heliograph.live"), Subprotocol(wrong)])
        assert refused.value.response.status_code == 401


def test_beyond_this_machine_a_token_is_needed_unless_said_otherwise(tokens_file: Path) -> None:
    shared = Shared("", SYSTEM_CLOCK)

    def made(**fields: Any) -> bool:
        return door(GatewaySettings(**fields), shared, SYSTEM_CLOCK).needs_token

    assert not made()
    assert not made(gateway_host="::1")
    assert not made(gateway_host="0.0.0.0", gateway_auth="off")  # noqa: S104 - what the test is about
    assert made(gateway_host="0.0.0.0", gateway_tokens_file=str(tokens_file))  # noqa: S104 - the same
    assert made(gateway_auth="on", gateway_tokens_file=str(tokens_file))
    with pytest.raises(ConfigError, match="gateway_tokens_file: ''"):
        made(gateway_host="0.0.0.0")  # noqa: S104 - the same
    with pytest.raises(ConfigError, match="No such file"):
        made(gateway_auth="on", gateway_tokens_file="/nowhere/tokens.toml")
    assert [is_loopback(h) for h in ("localhost", "127.0.0.9", "::1", "10.0.0.1", "example.org", "")] == [
        True,
        True,
        True,
        False,
        False,
        False,
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[[token]]\nname = 'a'\nscopes = ['read']", "expected either sha256 or hmac"),
        (f"[[token]]\nname = 'a'\nscopes = ['write']\nsha256 = '{KEY}'", "write"),
        (f"[[token]]\nname = 'a'\nscopes = []\nsha256 = '{KEY}'", "scopes"),
        ("[[token]]\nname = 'a'\nscopes = ['read']\nsha256 = 'short'", "sha256"),
        (f"[[token]]\nname = 'a'\nscopes = ['read']\nsha256 = '{KEY}'\n" * 2, "twice"),
        ("[[token", "tokens.toml"),
        ("tokens = []", "unknown field"),
    ],
)
def test_a_broken_file_is_refused_by_name(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "tokens.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match="gateway_tokens_file") as error:
        read(path)
    assert expected in str(error.value)


def test_a_token_taken_back_works_no_longer(tokens_file: Path) -> None:
    clock = Stepping()
    tokens = Tokens(tokens_file, clock)
    assert tokens.by_bearer(READ) is not None
    tokens_file.write_text(FILE.replace("reader", "other", 1).replace(digest(READ), KEY))
    clock.seconds += 1
    assert tokens.by_bearer(READ) is not None
    clock.seconds += 2
    assert tokens.by_bearer(READ) is None
    tokens_file.write_text("broken [")
    clock.seconds += 3
    assert tokens.by_bearer(RUN) is not None


def test_the_command_makes_tokens_and_takes_them_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "tokens.toml"
    assert token("page", scopes="read,run", file=path) == 0
    shown = capsys.readouterr().out.strip()
    assert shown not in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600
    found = Tokens(path, SYSTEM_CLOCK).by_bearer(shown)
    assert found is not None
    assert found.scopes == ("read", "run")
    assert token("desk", signing=True, file=path, json=True) == 0
    made = json.loads(capsys.readouterr().out)
    signer = Tokens(path, SYSTEM_CLOCK).by_name("desk")
    assert signer is not None
    assert signer.hmac == made["key"]
    with pytest.raises(InputError, match="--remove"):
        token("page", file=path)
    with pytest.raises(InputError, match="scopes"):
        token("x", scopes="all", file=path)
    assert token("page", remove=True, file=path) == 0
    assert Tokens(path, SYSTEM_CLOCK).by_bearer(shown) is None
    with pytest.raises(InputError, match="expected one of desk"):
        token("page", remove=True, file=path)


async def test_replicas_count_together_in_redis_and_alone_without(
    redis_server: Any, eventually: Callable[..., Any]
) -> None:
    redis_server.start()
    shared = [Shared(redis_server.url, SYSTEM_CLOCK) for _ in range(2)]
    limits = [RateLimit(6, each) for each in shared]
    taken = [(await limits[n % 2].take("token:a"))[0] for n in range(8)]
    # Six of each would be all eight; one more than six where a minute has begun meanwhile.
    assert taken[:6] == [True] * 6
    assert not taken[-1]
    nonces = [Nonces(60, each, SYSTEM_CLOCK) for each in shared]
    assert await nonces[0].take("desk:1")
    assert not await nonces[1].take("desk:1")
    redis_server.kill()
    assert (await limits[0].take("token:b"))[0]
    assert await nonces[0].take("desk:2")
    assert not await nonces[0].take("desk:2")
    for each in shared:
        await each.close()


async def test_nonces_are_forgotten_when_their_time_is_over() -> None:
    clock = Stepping()
    nonces = Nonces(10, Shared("", clock), clock)
    assert await nonces.take("a")
    assert not await nonces.take("a")
    clock.seconds += 11
    assert await nonces.take("b")
    assert list(nonces._own) == ["b"]


@given(st.text(max_size=40), st.binary(max_size=40), st.integers(0, 2**40), st.integers(-400, 400))
def test_only_the_same_request_within_the_window_verifies(
    target: str, body: bytes, at: int, late: int
) -> None:
    signature = signing.sign(KEY, "GET", target, at, "nonce-01", body)
    given_ = signing.Signature(name="desk", time=at, nonce="nonce-01", signature=signature)
    problem = signing.wrong(given_, KEY, "GET", target, body, at + late)
    assert (problem == "") == (abs(late) <= signing.WINDOW_S)
    assert signing.wrong(given_, KEY, "GET", target, body + b"!", at)
    assert signing.wrong(given_, KEY, "GET", target + "/", body, at)


async def test_the_example_of_the_documentation_is_taken(caller: httpx.AsyncClient) -> None:
    text = (Path(__file__).parents[3] / "docs" / "api.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {}
    exec(example, names)  # noqa: S102 - what a reader does with it
    request = names["ask"](str(caller.base_url).rstrip("/"), "desk", KEY, "/api/me")
    answer = await caller.get("/api/me", headers={"Authorization": request.get_header("Authorization")})
    assert answer.json()["name"] == "desk"


@pytest.mark.parametrize("text", ["", "name=a", "name=a,time=x,nonce=12345678,signature=" + "0" * 64])
def test_what_is_no_signature_is_refused(text: str) -> None:
    with pytest.raises(HeliographError, match="authorization"):
        signing.parse(text)
