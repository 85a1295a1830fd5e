"""Financial Datasets and FMP over HTTP: recorded answers, every fault, and a key that is seen nowhere."""

import asyncio
import json
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from heliograph.common import metrics
from heliograph.common.bus import Bus
from heliograph.common.clock import SYSTEM_CLOCK
from heliograph.common.config import Settings
from heliograph.common.errors import InputError, UnavailableError
from heliograph.common.http_retry import RetryBudgetSpentError
from heliograph.common.retry_budget import CALLS_A_RETRY, FLOOR
from heliograph.common.spend.keys import Keys
from heliograph.common.spend.spend import Spend
from heliograph.reasoning.panel.records.metered import Metered, PaidData, meter
from heliograph.reasoning.panel.records.providers import FinancialDatasets, Fmp
from heliograph.reasoning.panel.records.web import Web
from heliograph.reasoning.panel.service import PanelService
from heliograph.reasoning.settings import ReasoningSettings

PAYLOADS = Path(__file__).parent / "panel_payloads"
RECORDED = {
    "/fd/financial-metrics/": "AAPL.metrics.json",
    "/fd/insider-trades/": "AAPL.insider_trades.json",
    "/fd/news/": "AAPL.news.json",
    "/fd/prices/": "AAPL.prices.json",
}
# Apple's statement of fiscal 2023 (Form 10-K of 2023-11-03) under FMP's names.
YEAR = {"date": "2023-09-30", "period": "FY", "filingDate": "2023-11-03"}
STATEMENTS = {
    "/fmp/income-statement": [YEAR | {"revenue": 383285000000, "netIncome": 96995000000}],
    "/fmp/balance-sheet-statement": [YEAR | {"totalAssets": 352583000000}],
    "/fmp/cash-flow-statement": [YEAR | {"operatingCashFlow": 110543000000}],
}
KEY, SECOND = "fd-secret-value-1", "fd-secret-value-2"


