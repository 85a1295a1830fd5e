"""A batch over its budget is counted, and logged with what a person needs to find it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from heliograph.common import metrics, subjects, worker
from heliograph.common.bus import Bus, Message
from heliograph.common.events import Tick, encode
from heliograph.common.positions import Positions
from heliograph.common.precedence import Precedence
from heliograph.common.service import Context, Delivery, ShardProcessor, Source

Eventually = Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]]
SHARD = 3
TICKS = 4


class Handling:
    """A service that takes what comes."""

    name = "slow-batches"
    sharded = True
    sources: tuple[Source, ...] = (
        Source(name="ticks", stream="INPUT", subject="input.tick.{shard}", event=Tick),
    )

    def __init__(self) -> None:
        self.handled = 0

    async def start(self, context: Context) -> None: ...

    def processor(self, shard: int) -> ShardProcessor:  # noqa: ARG002 - of the protocol
        return self

    async def problems(self) -> dict[str, str]:
        return {}

    async def status(self) -> dict[str, Any]:
        return {}

    async def stop(self) -> None: ...

    async def open(self) -> None: ...

    async def handle(self, source: str, batch: list[Delivery]) -> None:  # noqa: ARG002 - of the protocol
        self.handled += len(batch)

    async def close(self) -> None: ...


@pytest.mark.parametrize(("budget_s", "told"), [(0.0, TICKS), (1e9, 0)])
async def test_a_batch_over_its_budget_is_counted_and_logged(
    bus: Bus, eventually: Eventually, monkeypatch: pytest.MonkeyPatch, budget_s: float, told: int
) -> None:
    monkeypatch.setattr(worker, "SLOW_S", budget_s)
    counted = metrics.SLOW_OPERATIONS.labels(Handling.name, "ticks")
    before = counted._value.get()
    ticks = [Tick(id=f"slow-{told}-{n}", ts=n) for n in range(TICKS)]
    await bus.publish(
        [Message(subject=subjects.tick(SHARD), data=encode(tick), msg_id=tick.id) for tick in ticks]
    )
    service = Handling()
    dead = worker.DeadLetters(bus, service.name, 5)
    shard = worker.ShardWorker(bus, Positions(bus), service, SHARD, dead, 16, lambda: None, Precedence(), {})
    with capture_logs() as logs:
        running = asyncio.create_task(shard.run())

        async def all_handled() -> bool:
            return service.handled == TICKS

        await eventually(all_handled)
        shard.stop()
        await running
    slow = [entry for entry in logs if entry["event"] == "slow batch"]
    assert counted._value.get() - before == len(slow)
    assert sum(entry["messages"] for entry in slow) == told
    for entry in slow:
        where = {"service": "slow-batches", "shard": SHARD, "source": "ticks", "log_level": "warning"}
        assert where.items() <= entry.items()
        assert entry["seconds"] == round(entry["seconds"], 3)
