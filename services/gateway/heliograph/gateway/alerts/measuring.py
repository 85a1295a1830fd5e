"""What the watch asks: members what they measure, the server what waits, the tracker how signals ended."""

import asyncio

import msgspec
import structlog

from heliograph.common import metrics
from heliograph.common.bus import Bus
from heliograph.common.clock import NANOSECONDS
from heliograph.common.errors import HeliographError, UnavailableError
from heliograph.common.samples import SUBJECT, Measured
from heliograph.gateway.alerts.evaluator import Sample
from heliograph.gateway.alerts.series import labels_of

ANSWER_WITHIN_S = 1.0
WORKED_OFF = ("INPUT", "REQUEST", "SIGNAL", "REASON", "OUTCOME", "ANALYSIS", "SPAN")
"""Streams with consumers whose lag is watched."""
RECENT_NS = 30 * 86_400 * NANOSECONDS
STRATEGIES = 20

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


async def members(
    bus: Bus, names: list[str], expected: int | None = None, within_s: float = ANSWER_WITHIN_S
) -> list[Measured]:
    """What every member measures under these names: of those that answer in time, or the first `expected`."""
    found = []
    for answer in await bus.ask_all(SUBJECT, {"names": names}, within_s, expected):
        try:
            found.append(msgspec.convert(answer, Measured))
        except msgspec.ValidationError as error:
            await log.awarning("no measurements", error=str(error))
    return found


async def waiting(bus: Bus) -> list[Sample]:
    """What waits for each durable consumer, under the names that the NATS exporter uses."""
    found = []
    lags = await asyncio.gather(*(bus.lag(stream) for stream in WORKED_OFF), return_exceptions=True)
    for stream, lag in zip(WORKED_OFF, lags, strict=True):
        if isinstance(lag, UnavailableError):
            await log.awarning("lag not known", stream=stream, error=str(lag))
            continue
        if isinstance(lag, BaseException):
            raise lag
        for name, messages in lag.items():
            labels = labels_of({"consumer_name": name, "stream_name": stream, "is_consumer_leader": "true"})
            found.append(Sample("jetstream_consumer_num_pending", labels, float(messages)))
            found.append(Sample("jetstream_consumer_num_ack_pending", labels, 0.0))
    return found


async def outcomes(bus: Bus) -> None:
    """Bring the metrics of the newest outcomes up to date, in event time; without the tracker they stay."""
    try:
        newest = await bus.request("query.tracker.signals", {"limit": 1})
        if not newest["signals"]:
            return
        since = max(0, newest["signals"][0]["ts"] - RECENT_NS)
        asked = {"by": "strategy", "since": since, "limit": STRATEGIES}
        groups = (await bus.request("query.tracker.statistics", asked, timeout=60))["groups"]
    except HeliographError as error:
        await log.awarning("outcomes not known", error=str(error))
        return
    forget_outcomes()
    for group in groups:
        metrics.RECENT_OUTCOMES.labels(group["key"]).set(group["outcomes"])
        for gauge, figure in (
            (metrics.WIN_RATIO, group["win_rate"]),
            (metrics.PROFIT_FACTOR, group["profit_factor"]),
        ):
            if figure is not None:
                gauge.labels(group["key"]).set(figure)


def forget_outcomes() -> None:
    """This replica tells them no more."""
    for gauge in (metrics.RECENT_OUTCOMES, metrics.WIN_RATIO, metrics.PROFIT_FACTOR):
        gauge.clear()
