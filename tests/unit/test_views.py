"""What the status page asks for, and what a browser is told that it may do with it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import msgspec
import pytest

from registrar.admin.views import read_page
from registrar.status import ServiceRow, ServiceRows, ServiceStatus, SourceStatus, Summary
from tests import fixed_program as fixed
from tests.fixed_program import FixedProgram, backend, part, service, source, turn

KNOWN = fixed.status(
    service("shop/web", backend("10.20.1.11", turn("up", 60))),
    sources=(source("files", part("backends.yaml")),),
)


@pytest.fixture
def client(tmp_path: Path) -> Iterator[httpx.Client]:
    with (
        fixed.served(FixedProgram(KNOWN), tmp_path) as url,
        httpx.Client(base_url=url) as found,
    ):
        yield found


def test_everything_of_the_page_is_guarded(client: httpx.Client) -> None:
    paths = ["", "status", "status/summary", "status/services", "status/services/shop/none", "none"]
    for path in [*paths, *(f"page/{name}" for name in read_page())]:
        headers = client.get(path).headers
        assert headers["X-Content-Type-Options"] == "nosniff", path
        assert headers["Cache-Control"] == "no-store", path
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy, path
        assert "unsafe" not in policy, path


def test_the_page_is_small_and_names_nothing_elsewhere() -> None:
    files = read_page()
    assert sum(map(len, files.values())) < 100_000
    for name, content in files.items():
        text = content.decode().replace("http://www.w3.org/2000/svg", "")  # a name, not an address
        assert "://" not in text, name
        assert ".innerHTML" not in text, name
        assert " style=" not in text, name


def test_the_light_list_and_the_details_are_apart(client: httpx.Client) -> None:
    summary = msgspec.json.decode(client.get("status/summary").content, type=Summary)
    assert summary.states == {"in-place": 1, "changing": 0, "held": 0}
    assert [one.name for one in summary.sources] == ["files"]
    rows = msgspec.json.decode(client.get("status/services").content, type=ServiceRows)
    assert rows.revision == summary.revision
    (row,) = msgspec.json.decode(rows.services, type=tuple[ServiceRow, ...])
    assert (row.namespace, row.name, row.ready) == ("shop", "web", 1)
    found = client.get("status/services/shop/web").content
    assert msgspec.json.decode(found, type=ServiceStatus) == KNOWN.services[0]
    found = client.get("status/sources/files").content
    assert msgspec.json.decode(found, type=SourceStatus) == KNOWN.sources[0]


@pytest.mark.parametrize(
    "path",
    ["status/services/shop/none", "status/sources/none", "page/none.js", "page/..%2fviews.py"],
)
def test_what_is_not_there_is_not_found(client: httpx.Client, path: str) -> None:
    assert client.get(path).status_code == 404


def test_nothing_can_be_changed_through_it(client: httpx.Client) -> None:
    for path in (
        "",
        "page/main.js",
        "status/summary",
        "status/services",
        "status/services/shop/web",
    ):
        assert client.post(path).status_code == 405
        assert client.delete(path).status_code == 405
