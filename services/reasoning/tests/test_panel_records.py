"""What was known on a day: by the day of filing, from the real filings of Snowflake and recorded answers."""

import gzip
import json
import shutil
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.common.errors import InputError, InvariantError
from heliograph.reasoning.panel.company import Company, LineItems, News, Prices
from heliograph.reasoning.panel.records import concepts, financial_datasets, fmp
from heliograph.reasoning.panel.records.beta import beta
from heliograph.reasoning.panel.records.facts import Facts, decode
from heliograph.reasoning.panel.records.folder import Folder
from heliograph.reasoning.panel.records.known import Records, company
from heliograph.reasoning.panel.records.ratios import metrics
from heliograph.reasoning.panel.records.statements import last_filing, statements

SAMPLE = next(p / "data/sample" for p in Path(__file__).resolve().parents if (p / "data/sample").is_dir())
SNOW = SAMPLE / "fundamentals" / "SNOW.companyfacts.json"
PAYLOADS = Path(__file__).parent / "panel_payloads"
YEAR = timedelta(days=365)


@pytest.fixture(scope="module")
def snow() -> Facts:
    return decode(SNOW.read_bytes(), "SNOW")


def test_the_sample_holds_only_what_is_read() -> None:
    taxonomies = json.loads(SNOW.read_bytes())["facts"].values()
    names = {name for taxonomy in taxonomies for name in taxonomy}
    assert names <= concepts.ALL
    rows = [rows for t in taxonomies for c in t.values() for rows in c["units"].values()]
    notice = (SAMPLE / "fundamentals" / "NOTICE").read_text()
    assert f"{len(names)} concepts, {sum(map(len, rows)):,} facts" in notice
    assert SNOW.stat().st_size < 1_000_000


def test_a_fiscal_year_is_as_its_report_says(snow: Facts) -> None:
    _, annual = statements(snow, date(2025, 3, 21))
    # Form 10-K of 2025-03-21, in thousands: revenue 3,626,396; net loss 1,285,640; operating cash flow
    # 959,764 less property 46,279 and internal-use software 29,433 gives a free cash flow of 884,052.
    newest = annual[0]
    assert (newest.end, newest.filed) == (date(2025, 1, 31), date(2025, 3, 21))
    assert newest.revenue == 3_626_396_000
    assert newest.net_income == -1_285_640_000
    assert newest.capital_expenditure == 46_279_000 + 29_433_000
    assert newest.free_cash_flow == 959_764_000 - 46_279_000 - 29_433_000
    assert newest.shares == 334_100_000


def test_twelve_months_are_the_year_and_this_quarter_less_last_years(snow: Facts) -> None:
    trailing, _ = statements(snow, date(2025, 5, 30))
    # Revenue: year to 2025-01-31, plus the quarter to 2025-04-30, less the quarter to 2024-04-30 (thousands).
    assert trailing[0].end == date(2025, 4, 30)
    assert trailing[0].revenue == 1000 * (3_626_396 + 1_042_074 - 828_709)
    assert trailing[0].net_income == 1000 * (-1_285_640 - 430_092 + 316_988)
    assert trailing[0].equity == 2_408_000_000


def test_a_report_is_known_from_its_filing_on(snow: Facts) -> None:
    before, _ = statements(snow, date(2024, 3, 25))
    after, annual = statements(snow, date(2024, 3, 26))
    assert before[0].end == date(2023, 10, 31)
    assert after[0].end == annual[0].end == date(2024, 1, 31)


def test_days_between_two_filings_share_their_statements(snow: Facts) -> None:
    filed, before = date(2024, 3, 26), last_filing(snow, date(2024, 3, 25))
    assert before is not None
    assert before < filed
    assert last_filing(snow, filed) == last_filing(snow, date(2024, 5, 1)) == filed
    first, later = statements(snow, filed), statements(snow, date(2024, 5, 1))
    assert later is first
    assert statements(dict(snow), filed) == first
    assert last_filing(snow, date(2000, 1, 1)) is None
    assert statements(snow, date(2000, 1, 1)) == ((), ())


def test_what_was_not_reported_is_missing(snow: Facts) -> None:
    trailing, _ = statements(snow, date(2024, 3, 26))
    assert trailing[0].total_debt is None
    ratios = metrics(trailing, lambda _items, _newest: 50e9)
    assert ratios[0].debt_to_equity is None
    assert ratios[0].enterprise_value is None
    assert ratios[0].price_to_earnings is None  # a loss has none


