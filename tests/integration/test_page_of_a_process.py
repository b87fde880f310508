"""The status page of `registrar run`, as a browser sees it: a file breaks, and the page says so."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from playwright.sync_api import expect

from tests.fixed_program import answers, unused_port
from tests.integration.browser import Window, chromium
from tests.lab import wait_for

CONFIG = """\
instance: office
admin: {{listen: "127.0.0.1:{port}"}}
sources:
  files: {{type: static, files: [backends.yaml]}}
defaults:
  health: {{type: none}}
services:
  - service: shop/web
    from: {{source: files, group: web}}
    create: {{port: 80}}
"""


def test_page_of_a_process_follows_its_files(tmp_path: Path) -> None:
    port = unused_port()
    url = f"http://127.0.0.1:{port}/"
    (tmp_path / "registrar.yaml").write_text(CONFIG.format(port=port))
    file = tmp_path / "backends.yaml"
    file.write_text("web:\n  - 192.0.2.11:8080\n")
    argv = [sys.executable, "-m", "registrar", "run", "--embedded"]
    log = tmp_path / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*argv, "--config", tmp_path / "registrar.yaml"], stdout=out, stderr=out
        )
    try:
        wait_for(lambda: answers(url), 30, lambda: f"the page: {log.read_text()}")
        with chromium() as browser:
            window = Window(browser, url)
            row = window.page.get_by_role("row", name="shop/web")
            expect(row).to_contain_text("In place")
            expect(row).to_contain_text("1/1")
            file.write_text("web:\n  - 192.0.2.11:8080\n  - 192.0.2.12:8080\n")
            expect(row).to_contain_text("2/2")
            file.write_text("web: [")
            expect(row).to_contain_text("Held")
            sources = window.page.get_by_role("region", name="Table of sources")
            expect(sources.get_by_role("row", name="files")).to_contain_text("backends.yaml")
            window.page.get_by_role("link", name="shop/web").click()
            detail = window.page.locator("#detail")
            expect(detail.get_by_role("heading", name="source-unknown")).to_be_visible()
            expect(detail.get_by_role("row", name="192.0.2.12:8080")).to_contain_text("Ready")
            file.write_text("web:\n  - 192.0.2.11:8080\n")
            expect(detail.get_by_role("heading", name="source-unknown")).to_be_hidden()
            expect(detail.get_by_role("row", name="192.0.2.12:8080")).to_be_hidden()
            assert (window.complaints, window.strangers()) == ([], [])
    finally:
        process.terminate()
        process.wait()
