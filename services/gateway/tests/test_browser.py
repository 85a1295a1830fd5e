"""The page in a real browser over a whole running stack: every view, with the numbers of the owners."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from playwright.sync_api import Browser, Page, expect
from tests.browsing import CHROMIUM, DESKTOP, PHONE, WAIT_MS, Window, check_whole, chromium
from tests.running import ROOT, Running, until

from heliograph.common.bus import Bus
from heliograph.common.errors import UnavailableError
from heliograph.common.events import Signal, encode
from heliograph.common.shards import shard_of
from heliograph.common.standing import Standing, standing
from heliograph.common.subjects import encode_symbol
from heliograph.stack.commands.connection import connected
from heliograph.stack.state import State

SCRIPT = "<script>alert(1)</script>"
SHARDS = 4
LAST_DAY = datetime(2013, 9, 1, tzinfo=UTC)
PACE = "2592000x"
"""Thirty days a second: the replay takes some seconds, in which the first test watches it."""
FIRST_LOAD_BYTES = 180_000
WITHIN_S = 1.0
"""From the publication of a signal to its row."""

T = TypeVar("T")
Make = Callable[..., Any]

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium: apt-get install chromium"),
    pytest.mark.timeout(600),
]
expect.set_options(timeout=WAIT_MS)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some months of the sample's stocks, and the panel's filings."""
    folder = tmp_path_factory.mktemp("data")
    table = pq.read_table(ROOT / "data" / "sample" / "sp500_daily.parquet")
    some = pc.less(table["ts"], pa.scalar(LAST_DAY, table["ts"].type))
    pq.write_table(table.filter(some), folder / "sp500_daily.parquet")
    (folder / "fundamentals").symlink_to(ROOT / "data" / "sample" / "fundamentals")
    return folder


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Iterator[Running]:
    """A running stack that replays at a pace."""
    arguments = ("--data", str(data), "--speed", PACE, "--shards", str(SHARDS), "--port", "0", "--json")
    running = Running(tmp_path_factory.mktemp("stack"), *arguments)
    until(lambda: recorded(running) or running.process.poll() is not None, "recorded signals", 240)
    yield running
    assert running.stop() == 0, running.text()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


def ask(stack: Running, act: Callable[[Bus], Awaitable[T]]) -> T:
    """Do something on the stack's bus; in a thread, since the browser's loop runs in this one."""

    async def work() -> T:
        async with connected(State(stack.folder / "state")) as bus:
            return await act(bus)

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: asyncio.run(work())).result()


def owner(stack: Running, subject: str, **body: Any) -> Any:
    """What the owner of the data answers."""
    return ask(stack, lambda bus: bus.request(subject, body, timeout=60))


def recorded(stack: Running) -> bool:
    """Whether the tracker answers and has signals, of which the archive has bars."""
    if not stack.messages("SIGNAL"):
        return False
    try:
        signals: int = owner(stack, "query.tracker.stats")["signals"]
        bars: int = owner(stack, "query.archiver.counts")["bars"]
    except UnavailableError:
        return False
    return signals > 0 and bars > 0


def publish(stack: Running, signal: Signal) -> float:
    """Publish a signal as the consensus does; when, in seconds since 1970."""

    async def send(bus: Bus) -> float:
        subject = f"signal.{shard_of(signal.symbol, SHARDS)}.{encode_symbol(signal.symbol)}"
        began = time.time()
        await bus.js.publish(subject, encode(signal), headers={"Nats-Msg-Id": signal.id})
        return began

    return ask(stack, send)


@pytest.fixture
def windows(browser: Browser, stack: Running) -> Iterator[Callable[..., Window]]:
    """Open windows on the stack's page; none may see an error, a warning or a request to anybody else.

    On a machine with too much to do an owner may answer too late: the gateway says 503, the page shows it and
    asks again, and that is no fault of the page.
    """
    opened: list[Window] = []
    home = until(lambda: stack.run_file().get("urls", {}).get("gateway"), "the page's address")

    def visit(**options: Any) -> Window:
        opened.append(Window(browser, home, **options))
        return opened[-1]

    yield visit
    check_whole(opened, "status of 503")


