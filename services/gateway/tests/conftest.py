"""A running gateway on the real NATS server, beside owners that answer as the tracker and the archiver do."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import msgspec
import pytest

from heliograph.common.bus import Bus
from heliograph.common.clock import NANOSECONDS, SYSTEM_CLOCK
from heliograph.common.config import Settings
from heliograph.common.errors import InputError
from heliograph.common.events import Event, Outcome, Reason, Signal, Vote, encode, identity_sha256
from heliograph.common.ids import derive_id
from heliograph.common.service import Context
from heliograph.common.shards import shard_of
from heliograph.common.subjects import encode_symbol
from heliograph.gateway.service import GatewayService
from heliograph.gateway.settings import GatewaySettings

DAY = 86_400 * NANOSECONDS
FIRST = 1_500_000_000 * NANOSECONDS // DAY * DAY

Publish = Callable[..., Awaitable[None]]


class Book:
    """Signals with their reasons and outcomes, as the tracker holds them, newest first."""

    def __init__(self) -> None:
        self.records: dict[str, dict[str, Any]] = {}
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.bars_are_late = 0

    def add(self, signal: Signal, reason: Reason | None = None, outcome: Outcome | None = None) -> None:
        """Hold a signal."""
        self.records[signal.id] = {
            **msgspec.to_builtins(signal),
            "reason": reason and msgspec.to_builtins(reason),
            "outcome": outcome and msgspec.to_builtins(outcome),
        }

    def signals(self, query: dict[str, Any]) -> Any:
        """`query.tracker.signals`."""
        key = (query.get("before", 1 << 62), query.get("before_id", ""))
        found = sorted(self.records.values(), key=lambda r: (r["ts"], r["id"]), reverse=True)
        wanted = [
            r
            for r in found
            if query.get("symbol") in (None, r["symbol"])
            and ((r["ts"], r["id"]) < key or "before" not in query)
        ]
        return {"signals": wanted[: query["limit"]]}

    def signal(self, query: dict[str, Any]) -> Any:
        """`query.tracker.signal`."""
        if query["id"] not in self.records:
            raise InputError(f"id: {query['id']!r}, expected the id of a signal")
        return self.records[query["id"]]

    def stats(self, _: dict[str, Any]) -> Any:
        """`query.tracker.stats`."""
        ended = [r["outcome"]["result"] for r in self.records.values() if r["outcome"]]
        wins, losses = ended.count("win"), ended.count("loss")
        return {
            "signals": len(self.records),
            "open": len(self.records) - len(ended),
            "wins": wins,
            "losses": losses,
            "expired": len(ended) - wins - losses,
            "win_rate": wins / (wins + losses) if wins + losses else None,
            "reasons": sum(r["reason"] is not None for r in self.records.values()),
            "outcomes": len(ended),
            "due_without_outcome": 0,
        }

    def counts(self, _: dict[str, Any]) -> Any:
        """`query.archiver.counts`."""
        size = len(self.records)
        return {"bars": 90 * size, "signals": size, "reasons": size, "outcomes": size, "spans": 3 * size}

    def bars(self, query: dict[str, Any]) -> Any:
        """`query.archiver.bars`: a hundred rising days for every symbol."""
        if self.bars_are_late > 0:
            self.bars_are_late -= 1
            return {"interval": "", **{k: [] for k in ("ts", "open", "high", "low", "close", "volume")}}
        days = [FIRST + (n - 80) * DAY for n in range(100)]
        days = [d for d in days if query.get("from", 0) <= d <= query.get("to", 1 << 62)][-query["limit"] :]
        closes = [90.0 + 0.2 * n for n in range(len(days))]
        return {
            "interval": query.get("interval", "1d"),
            "ts": days,
            "open": [c - 0.3 for c in closes],
            "high": [c + 1.0 for c in closes],
            "low": [c - 1.0 for c in closes],
            "close": closes,
            "volume": [1e6] * len(days),
        }

    def trace(self, query: dict[str, Any]) -> Any:
        """`query.archiver.trace`."""
        names = [
            ("fetcher", "fetch bars"),
            ("consensus", "decide"),
            ("reasoning", "explain"),
            ("tracker", "record"),
        ]
        spans = [
            {
                "trace_id": "ab" * 16,
                "span_id": f"{n + 1:016x}",
                "parent_id": f"{n:016x}" if n else "",
                "name": name,
                "kind": "consumer",
                "service": service,
                "start_ns": FIRST + n * 2_000_000,
                "end_ns": FIRST + n * 2_000_000 + 1_500_000,
                "status": "unset",
                "attributes": {"heliograph.signal": query.get("signal", "")} if n else {},
                "links": [],
            }
            for n, (service, name) in enumerate(names)
        ]
        return {"spans": spans}


@pytest.fixture
def make_signal() -> Callable[..., Signal]:
    """Signals that hold together: `make_signal("AAPL", day=3)`."""

    def make(symbol: str = "AAPL", day: int = 0, **changes: Any) -> Signal:
        ts = FIRST + (day + 1) * DAY
        fields: dict[str, Any] = {
            "id": derive_id(symbol, "BUY", "default@1", "1d", ts),
            "symbol": symbol,
            "action": "BUY",
            "entry": 100.0,
            "target": 106.0,
            "stop": 97.0,
            "confidence": 61.25,
            "strategy": "default@1",
            "ts": ts,
        }
        return Signal(
            **{
                **fields,
                "cause": derive_id("bars", ts),
                "raw_confidence": 81.9,
                "regime": "BULL",
                "view": "TRENDING",
                "votes": [
                    Vote(source="trend", direction=1, confidence=0.9, weight=0.6),
                    Vote(source="technical", direction=1, confidence=0.6, weight=0.4),
                ],
                "sources": ["trend", "technical"],
                "agreement": 1.0,
                "expected_r": 0.84,
                "interval": "1d",
                "bar_ts": ts - DAY,
                "expires": ts + 30 * DAY,
                "input_seq": day + 1,
                "sha256": identity_sha256(**fields),
                "prev_sha256": "",
                **changes,
            }
        )

    return make


@pytest.fixture
def make_reason() -> Callable[..., Reason]:
    """The reason of a signal."""

    def make(signal: Signal, text: str = "Close above both averages.") -> Reason:
        return Reason(
            id=derive_id("reason", signal.id),
            cause=signal.id,
            ts=signal.ts,
            signal=signal.id,
            symbol=signal.symbol,
            text=text,
            provider="template",
            model="plain@1",
        )

    return make


@pytest.fixture
def make_outcome() -> Callable[..., Outcome]:
    """The outcome of a signal: a win at its target after four bars."""

    def make(signal: Signal) -> Outcome:
        return Outcome(
            id=derive_id("outcome", signal.id),
            cause=signal.id,
            ts=signal.ts + 4 * DAY,
            signal=signal.id,
            symbol=signal.symbol,
            action=signal.action,
            result="win",
            entry=signal.entry,
            exit=signal.target,
            opened=signal.ts,
            exit_bar_ts=signal.ts + 3 * DAY,
            pnl=6.0,
            pnl_net=5.8,
            r_multiple=2.0,
            bars=4,
            best=6.4,
            worst=-1.2,
            input_seq=signal.input_seq + 4,
            strategy=signal.strategy,
        )

    return make


@pytest.fixture
def book() -> Book:
    """What the owners know."""
    return Book()


@pytest.fixture
async def owners(bus: Bus, book: Book) -> Book:
    """Owners that answer `query.tracker.*` and `query.archiver.*` out of the book."""

    def answering(name: str) -> Callable[[bytes], Awaitable[bytes]]:
        async def answer(data: bytes) -> bytes:
            query = json.loads(data)
            book.asked.append((name, query))
            return json.dumps(getattr(book, name)(query)).encode()

        return answer

    for service, names in (
        ("tracker", ("signals", "signal", "stats")),
        ("archiver", ("counts", "bars", "trace")),
    ):
        for name in names:
            await bus.respond(f"query.{service}.{name}", answering(name), queue=service)
    return book


@pytest.fixture
def gateway_settings(nats_settings: Settings) -> GatewaySettings:
    """A gateway whose live queues are short, so that a slow client shows soon."""
    return GatewaySettings(
        nats_url=nats_settings.nats_url,
        shards=nats_settings.shards,
        live_queue_frames=8,
        live_clients=6,
        alerts=False,
    )


@pytest.fixture
async def gateway(bus: Bus, gateway_settings: GatewaySettings) -> AsyncIterator[GatewayService]:
    """A gateway that has started; `bus` has made its streams."""
    own = await Bus.connect(gateway_settings, "gateway-test")
    service = GatewayService()
    await service.start(
        Context(name="gateway", member="test", settings=gateway_settings, bus=own, clock=SYSTEM_CLOCK)
    )
    yield service
    await service.stop()
    await own.close()


@pytest.fixture
async def client(gateway: GatewayService) -> AsyncIterator[httpx.AsyncClient]:
    """An HTTP client of the gateway."""
    async with httpx.AsyncClient(base_url=gateway.url, timeout=10) as connected:
        yield connected


@pytest.fixture
def publish(bus: Bus) -> Publish:
    """Publish events as their services do."""

    async def send(*events: Event) -> None:
        for event in events:
            symbol = event.symbol  # type: ignore[attr-defined]  # signals, reasons and outcomes have one
            kind = type(event).__name__.lower()
            shard = shard_of(symbol, bus.settings.shards)
            await bus.client.publish(f"{kind}.{shard}.{encode_symbol(symbol)}", encode(event))
        await bus.settled()

    return send
