"""Financial Datasets and Financial Modeling Prep (FMP) over HTTP, as sources of records."""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import structlog

from heliograph.common.clock import NANOSECONDS, SYSTEM_CLOCK, Clock
from heliograph.common.spend.keys import Keys
from heliograph.reasoning.panel.records import financial_datasets, fmp
from heliograph.reasoning.panel.records.known import Records
from heliograph.reasoning.panel.records.metered import Metered, NoLeaveError
from heliograph.reasoning.panel.records.web import Web

FINANCIAL_DATASETS_KEY = "FINANCIAL_DATASETS_API_KEY"
FMP_KEY = "FMP_API_KEY"
ROWS = "1000"
NEWS = "100"
YEARS = "12"
LOOK_BACK = timedelta(days=3 * 365)
"""Of daily prices."""
STATEMENTS = {
    "income": "income-statement",
    "balance": "balance-sheet-statement",
    "cash_flow": "cash-flow-statement",
}
T = TypeVar("T")

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class FinancialDatasets:
    """Metrics, insider trades, news and prices. An endpoint that knows nothing of a ticker gives nothing.

    The key goes into the header `X-API-KEY`. `root` is its address.
    """

    def __init__(
        self, keys: Keys, *, root: str, clock: Clock = SYSTEM_CLOCK, metered: Metered | None = None
    ) -> None:
        self._web = Web(
            root,
            keys=keys,
            key=FINANCIAL_DATASETS_KEY,
            header="X-API-KEY",
            name="financial_datasets",
            metered=metered,
        )
        self._clock = clock

    async def close(self) -> None:
        """Close the connections."""
        await self._web.close()

    async def records(self, ticker: str) -> Records:
        """All that it has of a ticker, asked at once; nothing without a key or without money left.

        Raises:
            InputError: it refuses the question or the key, or an answer is none.
            UnavailableError: it does not answer.
        """
        if not await self._web.has_key():
            return Records()
        today = datetime.fromtimestamp(self._clock.now_ns() / NANOSECONDS, UTC).date()
        span = {"start_date": (today - LOOK_BACK).isoformat(), "end_date": today.isoformat()}
        found = await _all(
            self._web.get("/financial-metrics/", ticker=ticker, period="ttm", limit=ROWS),
            self._web.get("/financial-metrics/", ticker=ticker, period="annual", limit=ROWS),
            self._web.get("/insider-trades/", ticker=ticker, limit=ROWS),
            self._web.get("/news/", ticker=ticker, limit=NEWS),
            self._web.get("/prices/", ticker=ticker, interval="day", interval_multiplier="1", **span),
        )
        if found is None:
            return Records(withheld=True)
        ttm, annual, trades, news, prices = found
        metrics = [
            *(_read(financial_datasets.metrics, ttm, f"{ticker}: ttm metrics") or ()),
            *(_read(financial_datasets.metrics, annual, f"{ticker}: annual metrics") or ()),
        ]
        return Records(
            metrics=tuple(sorted(metrics, key=lambda one: one.end, reverse=True)),
            trades=_read(financial_datasets.trades, trades, f"{ticker}: insider trades") or (),
            news=_read(financial_datasets.news, news, f"{ticker}: news") or (),
            prices=_read(financial_datasets.prices, prices, f"{ticker}: prices"),
        )


class Fmp:
    """Statements of fiscal years. The key goes into the header `apikey`; `root` is its address."""

    def __init__(self, keys: Keys, *, root: str, metered: Metered | None = None) -> None:
        self._web = Web(root, keys=keys, key=FMP_KEY, header="apikey", name="fmp", metered=metered)

    async def close(self) -> None:
        """Close the connections."""
        await self._web.close()

    async def records(self, ticker: str) -> Records:
        """The line items of its fiscal years; nothing without a key or without money left.

        Raises:
            InputError: it refuses the question or the key, or an answer is none.
            UnavailableError: it does not answer.
        """
        if not await self._web.has_key():
            return Records()
        bodies = await _all(
            *(
                self._web.get(f"/{path}", symbol=ticker, period="annual", limit=YEARS)
                for path in STATEMENTS.values()
            )
        )
        if bodies is None:
            return Records(withheld=True)
        named = [
            (body, f"{ticker}: {kind}")
            for kind, body in zip(STATEMENTS, bodies, strict=True)
            if body is not None
        ]
        return Records(annual_items=fmp.annual_items(named))


async def _all(*questions: Coroutine[Any, Any, bytes | None]) -> list[bytes | None] | None:
    """Every answer; None where there is no leave to ask, which is no failure: other sources may know."""
    try:
        return await asyncio.gather(*questions)
    except NoLeaveError as error:
        await log.awarning("provider left out", error=str(error))
        return None


def _read(decode: Callable[[bytes, str], T], body: bytes | None, where: str) -> T | None:
    return None if body is None else decode(body, where)
