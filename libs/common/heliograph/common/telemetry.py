"""Structured logs and traces. Spans travel over the bus to the archiver, and by OTLP to an endpoint if set.

Every span is recorded; it is exported when its trace is sampled (a share of all traces) or kept (a signal
came of it). Until then it waits in a bounded buffer: `keep` tells all processes, so that the spans before the
signal are exported too.
"""

import asyncio
import contextlib
import logging
import re
import sys
from collections import OrderedDict, deque
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import structlog
from nats.aio.msg import Msg

from heliograph.common import metrics, subjects
from heliograph.common.bus import Bus, Message
from heliograph.common.clock import SYSTEM_CLOCK, Clock, span_number, trace_number
from heliograph.common.errors import UnavailableError
from heliograph.common.ids import derive_id

if TYPE_CHECKING:
    from heliograph.common.otlp import OtlpExport

KEEP_SUBJECT = "trace.keep"
WAITING_LIMIT = 20_000
QUEUE_LIMIT = 20_000
KEPT_LIMIT = 20_000
EXPORT_BATCH = 512
EXPORT_PERIOD_S = 0.25
TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
INVALID_TRACE, INVALID_SPAN = "0" * 32, "0" * 16
TRACE_ID_LENGTH = 32
MASK_64 = (1 << 64) - 1

Kind = Literal["internal", "producer", "consumer", "client", "server"]


def standard_error_logger(*_: object) -> structlog.PrintLogger:
    """Writes to what standard error is now: a stream that was redirected once may be closed since."""
    return structlog.PrintLogger(sys.stderr)


