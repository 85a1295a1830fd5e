"""From a request of the consensus to a signal with a vote of `models` in it, over the real bus and HTTP."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec
import numpy as np
import pytest

from heliograph.common import subjects
from heliograph.common.bus import Bus, Message
from heliograph.common.clock import SYSTEM_CLOCK
from heliograph.common.config import Settings
from heliograph.common.events import BarBatch, Enrich, Event, Signal, VoteBatch, encode
from heliograph.common.ids import derive_id
from heliograph.common.service import Context, Service
from heliograph.common.shards import shard_of
from heliograph.common.sharing import Sharing
from heliograph.consensus.service import ConsensusService
from heliograph.consensus.settings import ConsensusSettings
from heliograph.reasoning.model_server.faults import Faults
from heliograph.reasoning.model_server.server import ModelServer
from heliograph.reasoning.service import ReasoningService
from heliograph.reasoning.settings import ReasoningSettings
from heliograph.reasoning.votes import service as votes_service

SHARDS, SHARD = 4, 1
MINUTE = 60 * 10**9
START = 1_700_000_040 * 10**9
SYMBOLS = [name for n in range(60) if shard_of(name := f"SYM{n}", SHARDS) == SHARD][:8]
WARM, MOST = 60, 200
Eventually = Callable[..., Awaitable[Any]]


def walk(bars: int) -> list[BarBatch]:
    """Minutes that climb and fall in long waves, so that the cheap sources often nearly agree."""
    chance = np.random.default_rng(11)
    waves = np.sin(np.arange(bars)[:, None] / 17 + np.arange(len(SYMBOLS))[None, :])
    close = 80 * np.exp(np.cumsum(0.0015 * waves + chance.normal(0, 0.001, waves.shape), axis=0))
    opening = np.vstack((close[:1], close[:-1]))
    high, low = np.maximum(opening, close) * 1.0005, np.minimum(opening, close) * 0.9995
    volume = chance.uniform(800, 1400, close.shape)
    return [
        BarBatch(
            id=derive_id("bars", n),
            ts=START + n * MINUTE,
            interval="1m",
            symbols=SYMBOLS,
            open=opening[n].tolist(),
            high=high[n].tolist(),
            low=low[n].tolist(),
            close=close[n].tolist(),
            volume=volume[n].tolist(),
            source="test",
        )
        for n in range(bars)
    ]


@contextlib.asynccontextmanager
async def running(service: Service, settings: Settings) -> AsyncIterator[None]:
    """A service as the shell runs it."""
    bus = await Bus.connect(settings, service.name)
    context = Context(name=service.name, member="one", settings=settings, bus=bus, clock=SYSTEM_CLOCK)
    await service.start(context)
    sharing = Sharing(bus, service, "one", settings, lambda: None)
    task = asyncio.create_task(sharing.run())
    try:
        yield
    finally:
        task.cancel()
        await sharing.stop()
        await service.stop()
        await bus.close()


async def stored(bus: Bus, stream: str, subject: str, kind: type[Event], after: int = 0) -> list[Any]:
    upto = await bus.last_seq(stream)
    return [
        msgspec.json.decode(m.data, type=kind)
        async for m in bus.read(stream, subject, after=after, upto=upto)
    ]


async def votes(bus: Bus, after: int = 0) -> list[VoteBatch]:
    return await stored(bus, "INPUT", subjects.votes(SHARD), VoteBatch, after)


async def signals(bus: Bus) -> list[Signal]:
    return await stored(bus, "SIGNAL", subjects.signal(SHARD), Signal)


async def put(bus: Bus, batch: BarBatch) -> None:
    await bus.publish([Message(subject=subjects.bars(SHARD), data=encode(batch), msg_id=batch.id)])


async def test_the_consensus_asks_a_model_answers_and_the_signal_shows_the_vote_with_its_age(
    bus: Bus, nats_settings: Settings, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also under faults: every fourth call of the first provider fails in one of three ways."""
    monkeypatch.setattr(votes_service, "LIFE_S", 0.05)
    monkeypatch.setenv("GLM_API_KEY", "glm-key")
    monkeypatch.setenv("DEEPSEEK_API_KEY", "deepseek-key")
    server = ModelServer(Faults(tokens=100))
    server.faults["glm"] = Faults(tokens=100, server_error=0.1, wrong_schema=0.1, injection=0.05)
    await server.start()
    names = ("glm", "deepseek")
    common: dict[str, Any] = {
        "nats_url": nats_settings.nats_url,
        "shards": SHARDS,
        "heartbeat_s": 0.1,
        "member_ttl_s": 1.0,
    }
    reasoning = ReasoningSettings(
        **common,
        models=list(names),
        providers={name: {"base_url": server.base_url(name), "calls_per_minute": 10_000} for name in names},
        reason_models="never",
        vote_sources=("trend", "models"),
    )
    consensus = ConsensusSettings(**common, sources=("trend", "technical", "models"))
    bars = walk(MOST)
    seq, batch = 0, bars[0]

    async def alive() -> bool:
        return any(not batch.symbols and batch.source == "models" for batch in await votes(bus))

    async def all_answered() -> bool:
        """Every request about the newest bar has its row among the votes."""
        now = batch.ts + MINUTE
        asked = await stored(bus, "REQUEST", subjects.request(SHARD), Enrich)
        answered = {symbol for told in await votes(bus, seq) if told.ts == now for symbol in told.symbols}
        return {request.symbol for request in asked if request.ts == now} <= answered

    async def decided() -> bool:
        return await bus.ack_floor("INPUT", f"consensus-{SHARD}-bars") >= seq

    async with running(ReasoningService(), reasoning), running(ConsensusService(), consensus):
        for batch in bars[:WARM]:
            await put(bus, batch)
        await eventually(alive, 30)
        for batch in bars[WARM:]:
            await put(bus, batch)
            seq = await bus.last_seq("INPUT")
            await eventually(decided, 30)
            await eventually(all_answered, 30)
            found = await signals(bus)
            ages = {vote.age_ns for s in found for vote in s.votes if vote.source == "models"}
            if ages:
                break
    await server.stop()
    asked = await stored(bus, "REQUEST", subjects.request(SHARD), Enrich)
    said = {
        (symbol, observed): (direction, confidence)
        for batch in await votes(bus)
        for symbol, direction, confidence, observed in zip(
            batch.symbols, batch.direction, batch.confidence, batch.observed, strict=True
        )
    }
    with_vote = [(s, vote) for s in found for vote in s.votes if vote.source == "models"]
    assert asked
    assert with_vote
    for signal, vote in with_vote:
        direction, confidence = said[signal.symbol, signal.ts - vote.age_ns]
        assert (vote.direction, vote.confidence) == (direction, min(confidence, 0.95))
        assert 0 <= vote.age_ns <= 600 * 10**9
        assert vote.weight > 0
    assert "glm" in {call.provider for call in server.calls}