@pytest.fixture(scope="module")
def settled(stack: Running) -> Running:
    """The stack when every signal of the replay is recorded and the numbers stand still."""

    def same() -> bool:
        if not replayed(stack):
            return False
        first, second = (owner(stack, "query.tracker.stats") for _ in range(2))
        archived = owner(stack, "query.archiver.counts")
        counted = [stack.messages("SIGNAL"), second["reasons"], archived["reasons"]]
        return (
            first == second
            and counted == [second["signals"]] * 3
            and archived["outcomes"] == second["outcomes"]
        )

    until(same, "the end of the replay", 240)
    return stack


def replayed(stack: Running) -> bool:
    """Whether the fetchers have published all that they read."""

    async def look(bus: Bus) -> bool:
        answers: list[Any] = await bus.ask_all("status.all", {}, 0.5)
        found = [one["status"]["done"] for one in answers if one["service"] == "fetcher"]
        return bool(found) and all(found)

    return ask(stack, look)


def cells(page: Page, table: str, row: str) -> dict[str, str]:
    """The cells of a row by the names of their columns."""
    found = page.locator(f"table.{table} tbody tr").filter(
        has=page.get_by_role("rowheader", name=row, exact=True)
    )
    asked = "(row) => [...row.cells].map((cell) => [cell.dataset.label, cell.innerText])"
    return dict(found.first.evaluate(asked))


def figures(page: Page) -> dict[str, str]:
    """The chief figures of a page by their names."""
    asked = (
        "(all) => all.map((one) => [one.querySelector('dt').innerText, one.querySelector('dd').innerText])"
    )
    return dict(page.locator(".figure").evaluate_all(asked))


def test_signals_show_as_they_are_published_and_texts_stay_texts(
    windows: Callable[..., Window], stack: Running, make_signal: Make
) -> None:
    page = windows().open()
    expect(page.locator("#link-text")).to_have_text("Live")
    first = page.locator(".row").first
    expect(first).to_be_visible()
    for day in (2000, 2001):  # later than any of the replay, which goes on: the first row
        signal = make_signal(SCRIPT, day=day)
        publish(stack, signal)
        expect(first).to_have_attribute("data-id", signal.id)
    expect(first.locator(".symbol")).to_have_text(SCRIPT)
    expect(first.locator(".reason")).to_contain_text(f"BUY {SCRIPT} at 100.00")
    first.click()
    expect(page.locator("h1")).to_have_text(SCRIPT)
    expect(page.locator(".prose")).to_contain_text(f"BUY {SCRIPT} at 100.00")
    expect(page.locator(".panel-outcome")).to_contain_text("Still open")
    assert page.locator("main script, main img").count() == 0


def test_a_run_of_the_panel_is_begun_followed_and_kept(
    windows: Callable[..., Window], stack: Running
) -> None:
    page = windows().open("panel")
    page.get_by_label("Tickers").fill("snow")
    page.get_by_role("button", name="Ask the panel").click()
    expect(page.locator("h1")).to_have_text("Panel run")
    expect(page.locator(".page-note")).to_have_text("SNOW: 17 of 17 agents have ended")
    expect(page.locator("table.predictions tbody tr")).to_have_count(15)
    run = page.url.rsplit("/", 1)[1]
    kept = owner(stack, "query.reasoning.run", run=run)
    [verdict] = kept["verdicts"]
    assert figures(page)["do"] == f"{verdict['action']} {verdict['quantity'] or ''}".strip()
    assert figures(page)["with an opinion"] == f"{verdict['agents']} agents"
    graham = next(said for said in verdict["predictions"] if said["agent"] == "ben_graham")
    assert cells(page, "predictions", "ben graham")["Why"] == graham["reasoning"]
    page.get_by_role("link", name="All runs").click()
    expect(page.locator("table.runs")).to_contain_text(run)