@given(asof=st.dates(date(2020, 9, 1), date(2026, 1, 1)))
def test_nothing_filed_later_changes_the_past(asof: date) -> None:
    facts = decode(SNOW.read_bytes(), "SNOW")
    cut = {name: tuple(f for f in rows if f.filed <= asof) for name, rows in facts.items()}
    found = company("SNOW", Records(facts=facts), asof - YEAR, asof)
    assert found == company("SNOW", Records(facts=cut), asof - YEAR, asof)
    assert all(i.filed <= asof for i in (*found.items, *found.annual_items))


def test_a_restated_value_replaces_the_first_from_its_filing_on() -> None:
    rows = [
        {"start": "2020-01-01", "end": "2020-12-31", "val": 100, "form": "10-K", "filed": "2021-02-01"},
        {"start": "2020-01-01", "end": "2020-12-31", "val": 90, "form": "10-K/A", "filed": "2021-06-01"},
        {"start": "2020-01-01", "end": "2020-12-31", "val": 1, "form": "8-K", "filed": "2021-07-01"},
    ]
    payload = json.dumps({"facts": {"us-gaap": {"Revenues": {"units": {"USD": rows}}}}}).encode()
    facts = decode(payload, "test")
    assert statements(facts, date(2021, 5, 31))[1][0].revenue == 100
    restated = statements(facts, date(2021, 8, 1))[1][0]
    assert (restated.revenue, restated.filed) == (90, date(2021, 2, 1))


def test_ratios_are_the_textbooks() -> None:
    now = LineItems(
        period="annual",
        end=date(2023, 9, 30),
        filed=date(2023, 11, 3),
        revenue=200.0,
        gross_profit=90.0,
        operating_income=60.0,
        pretax_income=50.0,
        income_tax=10.0,
        net_income=40.0,
        earnings_per_share=4.0,
        interest_expense=10.0,
        depreciation_and_amortization=20.0,
        operating_cash_flow=70.0,
        capital_expenditure=30.0,
        cash=25.0,
        short_term_investments=15.0,
        current_assets=120.0,
        current_liabilities=80.0,
        total_assets=400.0,
        total_debt=100.0,
        equity=160.0,
        shares=10.0,
    )
    before = LineItems(
        period="annual",
        end=date(2022, 9, 24),
        filed=date(2022, 10, 28),
        revenue=160.0,
        net_income=50.0,
        equity=0.0,
    )
    m = metrics((now, before), lambda _items, newest: 800.0 if newest else None)[0]
    assert m.enterprise_value == 800 + 100 - (25 + 15)
    assert m.price_to_earnings == 20  # 800 / 40
    assert m.ev_to_ebitda == 860 / 80  # operating income 60 + depreciation 20
    assert m.free_cash_flow_yield == 40 / 800  # 70 − 30
    assert m.return_on_invested_capital == pytest.approx(60 * 0.8 / (160 + 100 - 25))  # tax 10 / 50
    assert (m.gross_margin, m.operating_margin, m.net_margin) == (0.45, 0.3, 0.2)
    assert (m.current_ratio, m.debt_to_equity, m.interest_coverage) == (1.5, 0.625, 6)
    assert m.revenue_growth == pytest.approx(0.25)
    assert m.earnings_growth == pytest.approx(-0.2)
    assert m.book_value_growth is None  # from a base of 0
    assert m.peg is None  # earnings fall
    assert (m.book_value_per_share, m.free_cash_flow_per_share) == (16, 4)


def test_recorded_metrics_count_from_the_last_legal_day_of_filing() -> None:
    found = financial_datasets.metrics((PAYLOADS / "AAPL.metrics.json").read_bytes(), "AAPL")
    assert [m.end for m in found] == sorted((m.end for m in found), reverse=True)
    newest = found[0]
    assert (newest.end, newest.filed) == (date(2023, 12, 30), date(2024, 2, 13))  # a first quarter: 45 days
    assert (newest.return_on_equity, newest.debt_to_equity, newest.peg) == (1.56, 3.771, 6.472502805727131)
    assert newest.interest_coverage is None
    fourth = next(m for m in found if m.end == date(2023, 9, 30))
    assert fourth.filed == date(2023, 12, 29)  # a fourth: 90 days


def test_of_recorded_insider_trades_those_for_money_count() -> None:
    recorded = json.loads((PAYLOADS / "AAPL.insider_trades.json").read_bytes())["insider_trades"]
    found = financial_datasets.trades((PAYLOADS / "AAPL.insider_trades.json").read_bytes(), "AAPL")
    paid = [t for t in recorded if t["transaction_shares"] and t["transaction_price_per_share"]]
    assert 0 < len(found) == len(paid) < len(recorded)
    assert {(t.name, t.shares) for t in found} == {(t["name"], t["transaction_shares"]) for t in paid}


