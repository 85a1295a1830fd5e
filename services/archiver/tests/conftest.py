"""Fixtures of the archiver: the real embedded engine, and events."""

import logging
import os
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from moto.server import ThreadedMotoServer

from heliograph.archiver.archive.folder_store import FolderStore
from heliograph.archiver.clickhouse import ClickHouse
from heliograph.common.events import BarBatch, Outcome, Reason, Signal, Vote, VoteBatch
from heliograph.common.ids import derive_id

DAY_NS = 86_400 * 10**9
START = 18_262 * DAY_NS
"""2020-01-01."""


def make_bars(day: int = 0, symbols: tuple[str, ...] = ("AAPL", "BRK.B"), **changes: Any) -> BarBatch:
    """One daily bar of each symbol."""
    prices = [100.0 + day + number for number in range(len(symbols))]
    fields: dict[str, Any] = {
        "id": derive_id("bars", "1d", START + day * DAY_NS, *symbols),
        "ts": START + day * DAY_NS,
        "interval": "1d",
        "symbols": list(symbols),
        "open": prices,
        "high": [p + 2 for p in prices],
        "low": [p - 1.5 for p in prices],
        "close": [p + 1 for p in prices],
        "volume": [1000.0] * len(symbols),
        "source": "replay",
    }
    return BarBatch(**(fields | changes))


def make_signal(day: int = 0, symbol: str = "AAPL", **changes: Any) -> Signal:
    """A signal at the close of a day's bar."""
    fields: dict[str, Any] = {
        "id": derive_id("signal", symbol, day),
        "cause": derive_id("bars", day),
        "ts": START + (day + 1) * DAY_NS,
        "symbol": symbol,
        "action": "BUY",
        "entry": 100.0,
        "stop": 95.0,
        "target": 112.5,
        "confidence": 81.25,
        "raw_confidence": 81.25,
        "regime": "BULL",
        "view": "TRENDING",
        "votes": [
            Vote(source="trend", direction=1, confidence=0.9, weight=0.6),
            Vote(source="technical", direction=-1, confidence=0.25, weight=0.4, age_ns=7),
        ],
        "sources": ["trend", "technical"],
        "agreement": 0.6,
        "expected_r": 1.5,
        "strategy": "default@1",
        "interval": "1d",
        "bar_ts": START + day * DAY_NS,
        "expires": START + (day + 31) * DAY_NS,
        "input_seq": day + 1,
        "sha256": "ab" * 32,
        "prev_sha256": "",
    }
    return Signal(**(fields | changes))


def make_reason(day: int = 0, symbol: str = "AAPL", **changes: Any) -> Reason:
    """The reason of the day's signal."""
    fields: dict[str, Any] = {
        "id": derive_id("reason", symbol, day),
        "ts": START + (day + 1) * DAY_NS,
        "signal": derive_id("signal", symbol, day),
        "symbol": symbol,
        "text": "The trend is up — “strongly”, it's said.",
        "provider": "template",
        "model": "template@1",
    }
    return Reason(**(fields | changes))


def make_outcome(day: int = 0, symbol: str = "AAPL", **changes: Any) -> Outcome:
    """The outcome of the day's signal, five days later."""
    fields: dict[str, Any] = {
        "id": derive_id("outcome", symbol, day),
        "ts": START + (day + 6) * DAY_NS,
        "signal": derive_id("signal", symbol, day),
        "symbol": symbol,
        "action": "BUY",
        "result": "win",
        "entry": 100.0,
        "exit": 112.5,
        "opened": START + (day + 1) * DAY_NS,
        "exit_bar_ts": START + (day + 5) * DAY_NS,
        "pnl": 12.5,
        "pnl_net": 12.3,
        "r_multiple": 2.5,
        "bars": 5,
        "best": 13.0,
        "worst": -1.0,
        "input_seq": day + 6,
        "strategy": "default@1",
    }
    return Outcome(**(fields | changes))