def test_the_first_load_is_small_and_leaves_the_charts_for_later(
    windows: Callable[..., Window], settled: Running
) -> None:
    window = windows()
    page = window.open()
    expect(page.locator(".row").first).to_be_visible()
    asked = "performance.getEntriesByType('resource').map((one) => [one.name, one.encodedBodySize])"
    loaded = {name: size for name, size in page.evaluate(asked) if "/static/" in name}
    assert sum(loaded.values()) < FIRST_LOAD_BYTES
    assert not any("lightweight-charts" in name for name in loaded)
    page.locator(".row").nth(5).click()
    expect(page.locator(".chart canvas").first).to_be_visible()
    assert any("lightweight-charts" in name for name, _ in page.evaluate(asked))


async def whole_standing(bus: Bus) -> Standing:
    """How the open signals of all shards stand, asked until all have told."""
    while (found := await standing(bus, limit=50)).missing_shards:
        await asyncio.sleep(0.1)
    return found


def signed(value: float) -> str:
    """A number as the page writes it, with its sign."""
    return f"{value:+.2f}".replace("-0.00", "+0.00").replace("-", "−")


def test_the_symbols_are_those_of_the_record(windows: Callable[..., Window], settled: Running) -> None:
    page = windows().open("symbols")
    expect(page.locator("table.symbols")).to_be_visible()
    found = owner(settled, "query.tracker.symbols", limit=500)["symbols"]
    assert page.locator("table.symbols tbody tr").count() == len(found)
    one = next(each for each in found if each["symbol"] == "AAPL")
    shown = cells(page, "symbols", "AAPL")
    assert [int(shown[k]) for k in ("Signals", "Open", "Won", "Lost", "Expired")] == [
        one[k] for k in ("signals", "open", "wins", "losses", "expired")
    ]
    assert shown["Win rate"] == f"{100 * one['win_rate']:.1f}\u00a0%"
    closes = owner(settled, "query.archiver.closes", symbols=["AAPL"])["closes"]
    assert float(shown["Last close"]) == pytest.approx(closes["AAPL"]["close"], abs=0.005)
    page.get_by_role("link", name="AAPL", exact=True).click()
    expect(page.get_by_label("Show one symbol only")).to_have_value("AAPL")
    expect(page.locator(".row")).to_have_count(min(100, one["signals"]))


def test_the_outcomes_are_those_of_the_record(windows: Callable[..., Window], settled: Running) -> None:
    page = windows().open("outcomes")
    expect(page.locator(".equity canvas").first).to_be_visible()
    [whole] = owner(settled, "query.tracker.statistics")["groups"]
    days = owner(settled, "query.tracker.performance")
    shown = figures(page)
    assert [int(shown[k].replace(",", "")) for k in ("won", "lost", "expired")] == [
        whole[k] for k in ("wins", "losses", "expired")
    ]
    assert shown["win rate"] == f"{100 * whole['win_rate']:.1f}\u00a0%"
    assert float(shown["profit factor"]) == pytest.approx(whole["profit_factor"], abs=0.005)
    assert shown["worst drawdown"] == f"−{abs(days['max_drawdown_r']):.1f} R"
    expected = f"{owner(settled, 'query.tracker.stats')['open']:,}"
    # Asked again every ten seconds: a tracker with too much to do may answer too late for one question.
    until(lambda: figures(page).get("still open") == expected, "the open signals of all shards", 120)
    rows = page.locator("table.positions tbody tr")
    open_ones = ask(settled, whole_standing).positions
    assert rows.locator("th").all_inner_texts() == [each.symbol for each in open_ones]
    assert rows.first.locator("[data-label='R so far']").inner_text() == signed(open_ones[0].r_multiple)
    newest = owner(settled, "query.tracker.outcomes", limit=50)["outcomes"]
    names = page.locator("table.outcomes tbody th")
    assert names.all_inner_texts() == [each["symbol"] for each in newest]
    page.get_by_label("How they ended").select_option("expired")
    expect(page.locator("table.outcomes .badge-win")).to_have_count(0)
    expired = owner(settled, "query.tracker.outcomes", limit=50, result="expired")["outcomes"]
    expect(names).to_have_text([each["symbol"] for each in expired])
    page.get_by_label("How they ended").select_option("")
    expect(names).to_have_count(50)
    page.get_by_role("button", name="Show older outcomes").click()
    expect(names).to_have_count(min(100, whole["outcomes"]))


