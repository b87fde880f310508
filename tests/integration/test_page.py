"""The status page in a real browser: what a person sees, hears and can do."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from playwright.sync_api import Browser, Page, expect

from registrar.status import HoldStatus, ServiceStatus, Status
from tests import fixed_program as fixed
from tests.fixed_program import FixedProgram, backend, part, service, source, status, turn
from tests.integration.browser import Window, chromium, tab_to, violations
from tests.integration.page_scene import DETAIL, HOSTILE, KNOWN

# One browser for all of them.
SCREENSHOT = Path(__file__).parents[2] / "docs" / "status-page.png"

Open = Callable[..., Window]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture
def program() -> FixedProgram:
    return FixedProgram(KNOWN)


@pytest.fixture
def url(program: FixedProgram, tmp_path: Path) -> Iterator[str]:
    with fixed.served(program, tmp_path) as found:
        yield found


@pytest.fixture
def opened(browser: Browser, url: str) -> Iterator[Open]:
    """Open windows; at the end none of them has complained, nor asked anybody else."""
    windows: list[Window] = []

    def open_one(path: str = "", *, dark: bool = False, width: int = 1280) -> Window:
        windows.append(Window(browser, url + path, dark=dark, width=width))
        return windows[-1]

    yield open_one
    for window in windows:
        window.close()
    assert [(one.complaints, one.strangers()) for one in windows] == [([], [])] * len(windows)


@pytest.fixture
def page(opened: Open) -> Page:
    return opened().page


def services(page: Page) -> list[str]:
    return page.locator("#service-rows th").all_inner_texts()


def test_page_says_how_everything_stands(page: Page) -> None:
    row = page.get_by_role("row", name="shop/admin")
    expect(row).to_contain_text("Held")
    expect(row).to_contain_text("1/1")
    expect(row).to_contain_text("source-unknown")
    expect(row).to_contain_text("hosts, files")
    expect(row).to_contain_text("25 h ago")
    expect(page.get_by_role("row", name="shop/web")).to_contain_text("Changing")
    expect(page.get_by_role("row", name="shop/mysql")).to_contain_text("In place")
    banner = page.get_by_role("banner")
    expect(banner.get_by_role("definition")).to_have_text(
        ["office", "0.1.0", "leads", "registrar-7c9f_0a1b2c3d", "off"]
    )
    sources = page.get_by_role("region", name="Table of sources")
    expect(sources.get_by_role("row", name="hosts")).to_contain_text("no answer within 5 s")
    expect(sources.get_by_role("row", name="hosts")).to_contain_text("1 of 2 failing")
    expect(sources.get_by_role("row", name="files")).to_contain_text("Answers")
    expect(sources.get_by_role("row", name="files")).to_contain_text("s ago")


def test_page_says_who_leads_and_when_silence_is_doubted(
    program: FixedProgram, opened: Open
) -> None:
    program.known = msgspec.structs.replace(
        KNOWN, leads=False, leader="other_1", self_preservation=True
    )
    page = opened().page
    expect(page.get_by_role("banner")).to_contain_text("stands by")
    expect(page.get_by_role("banner")).to_contain_text("other_1")
    expect(page.get_by_text("Silence counts for nothing meanwhile")).to_be_visible()


def test_page_filters_by_text_and_by_state(page: Page) -> None:
    expect(page.get_by_text("3 Services", exact=True)).to_be_visible()
    page.get_by_label("Filter by name, source or hold").fill("CONSUL")
    expect(page.get_by_role("status").filter(has_text="2 of 3 Services")).to_be_visible()
    assert services(page) == ["shop/mysql", "shop/web"]
    page.get_by_label("Changing (1)").check()
    expect(page.get_by_text("1 of 3 Services")).to_be_visible()
    assert services(page) == ["shop/web"]
    page.get_by_label("Filter by name, source or hold").fill("nobody")
    expect(page.get_by_text("0 of 3 Services")).to_be_visible()
    # From what is held to the Services that are.
    page.get_by_text("source-unknown 1 Service").click()
    page.get_by_role("button", name="Show 1 Service").click()
    expect(page.get_by_text("1 of 3 Services")).to_be_visible()
    assert services(page) == ["shop/admin"]


def test_page_is_used_by_keyboard_alone(page: Page) -> None:
    expect(page.get_by_text("3 Services", exact=True)).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    tab_to(page, page.get_by_label("Filter by name, source or hold").get_attribute("id"))
    page.keyboard.type("shop/w")
    link = page.get_by_role("link", name="shop/web")
    tab_to(page, None, "shop/web")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="shop/web")).to_be_focused()
    expect(page).to_have_title("shop/web - registrar")
    page.keyboard.press("Escape")
    expect(link).to_be_focused()
    assert services(page) == ["shop/web"]  # the filter is as it was


def test_page_tells_all_of_a_service(page: Page) -> None:
    page.get_by_role("link", name="shop/web").click()
    row = page.get_by_role("row", name="10.20.1.12:8080")
    expect(row).to_contain_text("Not ready")
    expect(row).to_contain_text("Down")
    expect(row).to_contain_text("since 65 s")
    expect(row).to_contain_text("no answer within 1 s")
    expect(page.get_by_role("row", name="[2001:db8::13]:8080")).to_contain_text("Unknown")
    row = page.get_by_role("row", name="10.20.1.11:8080")
    picture = row.get_by_role("img", name="10.20.1.11:8080: up since 25 min: HTTP 200")
    up, down, again = picture.evaluate(
        "p => [...p.querySelectorAll('rect:not(.base)')].map(r => r.getBBox())"
        ".map(box => ({width: box.width, height: box.height}))"
    )
    assert up["width"] > again["width"] > down["width"]  # as long as it lasted
    assert up["height"] == again["height"] > down["height"]  # not by colour alone
    row.get_by_text("3 turns").click()
    expect(row.get_by_role("listitem")).to_have_text(
        [
            "up since 25 min: HTTP 200",
            "down for 15 min, until 25 min ago: nothing listens on that port",
            "up for 110 min, until 40 min ago: as it was published",
        ]
    )
    page.get_by_role("link", name="consul").click()
    expect(page.get_by_role("heading", name="Source consul")).to_be_focused()
    expect(page.get_by_role("row", name="mysql")).to_contain_text("s ago")


def test_page_says_that_a_person_has_taken_a_backend_out(opened: Open) -> None:
    page = opened("#/service/shop/mysql").page
    row = page.get_by_role("row", name="10.20.1.32:8080")
    expect(row).to_contain_text("taken out by a person")
    expect(page.get_by_role("row", name="10.20.1.31:8080")).not_to_contain_text("taken out")


def test_page_says_what_a_hold_means_and_how_it_ends(opened: Open) -> None:
    page = opened("#/service/shop/admin").page
    for words in (
        DETAIL,
        "a source failed, and nothing better is known",
        "with the source's next complete answer",
        "mend what the detail names",
    ):
        expect(page.locator("#detail").get_by_text(words)).to_be_visible()


def test_page_shows_markup_as_the_text_it_is(program: FixedProgram, opened: Open) -> None:
    name = "x" * 400
    program.known = status(
        service(
            f"shop/{name}",
            backend("10.20.1.1", turn("down", 5, HOSTILE), reason=HOSTILE, port_name=HOSTILE),
            sources=(HOSTILE,),
            holds=(HoldStatus(reason=HOSTILE, detail=HOSTILE),),
        ),
        sources=(source(HOSTILE, part(HOSTILE, error=HOSTILE), error=HOSTILE),),
    )
    window = opened(width=360)
    page = window.page
    row = page.get_by_role("row", name=name)
    expect(row.get_by_role("cell", name=HOSTILE).first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    page.get_by_role("link", name=name).click()
    expect(page.get_by_role("row", name="10.20.1.1").get_by_text(HOSTILE).first).to_be_visible()
    expect(page.locator("#detail .hold")).to_contain_text(HOSTILE)
    page.get_by_role("link", name=HOSTILE).click()
    expect(page.get_by_role("heading", name=f"Source {HOSTILE}")).to_be_focused()
    expect(page.get_by_role("rowheader", name=HOSTILE)).to_be_visible()
    expect(page).to_have_title(f"Source {HOSTILE} - registrar")
    assert page.locator("main img, main script").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") == 360


def test_page_follows_what_happens(program: FixedProgram, opened: Open) -> None:
    window = opened()
    page = window.page
    expect(page.get_by_role("row", name="shop/mysql")).to_contain_text("In place")
    page.evaluate("window.isTheSame = true")
    first, second, *rest = KNOWN.services
    one = backend("10.20.1.31", turn("down", 1), published="not-ready")
    changed = service("shop/mysql", one, state="changing")
    program.known = replace_services(first, changed, *rest, service("shop/zoo"))
    expect(page.get_by_role("row", name="shop/mysql")).to_contain_text("Changing")
    expect(page.get_by_role("row", name="shop/zoo")).to_be_visible()
    said = page.get_by_role("status").filter(has_text="shop/mysql: Changing, shop/zoo: In place")
    expect(said).to_have_count(1)
    page.get_by_role("link", name="shop/mysql").click()
    expect(page.get_by_role("row", name="10.20.1.31:8080")).to_contain_text("Down")
    program.known = replace_services(first, second, *rest)
    expect(page.get_by_role("row", name="10.20.1.31:8080")).to_contain_text("Up")
    program.known = replace_services(first, *rest)
    expect(page.get_by_text("registrar is asked for no such one")).to_be_visible()
    assert page.evaluate("window.isTheSame")
    # Chromium says so of every 404.
    assert {said.partition(":")[0] for said in window.complaints} == {"Failed to load resource"}
    window.complaints.clear()


def replace_services(*found: ServiceStatus) -> Status:
    return msgspec.structs.replace(KNOWN, services=found)


def test_page_says_that_it_is_old_while_nobody_answers(browser: Browser, url: str) -> None:
    window = Window(browser, url)
    page = window.page
    expect(page.get_by_role("row", name="shop/web")).to_be_visible()
    window.offline(is_so=True)
    alert = page.get_by_role("alert").filter(has_text="how it was at 2026-05-04 10:20:30 UTC")
    expect(alert).to_be_visible()
    expect(page.get_by_role("row", name="shop/web")).to_be_visible()
    window.offline(is_so=False)
    expect(alert).to_be_hidden()
    window.close()


def test_page_has_room_for_thousands(program: FixedProgram, opened: Open) -> None:
    program.known = status(*(service(f"team/web-{number:04}") for number in range(5000)))
    page = opened().page
    expect(page.get_by_text("5,000 Services", exact=True)).to_be_visible()
    assert len(services(page)) == 100
    page.get_by_role("button", name="Show 100 more of the 4,900 Services left").click()
    expect(page.get_by_role("link", name="team/web-0100")).to_be_focused()
    page.get_by_label("Filter by name, source or hold").fill("web-4999")
    expect(page.get_by_role("link", name="team/web-4999")).to_be_visible()
    assert len(services(page)) == 1


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_page_is_accessible(opened: Open, dark: bool) -> None:  # noqa: FBT001
    page = opened(dark=dark).page
    page.get_by_text("source-unknown 1 Service").click()
    expect(page.get_by_text("What it means")).to_be_visible()
    assert violations(page) == []
    for path, seen in (
        ("#/service/shop/web", "10.20.1.12:8080"),
        ("#/service/shop/admin", "What it means"),
        ("#/source/hosts", "tcp://10.20.3.7:2376"),
    ):
        page.evaluate("path => { location.hash = path }", path)
        expect(page.locator("#detail").get_by_text(seen)).to_be_visible()
        assert (path, violations(page)) == (path, [])


def test_page_screenshot_is_one_of_this_page(
    program: FixedProgram, opened: Open, tmp_path: Path
) -> None:
    """The README shows it. It is written anew where $REGISTRAR_SCREENSHOT asks for that."""
    names = ("api", "auth", "billing", "docs", "ldap", "mail", "queue", "search", "wiki")
    more = (service(f"tools/{name}", backend("10.20.7.1"), changed=7_000.0) for name in names)
    program.known = replace_services(*KNOWN.services, *more)
    page = opened().page
    page.get_by_text("source-unknown 1 Service").click()
    expect(page.get_by_text("What it means")).to_be_visible()
    taken = tmp_path / "taken.png"
    page.screenshot(path=taken)
    if os.environ.get("REGISTRAR_SCREENSHOT"):
        SCREENSHOT.write_bytes(taken.read_bytes())
    assert "docs/status-page.png" in (SCREENSHOT.parents[1] / "README.md").read_text()
    assert size(SCREENSHOT) == size(taken)


def size(png: Path) -> bytes:
    """Return the width and height that the header of a PNG says."""
    return png.read_bytes()[16:24]
