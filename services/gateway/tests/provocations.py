"""For each alert what brings it about, and what ends it: as real as one process can make it.

A provocation is a generator. It prepares, and yields whenever the watch is to look; it is sent whether the
trouble is to go on. Before the first trouble it may ask for looks in good health.
"""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncGenerator, Callable
from typing import Any

import msgspec

from heliograph.common import metrics, samples
from heliograph.common.bus import Bus, Message
from heliograph.common.spend.meter import Grant, Meter
from heliograph.common.spend.spend import Spend
from heliograph.common.telemetry import QUEUE_LIMIT, Tracing

from .alert_rig import Members, MovedClock

DOLLAR = 1_000_000_000
DAY_S = 86_400
PROCESS = """
from heliograph.common.config import Settings
from heliograph.common.shell import run

class Idle:
    name, sources, sharded = "tracker", (), False
    async def start(self, context): pass
    async def problems(self): return {}
    async def status(self): return {}
    async def stop(self): pass

run(Idle, Settings)
"""

Trouble = AsyncGenerator[None, bool]
Provocation = Callable[["Platform"], Trouble]


class Platform:
    """What is there to be broken."""

    def __init__(self, bus: Bus, members: Members) -> None:
        self.bus = bus
        self.members = members


async def service_down(on: Platform) -> Trouble:
    """A process of a service is killed; later a replica of it comes up."""
    settings = on.bus.settings
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        PROCESS,
        env=os.environ
        | {"NATS_URL": settings.nats_url, "HELIOGRAPH_SHARDS": str(settings.shards)}
        | {"HELIOGRAPH_MEMBER": "killed", "HELIOGRAPH_LOG_LEVEL": "error"},
    )
    try:
        async with asyncio.timeout(30):
            while len(await on.bus.ask_all(samples.SUBJECT, {"names": []}, 0.5, on.members.expected + 1)) <= (
                on.members.expected
            ):
                await asyncio.sleep(0.05)
        on.members.elsewhere = 1
        yield
    finally:
        process.kill()
        await process.wait()
        on.members.elsewhere = 0
    while (yield):
        pass
    await on.members.add("tracker", "another")
    while True:
        yield


async def service_missing(on: Platform) -> Trouble:
    """The archiver was never there; later it is."""
    for service in ("fetcher", "consensus", "reasoning", "tracker"):
        await on.members.add(service)
    while (yield):
        pass
    await on.members.add("archiver")
    while True:
        yield


@contextlib.asynccontextmanager
async def waiting_messages(on: Platform, count: int) -> Any:
    """So many messages that wait for a consumer of the tracker."""
    await on.bus.js.pull_subscribe("input.bars.0", durable="tracker-0-bars", stream="INPUT")
    await on.bus.publish(
        [Message(subject="input.bars.0", data=b"{}", msg_id=f"{id(on)}-{n}") for n in range(count)]
    )
    yield
    await on.bus.js.delete_consumer("INPUT", "tracker-0-bars")


async def lag(on: Platform) -> Trouble:
    """Messages wait, and only one a look is handled; then the rest is."""
    handled = metrics.MESSAGES_HANDLED.labels("tracker", "bars")
    handled.inc()
    async with waiting_messages(on, 150):
        while (yield):
            handled.inc()
    while True:
        handled.inc()
        yield


async def stalled(on: Platform) -> Trouble:
    """Messages wait, and none is handled; then they are."""
    async with waiting_messages(on, 3):
        while (yield):
            pass
    while True:
        yield


async def spans_dropped(_: Platform) -> Trouble:
    """More spans end than there is room for while the bus is away."""
    tracing = Tracing("fetcher", "one", 1.0)

    def one() -> None:
        tracing.end(tracing.start("x", "internal", None, (), None, 1), 2, None)

    for _n in range(QUEUE_LIMIT + 1):
        one()
    while (yield):
        one()
    while True:
        yield


def spent(dollars: float, budget: float) -> Provocation:
    """A provider's money is spent by real reservations; the next day begins anew."""

    async def trouble(_: Platform) -> Trouble:
        clock = MovedClock()

        async def one() -> int:
            return 1

        spend = Spend(None, clock, one)
        meter = Meter(name="glm", daily_budget=int(budget * DOLLAR), largest=int(budget * DOLLAR), calls=1000)
        grant = await spend.reserve(meter, hold=int(dollars * DOLLAR), estimate=1)
        assert isinstance(grant, Grant)
        await spend.settle(grant, int(dollars * DOLLAR))
        while (yield):
            pass
        clock.seconds += DAY_S
        await spend.reserve(meter, hold=1, estimate=1)
        metrics.SPEND_ALONE.set(0)
        try:
            while True:
                yield
        finally:
            await spend.close()

    return trouble


async def spend_alone(on: Platform) -> Trouble:
    """A budget, and no Redis to share it by."""
    provoked = spent(0.01, 1.0)(on)
    try:
        going = True
        await anext(provoked)
        while True:
            going = yield
            await provoked.asend(going)
    finally:
        await provoked.aclose()


def counted(increase: Callable[[], None], each: Callable[[bool], None] = lambda _: None) -> Provocation:
    """Something is counted once, after a look in good health."""

    async def trouble(_: Platform) -> Trouble:
        yield
        increase()
        while True:
            each((yield))

    return trouble


