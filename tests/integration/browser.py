"""A real Chromium without a window, and what it has complained of.

It must never reach anything but the page's own server: the page needs nothing from elsewhere.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from urllib.parse import urlsplit

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.lab.parts import BROWSER_PACKAGES, install

PATIENCE_MS = 30_000

expect.set_options(timeout=PATIENCE_MS)


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """Run Debian's Chromium within the block."""
    install(BROWSER_PACKAGES)
    # Its own sandbox refuses root, as whom the tests run in CI.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=arguments, timeout=PATIENCE_MS
        )
        try:
            yield browser
        finally:
            browser.close()


class Window:
    """A window of its own with the page in it; `complaints` are what the browser has said."""

    def __init__(
        self, browser: Browser, url: str, *, dark: bool = False, width: int = 1280
    ) -> None:
        self._context = browser.new_context(
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce",
            viewport={"width": width, "height": 800},
        )
        self._context.set_default_timeout(PATIENCE_MS)
        self.page: Page = self._context.new_page()
        self.complaints: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda said: self.complaints.append(said.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(url)
        self._origin = urlsplit(url)[:2]

    def offline(self, *, is_so: bool) -> None:
        """Cut the window off from everything, or let it be heard again."""
        self._context.set_offline(is_so)

    def strangers(self) -> list[str]:
        """Return the addresses that it has asked for elsewhere."""
        return [url for url in self.asked if urlsplit(url)[:2] != self._origin]

    def close(self) -> None:
        """Close it."""
        self._context.close()


def tab_to(page: Page, element: str | None, text: str | None = None) -> None:
    """Press Tab until the focus is there, and seen to be."""
    for _ in range(30):
        page.keyboard.press("Tab")
        at = page.evaluate(
            "(e => ({id: e.id, text: e.textContent, outline: getComputedStyle(e).outlineStyle}))"
            "(document.activeElement)"
        )
        if at["id"] == element or at["text"] == text:
            assert at["outline"] != "none"
            return
    raise AssertionError(f"{element or text} is not to be reached by Tab")


def violations(page: Page) -> list[str]:
    """Return what axe-core finds wrong that is serious or critical, each with where it is."""
    found = Axe().run(page).response["violations"]
    return [
        f"{one['id']}: {node['target']} {node['failureSummary']}"
        for one in found
        if one["impact"] in {"serious", "critical"}
        for node in one["nodes"]
    ]
