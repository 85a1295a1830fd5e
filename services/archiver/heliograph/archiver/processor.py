"""One shard of the archiver: events become rows, acknowledged when they are in ClickHouse."""

import contextlib
from collections.abc import Callable, Iterator

from heliograph.archiver.bar_columns import BarColumns
from heliograph.archiver.rows import SIGNAL_ATTRIBUTE, event_rows
from heliograph.archiver.writer import GroupCommit
from heliograph.common import telemetry
from heliograph.common.events import Outcome, Reason, Signal, VoteBatch
from heliograph.common.service import Delivery, Source

REST_S = 0.15
"""Analytics may be so late: the signals of a minute's bars are recorded before these are inserted."""
SOURCES = (
    Source(name="signals", stream="SIGNAL", subject="signal.{shard}.>", event=Signal, rest_s=REST_S),
    Source(name="reasons", stream="REASON", subject="reason.{shard}.>", event=Reason, rest_s=REST_S),
    Source(name="outcomes", stream="OUTCOME", subject="outcome.{shard}.>", event=Outcome, rest_s=REST_S),
    Source(name="votes", stream="INPUT", subject="input.votes.{shard}", event=VoteBatch, rest_s=REST_S),
    Source(name="bars", stream="INPUT", subject="input.bars.{shard}", event=BarColumns, rest_s=REST_S),
)
Held = Callable[..., None]
"""Told by `held=` whether this process holds a shard."""


class ArchiveProcessor:
    """A shard of every source; it has no state but what is in ClickHouse.

    A batch of `full` messages is part of a backlog.
    """

    def __init__(self, writer: GroupCommit, held: Held, full: int) -> None:
        self._writer = writer
        self._held = held
        self._full = full

    async def open(self) -> None:
        """Nothing to load: a row that comes again replaces itself."""
        self._held(held=True)

    async def handle(self, source: str, batch: list[Delivery]) -> None:
        """Insert the rows of a batch; returns when they are in the table.

        Raises:
            PoisonError: an event does not fit its table.
            UnavailableError: ClickHouse is away.
        """
        rows = event_rows(source, [delivery.event for delivery in batch])
        with contextlib.ExitStack() as spans:
            for delivery in batch:
                if isinstance(delivery.event, Signal | Outcome):
                    spans.enter_context(_span(source, delivery.event, delivery.headers.get("traceparent")))
            await self._writer.write(source, rows, more=len(batch) >= self._full)

    async def close(self) -> None:
        """Nothing to hand over: every handled batch is in the table."""
        self._held(held=False)


@contextlib.contextmanager
def _span(source: str, event: Signal | Outcome, parent: str | None) -> Iterator[None]:
    """A span of the signal's own trace, as long as the insert."""
    signal = event.id if isinstance(event, Signal) else event.signal
    attributes = {SIGNAL_ATTRIBUTE: signal, "heliograph.table": source, "db.system.name": "clickhouse"}
    with telemetry.span("archive", kind="consumer", parent=parent, attributes=attributes) as span:
        span.keep()
        yield
