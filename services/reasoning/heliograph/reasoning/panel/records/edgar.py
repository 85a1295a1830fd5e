"""The SEC's EDGAR over HTTP: company facts, free and without a key."""

import asyncio
import re

import msgspec

from heliograph.common.clock import SYSTEM_CLOCK, Clock
from heliograph.common.errors import ConfigError, InputError
from heliograph.reasoning.panel.records import facts
from heliograph.reasoning.panel.records.known import Records
from heliograph.reasoning.panel.records.web import Web

TICKERS = "https://www.sec.gov/files/company_tickers.json"
COMPANY_FACTS = "https://data.sec.gov/api/xbrl/companyfacts/CIK{cik:010d}.json"
CONTACT = re.compile(r"\S+@\S+\.\S+")
LISTED_S = 86_400.0
"""Companies are listed anew each day."""


class _Listed(msgspec.Struct):
    cik_str: int
    ticker: str


class Edgar:
    """Company facts from the SEC.

    Args:
        user_agent: who asks, with an e-mail address: the SEC refuses anybody who does not say so.
        tickers, company_facts: the addresses, for tests and mirrors.

    Raises:
        ConfigError: the user agent names no address.
    """

    def __init__(
        self,
        user_agent: str,
        *,
        clock: Clock = SYSTEM_CLOCK,
        tickers: str = TICKERS,
        company_facts: str = COMPANY_FACTS,
    ) -> None:
        if not CONTACT.search(user_agent):
            raise ConfigError(
                f"sec_user_agent: {user_agent!r}, expected a name and an e-mail address, as the SEC asks for"
            )
        self._web = Web("", {"User-Agent": user_agent, "Accept-Encoding": "gzip"}, name="edgar")
        self._tickers = tickers
        self._company_facts = company_facts
        self._clock = clock
        self._listed_until = 0.0
        self._ciks: dict[str, int] = {}

    async def close(self) -> None:
        """Close the connections."""
        await self._web.close()

    async def records(self, ticker: str) -> Records:
        """What a company has filed; empty where the SEC lists no such ticker or has no facts.

        Raises:
            InputError: the SEC refuses the question, or the answer is none of company facts.
            UnavailableError: the SEC does not answer, or asks for fewer requests.
        """
        cik = (await self._listed()).get(ticker.replace(".", "-"))
        payload = None if cik is None else await self._web.get(self._company_facts.format(cik=cik))
        return Records(facts={} if payload is None else await asyncio.to_thread(facts.decode, payload, "SEC"))

    async def _listed(self) -> dict[str, int]:
        if self._clock.monotonic() >= self._listed_until:
            payload = await self._web.get(self._tickers)
            try:
                rows = msgspec.json.decode(payload or b"{}", type=dict[str, _Listed])
            except msgspec.DecodeError as error:
                raise InputError(f"{self._tickers}: {error}, expected the SEC's list of tickers") from None
            self._ciks = {row.ticker: row.cik_str for row in rows.values()}
            self._listed_until = self._clock.monotonic() + LISTED_S
        return self._ciks
