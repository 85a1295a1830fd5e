"""The report: one file, drawn in a real browser without network, with the figures in it."""

from collections.abc import Iterator
from pathlib import Path
from shutil import which

import pytest
from playwright.sync_api import Page, sync_playwright

from heliograph.common.errors import InputError
from heliograph.lab.backtest import Job, run
from heliograph.lab.commands.backtest import backtest
from heliograph.lab.report.page import render, write_report
from heliograph.lab.strategy import live_strategy
from heliograph.lab.summary import summarise

from .conftest import MakeFolder

CHROMIUM = which("chromium") or which("chromium-browser") or which("google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]


@pytest.fixture
def page() -> Iterator[Page]:
    """A page of a real browser."""
    if CHROMIUM is None:
        pytest.skip("no chromium here")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser.new_page()
        browser.close()


def test_it_draws_itself_without_any_request(
    walks: MakeFolder, tmp_path: Path, page: Page, capsys: pytest.CaptureFixture[str]
) -> None:
    html = tmp_path / "report.html"
    assert backtest(walks({"A<b>&": 400, "MSFT": 300}), html=html) == 0
    asked: list[str] = []
    wrong: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    page.goto(html.as_uri())
    page.wait_for_selector(".candlestick-trace, .boxlayer")
    assert page.locator(".chart .main-svg").first.is_visible()
    assert page.locator(".chart .js-plotly-plot").count() == 5
    assert page.locator(".verdict").inner_text().startswith("Nothing")
    assert "A<b>&" in page.locator(".gtitle").all_text_contents()
    assert asked == [html.as_uri()]
    assert wrong == []
    assert capsys.readouterr().out


def test_its_figures_are_those_of_the_summary(walks: MakeFolder) -> None:
    job = Job(folder=walks({"AAPL": 500}), strategy=live_strategy())
    result = run(job)
    summary = summarise(job, result)
    text = render(job, result, summary)
    assert summary.verdict.split("(")[0] in text
    assert summary.signals_sha256 in text
    assert f"{100 * summary.portfolio.max_drawdown:.2f} %" in text
    for regime in summary.regimes:
        assert f"<td>{regime}</td>" in text


def test_without_signals_it_says_so(walks: MakeFolder, tmp_path: Path) -> None:
    job = Job(folder=walks({"FEW": 20}), strategy=live_strategy())
    result = run(job)
    write_report(tmp_path / "none.html", job, result, summarise(job, result))
    text = (tmp_path / "none.html").read_text()
    assert "No signals." in text
    assert "too few bars" in text


def test_a_place_that_cannot_be_written_is_named(walks: MakeFolder) -> None:
    job = Job(folder=walks({"FEW": 20}), strategy=live_strategy())
    result = run(job)
    with pytest.raises(InputError, match=r"html: '/no/such/folder/report.html'"):
        write_report(Path("/no/such/folder/report.html"), job, result, summarise(job, result))
