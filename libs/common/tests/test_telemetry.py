"""Spans are exported when their trace is sampled or kept, in every process, and nothing else is."""

import asyncio
import gzip
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import msgspec
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from heliograph.common import telemetry
from heliograph.common.bus import Bus
from heliograph.common.telemetry import Tracing, parse_traceparent


async def spans(bus: Bus) -> list[dict[str, Any]]:
    upto = await bus.last_seq("SPAN")
    return [
        s
        async for m in bus.read("SPAN", "span.>", after=0, upto=upto)
        for s in msgspec.json.decode(m.data)["spans"]
    ]


@pytest.fixture
async def tracing(bus: Bus) -> AsyncIterator[Tracing]:
    made = Tracing("first", "a", 0.0)
    telemetry.install(made)
    task = asyncio.create_task(made.run(bus))
    yield made
    task.cancel()


async def test_a_kept_trace_is_exported_from_its_first_span_on(
    bus: Bus, tracing: Tracing, eventually: Callable[..., Awaitable[Any]]
) -> None:
    other = Tracing("second", "b", 0.0)
    task = asyncio.create_task(other.run(bus))
    with telemetry.span("fetch bars", kind="producer", attributes={"rows": 3}) as fetch:
        pass
    with telemetry.span("nothing came of it"):
        pass
    span = other.start("decide", "consumer", fetch.traceparent, [], None, None)
    assert span.traceparent.endswith("-00")
    span.keep()
    other.end(span, None, None)
    assert span.traceparent.endswith("-01")

    async def both() -> list[dict[str, Any]]:
        found = await spans(bus)
        return found if len(found) >= 2 else []

    found = {s["name"]: s for s in await eventually(both)}
    task.cancel()
    assert set(found) == {"fetch bars", "decide"}
    assert found["decide"]["parent_id"] == found["fetch bars"]["span_id"]
    assert found["decide"]["trace_id"] == found["fetch bars"]["trace_id"]
    assert found["fetch bars"]["service"] == "first"
    assert found["fetch bars"]["attributes"] == {"rows": 3}


async def test_what_follows_a_kept_span_is_exported_and_an_error_shows(
    bus: Bus, tracing: Tracing, eventually: Callable[..., Awaitable[Any]]
) -> None:
    with telemetry.span("decide") as parent:
        parent.keep()
    with (
        pytest.raises(RuntimeError),
        telemetry.span("explain", parent=parent.traceparent, links=[parent.traceparent]),
    ):
        raise RuntimeError("a fault")

    async def both() -> list[dict[str, Any]]:
        found = await spans(bus)
        return found if len(found) >= 2 else []

    explain = next(s for s in await eventually(both) if s["name"] == "explain")
    assert explain["status"] == "error"
    assert explain["links"] == [{"trace_id": explain["trace_id"], "span_id": explain["parent_id"]}]


async def test_waiting_spans_are_bounded(tracing: Tracing) -> None:
    for _ in range(telemetry.WAITING_LIMIT + 500):
        with telemetry.span("idle"):
            pass
    assert tracing.waiting == telemetry.WAITING_LIMIT


@pytest.mark.parametrize(
    "header",
    ["", "garbage", "00-xyz-1-01", f"00-{'0' * 32}-{'0' * 16}-01", "00-" + "a" * 32 + "-zzzzzzzzzzzzzzzz-01"],
)
def test_a_broken_header_never_breaks_the_work(header: str) -> None:
    assert parse_traceparent(header) is None
    with telemetry.span("work", parent=header, links=[header]) as span:
        assert parse_traceparent(span.traceparent) is not None


async def test_spans_go_out_by_otlp(bus: Bus) -> None:
    received: list[tuple[str, bytes]] = []

    class Collector(BaseHTTPRequestHandler):
        """A collector that keeps what it gets."""

        def do_POST(self) -> None:
            received.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Collector)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    made = Tracing("consensus", "a", 1.0, f"http://127.0.0.1:{server.server_port}")
    parent = made.start("fetch bars", "producer", None, [], None, None)
    span = made.start("decide", "consumer", parent.traceparent, [parent.traceparent], {"rows": 3}, 5)
    made.end(span, 7, RuntimeError("a fault"))
    await made.flush(bus)
    server.shutdown()
    thread.join()
    server.server_close()
    ((path, body),) = received
    assert path == "/v1/traces"
    request = ExportTraceServiceRequest.FromString(gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body)
    (sent,) = request.resource_spans[0].scope_spans[0].spans
    assert (sent.name, sent.trace_id.hex()) == ("decide", span.record.trace_id)
    assert sent.parent_span_id.hex() == parent.record.span_id
    assert (sent.start_time_unix_nano, sent.end_time_unix_nano) == (5, 7)
    assert len(sent.links) == 1