def configure_logging(service: str, member: str, level: str) -> None:
    """JSON lines on standard error, each with the service and the member."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=standard_error_logger,
    )
    structlog.contextvars.bind_contextvars(service=service, member=member)


def parse_traceparent(traceparent: str) -> tuple[str, str, int] | None:
    """Trace id, span id and flags of a W3C header; None where it is not one: that never breaks the work."""
    found = TRACEPARENT.fullmatch(traceparent)
    if not found or found[1] == INVALID_TRACE or found[2] == INVALID_SPAN:
        return None
    return found[1], found[2], int(found[3], 16)


class Record(msgspec.Struct, kw_only=True):
    """A span as it travels on SPAN: lighter than the SDK's, since one is made for every batch.

    Attributes:
        trace_id: 32 hex digits; `span_id` and `parent_id` 16, the latter empty for a root.
        start_ns: wall time, UTC nanoseconds; `end_ns` likewise.
        status: `unset` or `error`.
    """

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    kind: Kind
    service: str
    start_ns: int
    end_ns: int = 0
    status: str = "unset"
    attributes: dict[str, Any]
    links: list[dict[str, str]]


class Span:
    """A span under way."""

    __slots__ = ("_owner", "_sampled", "record")

    def __init__(self, record: Record, owner: "Tracing", *, sampled: bool) -> None:
        self.record = record
        self._owner = owner
        self._sampled = sampled

    @property
    def traceparent(self) -> str:
        """The W3C header for messages that this span causes."""
        return f"00-{self.record.trace_id}-{self.record.span_id}-{'01' if self._sampled else '00'}"

    def keep(self) -> None:
        """A signal came of this trace: export all of it, in every process."""
        if not self._sampled:
            self._sampled = True
            self._owner.keep(self.record.trace_id, tell=True)

    def set(self, key: str, value: str | float | bool) -> None:  # noqa: FBT001 - an attribute may be a bool
        """Set an attribute."""
        self.record.attributes[key] = value


class Tracing:
    """The process's tracer with its buffer of spans; `telemetry.span` uses the one that the shell made."""

    def __init__(
        self, service: str, member: str, sample: float, otlp_endpoint: str = "", clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self._service = service
        self._member = member
        self._clock = clock
        self._threshold = int(sample * (1 << 64))
        self._waiting: OrderedDict[str, list[Record]] = OrderedDict()
        self._waiting_count = 0
        self._kept: OrderedDict[str, None] = OrderedDict()
        self._to_tell: list[str] = []
        self._queue: deque[Record] = deque()
        self._exported = 0
        self._otlp: OtlpExport | None = None
        if otlp_endpoint:
            # Its import takes as long as all the rest of a service's.
            from heliograph.common import otlp  # noqa: PLC0415

            self._otlp = otlp.OtlpExport(otlp_endpoint, service, member)

    @property
    def waiting(self) -> int:
        """Spans that wait for their trace to be kept."""
        return self._waiting_count

    def start(
        self,
        name: str,
        kind: Kind,
        parent: str | None,
        links: Sequence[str],
        attributes: Mapping[str, Any] | None,
        start_ns: int | None,
    ) -> Span:
        """Begin a span; the caller ends it by `end`."""
        above = parse_traceparent(parent) if parent else None
        if above:
            trace_id, parent_id, flags = above
            sampled = bool(flags & 1)
        else:
            number = trace_number()
            trace_id, parent_id = f"{number:032x}", ""
            sampled = (number & MASK_64) < self._threshold
        if sampled and trace_id not in self._kept:
            self.keep(trace_id, tell=False)
        record = Record(
            trace_id=trace_id,
            span_id=f"{span_number():016x}",
            parent_id=parent_id,
            name=name,
            kind=kind,
            service=self._service,
            start_ns=self._clock.now_ns() if start_ns is None else start_ns,
            attributes=dict(attributes) if attributes else {},
            links=[{"trace_id": c[0], "span_id": c[1]} for c in map(parse_traceparent, links) if c],
        )
        return Span(record, self, sampled=sampled)

    def end(self, span: Span, end_ns: int | None, error: BaseException | None) -> None:
        """End a span, and export it or let it wait until its trace is kept; an error becomes its status."""
        record = span.record
        record.end_ns = self._clock.now_ns() if end_ns is None else end_ns
        if error is not None:
            record.status = "error"
            record.attributes["exception.message"] = repr(error)
        if record.trace_id in self._kept:
            self._enqueue(record)
            return
        self._waiting.setdefault(record.trace_id, []).append(record)
        self._waiting_count += 1
        while self._waiting_count > WAITING_LIMIT:
            _, records = self._waiting.popitem(last=False)
            self._waiting_count -= len(records)

    def keep(self, trace_id: str, *, tell: bool) -> None:
        """Export what waits of a trace and whatever comes of it; `tell` the other processes too."""
        if trace_id in self._kept:
            return
        self._kept[trace_id] = None
        if len(self._kept) > KEPT_LIMIT:
            self._kept.popitem(last=False)
        for record in self._waiting.pop(trace_id, ()):
            self._waiting_count -= 1
            self._enqueue(record)
        if tell:
            self._to_tell.append(trace_id)

    def _enqueue(self, record: Record) -> None:
        if len(self._queue) >= QUEUE_LIMIT:
            self._queue.popleft()
            metrics.SPANS_DROPPED.labels(self._service).inc()
        self._queue.append(record)

    async def run(self, bus: Bus) -> None:
        """Export for as long as the process lives; cancelled at its end, after a last `flush`."""

        async def told(message: Msg) -> None:
            for start in range(0, len(message.data), TRACE_ID_LENGTH):
                self.keep(message.data[start : start + TRACE_ID_LENGTH].decode(), tell=False)

        await bus.client.subscribe(KEEP_SUBJECT, cb=told)
        while True:
            await asyncio.sleep(EXPORT_PERIOD_S)
            with contextlib.suppress(UnavailableError):
                await self.flush(bus)

    async def flush(self, bus: Bus) -> None:
        """Export everything that is ready.

        Raises:
            UnavailableError: the bus is away; what was not sent stays queued.
        """
        if self._to_tell:
            told, self._to_tell = self._to_tell, []
            await bus.client.publish(KEEP_SUBJECT, "".join(told).encode())
        while self._queue:
            batch = [self._queue.popleft() for _ in range(min(EXPORT_BATCH, len(self._queue)))]
            self._exported += 1
            message = Message(
                subject=subjects.spans(self._service),
                data=msgspec.json.encode({"spans": batch}),
                msg_id=derive_id("spans", self._service, self._member, self._clock.now_ns(), self._exported),
            )
            try:
                await bus.publish([message])
            except UnavailableError:
                self._queue.extendleft(reversed(batch))
                raise
            if self._otlp:
                await asyncio.to_thread(self._otlp.export, batch)


class _Holder:
    """The process's one tracing, set by the shell; a test without a shell gets one that exports nothing."""

    tracing: Tracing | None = None


def install(tracing: Tracing) -> None:
    """Make a tracing the process's one."""
    _Holder.tracing = tracing


@contextlib.contextmanager
def span(
    name: str,
    *,
    kind: Kind = "internal",
    parent: str | None = None,
    links: Sequence[str] = (),
    attributes: Mapping[str, Any] | None = None,
    start_ns: int | None = None,
    end_ns: int | None = None,
) -> Iterator[Span]:
    """A span around a piece of work; `parent` and `links` are W3C `traceparent` headers."""
    if _Holder.tracing is None:
        _Holder.tracing = Tracing("none", "none", 0.0)
    tracing = _Holder.tracing
    current = tracing.start(name, kind, parent, links, attributes, start_ns)
    error: BaseException | None = None
    try:
        yield current
    except BaseException as caught:
        error = caught
        raise
    finally:
        tracing.end(current, end_ns, error)