class Site(ThreadingHTTPServer):
    """Both providers, with the faults of `faults` first: statuses, `cut`, `garbage`."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.root = f"http://127.0.0.1:{self.server_port}"
        self.asked: list[str] = []
        self.faults: list[int | str] = []
        self.retry_after = ""
        self.refused: set[str] = set()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that leaves after the first refusal, with other questions under way, is no fault."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    server: Site

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        self.server.asked.append(self.path)
        query = parse_qs(address.query)
        status, body = self._answer(address.path, query)
        if self.server.faults:
            fault = self.server.faults.pop(0)
            if fault == "cut":
                self.send_response(200)
                self.send_header("Content-Length", "1000")
                self.end_headers()
                self.wfile.write(b"{")
                return
            status, body = (200, b"<html>") if fault == "garbage" else (int(fault), b"{}")
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if status == 429 and self.server.retry_after:
            self.send_header("Retry-After", self.server.retry_after)
        self.end_headers()
        self.wfile.write(body)

    def _answer(self, path: str, query: dict[str, list[str]]) -> tuple[int, bytes]:
        key = self.headers.get("X-API-KEY") or self.headers.get("apikey") or ""
        if not key or key in self.server.refused:
            return 401, json.dumps({"error": f"bad key {key}"}).encode()
        if "AAPL" not in (*query.get("ticker", ()), *query.get("symbol", ())):
            return 404, b"{}"
        if path in RECORDED:
            return 200, (PAYLOADS / RECORDED[path]).read_bytes()
        return 200, json.dumps(STATEMENTS[path]).encode()

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
def keys() -> Keys:
    return Keys(SYSTEM_CLOCK, {"FINANCIAL_DATASETS_API_KEY": KEY, "FMP_API_KEY": KEY})


@pytest.fixture
async def datasets(site: Site, keys: Keys) -> AsyncIterator[FinancialDatasets]:
    made = FinancialDatasets(keys, root=site.root + "/fd")
    yield made
    await made.close()


@pytest.fixture
async def fmp(site: Site, keys: Keys) -> AsyncIterator[Fmp]:
    made = Fmp(keys, root=site.root + "/fmp")
    yield made
    await made.close()


async def test_recorded_answers_become_records(site: Site, datasets: FinancialDatasets, fmp: Fmp) -> None:
    known = await datasets.records("AAPL")
    assert known.metrics[0].return_on_equity == 1.56
    assert known.prices is not None
    assert len(known.prices) == 6
    assert known.trades
    assert known.news
    (year,) = (await fmp.records("AAPL")).annual_items
    assert (year.revenue, year.total_assets, year.operating_cash_flow) == (
        383_285_000_000,
        352_583_000_000,
        110_543_000_000,
    )
    assert year.filed.isoformat() == "2023-11-03"
    assert len(site.asked) == 8
    assert {"period=ttm", "period=annual"} <= {part for path in site.asked for part in path.split("&")}
    assert not [path for path in site.asked if KEY in path]


async def test_an_unknown_ticker_has_nothing(datasets: FinancialDatasets, fmp: Fmp) -> None:
    assert (await datasets.records("NOBODY")).newest is None
    assert (await fmp.records("NOBODY")).newest is None


async def test_without_a_key_nobody_is_asked(site: Site) -> None:
    nothing = Keys(SYSTEM_CLOCK, {})
    for provider in (FinancialDatasets(nothing, root=site.root), Fmp(nothing, root=site.root)):
        assert (await provider.records("AAPL")).newest is None
        await provider.close()
    assert site.asked == []


@pytest.mark.parametrize("fault", [429, 500, 503, "cut"])
async def test_an_outage_is_tried_again_and_then_told(site: Site, fmp: Fmp, fault: int | str) -> None:
    site.faults = [fault, fault]
    assert (await fmp.records("AAPL")).annual_items
    site.faults = [fault] * 9
    with pytest.raises(UnavailableError, match="statement") as told:
        await fmp.records("AAPL")
    assert KEY not in str(told.value)


class Hand:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def monotonic(self) -> float:
        return self.seconds

    def now_ns(self) -> int:
        return int(self.seconds * 1e9)


@pytest.fixture
def clock() -> Hand:
    return Hand()


@pytest.fixture
async def web(site: Site, keys: Keys, clock: Hand) -> AsyncIterator[Web]:
    made = Web(site.root + "/fmp", name="fmp", keys=keys, key="FMP_API_KEY", header="apikey", clock=clock)
    yield made
    await made.close()


ASKED = ("/income-statement", {"symbol": "AAPL"})


async def test_a_pause_that_is_asked_for_is_kept(site: Site, web: Web) -> None:
    path, query = ASKED
    site.faults, site.retry_after = [429], "0.4"
    began = time.monotonic()
    assert await web.get(path, **query)
    assert time.monotonic() - began >= 0.4
    # By the clock of the test that is now.
    site.faults, site.retry_after = [429], "Thu, 01 Jan 1970 00:16:40 GMT"
    assert await web.get(path, **query)
    asked = len(site.asked)
    site.faults, site.retry_after = [429], "3600"
    with pytest.raises(UnavailableError, match="status 429"):
        await web.get(path, **query)
    assert len(site.asked) == asked + 1


async def test_retries_stay_within_their_budget(
    site: Site, web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every other request fails, so that each question wants one retry: the breaker lets that pass."""
    monkeypatch.setattr("heliograph.common.http_retry.PAUSE", lambda _: 0.0)
    path, query = ASKED
    failed: dict[int, str] = {}
    for number in range(30):
        site.faults += [503, 200] * (len(site.faults) < 2)
        try:
            await web.get(path, **query)
        except RetryBudgetSpentError as error:
            failed[number] = str(error)
    assert min(failed) == FLOOR + 2
    assert "status 503; not asked again" in failed[FLOOR + 2]
    assert FLOOR < len(site.asked) - 30 <= FLOOR + 30 // CALLS_A_RETRY


async def test_a_provider_that_fails_again_and_again_is_left_alone_for_a_minute(
    site: Site, web: Web, clock: Hand
) -> None:
    path, query = ASKED
    site.faults = [503] * 5
    for expected in ("status 503", "left alone"):  # three tries, and two before the fifth failure in a row
        with pytest.raises(UnavailableError, match=expected):
            await web.get(path, **query)
    asked = len(site.asked)
    with pytest.raises(UnavailableError, match="left alone"):
        await web.get(path, **query)
    clock.seconds += 59
    with pytest.raises(UnavailableError, match="left alone"):
        await web.get(path, **query)
    assert len(site.asked) == asked
    clock.seconds += 1
    site.faults = [400]  # an answer, though none of use: the provider is there
    found = await asyncio.gather(*(web.get(path, **query) for _ in range(6)), return_exceptions=True)
    assert [type(each) for each in found].count(InputError) == 1
    assert [type(each) for each in found].count(bytes) == 5
    assert len(site.asked) == asked + 6


