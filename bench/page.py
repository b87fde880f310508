"""How long the status page takes with 5,000 Services: until it can be used, to filter, to follow.

Everything is real: registrar's own ways in, Debian's Chromium, a page that has never been loaded.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

import msgspec
from playwright.sync_api import Page

from bench.report import facts, last_line
from tests import fixed_program as fixed
from tests.fixed_program import FixedProgram, backend, part, service, source, turn
from tests.integration.browser import Window, chromium

SERVICES = 5000
TRIES = 5


def known() -> FixedProgram:
    """Return a program that serves so many Services of ten backends each."""
    backends = [backend(f"10.20.1.{last}", turn("up", 900.0)) for last in range(1, 11)]
    services = (
        service(f"team-{number % 50:02}/web-{number:04}", *backends) for number in range(SERVICES)
    )
    return FixedProgram(fixed.status(*services, sources=(source("files", part("a.yaml")),)))


def timed(work: Callable[[], object]) -> float:
    """Return how many seconds something takes."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def filtered(page: Page) -> None:
    """Look for one Service, as a person who types does."""
    page.get_by_label("Filter by name").fill("web-4999")
    page.get_by_text("1 of 5,000 Services").wait_for()


def load(page: Page, url: str) -> None:
    """Open the page, and use it for the first time."""
    page.goto(url)
    page.get_by_role("link", name="team-00/web-0000").wait_for()
    filtered(page)


def main() -> None:
    """Print the figures."""
    program = known()
    usable, filtering, following = [], [], []
    with (
        tempfile.TemporaryDirectory() as folder,
        fixed.served(program, Path(folder)) as url,
        chromium() as browser,
    ):
        for _ in range(TRIES):
            window = Window(browser, "about:blank")
            page = window.page
            usable.append(timed(partial(load, page, url)))
            page.get_by_label("Filter by name").fill("")
            filtering.append(timed(partial(filtered, page)))
            page.get_by_label("Filter by name").fill("")
            before = program.known
            changed = service("team-49/web-4999", state="changing")
            program.known = msgspec.structs.replace(
                before, services=(*before.services[:-1], changed)
            )
            following.append(timed(page.get_by_text("Changing (1)").wait_for))
            program.known = before
            window.close()
        rows = len(msgspec.json.encode(program.rows()))
    figures = {
        "services": SERVICES,
        "usable_s": round(median(usable), 3),
        "usable_worst_s": round(max(usable), 3),
        "filter_s": round(median(filtering), 3),
        "follow_s": round(median(following), 3),
        "list_bytes": rows,
    }
    print(facts())
    print(last_line(figures))


if __name__ == "__main__":
    main()