def kept(tell: Callable[[bool], None]) -> Provocation:
    """Something is told before every look, as trouble or not."""

    async def trouble(_: Platform) -> Trouble:
        tell(True)  # noqa: FBT003 - whether there is trouble
        while True:
            tell((yield))

    return trouble


def owned(trouble: bool) -> None:  # noqa: FBT001 - as `kept` calls it
    metrics.SHARDS_OWNED.labels("tracker").set(3 if trouble else 4)
    metrics.SHARDS_OWNED.labels("consensus").set(4)


def failing(trouble: bool) -> None:  # noqa: FBT001 - the same
    metrics.HANDLE_FAILURES.labels("archiver", "UnavailableError").inc(1 if trouble else 0)
    for _ in range(9):
        metrics.HANDLE_SECONDS.labels("archiver", "bars").observe(0.01)


def refused(trouble: bool) -> None:  # noqa: FBT001 - the same
    metrics.BARS_QUARANTINED.labels("high").inc(10 if trouble else 0)
    metrics.BARS_PUBLISHED.labels("replay").inc(90)


def handling(seconds: float) -> Callable[[bool], None]:
    def tell(trouble: bool) -> None:  # noqa: FBT001 - the same
        for _ in range(50):
            metrics.HANDLE_SECONDS.labels("consensus", "bars").observe(seconds if trouble else 0.01)

    return tell


def writing(trouble: bool) -> None:  # noqa: FBT001 - the same
    metrics.WRITE_SECONDS.labels("postgres").observe(0.9 if trouble else 0.01)


def panel(status: str) -> Callable[[bool], None]:
    def tell(trouble: bool) -> None:  # noqa: FBT001 - the same
        metrics.PANEL_AGENTS.labels(status).inc(2 if trouble else 0)
        metrics.PANEL_AGENTS.labels("done").inc(8)

    return tell


def running(trouble: bool) -> None:  # noqa: FBT001 - the same
    metrics.PANEL_SECONDS.observe(20 if trouble else 1)


async def signals_cease(_: Platform) -> Trouble:
    """Signals come as they should for hours, then none does while bars go on."""
    for _look in range(12):
        metrics.BARS_EVALUATED.inc(1000)
        metrics.SIGNALS.labels("BUY").inc(20)
        yield
    while True:
        going = yield
        metrics.BARS_EVALUATED.inc(1000)
        metrics.SIGNALS.labels("BUY").inc(0 if going else 20)


async def outcomes(on: Platform) -> Trouble:
    """The tracker tells how the newest signals ended; later they end better."""
    losing = True

    async def newest(_: bytes) -> bytes:
        return b'{"signals":[{"ts":1700000000000000000}]}'

    async def statistics(data: bytes) -> bytes:
        assert msgspec.json.decode(data)["by"] == "strategy"
        win_rate, factor = (0.2, 0.5) if losing else (0.6, 1.5)
        group = {"key": "default@2", "outcomes": 40, "win_rate": win_rate, "profit_factor": factor}
        return msgspec.json.encode({"groups": [group]})

    await on.bus.respond("query.tracker.signals", newest)
    await on.bus.respond("query.tracker.statistics", statistics)
    while (yield):
        pass
    losing = False
    while True:
        yield


def gauge(metric: Any, trouble: float, well: float) -> Provocation:
    return kept(lambda going: metric.set(trouble if going else well))


def archive_age(going: bool) -> None:  # noqa: FBT001 - as `kept` calls it
    """A function, as the archiver gives it: beside one a number that is set would count for nothing."""
    metrics.ARCHIVE_AGE.set_function(lambda: 90_000.0 if going else 10.0)


PROVOCATIONS: dict[str, Provocation] = {
    "ServiceDown": service_down,
    "ServiceMissing": service_missing,
    "ShardsUnowned": kept(owned),
    "Lag": lag,
    "Stalled": stalled,
    "ErrorRate": kept(failing),
    "DeadLetters": counted(lambda: metrics.DEAD_LETTERS.labels("tracker").inc()),
    "QuarantineRate": kept(refused),
    "HandleTimeBudget": kept(handling(0.9)),
    "HandleTimeExceeded": kept(handling(2.0)),
    "SlowWrites": kept(writing),
    "SpansDropped": spans_dropped,
    "SpendOverDay": spent(41, 100),
    "SpendNearBudget": spent(0.85, 1),
    "SpendAlone": spend_alone,
    "KeyRefused": counted(lambda: metrics.KEYS_REFUSED.labels("glm").inc()),
    "RecordAltered": gauge(metrics.RECORD_FINDINGS.labels("full"), 2, 0),
    "RecordChangeRefused": counted(metrics.RECORD_REFUSALS.inc),
    "ArchiveDamaged": gauge(metrics.ARCHIVE_WRONG, 1, 0),
    "ArchiveOverdue": kept(archive_age),
    "SignalRateLow": signals_cease,
    "WinRateLow": outcomes,
    "ProfitFactorLow": outcomes,
    "CalibrationFailed": counted(metrics.CALIBRATION_FAILURES.inc),
    "CalibrationOff": gauge(metrics.CALIBRATION_ERROR.labels("default@2", "calibrated"), 0.2, 0.01),
    "PanelSlow": kept(running),
    "PanelIncomplete": kept(panel("by_rules")),
    "PanelErrors": kept(panel("failed")),
    "AlertsUndelivered": counted(lambda: metrics.ALERTS_UNDELIVERED.labels("elsewhere").inc()),
}