@pytest.mark.parametrize(("fault", "named"), [("garbage", "FMP"), (400, "status 400"), (402, "status 402")])
async def test_what_is_wrong_is_refused_by_name(site: Site, fmp: Fmp, fault: int | str, named: str) -> None:
    site.faults = [fault] * 3
    with pytest.raises(InputError, match=named):
        await fmp.records("AAPL")


async def test_paid_data_are_reserved_and_left_out_when_the_budget_is_used_up(site: Site, keys: Keys) -> None:
    """Five requests a company: two companies fit into eleven cents, the third would be a fifteenth."""

    async def alone() -> int:
        return 1

    spend = Spend(None, SYSTEM_CLOCK, alone)
    limits = PaidData(call_price=0.01, daily_budget=0.11)
    paid = Metered(meter("financial_datasets", limits), spend)
    provider = FinancialDatasets(keys, root=site.root + "/fd", metered=paid)
    assert (await provider.records("AAPL")).metrics
    assert spend.spent(paid.meter) == 50_000_000
    site.faults = [503, 429]  # costs nothing
    assert (await provider.records("AAPL")).metrics
    assert spend.spent(paid.meter) == 100_000_000
    spared = await provider.records("AAPL")
    assert (spared.newest, spared.withheld) == (None, True)
    assert spend.spent(paid.meter) <= 110_000_000
    await provider.close()
    await spend.close()


async def test_a_window_of_calls_holds_for_data_too(site: Site, keys: Keys) -> None:
    async def alone() -> int:
        return 1

    spend = Spend(None, SYSTEM_CLOCK, alone)
    paid = Metered(meter("fmp", PaidData(calls_per_minute=3)), spend)
    provider = Fmp(keys, root=site.root + "/fmp", metered=paid)
    assert (await provider.records("AAPL")).annual_items
    asked = len(site.asked)
    spared = await provider.records("AAPL")
    assert (spared.annual_items, spared.withheld) == ((), True)
    assert len(site.asked) == asked
    await provider.close()
    await spend.close()


async def test_a_refused_key_gives_way_to_the_second_and_is_shown_nowhere(
    site: Site, capfd: pytest.CaptureFixture[str]
) -> None:
    site.refused = {KEY}
    two = Keys(SYSTEM_CLOCK, {"FINANCIAL_DATASETS_API_KEY": KEY, "FINANCIAL_DATASETS_API_KEY_2": SECOND})
    provider = FinancialDatasets(two, root=site.root + "/fd")
    counted = metrics.KEYS_REFUSED.labels("financial_datasets")._value
    before = counted.get()
    assert (await provider.records("AAPL")).metrics
    assert counted.get() == before + 1  # of which the alert KeyRefused is made
    site.refused = {KEY, SECOND}
    with pytest.raises(InputError, match="every value of it was refused") as told:
        await provider.records("AAPL")
    await provider.close()
    out, err = capfd.readouterr()
    assert "FINANCIAL_DATASETS_API_KEY" in out + err
    for value in (KEY, SECOND):
        assert value not in out + err + str(told.value) + "".join(site.asked)


async def test_the_panel_judges_by_them(
    bus: Bus, nats_settings: Settings, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole way: a request on the bus, answers over HTTP with faults in between, and a verdict."""
    monkeypatch.setenv("FINANCIAL_DATASETS_API_KEY", KEY)
    monkeypatch.delenv("FMP_API_KEY", raising=False)
    site.faults = [503, "cut", 429]
    settings = ReasoningSettings(
        nats_url=nats_settings.nats_url,
        shards=4,
        panel_data="",
        financial_datasets_url=site.root + "/fd",
        fmp_url=site.root + "/fmp",
    )
    panel = PanelService(settings, bus, SYSTEM_CLOCK)
    await panel.start()
    answer: Any = await bus.request("analyze", {"tickers": ["AAPL"], "to": "2024-03-08"}, timeout=30)
    await panel.stop()
    (verdict,) = answer["verdicts"]
    said = {p["agent"]: p["signal"] for p in verdict["predictions"]}
    assert said["fundamentals"] != "abstain"
    assert verdict["asof"] == "2024-03-08"
    # Its prices are six days: too few for technicals, which says so.
    assert said["technicals"] == "abstain"
