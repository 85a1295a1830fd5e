"""Records from a folder: Parquet bars, and answers of the SEC and of providers under `fundamentals`."""

import asyncio
import gzip
from pathlib import Path
from urllib.parse import quote

from heliograph.common.errors import InputError
from heliograph.reasoning.panel.records import bars, facts, financial_datasets, fmp
from heliograph.reasoning.panel.records.known import Records

FUNDAMENTALS = "fundamentals"


class Folder:
    """A folder with `*.parquet` and `fundamentals/<TICKER>.<kind>.json` (or `.json.gz`).

    Kinds: `companyfacts` (SEC), `metrics`, `insider_trades`, `news`, `prices` (Financial Datasets), `income`,
    `balance`, `cash_flow` (FMP). In a file's name, `/` and other characters of a ticker that are none of a
    file's are percent-encoded.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise InputError(f"data: {str(folder)!r} is not a folder, expected one with bars or fundamentals")
        self._folder = folder

    async def records(self, ticker: str) -> Records:
        """All that the folder has of a ticker.

        Raises:
            InputError: a file cannot be read as what its name says.
        """
        return await asyncio.to_thread(self._load, ticker)

    def _load(self, ticker: str) -> Records:
        filed = self._file(ticker, "companyfacts")
        metrics = self._file(ticker, "metrics")
        trades = self._file(ticker, "insider_trades")
        news = self._file(ticker, "news")
        prices = self._file(ticker, "prices")
        statements = [self._file(ticker, kind) for kind in fmp.KINDS]
        return Records(
            facts=facts.decode(*filed) if filed else {},
            metrics=financial_datasets.metrics(*metrics) if metrics else (),
            annual_items=fmp.annual_items([s for s in statements if s]),
            trades=financial_datasets.trades(*trades) if trades else (),
            news=financial_datasets.news(*news) if news else (),
            prices=financial_datasets.prices(*prices) if prices else bars.read(self._folder, ticker),
        )

    def _file(self, ticker: str, kind: str) -> tuple[bytes, str] | None:
        """What a file holds, and its name for errors; None where there is none."""
        path = self._folder / FUNDAMENTALS / f"{quote(ticker, safe='')}.{kind}.json"
        packed = path.with_name(path.name + ".gz")
        try:
            if path.is_file():
                return path.read_bytes(), str(path)
            if packed.is_file():
                return gzip.decompress(packed.read_bytes()), str(packed)
        except (OSError, EOFError) as error:
            raise InputError(f"{path}: {error}, expected a readable file") from None
        return None