def test_recorded_prices_and_news_decode() -> None:
    prices = financial_datasets.prices((PAYLOADS / "AAPL.prices.json").read_bytes(), "AAPL")
    assert prices is not None
    assert prices.days[0] == date(2024, 3, 1)
    assert len(prices) == 6
    news = financial_datasets.news((PAYLOADS / "AAPL.news.json").read_bytes(), "AAPL")
    assert news[0].published == date(2024, 3, 8)
    assert news[0].tone is None


# Apple's statements of fiscal 2023 (Form 10-K of 2023-11-03) under FMP's names.
INCOME = {
    "date": "2023-09-30",
    "period": "FY",
    "revenue": 383285000000,
    "grossProfit": 169148000000,
    "operatingIncome": 114301000000,
    "netIncome": 96995000000,
    "weightedAverageShsOutDil": 15812547000,
}
CASH_FLOW = {
    "date": "2023-09-30",
    "period": "FY",
    "operatingCashFlow": 110543000000,
    "capitalExpenditure": -10959000000,
    "commonStockRepurchased": -77550000000,
}


@pytest.mark.parametrize(
    ("filed", "eps", "paid"),
    [("filingDate", "epsDiluted", "commonDividendsPaid"), ("fillingDate", "epsdiluted", "dividendsPaid")],
)
def test_statements_of_fmp_decode_in_both_spellings(filed: str, eps: str, paid: str) -> None:
    income = json.dumps([{**INCOME, filed: "2023-11-03", eps: 6.13}]).encode()
    cash = json.dumps([{**CASH_FLOW, filed: "2023-11-04", paid: -15025000000}]).encode()
    (year,) = fmp.annual_items([(income, "income"), (cash, "cash")])
    assert (year.end, year.filed) == (date(2023, 9, 30), date(2023, 11, 4))
    assert (year.earnings_per_share, year.dividends, year.buybacks) == (6.13, 15_025_000_000, 77_550_000_000)
    assert year.free_cash_flow == 110_543_000_000 - 10_959_000_000
    assert year.total_debt is None


@pytest.mark.parametrize(
    ("read", "payload", "told"),
    [
        (decode, b"{", "companyfacts"),
        (decode, b'{"facts": {"us-gaap": {"Revenues": {"units": {"USD": [{"end": "x"}]}}}}}', "RFC3339"),
        (financial_datasets.metrics, b'{"financial_metrics": [{"period": "ttm"}]}', "report_period"),
        (
            financial_datasets.metrics,
            b'{"financial_metrics": [{"report_period": "2023-01-01", "period": 3}]}',
            "per",
        ),
        (
            financial_datasets.prices,
            b'{"prices": [{"time": "?", "high": 1, "low": 1, "close": 1, "volume": 1}]}',
            "ISO",
        ),
        (financial_datasets.news, b'{"error": "limit reached"}', "news"),
        (lambda p, w: fmp.annual_items([(p, w)]), b'{"Error Message": "Limit Reach ."}', "FMP"),
        (lambda p, w: fmp.annual_items([(p, w)]), b'[{"date": "2023-09-30", "period": "FY"}]', "filingDate"),
    ],
)
def test_a_wrong_answer_is_refused_by_name(read: Any, payload: bytes, told: str) -> None:
    with pytest.raises(InputError, match=told):
        read(payload, "AAPL.json")


def bars(folder: Path, days: list[str], close: list[float | None]) -> None:
    stamps = pa.array([date.fromisoformat(d) for d in days]).cast(pa.timestamp("us", "UTC"))
    prices = dict.fromkeys(("open", "high", "low", "close"), close)
    volume = [100.0] * len(days)
    pq.write_table(
        pa.table({"symbol": ["SNOW"] * len(days), "ts": stamps, **prices, "volume": volume}),
        folder / "bars.parquet",
    )


async def test_a_folder_gives_the_price_of_the_day_and_of_the_filing(tmp_path: Path) -> None:
    (tmp_path / "fundamentals").mkdir()
    (tmp_path / "fundamentals" / "SNOW.companyfacts.json.gz").write_bytes(gzip.compress(SNOW.read_bytes()))
    bars(tmp_path, ["2025-03-20", "2025-05-30", "2025-06-02", "2025-06-03"], [150.0, None, 210.0, 999.0])
    records = await Folder(tmp_path).records("SNOW")
    assert records.newest == date(2025, 6, 3)
    found = company("SNOW", records, date(2025, 1, 1), date(2025, 6, 2))
    assert found.price == 210
    assert found.market_cap == 210 * 333_700_000
    filed = next(m for m in found.metrics if m.end == date(2025, 1, 31))
    assert filed.market_cap == 150 * 334_100_000  # filed on 2025-03-21: the close of the day before
    assert "prices" not in found.missing
    assert found.missing == ("insider trades", "news")


