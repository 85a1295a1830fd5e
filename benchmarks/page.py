"""`page`: bytes and time of the first view, and how soon a published signal stands on the page."""

import argparse
import asyncio
import json
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.figures import Figure, quantile, show
from benchmarks.startup import next_signal
from nats.aio.msg import Msg
from playwright.async_api import Browser, Page, async_playwright
from tests.browsing import CHROMIUM, DESKTOP, FLAGS

from heliograph.stack.options import PLEASANT_SPEED, Options, sample_folder
from heliograph.stack.stack import Stack
from heliograph.stack.state import State

VISITS = 7
WATCHED_S = 30.0
MEASURED = """() => {
    const loaded = ['resource', 'navigation'].flatMap((type) => performance.getEntriesByType(type));
    return {
        bytes: loaded.reduce((sum, one) => sum + one.transferSize, 0),
        requests: loaded.length,
        paint: performance.getEntriesByName('first-contentful-paint')[0].startTime,
        row: performance.now(),
    };
}"""
WATCH = """() => {
    window.seen = {};
    const look = (changes) => changes.forEach(({ addedNodes }) => addedNodes.forEach((node) => {
        const id = node.querySelector?.('.row')?.dataset.id;
        if (id) window.seen[id] ??= Date.now();
    }));
    new MutationObserver(look).observe(document.querySelector('.list'), { childList: true });
}"""


async def visit(browser: Browser, url: str) -> dict[str, float]:
    """Open the page with an empty cache and wait for its first row."""
    context = await browser.new_context(viewport=DESKTOP)
    page = await context.new_page()
    await page.goto(url)
    await page.locator(".row").first.wait_for()
    found: dict[str, float] = await page.evaluate(MEASURED)
    await context.close()
    return found


async def delays(stack: Stack, page: Page) -> list[float]:
    """Seconds from a signal's arrival at a subscriber of the bus to its row on the page."""
    bus = await stack.connect()
    published: dict[str, float] = {}

    async def take(message: Msg) -> None:
        published[json.loads(message.data)["id"]] = time.time()

    await bus.client.subscribe("signal.>", cb=take)
    await page.evaluate(WATCH)
    await asyncio.sleep(WATCHED_S)
    seen: dict[str, Any] = await page.evaluate("window.seen")
    await bus.close()
    return [seen[one] / 1000 - at for one, at in published.items() if one in seen]


async def measure() -> list[Figure]:
    """Start a stack as a user does, and look at it."""
    with TemporaryDirectory(prefix="heliograph-bench-") as folder:
        options = Options(data=sample_folder(), speed=PLEASANT_SPEED, gateway_port=0)
        async with Stack(State(Path(folder) / "state"), options) as stack, async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
            page = await browser.new_page(viewport=DESKTOP)
            await stack.race(next_signal(stack, 0))
            await page.goto(stack.urls["gateway"])
            await page.locator(".row").first.wait_for(timeout=120_000)
            late = await delays(stack, page)
            visits = [await visit(browser, stack.urls["gateway"]) for _ in range(VISITS)]
            await browser.close()
    middle = {name: quantile([one[name] for one in visits], 0.5) for name in visits[0]}
    return [
        Figure(
            name="first view, bytes over the wire",
            value=f"{middle['bytes'] / 1000:.0f} kB",
            beside=f"{middle['requests']:.0f} requests, fonts and the first 100 signals included",
            goal="≤ 180 kB",
        ),
        Figure(
            name="first contentful paint",
            value=f"{middle['paint']:.0f} ms",
            beside=f"median of {VISITS}",
            goal="≤ 1.8 s, what Web Vitals call good",
        ),
        Figure(
            name="first signal on the page",
            value=f"{middle['row']:.0f} ms",
            beside=f"median of {VISITS}",
            goal="≤ 2.5 s, the same for the largest content",
        ),
        Figure(
            name="published → on the page",
            value=f"p50 {1000 * quantile(late, 0.5):.0f} ms, p99 {1000 * quantile(late, 0.99):.0f} ms",
            beside=f"{len(late)} signals in {WATCHED_S:.0f} s",
            goal="≤ 1 s",
        ),
    ]


def main() -> None:
    """Print the figures."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    show("page", asyncio.run(measure()), "python -m benchmarks.page")


if __name__ == "__main__":
    main()
