"""The SEC's site, against a server that answers as it does."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from heliograph.common import metrics
from heliograph.common.clock import SYSTEM_CLOCK
from heliograph.common.errors import ConfigError, InputError, UnavailableError
from heliograph.reasoning.panel.records.edgar import Edgar
from heliograph.reasoning.panel.records.known import Records
from heliograph.reasoning.panel.records.sources import Remembered

SNOW = next(
    found
    for p in Path(__file__).resolve().parents
    if (found := p / "data/sample/fundamentals/SNOW.companyfacts.json").is_file()
)
AGENT = "Heliograph tests tests@example.org"
LISTED = {
    "0": {"cik_str": 1640147, "ticker": "SNOW", "title": "Snowflake Inc."},
    "1": {"cik_str": 1067983, "ticker": "BRK-B", "title": "Berkshire Hathaway Inc"},
}


class Site(ThreadingHTTPServer):
    """Two companies, of which one has facts; refuses who does not say an address, as the SEC does."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[str] = []
        self.status = 200

    @property
    def root(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Site

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        body, status = b"", self.server.status
        if "@" not in self.headers["User-Agent"]:
            status = 403
        elif self.path == "/tickers.json":
            body = json.dumps(LISTED).encode()
        elif self.path == "/facts/CIK0001640147.json":
            body = SNOW.read_bytes()
        else:
            status = 404
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        pass


@pytest.fixture
def site() -> Iterator[Site]:
    server = Site()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
async def edgar(site: Site) -> AsyncIterator[Edgar]:
    made = Edgar(
        AGENT, tickers=f"{site.root}/tickers.json", company_facts=site.root + "/facts/CIK{cik:010d}.json"
    )
    yield made
    await made.close()


async def test_it_finds_a_company_by_its_ticker_and_asks_once(site: Site, edgar: Edgar) -> None:
    source = Remembered(edgar, SYSTEM_CLOCK)
    records, again = await asyncio.gather(source.records("SNOW"), source.records("SNOW"))
    assert len(records.facts["NetIncomeLoss"]) == 61
    assert again is records
    assert await source.records("SNOW") is records
    assert site.asked == ["/tickers.json", "/facts/CIK0001640147.json"]


async def test_a_failure_is_not_remembered(site: Site, edgar: Edgar) -> None:
    source = Remembered(edgar, SYSTEM_CLOCK)
    site.status = 503
    with pytest.raises(UnavailableError):
        await source.records("SNOW")
    site.status = 200
    assert (await source.records("SNOW")).newest is not None


class Counting:
    """A source that notes what it is asked; `error` and `withheld` say how it answers."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.error: Exception | None = None
        self.withheld = False

    async def records(self, ticker: str) -> Records:
        self.asked.append(ticker)
        if self.error:
            raise self.error
        return Records(withheld=self.withheld)


class Watch:
    """A clock that is set by hand."""

    now = 0.0

    def now_ns(self) -> int:
        return 0

    def monotonic(self) -> float:
        return self.now


async def test_what_is_old_is_asked_again_and_the_oldest_is_forgotten() -> None:
    clock, counting = Watch(), Counting()
    source = Remembered(counting, clock, ttl_s=10, size=1)
    await source.records("A")
    clock.now = 9.0
    await source.records("A")
    assert counting.asked == ["A"]
    clock.now = 10.0
    await source.records("A")
    await source.records("B")
    await source.records("A")
    assert counting.asked == ["A", "A", "B", "A"]


async def test_what_is_popular_is_read_anew_before_anybody_waits_for_it() -> None:
    clock, counting = Watch(), Counting()
    source = Remembered(counting, clock, ttl_s=10)
    for ticker in ("ONCE", "OFTEN", "OFTEN"):
        await source.records(ticker)
    clock.now = 8.9
    assert await source.renew() == []
    clock.now = 9.0
    assert await source.renew() == ["OFTEN"]
    assert counting.asked == ["ONCE", "OFTEN", "OFTEN"]
    clock.now = 18.0  # the second reading is good for ten seconds of its own
    misses = metrics.CACHE.labels("records", "miss")._value.get()
    await source.records("OFTEN")
    assert metrics.CACHE.labels("records", "miss")._value.get() == misses
    assert await source.renew() == []  # once since it was read is not often
    assert counting.asked == ["ONCE", "OFTEN", "OFTEN"]


async def test_what_nobody_asks_for_is_forgotten_first() -> None:
    counting = Counting()
    source = Remembered(counting, Watch(), size=2)
    for ticker in ("A", "B", "A", "C", "A", "B"):
        await source.records(ticker)
    assert counting.asked == ["A", "B", "C", "B"]


async def test_of_popular_tickers_four_of_five_questions_find_their_records() -> None:
    """A day: ten tickers every twelve minutes each, beside six hundred others once, in room for fifty."""
    clock, counting = Watch(), Counting()
    source = Remembered(counting, clock, size=50)
    hits = metrics.CACHE.labels("records", "hit")._value
    found = asked = 0.0
    for minute in range(24 * 60):
        clock.now = 60.0 * minute
        await source.renew()
        before = hits.get()
        popular = [f"P{n}" for n in range(10) if minute % 12 == n]
        for ticker in popular:
            await source.records(ticker)
        found, asked = found + hits.get() - before, asked + len(popular)
        if minute % 12 in {1, 3, 5, 7, 9}:
            await source.records(f"R{minute}")
    assert asked == 1200
    assert found / asked > 0.8


@pytest.mark.parametrize("refusal", ["away", "withheld"])
async def test_the_old_answer_serves_while_there_is_no_new_one(refusal: str) -> None:
    clock, counting = Watch(), Counting()
    source = Remembered(counting, clock, ttl_s=10)
    first = await source.records("A")
    await source.records("A")
    clock.now = 9.5
    counting.error = UnavailableError("away") if refusal == "away" else None
    counting.withheld = refusal == "withheld"
    assert await source.renew() == []
    assert await source.records("A") is first
    assert counting.asked == ["A", "A"]


async def test_a_dot_is_a_dash_there_and_no_facts_are_no_error(site: Site, edgar: Edgar) -> None:
    assert (await edgar.records("BRK.B")).newest is None
    assert site.asked[-1] == "/facts/CIK0001067983.json"


async def test_who_is_not_listed_has_nothing(site: Site, edgar: Edgar) -> None:
    assert (await edgar.records("NOBODY")).newest is None
    assert site.asked == ["/tickers.json"]


@pytest.mark.parametrize(
    ("status", "error"), [(429, UnavailableError), (503, UnavailableError), (403, InputError)]
)
async def test_a_refusal_is_told_from_an_outage(
    site: Site, edgar: Edgar, status: int, error: type[Exception]
) -> None:
    site.status = status
    with pytest.raises(error, match=str(status)):
        await edgar.records("SNOW")


async def test_nobody_there_is_an_outage() -> None:
    edgar = Edgar(AGENT, tickers="http://127.0.0.1:9/tickers.json")
    with pytest.raises(UnavailableError):
        await edgar.records("SNOW")
    await edgar.close()


def test_an_agent_without_an_address_is_refused_at_the_start() -> None:
    with pytest.raises(ConfigError, match="sec_user_agent"):
        Edgar("Mozilla/5.0")