def test_one_signal_agrees_with_its_record_and_its_ledger(
    windows: Callable[..., Window], settled: Running
) -> None:
    ended = owner(settled, "query.tracker.outcomes", limit=1, symbol="AAPL")["outcomes"][0]
    found = owner(settled, "query.tracker.signal", id=ended["signal"])
    page = windows().open(f"signal/{found['id']}")
    expect(page.locator(".panel-verification .state-ok")).to_have_text("as it was written")
    expect(page.locator(".check", has_text="computed here")).to_contain_text("it is the recorded one")
    expect(page.locator(".span-row").first).to_be_visible()
    plan = page.locator(".panel-plan").inner_text().split("\n")
    for name, term in (("entry", "entry"), ("stop", "stop, risk"), ("target", "target, gain")):
        assert float(plan[plan.index(term) + 1].replace(",", "")) == pytest.approx(found[name], abs=0.005)
    expect(page.locator(".prose")).to_have_text(found["reason"]["text"])
    total = sum(vote["weight"] * vote["direction"] * vote["confidence"] for vote in found["votes"])
    expect(page.locator(".adding strong").first).to_have_text(f"{total:+.3f}".replace("-", "−"))
    expect(page.locator(".adding strong").last).to_have_text(f"{found['raw_confidence']:.2f}")
    expect(page.locator(".panel-record")).to_contain_text(found["sha256"])


def test_calibration_sources_and_spend_are_those_of_their_owners(
    windows: Callable[..., Window], settled: Running
) -> None:
    window = windows()
    page = window.open("calibration")
    expect(page.locator("svg.plot circle").first).to_be_visible()
    [used] = owner(settled, "query.tracker.calibration")["calibrations"]
    assert figures(page)["version"] == used["version"]
    assert figures(page)["outcomes it saw"] == f"{used['outcomes']:,}"
    window.open("sources")
    expect(page.locator("table.sources")).to_be_visible()
    for source in owner(settled, "query.tracker.sources", last=100)["sources"]:
        shown = cells(page, "sources", source["source"])
        assert [int(shown[k]) for k in ("Votes", "Right", "Wrong")] == [
            source["all"][k] for k in ("votes", "right", "wrong")
        ]
    expect(page.locator("table.providers")).to_contain_text("replay")
    window.open("spend")
    expect(page.locator(".figure").first).to_be_visible()
    spent = owner(settled, "query.reasoning.spend")
    assert figures(page)["today"] == f"${spent['total']:.2f}"
    assert figures(page)["signals explained"] == f"{spent['signals']:,}"


VIEWS = {
    "": ".row",
    "symbols": "table.symbols",
    "outcomes": "table.outcomes",
    "calibration": "svg.plot",
    "sources": "table.sources",
    "spend": ".headline",
    "panel": ".run-form",
    "alerts": "main .notice, main .alert",
    "system": "table.health",
}


