"""The page in a real browser, on the real bus: it shows, it opens, it follows, and nothing of it breaks."""

import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page, ViewportSize, async_playwright, expect

from heliograph.common.bus import Bus
from heliograph.common.events import Outcome, Reason, Signal
from heliograph.gateway.service import GatewayService

expect.set_options(timeout=20_000)

CHROMIUM = "/usr/bin/chromium" if Path("/usr/bin/chromium").exists() else shutil.which("chromium")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
DESKTOP = ViewportSize(width=1400, height=900)
PHONE = ViewportSize(width=375, height=812)
SCRIPT = "<script>alert(1)</script>"
IMAGE = "<img src=x onerror=alert(2)>"

expect.set_options(timeout=20_000)  # other tests may share the machine
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium: apt-get install chromium")

OpenPage = Callable[..., Awaitable[Page]]
Publish = Callable[..., Awaitable[None]]


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        running = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield running
        await running.close()


@pytest.fixture
async def open_page(browser: Browser, gateway: GatewayService) -> AsyncIterator[OpenPage]:
    """Open an address of the gateway; at the end no page may have reported an error or asked anybody else."""
    problems: list[str] = []

    async def visit(path: str = "/", size: ViewportSize = DESKTOP, scheme: Any = "dark") -> Page:
        context = await browser.new_context(viewport=size, color_scheme=scheme)
        page = await context.new_page()
        page.on("pageerror", lambda error: problems.append(f"error: {error}"))
        page.on("console", lambda m: problems.append(m.text) if m.type in {"error", "warning"} else None)
        page.on("dialog", lambda dialog: problems.append(f"dialog: {dialog.message}"))
        page.on(
            "request",
            lambda r: None if r.url.startswith(gateway.url) else problems.append(f"asked {r.url}"),
        )
        await page.goto(f"{gateway.url}{path}")
        return page

    yield visit
    assert problems == []


@pytest.fixture
def told(
    owners: Any,
    make_signal: Callable[..., Signal],
    make_reason: Callable[..., Reason],
    make_outcome: Callable[..., Outcome],
) -> list[Signal]:
    """Three signals that the tracker knows: won, open, and one whose texts try to be code."""
    won, opened, hostile = make_signal("AAPL", day=1), make_signal("BRK.B", day=2), make_signal(SCRIPT, day=3)
    owners.add(won, make_reason(won), make_outcome(won))
    owners.add(opened, make_reason(opened))
    owners.add(hostile, make_reason(hostile, IMAGE))
    return [hostile, opened, won]


async def fits(page: Page) -> bool:
    """Whether nothing is wider than the screen."""
    return bool(await page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


@pytest.mark.parametrize("scheme", ["dark", "light"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
async def test_the_page_shows_signals_one_signal_and_the_system(
    open_page: OpenPage, told: list[Signal], size: ViewportSize, scheme: str
) -> None:
    page = await open_page("/", size, scheme)
    await expect(page.locator("#link-text")).to_have_text("Live")
    rows = page.locator(".row")
    await expect(rows).to_have_count(3)
    await expect(rows.nth(2)).to_contain_text("+2.00 R")
    await expect(rows.nth(1)).to_contain_text("Open")
    await expect(page.locator(".counter-signals dd")).to_have_text("3")
    assert await fits(page)
    await rows.nth(2).click()
    await expect(page.locator("h1")).to_have_text("AAPL")
    await expect(page.locator(".chart canvas").first).to_be_visible()
    await expect(page.locator(".span-row")).to_have_count(4)
    await expect(page.locator(".adding")).to_contain_text("+0.780")
    await expect(page.locator(".adding")).to_contain_text("81.90")
    await expect(page.locator(".panel-record")).to_contain_text(told[2].sha256)
    assert await fits(page)
    await page.goto(page.url.split("#")[0] + "#/system")
    await expect(page.locator(".grid-table").last).to_contain_text("SIGNAL")
    assert await fits(page)
    ground = await page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, ground.strip("rgb()").split(","))) > 600) == (scheme == "light")


async def test_bars_that_are_archived_later_are_shown_then(
    open_page: OpenPage, owners: Any, told: list[Signal]
) -> None:
    owners.bars_are_late = 1
    page = await open_page(f"/#/signal/{told[2].id}")
    await expect(page.locator(".chart")).to_contain_text("No bars are archived here yet")
    await expect(page.locator(".chart canvas").first).to_be_visible()


async def test_a_long_wait_in_a_trace_is_cut_and_the_rest_keeps_its_measure(
    open_page: OpenPage, owners: Any
) -> None:
    page = await open_page()
    scale = """async (spans) => {
        const { timeScale } = await import("/static/js/waterfall.js");
        const { place, cuts } = timeScale(spans.map(([start_ns, end_ns]) => ({ start_ns, end_ns })));
        const places = spans.map((times) => times.map(place));
        return { cuts: cuts.map((cut) => cut.length), places };
    }"""
    weeks = 30 * 86_400 * 10**9
    found = await page.evaluate(scale, [[0, 100], [40, 60], [100, 200], [weeks, weeks + 200]])
    assert found["cuts"] == [weeks - 200]
    whole = 200 + 20 + 200  # the work and one cut of a twentieth of it
    expected = [(0, 100), (40, 60), (100, 200), (220, 420)]
    for (start, end), (left, right) in zip(expected, found["places"], strict=True):
        assert left == pytest.approx(start / whole)
        assert right == pytest.approx(end / whole)
    assert (await page.evaluate(scale, [[5, 5]]))["places"] == [[0, 0]]


