"""Reasons by models on the real NATS and Redis: one call for many signals, and a reason whatever fails."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec
import pytest
from prometheus_client import generate_latest
from redis.asyncio import Redis

from heliograph.common import subjects, telemetry
from heliograph.common.bus import Bus
from heliograph.common.clock import SYSTEM_CLOCK
from heliograph.common.config import Settings
from heliograph.common.events import Reason, Signal, Vote, encode
from heliograph.common.ids import derive_id
from heliograph.common.service import Context, Delivery
from heliograph.reasoning.facts import price_text
from heliograph.reasoning.model_server.faults import FAULTS, Faults
from heliograph.reasoning.model_server.server import ModelServer
from heliograph.reasoning.service import ReasoningService
from heliograph.reasoning.settings import ReasoningSettings

SHARDS = 4
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
SECRETS = ("sk-glm-secret-value-one", "sk-glm-secret-value-two", "sk-deepseek-secret-value")
MakeSignal = Callable[..., Signal]
Make = Callable[..., Awaitable[ReasoningService]]


@pytest.fixture
async def start(
    bus: Bus, nats_settings: Settings, server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Make]:
    """Start reasoning with two providers on the model server; stopped after the test."""
    for name in ("QWEN_API_KEY", "GLM_API_KEY_2"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GLM_API_KEY", SECRETS[0])
    monkeypatch.setenv("DEEPSEEK_API_KEY", SECRETS[2])
    started: list[ReasoningService] = []

    async def make(redis_url: str = "", **fields: Any) -> ReasoningService:
        providers = {
            name: {"base_url": server.base_url(name), "calls_per_minute": 1000}
            for name in ("glm", "deepseek")
        }
        settings = ReasoningSettings(
            nats_url=nats_settings.nats_url,
            shards=SHARDS,
            redis_url=redis_url,
            models=["glm", "deepseek"],
            providers=fields.pop("providers", providers),
            **fields,
        )
        context = Context(name="reasoning", member="m", settings=settings, bus=bus, clock=SYSTEM_CLOCK)
        service = ReasoningService()
        await service.start(context)
        started.append(service)
        return service

    yield make
    for service in started:
        await service.stop()


@pytest.fixture
def many(make_signal: MakeSignal) -> list[Signal]:
    """Forty signals of four symbols, each with prices of its own; a model may be asked about each."""
    return [
        make_signal(
            id=derive_id("test", n),
            symbol=("AAPL", "BRK.B", "BTC/USD", "MSFT")[n % 4],
            raw_confidence=78.0,
            entry=100.0 + n,
            stop=90.0 + n,
            target=125.0 + n,
        )
        for n in range(40)
    ]


def unlike(signal: Signal, name: str) -> Signal:
    """A signal of another symbol with a source of its own, so that its reason is another question."""
    own = Vote(source=name, direction=1, confidence=0.7, weight=0.2)
    return msgspec.structs.replace(signal, symbol=name, votes=[*signal.votes, own])


async def handle(service: ReasoningService, signals: list[Signal]) -> None:
    await service.processor(1).handle(
        "signals",
        [
            Delivery(
                event=signal,
                subject=subjects.signal(1, signal.symbol),
                data=encode(signal),
                seq=n + 1,
                headers={"traceparent": TRACE},
            )
            for n, signal in enumerate(signals)
        ],
    )


async def stored(bus: Bus, stream: str) -> list[bytes]:
    newest = await bus.last_seq(stream)
    return [m.data async for m in bus.read(stream, ">", after=0, upto=newest)]


async def reasons(bus: Bus) -> list[Reason]:
    return [msgspec.json.decode(data, type=Reason) for data in await stored(bus, "REASON")]


def check_prices(signals: list[Signal], found: list[Reason]) -> None:
    """Each signal has one reason, which begins with its side and speaks with its own prices and no other."""
    assert [r.signal for r in found] == [s.id for s in signals]
    everyones = {price_text(p) for s in signals for p in (s.entry, s.stop, s.target)}
    for signal, reason in zip(signals, found, strict=True):
        mine = {price_text(p) for p in (signal.entry, signal.stop, signal.target)}
        assert reason.text.startswith(f"{signal.action} {signal.symbol} at {price_text(signal.entry)}: ")
        assert {word.strip(".,:;") for word in reason.text.split()} & everyones == mine


async def test_signals_that_read_alike_share_one_call(
    bus: Bus, start: Make, server: ModelServer, many: list[Signal]
) -> None:
    service = await start()
    await handle(service, many)
    found = await reasons(bus)
    check_prices(many, found)
    assert server.counts() == {"ok": 1}
    paid = [r for r in found if not r.cached]
    assert (len(paid), {r.provider for r in found}) == (1, {"glm"})
    assert all(r.tokens_in > 0 and r.tokens_out > 0 and r.latency_ns > 0 for r in paid)
    status = (await service.status())["models"]["providers"]["glm"]
    assert status["spent"] == pytest.approx(sum(r.cost for r in found))
    assert sum(r.cost for r in found if r.cached) == 0
    # The second time there is not one call more.
    await handle(service, many)
    assert server.counts() == {"ok": 1}


async def test_a_clear_signal_asks_nobody(
    bus: Bus, start: Make, server: ModelServer, make_signal: MakeSignal
) -> None:
    service = await start()
    await handle(service, [make_signal(raw_confidence=80.5), make_signal(id="b" * 16, raw_confidence=79.5)])
    assert [r.provider for r in await reasons(bus)] == ["template", "glm"]
    assert server.counts() == {"ok": 1}


async def test_replicas_ask_once_and_share_the_answer(
    bus: Bus, start: Make, server: ModelServer, many: list[Signal], redis_server: Any
) -> None:
    server.default = Faults(latency="0.3")
    mine = [s for s in many if s.symbol == "AAPL"]
    three = [await start(redis_server.url) for _ in range(3)]
    await asyncio.gather(*(handle(one, mine[n::3]) for n, one in enumerate(three)))
    assert server.counts() == {"ok": 1}
    found = sorted(await reasons(bus), key=lambda r: r.signal)
    check_prices(sorted(mine, key=lambda s: s.id), found)
    assert [r.cached for r in found].count(False) == 1
    spent = [(await one.status())["models"]["providers"]["glm"]["spent"] for one in three]
    assert max(spent) == pytest.approx(sum(r.cost for r in found))
    client = Redis.from_url(redis_server.url)
    (kept,) = [key async for key in client.scan_iter("heliograph:v1:narrative:*")]
    record = msgspec.json.decode(await client.get(kept) or b"")
    assert 3500 < await client.ttl(kept) <= 3600
    assert not [key async for key in client.scan_iter("heliograph:v1:narrative-lock:*")]
    await client.aclose()
    assert {"question", "reply", "provider", "cost", "latency_s", "input_tokens"} <= set(record)


async def test_who_waits_for_another_replica_does_not_wait_for_ever(
    bus: Bus, start: Make, server: ModelServer, make_signal: MakeSignal, redis_server: Any
) -> None:
    server.default = Faults(hang=1.0)
    one, two = [await start(redis_server.url, model_deadline_s=0.5) for _ in range(2)]
    began = time.monotonic()
    signals = [make_signal(raw_confidence=78.0, id=name * 16) for name in "ab"]
    await asyncio.gather(handle(one, signals[:1]), handle(two, signals[1:]))
    assert time.monotonic() - began < 9
    assert [r.provider for r in await reasons(bus)] == ["template", "template"]


@pytest.mark.parametrize("fault", FAULTS)
async def test_under_every_fault_the_reasons_come_in_bounded_time(
    bus: Bus, start: Make, server: ModelServer, many: list[Signal], fault: str
) -> None:
    faults: dict[str, Any] = {fault: 1.0, "retry_after": 30}
    server.default = Faults(**faults)
    service = await start(model_deadline_s=1.0)
    began = time.monotonic()
    await handle(service, many)
    assert time.monotonic() - began < 9
    found = await reasons(bus)
    # Also where the reply gives orders and prices: none of it stands in a reason.
    assert {r.provider for r in found} == {"template"}
    check_prices(many, found)


async def test_with_a_tenth_of_all_calls_failing_every_reason_comes(
    bus: Bus, start: Make, server: ModelServer, many: list[Signal]
) -> None:
    shares: dict[str, Any] = dict.fromkeys(FAULTS, 0.01)
    server.default = Faults(**shares, latency="0.01", retry_after=0.1)
    service = await start(model_deadline_s=2.0)
    symbols = [unlike(s, f"S{n}") for n, s in enumerate(many * 3)]
    signals = [msgspec.structs.replace(s, id=derive_id("more", n)) for n, s in enumerate(symbols)]
    await handle(service, signals)
    found = await reasons(bus)
    check_prices(signals, found)
    assert sum(r.provider != "template" for r in found) >= 0.95 * len(found)


async def test_out_of_budget_the_template_explains(
    bus: Bus, start: Make, server: ModelServer, many: list[Signal]
) -> None:
    poor = {
        name: {"base_url": server.base_url(name), "daily_budget": 0.0025, "call_price": 0.001}
        for name in ("glm", "deepseek")
    }
    server.default = Faults(tokens=180)
    service = await start(providers=poor)
    signals = [unlike(s, f"S{n}") for n, s in enumerate(many)]
    await handle(service, signals)
    found = await reasons(bus)
    check_prices(signals, found)
    assert {r.provider for r in found} == {"glm", "deepseek", "template"}
    told = (await service.status())["models"]["providers"]
    assert all(0 < figures["spent"] <= 0.0025 for figures in told.values())
    assert {figures["breaker"] for figures in told.values()} == {"closed"}


async def test_a_crowd_that_finds_no_room_does_not_hold_up_the_next(
    bus: Bus, start: Make, server: ModelServer, many: list[Signal], capsys: pytest.CaptureFixture[str]
) -> None:
    narrow = {
        name: {"base_url": server.base_url(name), "calls_per_minute": 3} for name in ("glm", "deepseek")
    }
    service = await start(providers=narrow)
    crowd = [unlike(s, f"S{n}") for n, s in enumerate(many)]
    await handle(service, crowd[:20])
    assert len(server.calls) == 6
    await handle(service, crowd[20:])
    assert len(server.calls) == 6
    check_prices(crowd, await reasons(bus))
    assert capsys.readouterr().out.count("no model explains") == 1


async def test_reasons_come_while_redis_is_killed(
    bus: Bus, start: Make, server: ModelServer, many: list[Signal], redis_server: Any
) -> None:
    service = await start(redis_server.url, model_deadline_s=1.0)
    await handle(service, many[:20])
    redis_server.kill()
    began = time.monotonic()
    later = [unlike(s, f"L{n}") for n, s in enumerate(many[20:])]
    await handle(service, later)
    assert time.monotonic() - began < 8
    check_prices(many[:20] + later, await reasons(bus))
    assert (await service.status())["models"]["alone"] is True


async def test_no_key_is_seen_in_any_log_trace_error_event_metric_or_store(
    bus: Bus,
    start: Make,
    server: ModelServer,
    many: list[Signal],
    redis_server: Any,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("GLM_API_KEY_2", SECRETS[1])
    telemetry.configure_logging("reasoning", "m", "debug")
    tracing = telemetry.Tracing("reasoning", "m", 1.0)
    telemetry.install(tracing)
    service = await start(redis_server.url, model_deadline_s=1.0)
    for n, fault in enumerate(FAULTS):
        # The server repeats the key in its errors, as some do.
        faults: dict[str, Any] = {fault: 1.0, "retry_after": 0.05}
        server.faults = {"glm": Faults(**faults)}
        await handle(
            service,
            [msgspec.structs.replace(unlike(s, f"F{n}"), id=derive_id(fault, s.id)) for s in many[:2]],
        )
    server.faults = {"glm": Faults(refused_keys=SECRETS[:2])}
    await handle(service, many)
    status = await service.status()
    await tracing.flush(bus)
    monkeypatch.setattr(telemetry._Holder, "tracing", None)
    everything = [repr(status).encode(), generate_latest(), *capfd.readouterr().err.encode().splitlines()]
    for stream in subjects.STREAMS:
        everything += await stored(bus, stream.name)
    client = Redis.from_url(redis_server.url)
    async for name in client.scan_iter("*"):
        everything += [name, await client.dump(name) or b""]
    await client.aclose()
    text = b"\n".join(everything)
    # What was searched is what was meant: each of these would show the key.
    for sign in (b"key refused", b"model call failed", b'"kind":"reason"', b"keys_refused", b"spans"):
        assert sign in text, sign
    for secret in SECRETS:
        assert secret.encode() not in text


async def test_without_a_key_nothing_of_models_is_even_loaded(
    start: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GLM_API_KEY")
    monkeypatch.delenv("DEEPSEEK_API_KEY")
    service = await start()
    assert service._narration is None
    assert "models" not in await service.status()