def test_every_view_fits_a_phone_and_has_no_serious_fault_of_accessibility(
    windows: Callable[..., Window], settled: Running
) -> None:
    window = windows(scheme="dark")
    page = window.open()
    newest = owner(settled, "query.tracker.signals", limit=1)["signals"][0]["id"]
    run = owner(settled, "analyze", tickers=["SNOW"])["run"]
    one_of_many = {f"signal/{newest}": ".panel-verification .check", f"run/{run}": "table.predictions"}
    for view, whole in {**VIEWS, **one_of_many}.items():
        window.open(view)
        expect(page.locator(whole).first).to_be_visible()
        for size, scheme, bright in ((DESKTOP, "dark", False), (PHONE, "light", True)):
            page.set_viewport_size(size)
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]  # one of its words
            assert window.fits(), (view, size)
            assert window.faults() == [], (view, scheme)
            ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
            assert (sum(map(int, ground.strip("rgb()").split(","))) > 600) == bright


def test_the_keyboard_goes_through_the_pages_and_the_list(
    windows: Callable[..., Window], settled: Running
) -> None:
    page = windows().open()
    expect(page.locator(".row").nth(1)).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.locator("#tabs a").first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("Symbols")
    expect(page.locator("h1")).to_be_focused()
    page.keyboard.press("Escape")
    page.locator(".row").first.focus()
    page.keyboard.press("ArrowDown")
    second = page.locator(".row").nth(1)
    expect(second).to_be_focused()
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    chosen = second.get_attribute("data-id")
    page.keyboard.press("Enter")
    expect(page.locator(".signal-head h1")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator(f'.row[data-id="{chosen}"]')).to_be_focused()
    page.locator("#theme").focus()
    page.keyboard.press("Enter")
    assert page.evaluate("document.documentElement.dataset.theme") == "light"


def test_one_symbol_and_older_signals_on_request(windows: Callable[..., Window], settled: Running) -> None:
    page = windows().open()
    expect(page.locator(".row")).to_have_count(100)
    page.get_by_role("button", name="Show older signals").click()
    expect(page.locator(".row")).to_have_count(200)
    page.get_by_label("Show one symbol only").fill("brk.b")
    found = owner(settled, "query.tracker.signals", symbol="BRK.B", limit=100)["signals"]
    expect(page.locator(".row .symbol")).to_have_text(["BRK.B"] * len(found))


def test_the_system_shows_every_service_and_the_totals_of_the_record(
    windows: Callable[..., Window], settled: Running
) -> None:
    page = windows().open("system")
    again = page.get_by_role("button", name="Measure again")

    def measured() -> bool:
        again.click()
        page.wait_for_timeout(1000)
        return page.locator("table.latency").is_visible()

    until(measured, "a trace of the newest signals", 60)
    services = ["archiver", "consensus", "fetcher", "gateway", "reasoning", "tracker"]
    expect(page.locator(".service-name")).to_have_text(services)
    stats = owner(settled, "query.tracker.stats")
    expect(page.locator(".counter-signals dd")).to_have_text(f"{stats['signals']:,}")
    expect(page.locator(".counter-wins dd")).to_have_text(f"{stats['wins']:,}")


APPEARED = """() => {
    window.appeared = {};
    new MutationObserver(() => document.querySelectorAll('.row').forEach(({ dataset: { id } }) => {
        window.appeared[id] ??= Date.now() / 1000;
    })).observe(document.querySelector('.list'), { childList: true, subtree: true });
}"""


def test_a_new_signal_stands_on_the_page_within_a_second(
    windows: Callable[..., Window], settled: Running, make_signal: Make
) -> None:
    """The quickest of some signals, since on a machine with too much to do any of them may be held up."""
    page = windows().open()
    expect(page.locator("#link-text")).to_have_text("Live")
    expect(page.locator(".row").first).to_be_visible()
    page.evaluate(APPEARED)
    took: list[float] = []
    for number in range(20):
        signal = make_signal("SOON", day=2002 + number)
        published = publish(settled, signal)
        expect(page.locator(".row").first).to_have_attribute("data-id", signal.id)
        took.append(page.evaluate("(id) => window.appeared[id]", signal.id) - published)
        if took[-1] <= WITHIN_S:
            return
    pytest.fail(f"seconds from the bus to the page: {took}")
