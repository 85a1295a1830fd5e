"""A real Chromium for tests: pages that note every error, every warning and every request to anybody else."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]  # it has no types
from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

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
DESKTOP = ViewportSize(width=1280, height=860)
PHONE = ViewportSize(width=390, height=844)
WAIT_MS = 20_000
"""Other tests may share the machine."""
ALIKE: dict[str, Any] = {"exclude": [["li:nth-child(n+6)"], ["tbody tr:nth-child(n+6)"]]}
"""What axe-core leaves out: rows of long lists, which are like the first ones."""


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser that ends with the block."""
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield running
        running.close()


class Window:
    """A page of its own session, and what went wrong on it."""

    def __init__(
        self, browser: Browser, home: str, size: ViewportSize = DESKTOP, scheme: Any = "dark"
    ) -> None:
        self.home = home
        self.problems: list[str] = []
        self._context = browser.new_context(viewport=size, color_scheme=scheme)
        self.page: Page = self._context.new_page()
        self.page.set_default_timeout(WAIT_MS)
        self.page.on("pageerror", lambda error: self.problems.append(f"error: {error}"))
        self.page.on("console", self._said)
        self.page.on("dialog", self._asked)
        self.page.on("request", self._requested)

    def _said(self, message: Any) -> None:
        if message.type in {"error", "warning"}:
            self.problems.append(f"{message.text} ({message.location.get('url')})")

    def _asked(self, dialog: Any) -> None:
        self.problems.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _requested(self, request: Any) -> None:
        if not request.url.startswith(self.home):
            self.problems.append(f"asked {request.url}")

    def open(self, view: str = "") -> Page:
        """Go to a page by its address after `#/`."""
        self.page.goto(f"{self.home}/#/{view}")
        return self.page

    def fits(self) -> bool:
        """Whether nothing is wider than the screen."""
        return bool(self.page.evaluate("document.documentElement.scrollWidth <= innerWidth"))

    def faults(self) -> list[str]:
        """Serious and critical faults of accessibility, as axe-core finds them."""
        found = Axe().run(self.page, ALIKE, {"resultTypes": ["violations"]}).response["violations"]
        return [
            f"{each['id']}: {[node['target'] for node in each['nodes']]}"
            for each in found
            if each["impact"] in {"serious", "critical"}
        ]

    def close(self) -> None:
        """Close it."""
        self._context.close()


def check_whole(windows: list[Window], forgiven: str | None = None) -> None:
    """Close windows; none may have seen a problem, but for those that hold the words that are forgiven."""
    for window in windows:
        window.close()  # before the look at the problems: the last of them come with the end
    every = [problem for window in windows for problem in window.problems]
    problems = [problem for problem in every if forgiven is None or forgiven not in problem]
    assert not problems, problems