def test_the_beta_by_hand() -> None:
    # The stock moves twice as far as the market each day: beta 2. On fewer than 60 common returns: none.
    moves = [0.01, -0.02, 0.005, 0.015, -0.01] * 14
    days = tuple(date(2024, 1, 1) + timedelta(days=i) for i in range(71))
    close, market = [100.0], [50.0]
    for move in moves:
        close.append(close[-1] * (1 + 2 * move))
        market.append(market[-1] * (1 + move))

    def prices(values: list[float], count: int = 71) -> Prices:
        kept = tuple(values[-count:])
        return Prices(days=days[-count:], high=kept, low=kept, close=kept, volume=kept)

    assert beta(prices(close), prices(market)) == pytest.approx(2)
    assert beta(prices(close), prices(market, 60)) is None
    assert beta(prices(close), prices([50.0] * 71)) is None
    found = company("A", Records(prices=prices(close)), days[0], days[-1], prices(market))
    assert found.beta == pytest.approx(2)
    later = company("A", Records(prices=prices(close)), days[0], days[-1] + timedelta(days=8), prices(market))
    assert later.beta is None
    assert later.missing[2] == f"prices since {days[-1]}"


async def test_a_stale_price_is_no_price(tmp_path: Path) -> None:
    bars(tmp_path, ["2025-05-01"], [150.0])
    records = await Folder(tmp_path).records("SNOW")
    assert company("SNOW", records, date(2025, 1, 1), date(2025, 5, 8)).price == 150
    found = company("SNOW", records, date(2025, 1, 1), date(2025, 5, 9))
    assert found.prices is None
    assert "prices since 2025-05-01" in found.missing


def test_statements_of_long_ago_are_none(snow: Facts) -> None:
    asof = date(2025, 4, 30) + timedelta(days=550)
    assert company("SNOW", Records(facts=snow), asof - YEAR, asof).items
    found = company("SNOW", Records(facts=snow), asof - YEAR, asof + timedelta(days=1))
    assert not found.items
    assert not found.metrics
    assert not found.annual_items


async def test_a_folder_merges_what_each_file_has(tmp_path: Path) -> None:
    fundamentals = tmp_path / "fundamentals"
    fundamentals.mkdir()
    for path in PAYLOADS.glob("AAPL.*"):
        shutil.copy(path, fundamentals)
    records = await Folder(tmp_path).records("AAPL")
    found = company("AAPL", records, date(2024, 3, 1), date(2024, 3, 8))
    assert found.market_cap == 2994371342560.0
    assert found.price == 170.73
    assert found.trades
    assert found.news
    assert found.missing == ("statements",)
    assert (await Folder(tmp_path).records("MSFT")).newest is None


async def test_an_hourly_file_is_no_daily_one() -> None:
    assert (await Folder(SAMPLE).records("BTCUSD")).prices is None
    apple = (await Folder(SAMPLE).records("AAPL")).prices
    assert apple is not None
    assert len(apple) == 1259


async def test_wrong_files_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a folder"):
        Folder(tmp_path / "nowhere")
    (tmp_path / "x.parquet").write_bytes(b"no parquet")
    with pytest.raises(InputError, match=r"x\.parquet"):
        await Folder(tmp_path).records("SNOW")
    (tmp_path / "x.parquet").unlink()
    (tmp_path / "fundamentals").mkdir()
    (tmp_path / "fundamentals" / "SNOW.news.json.gz").write_bytes(b"not packed")
    with pytest.raises(InputError, match=r"SNOW\.news\.json"):
        await Folder(tmp_path).records("SNOW")


def test_a_company_refuses_what_came_later() -> None:
    day = date(2024, 1, 1)
    late = News(published=day + timedelta(days=1), title="tomorrow's")
    with pytest.raises(InvariantError, match="later"):
        Company(ticker="A", start=day, asof=day, news=(late,))
    prices = Prices(days=(late.published,), high=(1.0,), low=(1.0,), close=(1.0,), volume=(1.0,))
    with pytest.raises(InvariantError, match="later"):
        Company(ticker="A", start=day, asof=day, prices=prices)