def make_votes(day: int = 0, **changes: Any) -> VoteBatch:
    """Votes of a dear source at the close of a day's bar."""
    symbols = changes.get("symbols", ["AAPL", "BRK.B"])
    fields: dict[str, Any] = {
        "id": derive_id("votes", "news", day, *symbols),
        "ts": START + (day + 1) * DAY_NS,
        "source": "news",
        "symbols": symbols,
        "direction": [1, -1][: len(symbols)],
        "confidence": [0.75] * len(symbols),
        "observed": [START + day * DAY_NS] * len(symbols),
    }
    return VoteBatch(**(fields | changes))


class Events:
    """The makers of events, as one fixture."""

    day_ns = DAY_NS
    start = START
    bars = staticmethod(make_bars)
    votes = staticmethod(make_votes)
    signal = staticmethod(make_signal)
    reason = staticmethod(make_reason)
    outcome = staticmethod(make_outcome)

    @staticmethod
    def span(number: int, parent: int = 0, **changes: Any) -> dict[str, Any]:
        """A span as it travels, in trace `trace` (1)."""
        return {
            "trace_id": f"{1:032x}",
            "span_id": f"{number:016x}",
            "parent_id": f"{parent:016x}" if parent else "",
            "name": f"step {number}",
            "kind": "consumer",
            "service": f"service{number}",
            "start_ns": START + number,
            "end_ns": START + number + 10,
            "status": "unset",
            "attributes": {"heliograph.shard": 3, "share": 0.5, "ok": True},
            "links": [{"trace_id": f"{9:032x}", "span_id": f"{9:016x}"}],
        } | changes


@pytest.fixture
def events() -> Events:
    """Makers of events."""
    return Events()


@pytest.fixture(autouse=True)
def memory_pool() -> Iterator[None]:
    """Leave the process's Arrow pool as it was."""
    before = pa.default_memory_pool()
    yield
    pa.set_memory_pool(before)


@pytest.fixture
def server_url() -> str:
    """A ClickHouse server to test against instead of the embedded engine: `http://user:password@host:8123`."""
    return os.environ.get("HELIOGRAPH_TEST_CLICKHOUSE", "").rstrip("/")


@pytest.fixture
async def open_clickhouse(tmp_path: Path, server_url: str) -> AsyncIterator[Callable[[], Any]]:
    """Open the embedded engine on the test's folder, one at a time; or a database of its own on a server."""
    opened: list[ClickHouse] = []
    database = f"test_{secrets.token_hex(6)}"

    async def make() -> ClickHouse:
        db = ClickHouse(f"{server_url}/{database}" if server_url else f"chdb://{tmp_path}/clickhouse")
        await db.open()
        opened.append(db)
        return db

    yield make
    for db in opened:
        if server_url and db is opened[-1]:
            await db.rows(f"DROP DATABASE {database}")
        await db.close()


@pytest.fixture
async def db(open_clickhouse: Callable[[], Any]) -> ClickHouse:
    """The real embedded engine with empty tables."""
    made: ClickHouse = await open_clickhouse()
    return made


@pytest.fixture
def folder(tmp_path: Path) -> FolderStore:
    """An empty archive in a folder."""
    return FolderStore(tmp_path / "archive")


@pytest.fixture(scope="session")
def moto_endpoint() -> Iterator[str]:
    """A server that speaks S3."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(params=["moto", "given"])
def s3_endpoint(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A server that speaks S3: moto, and the one that `HELIOGRAPH_TEST_S3` names where there is one."""
    if os.environ.get("HELIOGRAPH_TEST_S3"):
        # It keeps the keys of whoever asked first.
        monkeypatch.setattr("boto3.DEFAULT_SESSION", None)
    if request.param == "moto":
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "test")
        return str(request.getfixturevalue("moto_endpoint"))
    endpoint = os.environ.get("HELIOGRAPH_TEST_S3", "")
    if not endpoint:
        pytest.skip(
            "no S3 server: HELIOGRAPH_TEST_S3 (and the AWS_ keys) may name one, such as Ceph's radosgw"
        )
    return endpoint


@pytest.fixture
def bucket() -> str:
    """The name of a bucket that nobody has."""
    return f"heliograph-{secrets.token_hex(6)}"