async def test_what_is_published_shows_as_it_comes(
    open_page: OpenPage,
    owners: Any,
    publish: Publish,
    make_signal: Callable[..., Signal],
    make_reason: Callable[..., Reason],
    make_outcome: Callable[..., Outcome],
) -> None:
    page = await open_page()
    await expect(page.locator(".notice")).to_contain_text("Waiting for the first signal")
    await expect(page.locator("#link-text")).to_have_text("Live")
    signal = make_signal("NVDA")
    owners.add(signal)
    await publish(make_reason(signal, "The reason came first."), signal)
    row = page.locator(".row")
    await expect(row).to_contain_text("NVDA")
    await expect(row).to_contain_text("The reason came first.")
    await expect(row).to_contain_text("Open")
    await expect(page.locator("#announcer")).to_contain_text("BUY NVDA at 100, confidence 61")
    await row.click()
    await expect(page.locator(".panel-outcome")).to_contain_text("Still open")
    await publish(make_outcome(signal))
    await expect(page.locator(".panel-outcome")).to_contain_text("106.00")
    await expect(page.locator(".signal-head")).to_contain_text("Won")


async def test_texts_that_try_to_be_code_stay_texts(open_page: OpenPage, told: list[Signal]) -> None:
    page = await open_page()
    row = page.locator(".row").first
    await expect(row.locator(".symbol")).to_have_text(SCRIPT)
    await expect(row.locator(".reason")).to_have_text(IMAGE)
    await row.click()
    await expect(page.locator("h1")).to_have_text(SCRIPT)
    await expect(page.locator(".prose")).to_have_text(IMAGE)
    assert await page.locator("main script, main img").count() == 0


async def test_the_keyboard_does_everything(open_page: OpenPage, told: list[Signal]) -> None:
    page = await open_page()
    await expect(page.locator(".row")).to_have_count(3)
    await page.locator(".row").first.focus()
    await page.keyboard.press("ArrowDown")
    await expect(page.locator(".row").nth(1)).to_be_focused()
    outline = await page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    await page.keyboard.press("Enter")
    await expect(page.locator("h1")).to_have_text("BRK.B")
    await page.keyboard.press("Escape")
    await expect(page.locator(f'.row[data-id="{told[1].id}"]')).to_be_focused()
    await page.locator("#theme").focus()
    await page.keyboard.press("Enter")
    assert await page.evaluate("document.documentElement.dataset.theme") == "light"


async def test_one_symbol_only(
    open_page: OpenPage, told: list[Signal], publish: Publish, make_signal: Callable[..., Signal]
) -> None:
    page = await open_page()
    await expect(page.locator(".row")).to_have_count(3)
    await page.get_by_label("Show one symbol only").fill("brk.b")
    await expect(page.locator(".row")).to_have_count(1)
    await expect(page.locator("#link-text")).to_have_text("Live")
    await publish(make_signal("AAPL", day=8), make_signal("BRK.B", day=9))
    await expect(page.locator(".row")).to_have_count(2)
    await expect(page.locator(".row .symbol")).to_have_text(["BRK.B", "BRK.B"])


async def test_a_paused_list_stays_and_says_how_many_came(
    open_page: OpenPage, told: list[Signal], publish: Publish, make_signal: Callable[..., Signal]
) -> None:
    page = await open_page()
    await expect(page.locator(".row")).to_have_count(3)
    await expect(page.locator("#link-text")).to_have_text("Live")
    await page.get_by_role("button", name="Pause").click()
    await publish(make_signal("NEW", day=9))
    resume = page.get_by_role("button", name="Resume (1 new)")
    await expect(resume).to_be_visible()
    await expect(page.locator(".row")).to_have_count(3)
    await resume.click()
    await expect(page.locator(".row .symbol").first).to_have_text("NEW")


async def test_older_signals_are_shown_on_request(
    open_page: OpenPage, owners: Any, make_signal: Callable[..., Signal]
) -> None:
    for number in range(130):
        owners.add(make_signal(f"S{number}"))
    page = await open_page()
    await expect(page.locator(".row")).to_have_count(100)
    await page.get_by_role("button", name="Show older signals").click()
    await expect(page.locator(".row")).to_have_count(130)


async def test_a_burst_leaves_the_page_whole(
    open_page: OpenPage,
    owners: Any,
    bus: Bus,
    publish: Publish,
    make_signal: Callable[..., Signal],
    make_reason: Callable[..., Reason],
) -> None:
    page = await open_page()
    await expect(page.locator("#link-text")).to_have_text("Live")
    signals = [make_signal("FAST", day=n) for n in range(3000)]
    for signal in signals:
        owners.add(signal, make_reason(signal))
    for start in range(0, len(signals), 300):
        await publish(*(e for s in signals[start : start + 300] for e in (s, make_reason(s))))
    await expect(page.locator(".row")).to_have_count(100)
    await expect(page.locator(".row").first).to_have_attribute("data-id", signals[-1].id)
    await expect(page.locator(".row .reason", has_text="being written")).to_have_count(0)


async def test_the_page_comes_back_by_itself(
    open_page: OpenPage,
    gateway: GatewayService,
    owners: Any,
    publish: Publish,
    make_signal: Callable[..., Signal],
) -> None:
    page = await open_page()
    await expect(page.locator("#link-text")).to_have_text("Live")
    missed = make_signal("MISSED")
    owners.add(missed)
    for client in list(gateway._hub._clients):
        client.dropped.set()
    await expect(page.locator("#link-text")).to_contain_text("Reconnecting")
    await expect(page.locator(".row")).to_contain_text("MISSED")
    await expect(page.locator("#link-text")).to_have_text("Live")
